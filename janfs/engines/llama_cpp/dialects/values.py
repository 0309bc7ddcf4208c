"""JSON as models write it, which is not always right: where a value ends, and what it says. Pure."""

import json
import re

_PART = re.compile(  # a string or a bracket
    r'"[^"\\]*+(?:\\(?:.|\Z)[^"\\]*+)*+(?P<closed>"?)|[{}\[\]]', re.DOTALL
)
_WORD = re.compile(r'[^\s"{}\[\],:]+(?=[\s}\],])')
_ESCAPES = {control: json.dumps(control)[1:-1] for control in map(chr, range(0x20))}
_OPENED_BY = {"}": "{", "]": "["}
_decoder = json.JSONDecoder(strict=False)


def end_of(text: str, start: int) -> int | None:
    """Where the value ends that begins at a place; None while it does not.

    What is wrong within does not matter; a bracket also closes those in it that nothing has closed.
    """
    if text[start : start + 1] not in ("{", "[", '"'):
        word = _WORD.match(text, start)
        return None if word is None else word.end()
    opened: list[str] = []
    for part in _PART.finditer(text, start):
        said = part[0]
        if said in ("{", "["):
            opened.append(said)
        elif said in _OPENED_BY:
            while _OPENED_BY[said] in opened and opened.pop() != _OPENED_BY[said]:
                pass
        elif not part["closed"]:
            return None
        if not opened:
            return part.end()
    return None


def escaped(text: str) -> str:
    """JSON, or the beginning of it, with line breaks and the like in its strings escaped as they must be."""
    found = [control for control in _ESCAPES if control in text]

    def escape(part: re.Match[str]) -> str:
        said = part[0]
        for control in found:
            said = said.replace(control, _ESCAPES[control])
        return said

    return _PART.sub(escape, text) if found else text


def string(quoted: str) -> str:
    """What a string says; as it stands where it is none. Half a surrogate pair is no character."""
    try:
        said = str(_decoder.decode(quoted))
    except ValueError:
        said = quoted[1:-1]
    return said.encode("utf-8", "replace").decode()
