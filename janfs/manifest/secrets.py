"""What is secret in a file that people edit: it stays on their disk, and `***` stands for it everywhere else.

What is recorded of a text has its secrets hidden and is the same otherwise, to the comment. So a change
that is known by two recorded texts can be made to the text on disk, where the secrets are.
"""

import codecs
import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from janfs.errors import ManifestError
from janfs.folder import paths
from janfs.manifest import jsonc
from janfs.manifest.edit import edit
from janfs.manifest.leaves import differences
from janfs.manifest.remote import HIDDEN

_SECRET = re.compile(
    r"(?i)api[-_ ]?keys?|secret|passw|credential|authori[sz]ation|bearer|(access|auth)[-_]?token"
    r"|(^|[-_])token$|\bg?sk[-_]"
)
# Tokens of text, and how many of them, are none.
_NO_SECRET = re.compile(r"(?i)^(.*[-_])?(bos|eos|eot|eom|pad|unk|sep|cls|mask|max|min|num|n|per)[-_]?token$")
_IN_URL = re.compile(
    r"(?i)(?<=://)[^/@\s]+(?=@)|(?:(?<=key=)|(?<=token=)|(?<=secret=)|(?<=sig=)|(?<=code=))[^&#\s]+"
)
# What any text with a secret has; quicker than reading it.
_SUSPICIOUS = re.compile(
    rb"(?im)api[-_ ]?key|secret|passw|credential|authori[sz]ation|bearer|(access|auth)[-_]?token"
    rb"|token[\"']?\s*([:=*]|$)|\bg?sk[-_]"
)
# Each run of letters is read once: a file that is one run of a megabyte is no reason to stand still.
_KEY = re.compile(r"""(?<![\w -])\ *+([\w-][\w -]*+)["']?+\s*+[:=]""")


class _Piece(NamedTuple):
    """A value or comment at a place in a text, and how it is recorded; `path` has keys and numbers."""

    path: tuple[str | int, ...]
    start: int
    end: int
    raw: str
    recorded: str
    may_hide: bool = False

    @property
    def lost(self) -> bool:
        """Whether `***` stands here for a secret."""
        return self.may_hide and self.raw == self.recorded and HIDDEN in self.raw


def without_secrets(path: str, text: bytes) -> bytes:
    """What may be recorded of the text of the file at `path`. Raises `ManifestError` if it is not JSON.

    In a model.json addresses stay as they are: files are fetched from them.
    """
    found = jsonc.decode(text)
    jsonc.parse(found)
    return _replaced(text, [(piece, piece.recorded) for piece in _pieces(path, found)])


def as_recorded(path: str, text: bytes) -> bytes:
    """What may be recorded of a text, whether it can be read or not."""
    try:
        return without_secrets(path, text)
    except ManifestError:
        return of_unreadable(path, text)


def tells_secrets(text: bytes) -> bool:
    """Whether the text of a model.json, as it was recorded, has a secret that today's would hide."""
    return _SUSPICIOUS.search(text) is not None and as_recorded(paths.MANIFEST, text) != text


def of_unreadable(path: str, text: bytes) -> bytes:
    """The same of a text that cannot be read: all or nothing, for nobody knows where a secret ends."""
    if paths.is_engine_file(path):
        return b""
    said = text.decode(errors="replace")
    return b"" if any(is_secret(key) for key in _KEY.findall(said)) else text


def changed_alike(path: str, there: bytes, was: bytes, wanted: bytes) -> bytes:
    """The text `there`, recorded as `was`, with the changes that make `wanted` of that.

    Raises `ManifestError` where a secret would have to be known for it.
    """
    changed = edit(there, differences(jsonc.parse(was), jsonc.parse(wanted)))
    if _lost(path, changed) - _lost(path, there):
        raise ManifestError(_LOST)
    if not says_the_same(path, changed, wanted):
        raise ManifestError("The file could not be changed without changing more than that.")
    return changed


def says_the_same(path: str, there: bytes, recorded: bytes) -> bool:
    """Whether a text says what is recorded of it, but for its secrets."""
    try:
        said = (jsonc.parse(text) for text in (without_secrets(path, there), recorded))
        return len({json.dumps(each, sort_keys=True) for each in said}) == 1
    except ManifestError:
        return False


