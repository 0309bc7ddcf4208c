"""JSON as people write it: comments, trailing commas and a byte order mark are fine, all else is strict.

Grammar: RFC 8259, plus `//` and `/* */` comments and one comma before a closing bracket. Stricter in three
places, where what comes after could not keep the meaning: a key may occur once, numbers must fit 64 bits,
and half a surrogate pair is no text.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from janfs.errors import ManifestError

MAX_SIZE = 1 << 20
"""In characters (bytes, for bytes). A model.json takes about 2 kB."""
MAX_DEPTH = 64


class Token(NamedTuple):
    """A piece of the text. The spans of all tokens, "space" and "comment" included, join up to the whole."""

    kind: str  # "space", "comment", "string", "number", "word" or "sign"
    start: int
    end: int


_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\n]+)
    | (?P<comment>//[^\r\n]* | /\*(?s:.*?)\*/)
    | (?P<string>"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*")
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.+-]))
    | (?P<word>(?:true|false|null)(?!\w))
    | (?P<sign>[{}\[\],:])
    """,
    re.VERBOSE,
)
_WORDS = {"true": True, "false": False, "null": None}
_STRING_PART = re.compile(r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*')
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\.")
_DRIVE = re.compile(r"[A-Za-z]:[\\\s\x08]")
_CONTROL = re.compile(r"[\x08\f\n\r\t]")
_BACKSLASH = "in a Windows path, write \\\\ or / for every single backslash."
LINE_BREAK = re.compile(r"\r\n|\r|\n")


def parse(text: str | bytes) -> Any:
    """The value of a text of JSON with comments; bytes are UTF-8.

    Raises `ManifestError` with line and column, and a hint where the mistake is a known one.
    """
    return _Parser(decode(text)).parse()


def decode(text: str | bytes) -> str:
    """The text without its byte order mark. Raises `ManifestError` if it is too long or not UTF-8."""
    if len(text) > MAX_SIZE:
        raise ManifestError(f"The file is too large: {len(text)} bytes, of {MAX_SIZE} at most.")
    if isinstance(text, bytes):
        text = _decode_utf8(text)
    found = _SURROGATE.search(text)
    if found:
        _fail(text, found.start(), "This is half a surrogate pair, not a character.")
    return text.removeprefix("\ufeff")


def _decode_utf8(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ManifestError("The file is in UTF-16; save it as UTF-8.", line=1, column=1)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        line, column = position(before, len(before))
        raise ManifestError("This is not UTF-8; save the file as UTF-8.", line=line, column=column) from error


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, in characters, both counted from 1."""
    breaks = [found.end() for found in LINE_BREAK.finditer(text, 0, offset)]
    return len(breaks) + 1, offset - (breaks[-1] if breaks else 0) + 1


def tokenize(text: str) -> Iterator[Token]:
    """All tokens in order. Raises `ManifestError` where none begins."""
    offset = 0
    while offset < len(text):
        found = _TOKEN.match(text, offset)
        if found is None or found.lastgroup is None:
            _explain(text, offset)
        yield Token(found.lastgroup, offset, found.end())
        offset = found.end()


class _Parser:
    """Puts values together with a stack of its own, so that no nesting can exhaust Python's."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open: list[tuple[dict[str, Any] | list[Any], Token]] = []
        self._keys: list[str] = []  # the key whose value is awaited, one for each open object
        self._root: Any = None
        self._awaits = "value"  # "value", "element", "key", "colon", "next" or "end"

    def parse(self) -> Any:
        for token in tokenize(self._text):
            if token.kind in ("space", "comment"):
                continue
            sign = self._text[token.start : token.end] if token.kind == "sign" else ""
            if self._awaits in ("value", "element") and (not sign or sign in "{["):
                self._add(token, sign)
            elif self._awaits == "key" and token.kind == "string":
                self._start_member(token)
            elif self._awaits == "colon" and sign == ":":
                self._awaits = "value"
            elif self._awaits == "next" and sign == ",":
                self._awaits = "key" if isinstance(self._open[-1][0], dict) else "element"
            elif sign and sign in "}]" and self._may_close(sign):
                self._close()
            else:
                self._refuse(token, sign)
        if self._awaits != "end":
            self._refuse_end()
        return self._root

    def _add(self, token: Token, sign: str) -> None:
        value = {} if sign == "{" else [] if sign == "[" else self._scalar(token)
        if not self._open:
            self._root = value
        elif isinstance(parent := self._open[-1][0], dict):
            parent[self._keys.pop()] = value
        else:
            parent.append(value)
        if not sign:
            self._awaits = "next" if self._open else "end"
            return
        if len(self._open) >= MAX_DEPTH:
            _fail(self._text, token.start, f"This is nested too deeply; {MAX_DEPTH} levels are allowed.")
        self._open.append((value, token))
        self._awaits = "key" if sign == "{" else "element"

    def _start_member(self, token: Token) -> None:
        key = self._string(token)
        if key in self._open[-1][0]:
            _fail(self._text, token.start, f"The key {key!r} stands here a second time; keep one of them.")
        self._keys.append(key)
        self._awaits = "colon"

    def _may_close(self, sign: str) -> bool:
        if not self._open or self._awaits not in ("next", "key", "element"):
            return False
        return isinstance(self._open[-1][0], dict) == (sign == "}")

    def _close(self) -> None:
        self._open.pop()
        self._awaits = "next" if self._open else "end"

    def _scalar(self, token: Token) -> Any:
        raw = self._text[token.start : token.end]
        if token.kind == "string":
            return self._string(token)
        if token.kind == "word":
            return _WORDS[raw]
        whole = raw.lstrip("-").isdigit()
        value = (int(raw) if len(raw) < 32 else 1 << 65) if whole else float(raw)
        if not -(1 << 63) <= value < (1 << 64) if whole else abs(value) == float("inf"):
            _fail(self._text, token.start, "This number is too large.")
        return value

    def _string(self, token: Token) -> str:
        raw = self._text[token.start : token.end]
        if "\\" not in raw:
            return raw[1:-1]
        value: str = json.loads(raw)
        if _looks_like_a_path(value):
            self._refuse_path(token)
        if _SURROGATE.search(value):
            _fail(self._text, token.start, "This text holds half of a surrogate pair (\\ud800 to \\udfff).")
        return value

    def _refuse_path(self, token: Token) -> NoReturn:
        """Refuse a path with single backslashes, where JSON takes one for a line break or a tab."""
        escapes = _ESCAPE.finditer(self._text, token.start, token.end)
        found = next(each for each in escapes if each.group()[1] in "bfnrt")
        _fail(self._text, found.start(), f"{found.group()} is no part of a path in JSON; {_BACKSLASH}")

    def _refuse(self, token: Token, sign: str) -> NoReturn:
        found = f"'{sign}'" if sign else f"this {token.kind}"
        inside = "object" if self._open and isinstance(self._open[-1][0], dict) else "list"
        detail = {
            "value": f"A value is missing before {found}.",
            "element": f"A value is missing before {found}.",
            "key": f"A key in double quotes must stand here, not {found}.",
            "colon": f"A colon is missing between the key and {found}.",
            "next": f"A comma is missing before {found}.",
            "end": f"The file should end before {found}.",
        }[self._awaits]
        if sign and sign in "}]" and self._open and self._awaits != "value":
            line, _ = position(self._text, self._open[-1][1].start)
            detail = f"{found} does not close the {inside} that begins on line {line}."
        elif self._awaits == "next" and sign == ":":
            detail = "A colon cannot stand here; is a key missing, or a comma before it?"
        _fail(self._text, token.start, detail)

    def _refuse_end(self) -> NoReturn:
        if not self._open:
            _fail(self._text, len(self._text), "The file is empty; the smallest one that counts is {}.")
        line, _ = position(self._text, self._open[-1][1].start)
        bracket = self._text[self._open[-1][1].start]
        _fail(
            self._text, len(self._text), f"The file ends, but the '{bracket}' of line {line} is not closed."
        )


def _looks_like_a_path(value: str) -> bool:
    """Whether a text would be a Windows path, if what JSON takes for a line break or a tab were none."""
    names_a_file = value[-5:].lower().endswith((".gguf", ".bin"))
    return names_a_file and _DRIVE.match(value) is not None and _CONTROL.search(value) is not None


def _fail(text: str, offset: int, detail: str) -> NoReturn:
    line, column = position(text, offset)
    raise ManifestError(detail, line=line, column=column)


_MISTAKES = (
    (re.compile(r"'"), "Text must stand in double quotes, not in single ones."),
    (re.compile("[“”„‟«»‘’]"), 'This is a typographic quotation mark; use the plain one: ".'),
    (
        re.compile(r"[+-]?(NaN|Infinity|inf|nan)\b"),
        "NaN and Infinity are no JSON numbers; use null or a number.",
    ),
    (re.compile(r"(?i:true|false)\b"), "Booleans are written in lower case: true, false."),
    (re.compile(r"(?i:none|null|nil|undefined)\b"), "Nothing is written as null."),
    (re.compile(r"#"), "Comments begin with // here."),
    (re.compile(r"/\*"), "This comment is not closed; */ is missing."),
    (
        re.compile(r"[+-]?[.\d]"),
        "This is not a JSON number: no leading + or 0, digits on both sides of a point.",
    ),
    (re.compile(r"[\w$-]+\s*:"), "Keys must stand in double quotes."),
    (re.compile(r"[\w$-]+"), "Text must stand in double quotes."),
    (re.compile(r"\s"), "This is a special space character; use a plain one."),
    (re.compile(r"[;=]"), "Members are separated by commas, keys and values by a colon."),
)


def _explain(text: str, offset: int) -> NoReturn:
    """Says what is wrong where no token begins."""
    if text[offset] == '"':
        _explain_string(text, offset)
    for mistake, hint in _MISTAKES:
        if mistake.match(text, offset):
            _fail(text, offset, hint)
    _fail(text, offset, f"The character {text[offset]!r} cannot stand here.")


def _explain_string(text: str, start: int) -> NoReturn:
    found = _STRING_PART.match(text, start)
    end = found.end() if found else start
    if end < len(text) and text[end] == "\\":
        escape = text[end : end + 2]
        if escape[1:] in ("", "\r", "\n"):
            _fail(text, end, "The text is not closed on its line.")
        _fail(text, end, f"{escape} means nothing in JSON; {_BACKSLASH}")
    if end < len(text) and text[end] not in "\r\n":
        _fail(text, end, f"The control character {text[end]!r} must be written as an escape.")
    _fail(text, start, "This text is not closed on its line: a double quote is missing.")
