"""From a prompt to the tokens that are computed for it. Pure, but for the vocabulary it is given."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from janfs.engines.llama_cpp.begun import head_and_beginning, opens_thought
from janfs.engines.llama_cpp.chat import ChatFormat
from janfs.engines.llama_cpp.dialects import harmony
from janfs.engines.llama_cpp.dialects.forced import call_begun, forced, late
from janfs.engines.llama_cpp.dialects.marks import HARMONY, Marks
from janfs.engines.llama_cpp.dialects.reading import Reader, behind_thought, one_call, only_calls, reader
from janfs.engines.llama_cpp.dialects.tagged import text_arguments
from janfs.engines.llama_cpp.gbnf import behind, either
from janfs.engines.llama_cpp.grammar import gbnf_of_tool
from janfs.engines.llama_cpp.guidance import UNGUIDED, Guidance, Thoughts
from janfs.engines.llama_cpp.pictures import Picture, Read, marked
from janfs.engines.llama_cpp.vocabulary import Vocabulary, check_tokens
from janfs.engines.protocol import ChatPrompt, Image, Prompt, TextPrompt, TokenPrompt
from janfs.errors import ContextExceeded, InvalidInput


class Prepared(NamedTuple):
    """Tokens, at least one, and what comes with the format of the prompt.

    `stop` strings end the answer; `read` tells thoughts and calls in it from words, None where it is only
    words; `begun` is what it goes on with, and `shown` are special tokens whose text it needs for that; a
    `grammar` (GBNF) binds the answer.
    """

    tokens: list[int]
    stop: tuple[str, ...] = ()
    read: Reader | None = None
    shown: frozenset[int] = frozenset()
    grammar: str | None = None
    pictures: tuple[Picture, ...] = ()
    begun: str = ""
    guidance: Guidance = UNGUIDED


class Eyes(Protocol):
    """What reads a text with a marker for each image, so that it begins with some tokens."""

    @property
    def marker(self) -> str: ...

    def read(self, text: str, images: Sequence[Image], beginning: Sequence[int], /) -> Read: ...


def prepare(
    prompt: Prompt,
    vocabulary: Vocabulary,
    chat: ChatFormat,
    form: str | None = None,
    eyes: Eyes | None = None,
    *,
    n_ctx: int | None = None,
) -> Prepared:
    """The tokens to compute. Raises `InvalidInput`, and what the template raises.

    A `form` (GBNF) binds the answer; where tools may be called, the answer or the call of one.
    Images are read by the `eyes`. A text that cannot fit `n_ctx` tokens by its mere length is not cut into
    any: for 15 million letters that takes a minute.
    """
    match prompt:
        case TokenPrompt(tokens):
            return Prepared(_at_least_one(check_tokens(tokens, vocabulary.n_vocab), vocabulary), grammar=form)
        case TextPrompt(text):
            _check_length(text, vocabulary, n_ctx, "prompt")
            return Prepared(_from_text(text, vocabulary), grammar=form)
        case ChatPrompt():
            return _from_chat(prompt, vocabulary, chat, form, eyes, n_ctx=n_ctx)


def _check_length(text: str, vocabulary: Vocabulary, n_ctx: int | None, param: str) -> None:
    if n_ctx is not None:
        check_room(vocabulary.fewest(text), n_ctx, param)


def check_room(n_tokens: int, n_ctx: int, param: str) -> None:
    """Raise `ContextExceeded`, naming `param`, if nothing could follow on so many tokens."""
    if n_tokens >= n_ctx:
        raise ContextExceeded(n_tokens, n_ctx, param=param)


def chat_text(prompt: ChatPrompt, chat: ChatFormat) -> str:
    """A chat as one text, up to where the answer begins, or where the assistant's last message goes on."""
    return "".join(head_and_beginning(prompt, chat))


def chat_tokens(prompt: ChatPrompt, vocabulary: Vocabulary, chat: ChatFormat) -> list[int]:
    """The tokens of a chat without images. Raises what the template raises."""
    return _from_text(chat_text(prompt, chat), vocabulary)


