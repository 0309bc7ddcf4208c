"""JSON as models write it, which is not always right: where a value ends, and what it says. Pure."""

import json
import re

_PART = re.compile(r'"(?:[^"\\]+|\\(?:.|\Z))*(?P<closed>"?)|[{}\[\]]', re.DOTALL)  # a string or a bracket
_WORD = re.compile(r'[^\s"{}\[\],:]+(?=[\s}\],])')
_CONTROL = re.compile(r"[\0-\x1f]")
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
    return _PART.sub(lambda part: _CONTROL.sub(_escape, part[0]), text) if _CONTROL.search(text) else text


def string(quoted: str) -> str:
    """What a string says; as it stands where it is none. Half a surrogate pair is no character."""
    try:
        said = str(_decoder.decode(quoted))
    except ValueError:
        said = quoted[1:-1]
    return said.encode("utf-8", "replace").decode()


def _escape(character: re.Match[str]) -> str:
    return json.dumps(character[0])[1:-1]
