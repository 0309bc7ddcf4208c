"""The grammar of an answer that must call a tool. Pure."""

import json
import re
from collections.abc import Callable, Sequence

from janfs.engines.llama_cpp.dialects.marks import HARMONY, Marks
from janfs.engines.protocol import Tool

_FENCE = "\n```json\n"
_ROOT = re.compile(r"^root ::= (.*)$", re.MULTILINE)


def forced(marks: Marks, tools: Sequence[Tool], *, several: bool, gbnf_of: Callable[[str], str]) -> str:
    """GBNF for one call of one of these tools, or with `several` for more where the family can.

    `gbnf_of` makes GBNF of a JSON Schema's text, whose root is one alternative for each of an `anyOf`.
    """
    schemas = [json.loads(tool.parameters) for tool in tools]
    # A second one that nobody calls, so that the root is always alternatives.
    rules = gbnf_of(json.dumps({"anyOf": [*schemas, {"type": "null"}]}))
    root = _ROOT.search(rules)
    names = root[1].split(" | ") if root is not None else []
    if len(names) != len(tools) + 1:
        raise ValueError("a grammar of another form than expected")
    calls = [_call(marks, tool.name, name) for tool, name in zip(tools, names, strict=False)]
    before, after = (_literal(mark) if mark else "" for mark in marks.around)
    several = several and not marks.one_call
    more = " (sep call)*" if several else ""
    lines = [
        f"root ::= {before} call{more} {after}".replace("  ", " ").strip(),
        f"call ::= {' | '.join(calls)}",
        *(["sep ::= [ \\n]*"] if several else []),
    ]
    rest = _ROOT.sub("", rules).strip()
    return "\n".join([*lines, rest])


def _call(marks: Marks, name: str, arguments: str) -> str:
    if marks is HARMONY:
        head = f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"
        return f"{_literal(head)} {arguments}"
    end = f" {_literal(marks.call_end)}" if marks.call_end else ""
    if marks.prefix:
        return f'{_literal(f"{marks.call}{marks.prefix}{name}{_FENCE}")} {arguments} "\\n```"{end}'
    if marks.separator:
        return f"{_literal(marks.call + name + marks.separator)} {arguments}{end}"
    opening = "" if marks.bare_json else marks.call
    head = f'{opening}{{"name": {json.dumps(name)}, {json.dumps(marks.arguments)}: '
    return f'{_literal(head)} {arguments} "}}"{end}'


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