def _from_chat(
    prompt: ChatPrompt,
    vocabulary: Vocabulary,
    chat: ChatFormat,
    form: str | None,
    eyes: Eyes | None,
    *,
    n_ctx: int | None,
) -> Prepared:
    images = [image for message in prompt.messages for image in message.images]
    pictures: tuple[Picture, ...] = ()
    if images:
        eyes = _needed(eyes, images)
        messages = tuple(marked(message, eyes.marker) for message in prompt.messages)
        head, begun = head_and_beginning(replace(prompt, messages=messages), chat)
        tokens, pictures = _seen(head + begun, images, vocabulary, eyes)
    else:
        head, begun = head_and_beginning(prompt, chat)
        _check_length(head + begun, vocabulary, n_ctx, "messages")
        tokens = _from_text(head + begun, vocabulary)
    marks = chat.marks
    if not prompt.tools and not chat.thinks:
        said = _said(begun, tokens, vocabulary) if form is not None else ()
        return Prepared(tokens, chat.stop, grammar=form, pictures=pictures, guidance=Guidance(said))
    thinking = opens_thought(head, marks)
    strict = any(tool.strict for tool in prompt.tools)
    if form is not None and marks.bare_json:
        marks = replace(marks, bare_json=False)  # an answer of JSON is no call, so a call says what it is
    if marks is HARMONY:
        read: Reader = harmony.read
        answered = harmony.behind_thought(begun)
    else:
        texts = text_arguments(prompt.tools)
        free = form is None and not prompt.must_call and not strict  # a grammar has calls with their marks
        told = replace(marks, unmarked=marks.unmarked and free)
        read = reader(told, tools=bool(prompt.tools), thinking=thinking, texts=texts)
        answered = behind_thought(begun, marks, thinking=thinking)
    thinks_on = answered is None
    if not prompt.parallel:
        read = one_call(read)
    if prompt.must_call:
        read = only_calls(read)
    alone = [vocabulary.tokenize(mark) for mark in (harmony.SPECIAL if marks is HARMONY else marks.special)]
    shown = frozenset(tokens[0] for tokens in alone if len(tokens) == 1)
    grammar = form
    if prompt.must_call or (prompt.tools and form is not None):
        calls = forced(marks, prompt.tools, several=prompt.parallel, gbnf_of=gbnf_of_tool)
        grammar = calls if prompt.must_call or form is None else either(calls, form)
        answered = call_begun(answered or "", marks)
    if grammar is None and strict:
        grammar = late(
            marks,
            prompt.tools,
            several=prompt.parallel,
            gbnf_of=gbnf_of_tool,
            thinks=chat.thinks and not thinks_on,
        )
    if grammar is not None and thinks_on and marks is not HARMONY:
        grammar = behind(marks.thought[1], grammar)
    thoughts = None
    if chat.thinks and prompt.most_thought is not None:
        thoughts = _bound(prompt.most_thought, vocabulary, marks, begun=thinks_on)
    said = _said(answered or "", tokens, vocabulary) if grammar is not None else ()
    return Prepared(tokens, chat.stop, read, shown, grammar, pictures, begun, Guidance(said, thoughts))


def _said(text: str, tokens: Sequence[int], vocabulary: Vocabulary) -> tuple[int, ...]:
    """The tokens, at best the last of these, that spell a text; none if there are no such."""
    wanted, start, size = text.encode(), len(tokens), 0
    while size < len(wanted) and start and tokens[start - 1] >= 0:
        start -= 1
        size += len(vocabulary.piece(tokens[start], special=True))
    for found in (tokens[start:], vocabulary.tokenize(text)):
        if b"".join(vocabulary.piece(token, special=True) for token in found) == wanted:
            return tuple(found)
    return ()


def _bound(most: int, vocabulary: Vocabulary, marks: Marks, *, begun: bool) -> Thoughts:
    """What ends a thought after so many tokens, as the families write it themselves."""
    if marks is HARMONY:
        return Thoughts(most, *harmony.THOUGHT, tuple(vocabulary.tokenize(harmony.ANSWER)), begun)
    beginning, end = marks.thought
    closing = [token for text in ("\n", end, "\n\n") for token in vocabulary.tokenize(text)]
    return Thoughts(most, beginning, end, tuple(closing), begun)


def _needed(eyes: Eyes | None, images: Sequence[Image]) -> Eyes:
    if eyes is None:
        raise InvalidInput("This model sees no images: it has no projector.", param=images[0].place)
    return eyes


def _seen(
    text: str, images: Sequence[Image], vocabulary: Vocabulary, eyes: Eyes
) -> tuple[list[int], tuple[Picture, ...]]:
    """The tokens of a text with markers, and its images in their places."""
    if text.count(eyes.marker) != len(images):
        raise InvalidInput("The model's chat template leaves images out.", param=images[0].place)
    read = eyes.read(text, images, _beginning(vocabulary))
    if read.tokens[-1] < 0:
        raise InvalidInput("No text follows on the last image.", param=images[-1].place)
    return read.tokens, read.pictures


def _from_text(text: str, vocabulary: Vocabulary) -> list[int]:
    tokens, start = vocabulary.tokenize(text), _beginning(vocabulary)
    # Templates often spell the token out; a second one makes answers worse.
    if tokens[: len(start)] != start:
        tokens = start + tokens
    return _at_least_one(tokens, vocabulary)


def _beginning(vocabulary: Vocabulary) -> list[int]:
    """What every text begins with."""
    return [vocabulary.bos] if vocabulary.adds_bos and vocabulary.bos >= 0 else []


def _at_least_one(tokens: list[int], vocabulary: Vocabulary) -> list[int]:
    """An empty prompt still needs a token to predict from: the one that begins texts, or ends them."""
    if tokens:
        return tokens
    start = vocabulary.bos if vocabulary.bos >= 0 else vocabulary.eos
    if start < 0:
        raise InvalidInput("The prompt is empty, and this model has no token to begin with.", param="prompt")
    return [start]
