"""The beginning of a chat's next turn, which is computed in the silence after an answer.

Between an answer and the next question a template writes the same words whatever is asked. A person takes
seconds to ask on, so these words are computed while nobody waits, and the next answer begins sooner by as
much (docs/decisions/0042).
"""

from typing import NamedTuple

from msgspec.structs import replace

from janfs.engines.llama_cpp.chat import ChatFormat
from janfs.engines.llama_cpp.prefix_tree import common_length
from janfs.engines.llama_cpp.prompt import chat_tokens
from janfs.engines.llama_cpp.vocabulary import Vocabulary
from janfs.engines.protocol import ChatMessage, ChatPrompt, Finished, ReasoningDelta, Reply, TextDelta
from janfs.errors import JanfsError

SILENCE = 0.1
"""Seconds without a request before anything is computed: programs ask on at once, people do not."""
LULL = 2 * SILENCE
"""The same before what has ended is copied: after what is computed ahead, which then is copied with it."""
WORTH = range(2, 513)
"""How many tokens are computed ahead; many where a template writes an answer again without its thought."""


class Turn(NamedTuple):
    """A chat, and what was answered to it."""

    chat: ChatPrompt
    answer: str


class Turns:
    """Follows the answers to chats piece by piece, and tells those after which a question may come."""

    def __init__(self) -> None:
        self._written: dict[str, tuple[ChatPrompt, list[str]]] = {}

    def begin(self, request_id: str, chat: ChatPrompt) -> None:
        """Follow the answer to a chat."""
        self._written[request_id] = chat, []

    def hear(self, request_id: str, reply: Reply | JanfsError) -> Turn | None:
        """Take note of what comes next of an answer; the whole turn if that was its end."""
        if request_id not in self._written:
            return None
        chat, parts = self._written[request_id]
        match reply:
            case TextDelta(text):
                parts.append(text)
            case ReasoningDelta():
                pass  # which clients leave out when they go on
            case Finished("stop" | "length"):
                del self._written[request_id]
                return Turn(chat, "".join(parts))
            case _:  # a call, which no question follows, or an error
                del self._written[request_id]
        return None

    def forget(self, request_id: str) -> None:
        """Follow this answer no longer, if it was."""
        self._written.pop(request_id, None)


def may_go_on(chat: ChatPrompt) -> bool:
    """Whether a question may follow on an answer to this, and begin without reading images again."""
    return chat.messages[-1].role != "assistant" and not any(each.images for each in chat.messages)


def opening(turn: Turn, vocabulary: Vocabulary, chat: ChatFormat) -> list[int]:
    """The tokens with which the next turn begins: those that two questions have in common.

    Raises what the template raises.
    """
    said = (*turn.chat.messages, ChatMessage("assistant", turn.answer))
    one, other = (
        chat_tokens(replace(turn.chat, messages=(*said, ChatMessage("user", asked))), vocabulary, chat)
        for asked in ("A", "9")
    )
    return one[: common_length(one, other)]
