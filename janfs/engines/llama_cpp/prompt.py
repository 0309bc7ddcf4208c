"""From a prompt to the tokens that are computed for it. Pure, but for the vocabulary it is given."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from janfs.engines.llama_cpp.chat import ChatFormat
from janfs.engines.llama_cpp.dialects import harmony
from janfs.engines.llama_cpp.dialects.forced import forced
from janfs.engines.llama_cpp.dialects.marks import HARMONY, THINK, THINK_END
from janfs.engines.llama_cpp.dialects.reading import Reader, reader
from janfs.engines.llama_cpp.gbnf import behind, either
from janfs.engines.llama_cpp.grammar import gbnf_of_schema
from janfs.engines.protocol import ChatPrompt, Prompt, TextPrompt, TokenPrompt
from janfs.errors import InvalidInput


class Vocabulary(Protocol):
    """What is needed of a model's tokenizer. A token of -1 is one that the vocabulary does not have."""

    @property
    def n_vocab(self) -> int: ...

    @property
    def bos(self) -> int: ...

    @property
    def eos(self) -> int: ...

    @property
    def adds_bos(self) -> bool:
        """Whether every text begins with `bos`."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text, special tokens recognised, nothing added."""
        ...


class Prepared(NamedTuple):
    """Tokens, at least one, and what comes with the format of the prompt.

    `stop` strings end the answer; `read` tells thoughts and calls in it from words, None where it is only
    words; `shown` are special tokens whose text it needs for that; a `grammar` (GBNF) binds the answer.
    """

    tokens: list[int]
    stop: tuple[str, ...] = ()
    read: Reader | None = None
    shown: frozenset[int] = frozenset()
    grammar: str | None = None


def prepare(prompt: Prompt, vocabulary: Vocabulary, chat: ChatFormat, form: str | None = None) -> Prepared:
    """The tokens to compute. Raises `InvalidInput`, and what the template raises.

    A `form` (GBNF) binds the answer; where tools may be called, the answer or the call of one.
    """
    match prompt:
        case TokenPrompt(tokens):
            return Prepared(_at_least_one(check_tokens(tokens, vocabulary.n_vocab), vocabulary), grammar=form)
        case TextPrompt(text):
            return Prepared(_from_text(text, vocabulary), grammar=form)
        case ChatPrompt():
            return _from_chat(prompt, vocabulary, chat, form)


def check_tokens(tokens: Sequence[int], n_vocab: int, *, param: str = "prompt") -> list[int]:
    """The tokens. Raises `InvalidInput`, naming `param`, if one is not in the vocabulary."""
    for token in tokens:
        if not 0 <= token < n_vocab:
            raise InvalidInput(f"Token {token} is not in the vocabulary (0 to {n_vocab - 1}).", param=param)
    return list(tokens)


def chat_text(prompt: ChatPrompt, chat: ChatFormat) -> str:
    """A chat as one text, up to where the answer begins, or where the assistant's last one goes on."""
    last = prompt.messages[-1]
    goes_on = last.role == "assistant" and not last.tool_calls and len(prompt.messages) > 1
    text = chat.render(prompt.messages[:-1] if goes_on else prompt.messages, prompt.tools)
    return text + (last.content if goes_on else "")


def _from_chat(prompt: ChatPrompt, vocabulary: Vocabulary, chat: ChatFormat, form: str | None) -> Prepared:
    text = chat_text(prompt, chat)
    tokens = _from_text(text, vocabulary)
    if not prompt.tools and not chat.thinks:
        return Prepared(tokens, chat.stop, grammar=form)
    marks, thinking = chat.marks, text.rstrip().endswith(THINK)
    if form is not None and marks.bare_json:
        marks = replace(marks, bare_json=False)  # an answer of JSON is no call, so a call says what it is
    if marks is HARMONY:
        read: Reader = harmony.read
    else:
        read = reader(marks, tools=bool(prompt.tools), thinking=thinking)
    alone = [vocabulary.tokenize(mark) for mark in (harmony.SPECIAL if marks is HARMONY else marks.special)]
    shown = frozenset(tokens[0] for tokens in alone if len(tokens) == 1)
    grammar = form
    if prompt.must_call or (prompt.tools and form is not None):
        calls = forced(marks, prompt.tools, several=prompt.parallel, gbnf_of=gbnf_of_schema)
        grammar = calls if prompt.must_call or form is None else either(calls, form)
    if grammar is not None and thinking and marks is not HARMONY:
        grammar = behind(THINK_END, grammar)
    return Prepared(tokens, chat.stop, read, shown, grammar)


def _from_text(text: str, vocabulary: Vocabulary) -> list[int]:
    tokens = vocabulary.tokenize(text)
    # Templates often spell the token out; a second one makes answers worse.
    if vocabulary.adds_bos and vocabulary.bos >= 0 and tokens[:1] != [vocabulary.bos]:
        tokens = [vocabulary.bos, *tokens]
    return _at_least_one(tokens, vocabulary)


def _at_least_one(tokens: list[int], vocabulary: Vocabulary) -> list[int]:
    """An empty prompt still needs a token to predict from: the one that begins texts, or ends them."""
    if tokens:
        return tokens
    start = vocabulary.bos if vocabulary.bos >= 0 else vocabulary.eos
    if start < 0:
        raise InvalidInput("The prompt is empty, and this model has no token to begin with.", param="prompt")
    return [start]
