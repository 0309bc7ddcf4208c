"""The assistant's last message as the beginning of the answer, as the model would have written it. Pure."""

from janfs.engines.llama_cpp.chat import ChatFormat
from janfs.engines.llama_cpp.dialects import harmony
from janfs.engines.llama_cpp.dialects.marks import HARMONY, Marks
from janfs.engines.protocol import ChatMessage, ChatPrompt
from janfs.errors import UnsupportedParameter


def head_and_beginning(prompt: ChatPrompt, chat: ChatFormat) -> tuple[str, str]:
    """A chat as a text up to where the answer begins, and what is there of the answer.

    A message of the assistant's that nothing stands before is a turn like any other, since templates want a
    chat to begin with something. Raises what the template raises, and `UnsupportedParameter` for thoughts
    where it has no marks for them.
    """
    *before, last = prompt.messages
    if not before or last.role != "assistant" or last.tool_calls:
        return chat.render(prompt.messages, prompt.tools), ""
    head = chat.render(before, prompt.tools)
    return head, _written(last, chat, head)


def opens_thought(head: str, marks: Marks) -> bool:
    """Whether a chat up to where the answer begins has the model think first."""
    return head.rstrip().endswith(marks.thought[0])


def _written(message: ChatMessage, chat: ChatFormat, head: str) -> str:
    """Thoughts that no words follow on are open."""
    thought, words = message.reasoning, message.content
    if thought and not chat.thinks:
        raise UnsupportedParameter(
            "The last message has thoughts ('reasoning_content'), and the model's chat template does not say "
            "how it writes them: they cannot be gone on with.",
            param="messages",
        )
    if chat.marks is HARMONY:
        return harmony.written(thought, words)
    if not thought:
        return words
    beginning, end = chat.marks.thought
    if not opens_thought(head, chat.marks):
        thought = f"{beginning}\n{thought}"
    elif head.endswith(beginning):
        thought = f"\n{thought}"
    return f"{thought.rstrip()}\n{end}\n\n{words}" if words else thought