def filled(path: str, there: bytes, recorded: bytes) -> bytes:
    """A recorded text with its secrets, which are those of the text `there`.

    Raises `ManifestError`, naming the place, for one that is not there.
    """
    pieces = [each for each in _pieces(path, jsonc.decode(recorded)) if each.lost]
    known = {(each.path, each.recorded): each.raw for each in _pieces_if_read(path, there)} if pieces else {}
    missing = next((each for each in pieces if (each.path, each.raw) not in known), None)
    if missing is not None:
        raise ManifestError(_LOST, path=".".join(map(str, missing.path)))
    return _replaced(recorded, [(each, known[each.path, each.raw]) for each in pieces])


def _pieces_if_read(path: str, text: bytes) -> Iterator[_Piece]:
    with contextlib.suppress(ManifestError):
        jsonc.parse(text)
        yield from _pieces(path, jsonc.decode(text))


_LOST = (
    "It had a secret that is on disk no longer, and the log has none. Write the file yourself; "
    "`janfs diff ID --text` shows the rest of it."
)


def _lost(path: str, text: bytes) -> set[tuple[str | int, ...]]:
    return {each.path for each in _pieces(path, jsonc.decode(text)) if each.lost}


def is_secret(key: str) -> bool:
    """Whether what stands under a key is to be hidden."""
    return _SECRET.search(key) is not None and _NO_SECRET.match(key) is None


def _replaced(text: bytes, pieces: list[tuple[_Piece, str]]) -> bytes:
    found = jsonc.decode(text)
    for piece, other in reversed(pieces):
        found = found[: piece.start] + other + found[piece.end :]
    mark = codecs.BOM_UTF8 if text.startswith(codecs.BOM_UTF8) else b""
    return mark + found.encode()


def _pieces(path: str, text: str) -> Iterator[_Piece]:
    """The values and comments of a text that is sound, in order."""
    engine = paths.is_engine_file(path)
    comments = 0
    holders: list[_Holder] = []
    for token in jsonc.tokenize(text):
        raw = text[token.start : token.end]
        if token.kind == "comment":
            tells = _SECRET.search(raw) or (engine and _IN_URL.search(raw))
            recorded = _hidden_comment(raw) if tells else raw
            yield _Piece(("//", comments), *token[1:], raw, recorded, may_hide=True)
            comments += 1
        elif token.kind == "space" or raw in (":", ","):
            continue
        elif raw in ("}", "]"):
            holders.pop()
        elif holders and holders[-1].wants_key():
            holders[-1].key = jsonc.parse(raw)
        else:
            here, secret = holders[-1].take() if holders else ((), False)
            if raw in ("{", "["):
                holders.append(_Holder(here, secret, is_list=raw == "["))
            else:
                recorded = _hidden(raw, secret=secret, addresses=engine)
                yield _Piece(here, *token[1:], raw, recorded, may_hide=secret or engine)


class _Holder:
    """An object or a list that the text is in."""

    def __init__(self, path: tuple[str | int, ...], secret: bool, *, is_list: bool) -> None:
        self._path = path
        self._secret = secret
        self._number = 0 if is_list else None
        self.key: str | None = None

    def wants_key(self) -> bool:
        """Whether what comes next is a key."""
        return self._number is None and self.key is None

    def take(self) -> tuple[tuple[str | int, ...], bool]:
        """The path of the value that comes now, and whether it is secret."""
        if self._number is not None:
            self._number += 1
            return (*self._path, self._number - 1), self._secret
        key, self.key = self.key or "", None
        return (*self._path, key), self._secret or is_secret(key)


def _hidden(raw: str, *, secret: bool, addresses: bool) -> str:
    if secret and raw not in ("null", '""'):
        return f'"{HIDDEN}"'
    if not raw.startswith('"') or not addresses:
        return raw
    value: Any = jsonc.parse(raw)
    hidden = _IN_URL.sub(HIDDEN, value)
    return raw if hidden == value else json.dumps(hidden, ensure_ascii=False)


def _hidden_comment(raw: str) -> str:
    """A comment of as many lines that says nothing."""
    if raw.startswith("//"):
        return f"// {HIDDEN}"
    return f"/* {HIDDEN}" + "".join(jsonc.LINE_BREAK.findall(raw)) + " */"
