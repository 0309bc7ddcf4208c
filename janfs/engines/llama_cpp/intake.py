"""What a worker is asked, made ready for the thread that computes: prompts become tokens."""

import traceback
from typing import NamedTuple

from msgspec.structs import replace

from janfs.engines.llama_cpp import wire
from janfs.engines.llama_cpp.ahead import Turn, may_go_on, opening
from janfs.engines.llama_cpp.echo import Echo, echo_of
from janfs.engines.llama_cpp.embedding_input import input_tokens
from janfs.engines.llama_cpp.grammar import gbnf_of
from janfs.engines.llama_cpp.loading import Loaded
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.prompt import Prepared, chat_text, check_room, prepare
from janfs.engines.llama_cpp.vocabulary import check_tokens
from janfs.engines.protocol import ChatPrompt, PairPrompt, PlainText, Prompt, SamplingParams
from janfs.errors import InvalidInput, JanfsError


class Writing(NamedTuple):
    """A text to be written. `param` is what a prompt that is too long is refused by."""

    id: str
    sampling: SamplingParams
    prepared: Prepared
    stop: tuple[str, ...]
    caching: bool
    echo: Echo | None = None
    param: str = "prompt"
    chat: ChatPrompt | None = None  # where another turn may follow that can go on with this one


class Texts(NamedTuple):
    """Texts to be made vectors of, in tokens."""

    id: str
    texts: list[list[int]]
    param: str


Item = Writing | Texts | wire.Cancel | wire.Share | wire.Spare
"""What the thread that computes is told."""


class Intake:
    """Takes commands. For the main thread: it alone can put a time limit on a template."""

    def __init__(self, loaded: Loaded, *, caching: bool) -> None:
        self._weights, self._writing, self._pooled, self._chat, _, self._projector, self._form = loaded
        self._caching = caching

    def take(self, command: wire.Command) -> Item | wire.Event:
        """What is to be computed, or the answer where nothing is. Raises `JanfsError` for what cannot be."""
        match command:
            case wire.Generate():
                return self._text(command)
            case wire.Embed():
                return self._texts(command)
            case wire.Tokenize(id_, asked, to_answer):
                return wire.Tokens(id_, tuple(self._tokens(asked, to_answer=to_answer)))
            case wire.Spell(id_, given):
                known = check_tokens(given, self._weights.n_vocab, param="tokens")
                return wire.Pieces(id_, tuple(self._weights.piece(token, special=True) for token in known))
            case wire.ApplyTemplate(id_, chat):
                return wire.Rendered(id_, chat_text(chat, self._chat))
            case wire.Ping():
                return wire.Pong()
            case wire.Cancel() | wire.Share() | wire.Spare():
                return command

    def ahead(self, id_: str, turn: Turn) -> Writing | None:
        """The beginning of the next turn, to be computed and not answered; None where there is none."""
        assert self._writing is not None
        try:
            tokens = opening(turn, self._weights, self._chat)
        except JanfsError:  # nobody has asked; who does ask will be told what the template says
            return None
        except Exception:  # noqa: BLE001  # nor may a defect here, or want of memory, cost those who have
            traceback.print_exc()
            return None
        if len(tokens) >= self._writing.n_ctx:
            return None
        return Writing(id_, SamplingParams(max_tokens=0), Prepared(tokens), (), caching=True)

    @property
    def _writer(self) -> NativeModel:
        """What writes. Raises `InvalidInput` where nothing does."""
        if self._writing is None:
            raise InvalidInput("This model makes vectors of texts; it cannot write any.", param="model")
        return self._writing

    def _tokens(self, asked: Prompt | PlainText, *, to_answer: bool) -> list[int]:
        if isinstance(asked, PlainText):
            return self._weights.tokenize(asked.text, whole=asked.whole, special=asked.special)
        n_ctx = self._writer.n_ctx if to_answer else None
        tokens = prepare(asked, self._weights, self._chat, None, self._projector, n_ctx=n_ctx).tokens
        if n_ctx is not None:
            check_room(len(tokens), n_ctx, _param_of(asked))
        return tokens

    def _text(self, command: wire.Generate) -> Writing:
        writer = self._writer
        request = command.request
        sampling = request.sampling
        form = gbnf_of(sampling) or self._form
        prepared = prepare(
            request.prompt, self._weights, self._chat, form, self._projector, n_ctx=writer.n_ctx
        )
        sampling = replace(sampling, grammar=prepared.grammar, json_schema=None)
        writer.check(sampling)
        echo = echo_of(request.prompt, prepared.tokens, self._weights) if request.echo else None
        caching = self._caching and request.cache_prompt
        goes_on = caching and writer.memory.can_share
        chat = request.prompt if isinstance(request.prompt, ChatPrompt) else None
        return Writing(
            command.id,
            sampling,
            prepared,
            (*sampling.stop, *prepared.stop),
            caching,
            echo,
            _param_of(request.prompt),
            chat if chat is not None and goes_on and may_go_on(chat) else None,
        )

    def _texts(self, command: wire.Embed) -> Texts:
        if self._pooled is None:
            if any(isinstance(each, PairPrompt) for each in command.inputs):
                raise InvalidInput("This model writes text; it has no head that ranks.", param="model")
            raise InvalidInput(
                'This model writes text. With "embedding": true among the engine_parameters of its '
                "model.json it makes embeddings too.",
                param="model",
            )
        pooling = self._pooled.pooling
        name = "documents" if pooling == "rank" else "input"
        texts = [
            input_tokens(each, self._weights, pooling, f"{name}[{number}]")
            for number, each in enumerate(command.inputs)
        ]
        return Texts(command.id, texts, name)


def _param_of(prompt: Prompt) -> str:
    """What a prompt is called where it is refused."""
    return "messages" if isinstance(prompt, ChatPrompt) else "prompt"
