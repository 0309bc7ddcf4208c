"""The texts of grammars that bind an answer: GBNF as it is given, or made of a JSON Schema."""

import json
import threading
from functools import lru_cache

from janfs.engines.llama_cpp.limits import LimitExceeded, limited
from janfs.engines.llama_cpp.schemas.compiling import grammar_of
from janfs.engines.protocol import SamplingParams, Tool
from janfs.errors import InvalidInput

KEPT_TEXTS = 512  # of schemas; a request may bring a tool for each
MAX_SCHEMA = 2**18  # characters
MAX_GRAMMAR = 2**19  # characters
STACK = 2**27  # bytes; where rules lead to rules llama.cpp calls itself, to 2**25 in so many characters
MAX_DEPTH = 64  # llama.cpp's parser calls itself for each bracket, on a stack that can end
MAX_SECONDS = 2.0
MAX_MEMORY = 256 * 2**20  # bytes


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


@lru_cache(maxsize=KEPT_TEXTS)
def gbnf_of_schema(schema: str, *, strict: bool = True) -> str:
    """GBNF of a JSON Schema's text. Raises `InvalidInput`.

    What a grammar cannot say is refused by name if `strict`, and passed over otherwise.
    """
    if len(schema) > MAX_SCHEMA:
        raise InvalidInput(f"The JSON schema may have {MAX_SCHEMA:,} characters.", param="json_schema")
    try:
        said = json.loads(schema)
        if threading.current_thread() is not threading.main_thread():
            return grammar_of(said, strict=strict)
        with limited(MAX_SECONDS, MAX_MEMORY):
            return grammar_of(said, strict=strict)
    except LimitExceeded as error:
        raise InvalidInput(f"The JSON schema is too complex: {error}.", param="json_schema") from error
    except RecursionError as error:
        raise InvalidInput("The JSON schema is nested too deeply.", param="json_schema") from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError) as error:
        what = str(error) or type(error).__name__
        raise InvalidInput(f"The JSON schema cannot be used: {what[:300]}.", param="json_schema") from error


def gbnf_of_tool(tool: Tool) -> str:
    """GBNF of a tool's arguments; of one that is not strict, as far as a grammar can say."""
    try:
        return gbnf_of_schema(tool.parameters, strict=tool.strict)
    except InvalidInput as error:
        raise InvalidInput(f"The tool '{tool.name}': {error.detail}", param="tools") from error


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif character == ")":
            depth = max(0, depth - 1)
    return deepest
