"""Chat templates of model files, in Jinja's immutable sandbox.

A template comes out of a file that anyone may have made (CVE-2024-34359), so it gets no mutable object, a
limit on time, memory and output, and no number big enough to make one C call endless. What published
templates expect is there: the names, filters and block settings of Hugging Face's `apply_chat_template`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import wraps
from typing import Any, NoReturn

from jinja2 import Template, TemplateError
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from janfs.engines.llama_cpp.limits import limited
from janfs.errors import EngineError, InvalidInput

MAX_SOURCE = 2**20  # characters of a template; the longest published ones have some 20,000
MAX_OUTPUT = 16 * 2**20  # characters
MAX_SECONDS = 2.0
MAX_MEMORY = 256 * 2**20  # bytes
MAX_NUMBER = 100_000  # a count, width or size that a template may ask for


class ChatTemplate:
    """A template with the two special tokens it may name. Compiled at its first use; use the main thread."""

    def __init__(self, source: str, bos: str, eos: str) -> None:
        self._source = source
        self._constants = {"bos_token": bos, "eos_token": eos, "add_generation_prompt": True}
        self._compiled: Template | None = None

    def render(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None = None) -> str:
        """The prompt for these messages and tools, up to where the answer begins.

        Raises `InvalidInput` when the template refuses the messages, `EngineError` when it is broken or
        goes beyond a limit.
        """
        try:
            with limited(MAX_SECONDS, MAX_MEMORY):
                if self._compiled is None:
                    self._compiled = _compile(self._source)
                return _collect(self._compiled, {**self._constants, "messages": messages, "tools": tools})
        except _Refused as refusal:
            raise InvalidInput(
                f"The chat template refuses these messages: {refusal}", param="messages"
            ) from refusal
        except (
            EngineError, TemplateError, SyntaxError, TypeError, ValueError, LookupError, AttributeError,
            ArithmeticError, RuntimeError, MemoryError,
        ) as error:  # fmt: skip
            what = str(error) or type(error).__name__
            raise EngineError(
                f"The model's chat template failed: {what}. A prompt_template in model.json takes its place."
            ) from error


class _Refused(Exception):
    """The template called `raise_exception`."""


class _GenerationTag(Extension):
    """`{% generation %}` marks the assistant's text for training tools; here it is only its content."""

    tags = {"generation"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            _check_format(left)
        elif operator == "*":
            for one, other in ((left, right), (right, left)):
                if isinstance(one, str | list | tuple) and isinstance(other, int):
                    _check_number(len(one) * other)
        elif operator == "**":
            _check_number(right)
            if isinstance(left, int) and isinstance(right, int):
                _check_number(left.bit_length() * right)
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and result.bit_length() > 4096:
            raise SecurityError("a number is too big")
        return result

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        for value in [*args, *kwargs.values()]:
            _check_number(value)
        return super().call(context, function, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is not None:
            _check_format(value.__self__)
        return wrapped


def _compile(source: str) -> Template:
    if len(source) > MAX_SOURCE:
        raise SecurityError(f"it has {len(source)} characters, more than {MAX_SOURCE}")
    sandbox = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _GenerationTag])
    sandbox.filters.update({name: _guarded(function) for name, function in sandbox.filters.items()})
    sandbox.filters["tojson"] = _guarded(_tojson)
    sandbox.globals.update(raise_exception=_refuse, strftime_now=_strftime_now)
    return sandbox.from_string(source)


def _collect(template: Template, values: dict[str, Any]) -> str:
    parts: list[str] = []
    length = 0
    for part in template.generate(values):
        length += len(part)
        if length > MAX_OUTPUT:
            raise SecurityError(f"it writes more than {MAX_OUTPUT} characters")
        parts.append(part)
    return "".join(parts)


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that takes no huge numbers besides the value it filters."""
    subject = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def filter_(*args: Any, **kwargs: Any) -> Any:
        for value in [*args[subject + 1 :], *kwargs.values()]:
            _check_number(value)
        if function.__name__ == "do_format":
            _check_format(str(args[subject]))
        return function(*args, **kwargs)

    return filter_


def _check_number(value: object) -> None:
    if isinstance(value, int | float) and not abs(value) <= MAX_NUMBER:
        raise SecurityError(f"{value:.3g} is too big a number")


def _check_format(text: str) -> None:
    """Refuse widths that would fill the memory, or that are given elsewhere: `{:999999}`, `%*d`, `{:{}}`."""
    if re.search(r"\d{6}|%[^a-zA-Z%]*\*|\{[^{}]*:[^{}]*\{", text):
        raise SecurityError("a format has too big a width")


def _tojson(value: object, indent: int | None = None, *, ensure_ascii: bool = False, **options: Any) -> str:
    """As in Hugging Face's templates: no HTML escapes, unlike Jinja's own. What filters give is a list."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, default=_listed, **options)


def _listed(value: object) -> list[Any]:
    if isinstance(value, Iterator):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _refuse(message: str) -> NoReturn:
    raise _Refused(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)  # local time: the template writes today's date for the reader
