"""Calls whose arguments stand in tags of their own, as Qwen3-Coder, Qwen3.5 and GLM write them. Pure.

    <tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>
    <tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>

A value is JSON, or plain text where the argument is one.
"""

import json
import re
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, Literal, NamedTuple, NoReturn

from janfs.engines.llama_cpp.schemas.merging import target
from janfs.engines.llama_cpp.schemas.rules import SchemaError
from janfs.engines.protocol import Tool

TextArguments = Mapping[str, Mapping[str, bool]]
"""Which arguments of each tool are texts, and whether they may also be null."""

UNMARKED = "<function="
"""What a call begins with that no mark stands before."""

_HEAD = re.compile(UNMARKED + r"([A-Za-z0-9_.:-]{0,128})(>|\Z)")
_KINDS: Mapping[str, type] = {"string": str, "null": NoneType}
_WORDS = {"True": "true", "False": "false", "None": "null"}  # Qwen's templates show values as Python does


class TaggedCall(NamedTuple):
    """A call as far as it is there; `arguments` is JSON, `end` where it ends, None while it does not."""

    name: str
    arguments: str
    end: int | None


class _Shape(NamedTuple):
    head: re.Pattern[str]
    argument: re.Pattern[str]
    end: re.Pattern[str]


_SHAPES = (
    _Shape(
        re.compile(r"<function=([A-Za-z0-9_.:-]{1,128})>"),
        re.compile(r"\s*<parameter=([^>\n]{1,256})>\n?((?s:.)*?)\n?</parameter>"),
        re.compile(r"\s*(?:</function>|</tool_call>)"),
    ),
    _Shape(
        re.compile(r"([A-Za-z0-9_.:-]{1,128})\s*(?=<arg_key>|</tool_call>)"),
        re.compile(r"\s*<arg_key>([^<\n]{1,256})</arg_key>\s*<arg_value>((?s:.)*?)</arg_value>"),
        re.compile(r"\s*</tool_call>"),
    ),
)


def text_arguments(tools: Sequence[Tool]) -> TextArguments:
    """Those by the tools' schemas."""
    found = {}
    for tool in tools:
        root = json.loads(tool.parameters)
        properties = root.get("properties")
        known = properties.items() if isinstance(properties, dict) else ()
        found[tool.name] = {
            name: _may_be("null", schema, root, set())
            for name, schema in known
            if _may_be("string", schema, root, set())
        }
    return found


def unmarked_call(text: str, start: int, texts: TextArguments) -> int:
    """Where a call of a tool begins that no mark stands before, or at the text's end may begin; -1: nowhere.

    Qwen3-Coder often forgets the mark.
    """
    for head in _HEAD.finditer(text, start):
        if head[1] in texts if head[2] else any(name.startswith(head[1]) for name in texts):
            return head.start()
    return -1


def tagged_call(text: str, start: int, texts: TextArguments) -> TaggedCall | None:
    """The call of one of the tools in `texts` that begins at a place; None where none does, or not yet."""
    for shape in _SHAPES:
        head = shape.head.match(text, start)
        if head is not None and head[1] in texts:
            return _read(text, head, shape, texts[head[1]])
    return None


def _read(text: str, head: re.Match[str], shape: _Shape, texts: Mapping[str, bool]) -> TaggedCall:
    arguments, at = "", head.end()
    while (argument := shape.argument.match(text, at)) is not None:
        key = argument[1].strip()
        arguments += f"{', ' if arguments else '{'}{_quoted(key)}: {_value(argument[2], texts.get(key))}"
        at = argument.end()
    end = shape.end.match(text, at)
    if end is None:
        return TaggedCall(head[1], arguments, None)
    return TaggedCall(head[1], f"{arguments or '{'}}}", end.end())


def _value(said: str, or_null: bool | None) -> str:
    """A value as JSON: a text, or null too where that is told of it, or any value."""
    bare = said.strip()
    bare = _WORDS.get(bare, bare)
    if or_null is None or (or_null and bare == "null"):
        try:
            json.loads(bare, parse_constant=_refuse)
        except (ValueError, RecursionError):
            pass
        else:
            return bare
    return _quoted(said)


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)  # Python's NaN is no JSON


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _may_be(kind: Literal["string", "null"], schema: Any, root: Any, seen: set[str]) -> bool:
    """Whether a value of a kind fits a schema within `root`; references that were `seen` say nothing new."""
    if not isinstance(schema, dict):
        return False
    types, ref = schema.get("type"), schema.get("$ref")
    if types == kind or (isinstance(types, list) and kind in types):
        return True
    if kind == "null" and schema.get("nullable") is True:
        return True
    among = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(among, list) and among and all(isinstance(each, _KINDS[kind]) for each in among):
        return True
    if isinstance(ref, str) and ref not in seen:
        seen.add(ref)
        try:
            return _may_be(kind, target(root, ref), root, seen)
        except SchemaError:  # who binds answers to it refuses it
            return False
    ways = [schema.get(word) for word in ("anyOf", "oneOf", "allOf")]
    return any(_may_be(kind, way, root, seen) for some in ways if isinstance(some, list) for way in some)
