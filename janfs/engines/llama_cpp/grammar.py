"""Grammars that bind an answer: GBNF as it is given, or made of a JSON Schema. Compiled ones are kept."""

import json
import threading
from collections import OrderedDict
from functools import lru_cache

import llama_cpp as llama
from llama_cpp import llama_grammar
from llama_cpp.llama_grammar import json_schema_to_gbnf

from janfs.engines.llama_cpp.gbnf import wrong_count
from janfs.engines.llama_cpp.limits import LimitExceeded, limited
from janfs.engines.protocol import SamplingParams
from janfs.errors import InvalidInput

KEPT = 32  # compiled grammars
MAX_SCHEMA = 2**18  # characters
MAX_GRAMMAR = 2**20  # characters
MAX_DEPTH = 64  # llama.cpp's parser calls itself for each bracket, on a stack that can end
MAX_REPETITIONS = 2000  # llama.cpp's own bound
MAX_SECONDS = 2.0
MAX_MEMORY = 256 * 2**20  # bytes


def repeated(
    item: str,
    least: int,
    most: int | None,
    separator_rule: str | None = None,
    item_rule_is_literal: bool = False,  # noqa: ARG001  # a literal is repeated like any other item
) -> str:
    """GBNF for an item that stands from `least` to `most` times (None: any number), with separators between.

    As llama.cpp's own converter has it. That of the Python package, whose arguments these are, writes each
    repetition out, which for a long text takes all memory there is. Raises `ValueError` for too many.
    """
    if most is not None and most < least:
        raise ValueError(f"{least:,} to {most:,} repetitions, as of minLength and maxLength")
    if max(least, most or 0) > MAX_REPETITIONS:
        raise ValueError(f"more than {MAX_REPETITIONS:,} repetitions, as of maxLength or maxItems")
    if most == 0:
        return ""
    if separator_rule is None:
        return f"{item}{{{least},{'' if most is None else most}}}"
    left = None if most is None else most - 1
    chain = f"{item} {repeated(f'({separator_rule} {item})', max(0, least - 1), left)}".rstrip()
    return chain if least else f"({chain})?"


llama_grammar._build_repetition = repeated


class Grammars:
    """Makes samplers that let only fitting tokens through. May be used by several threads."""

    def __init__(self, vocabulary: object) -> None:
        self._vocabulary = vocabulary
        self._compiled: OrderedDict[str, object] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, params: SamplingParams) -> None:
        """Compile what a request asks for. Raises `InvalidInput` if it cannot be; use the main thread."""
        text = gbnf_of(params)
        if text is not None:
            with self._lock:
                self._get(text)

    def sampler(self, params: SamplingParams) -> object | None:
        """A fresh sampler, which is the caller's to free; None where a request asks for no grammar."""
        text = gbnf_of(params)
        if text is None:
            return None
        with self._lock:
            fresh: object = llama.llama_sampler_clone(self._get(text))
            return fresh

    def _get(self, text: str) -> object:
        found = self._compiled.get(text)
        if found is None:
            wrong = wrong_count(text)
            if wrong is not None:
                raise InvalidInput(f"'grammar' cannot be used: {wrong}.", param="grammar")
            found = llama.llama_sampler_init_grammar(self._vocabulary, text.encode(), b"root")
            if not found:
                raise InvalidInput("'grammar' is no GBNF that llama.cpp can read.", param="grammar")
            self._compiled[text] = found
            if len(self._compiled) > KEPT:
                llama.llama_sampler_free(self._compiled.popitem(last=False)[1])
        self._compiled.move_to_end(text)
        return found


def gbnf_of(params: SamplingParams) -> str | None:
    """The grammar that a request asks for. Raises `InvalidInput`."""
    if params.json_schema is not None:
        return gbnf_of_schema(params.json_schema)
    if params.grammar:
        if len(params.grammar) > MAX_GRAMMAR or _depth(params.grammar) > MAX_DEPTH or "\0" in params.grammar:
            raise InvalidInput(
                f"'grammar' may have {MAX_GRAMMAR:,} characters and {MAX_DEPTH} nested brackets.",
                param="grammar",
            )
        return params.grammar
    return None


@lru_cache(maxsize=KEPT)
def gbnf_of_schema(schema: str) -> str:
    """GBNF of a JSON Schema's text. Raises `InvalidInput`."""
    if len(schema) > MAX_SCHEMA:
        raise InvalidInput(f"The JSON schema may have {MAX_SCHEMA:,} characters.", param="response_format")
    try:
        json.loads(schema)
        if threading.current_thread() is threading.main_thread():
            with limited(MAX_SECONDS, MAX_MEMORY):
                text: str = json_schema_to_gbnf(schema)
        else:
            text = json_schema_to_gbnf(schema)
    except LimitExceeded as error:
        raise InvalidInput(f"The JSON schema is too complex: {error}.", param="response_format") from error
    except (
        AssertionError, ValueError, LookupError, TypeError, AttributeError, RecursionError, MemoryError,
    ) as error:  # fmt: skip
        what = str(error) or type(error).__name__
        raise InvalidInput(
            f"The JSON schema cannot be used: {what[:300]}.", param="response_format"
        ) from error
    if _depth(text) > MAX_DEPTH:
        raise InvalidInput("The JSON schema is nested too deeply.", param="response_format")
    return text


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif character == ")":
            depth = max(0, depth - 1)
    return deepest
