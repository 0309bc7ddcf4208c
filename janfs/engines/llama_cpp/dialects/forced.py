"""The grammars of answers that must call a tool, and of those that may. Pure."""

import json
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from janfs.engines.llama_cpp.dialects.marks import HARMONY, Marks
from janfs.engines.llama_cpp.gbnf import after_blanks, behind, either, renamed, where
from janfs.engines.llama_cpp.schemas.rules import literal
from janfs.engines.protocol import Tool

_HARMONY_CALL = "<|channel|>commentary to=functions."
_HARMONY_BEGINS = "<|start|>assistant"  # what stands before each message
_HARMONY_ROLE = f"{_HARMONY_BEGINS} to=functions."  # a call whose function stands with the role
_FENCE = "\n```json\n"


def late(
    marks: Marks,
    tools: Sequence[Tool],
    *,
    several: bool,
    gbnf_of: Callable[[Tool], str],
    thinks: bool = False,
) -> str:
    """GBNF for an answer that need not call, but whose calls fit, those of `strict` tools in their arguments.

    Its last call ends it. Where the model `thinks`, a thought of its own may come first.
    """
    known = [tool if tool.strict else replace(tool, parameters='{"type": "object"}') for tool in tools]
    begun = forced(marks, known, several=several, gbnf_of=gbnf_of, begun=True)
    if marks is HARMONY:
        by_role = _harmony_by_role(known, gbnf_of)
        return where({_HARMONY_CALL: begun, _HARMONY_ROLE: by_role}, said=_HARMONY_BEGINS)
    beginning, end = marks.thought
    unlike = [*(["{"] if marks.bare_json else []), *([beginning] if thinks else [])]
    answer = where({marks.call: begun}, never_first=unlike)
    if marks.bare_json:
        answer = either(answer, after_blanks(forced(marks, known, several=several, gbnf_of=gbnf_of)))
    return either(behind(end, answer, begins=beginning), answer) if thinks else answer


def forced(
    marks: Marks,
    tools: Sequence[Tool],
    *,
    several: bool,
    gbnf_of: Callable[[Tool], str],
    begun: bool = False,
) -> str:
    """GBNF for one call of one of these tools, or with `several` for more where the family can.

    Where they have `begun`, what opens the first one is there already. `gbnf_of` makes GBNF of a tool's
    arguments.
    """
    pairs, rules = _arguments(tools, gbnf_of)
    before, after = (literal(mark) if mark else "" for mark in marks.around)
    if begun and after:
        before, after = "", f"({after})?"  # what stands before the first call need not have been there
    several = several and not marks.one_call
    more = " (sep call)*" if several else ""
    first = "first" if begun else "call"
    lines = [
        f"root ::= {before} {first}{more} {after}".replace("  ", " ").strip(),
        f"call ::= {' | '.join(_call(marks, *pair) for pair in pairs)}",
        *([f"first ::= {' | '.join(_call(marks, *pair, opened=_opening(marks)) for pair in pairs)}"] * begun),
        *(["sep ::= [ \\n]*"] if several else []),
        'gap ::= (" " | "\\n")?',
    ]
    return "\n".join([*lines, *rules])


def call_begun(text: str, marks: Marks) -> str:
    """The end of a text that begins a call as `forced` spells it; the whole text where none begins."""
    if marks.bare_json:
        return text.removeprefix(marks.call).lstrip()
    at = text.find(marks.around[0] or _opening(marks))
    return text[max(0, at) :]


def _arguments(
    tools: Sequence[Tool], gbnf_of: Callable[[Tool], str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """Each tool's name with that of the rule for its arguments, and all those rules."""
    pairs = [(tool.name, f"tool{number}-root") for number, tool in enumerate(tools)]
    return pairs, [renamed(gbnf_of(tool), f"tool{number}-") for number, tool in enumerate(tools)]


def _harmony_by_role(tools: Sequence[Tool], gbnf_of: Callable[[Tool], str]) -> str:
    """GBNF for the rest of a call whose function stands with the role, from its name on."""
    pairs, rules = _arguments(tools, gbnf_of)
    ways = [f"{literal(name)} head {arguments}" for name, arguments in pairs]
    head = 'head ::= "<|channel|>commentary" (" <|constrain|>json" | " json")? "<|message|>"'
    return "\n".join([f"root ::= {' | '.join(ways)}", head, *rules])


def _opening(marks: Marks) -> str:
    """What shows in an answer that a call begins."""
    return _HARMONY_CALL if marks is HARMONY else marks.call


def _call(marks: Marks, name: str, arguments: str, *, opened: str = "") -> str:
    """A call; of what begins it, without what has `opened` it."""

    def begin(head: str) -> str:
        return literal(head.removeprefix(opened))

    if marks is HARMONY:
        return f"{begin(f'{_HARMONY_CALL}{name} <|constrain|>json<|message|>')} {arguments}"
    end = f" {literal(marks.call_end)}" if marks.call_end else ""
    if marks.prefix:
        return f'{begin(f"{marks.call}{marks.prefix}{name}{_FENCE}")} {arguments} "\\n```"{end}'
    if marks.separator:
        return f"{begin(marks.call + name + marks.separator)} {arguments}{end}"
    opening = "" if marks.bare_json or opened else f"{literal(marks.call)} gap "
    head = " gap ".join(map(literal, ('{"name":', f"{json.dumps(name)},", f"{json.dumps(marks.arguments)}:")))
    return f'{opening}{head} gap {arguments} "}}"{end and f" gap{end}"}'
