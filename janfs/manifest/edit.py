"""Changes to the text of a JSON file that leave everything else in it as it is, to the byte.

Comments, the order of keys, indentation, line ends, a byte order mark and trailing commas stay. What is put
in looks like its neighbours. Strict JSON stays strict JSON. The way jsonc-parser's `modify` does it.
"""

import codecs
import json
import re
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from janfs.errors import ManifestError
from janfs.manifest import jsonc
from janfs.manifest.leaves import REMOVED, Changes, Pointer, applied, differences
from janfs.manifest.removing import LINE_BREAK, SPACE, remove
from janfs.manifest.tree import Member, Members, Node, read_tree

_COMMENTS_OF_LINE = re.compile(r"(?:[ \t]*(?://[^\r\n]*|/\*(?s:.*?)\*/))*")
_COMMENTS = re.compile(r"(?:\s*(?://[^\r\n]*|/\*(?s:.*?)\*/))*")
_INDENT = "  "

MAX_READ = 1 << 24
"""In characters, for all changes together: some seconds of a thread that everything else waits for."""


def edit(content: bytes, changes: Changes) -> bytes:
    """The content with these changes.

    Raises `ManifestError` if it is no JSON object, if what comes out would not be what is wanted, or if it
    would take too long.
    """
    text = jsonc.decode(content)
    document = jsonc.parse(text)
    if not isinstance(document, dict):
        raise ManifestError("The file must hold an object, {...}.")
    wanted = applied(document, changes)
    # Where one change is about a place inside of another's, their own order is what they mean.
    together = not _meet(changes)
    changed, left = text, deque((differences(document, wanted) if together else changes).items())
    read = 0
    while left:
        read += len(changed)
        if read > MAX_READ:
            raise ManifestError(
                "So many changes of so long a file take too long. Make fewer at once, or write it yourself."
            )
        changed = _apply(changed, left, together=together)
    if changed == text:
        return content
    if json.dumps(jsonc.parse(changed)) != json.dumps(wanted):
        raise ManifestError("The file could not be changed without changing more than that.")
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    return mark + changed.encode()


def _meet(changes: Changes) -> bool:
    """Whether one is about a place inside of another's."""
    return any(pointer[:length] in changes for pointer in changes for length in range(1, len(pointer)))


class _Style(Struct, frozen=True):
    """How the file is laid out: its line ends, what one level is indented by, space after signs or none."""

    newline: str
    unit: str
    tight: bool

    def render(self, value: Any, indent: str | None) -> str:
        """A value's text: on lines of its own below a line indented by `indent`, or, with None, on one."""
        colon = ":" if self.tight else ": "
        if indent is None:
            separators = ("," if self.tight else ", ", colon)
            return json.dumps(value, ensure_ascii=False, separators=separators)
        lines = json.dumps(value, ensure_ascii=False, separators=(",", colon), indent=self.unit)
        return lines.replace("\n", self.newline + indent)

    def member(self, key: str, value: Any, indent: str | None) -> str:
        colon = ":" if self.tight else ": "
        return json.dumps(key, ensure_ascii=False) + colon + self.render(value, indent)


def _style(text: str, root: Node) -> _Style:
    newline = LINE_BREAK.search(text)
    first = root.members[0] if root.members else None
    indent = _indent(text, first.start) if first is not None and _begins_line(text, first.start) else ""
    tight = first is not None and text[first.value.start - 1] == ":"
    return _Style(newline.group() if newline else "\n", indent or _INDENT, tight)


def _apply(text: str, left: deque[tuple[Pointer, Any]], *, together: bool) -> str:
    """The text with the first of the changes that are left, and, where they go `together`, with all that are
    about other parts of the text and come after it there: the last goes first, so that the others stay
    where the tree says.

    To read the text anew for each of them would take hours where it is as long as it may be.
    """
    root = read_tree(text)
    style, members = _style(text, root), Members()
    found: list[Callable[[str], str]] = []
    later: list[tuple[Pointer, Any]] = []
    end = 0
    while left and (together or not found):
        pointer, value = left.popleft()
        node, member, depth, spacious = _place(text, members, root, pointer)
        rest = pointer[depth + 1 :]
        if value is REMOVED and (member is None or rest):
            continue
        part = node if member is None or value is REMOVED else Node(member.start, member.value.end)
        if part.start < end:
            later.append((pointer, value))
            continue
        end = part.end
        holder = pointer[:depth]
        if member is None:
            new = {pointer[depth]: _nested(rest, value)} | _more(left, holder, {pointer[depth], *node.keys})
            found.append(partial(_insert, style=style, node=node, new=new, spacious=spacious))
        elif value is REMOVED:
            found.append(partial(remove, node=node, gone={pointer[depth], *_gone(left, holder)}))
        else:
            found.append(partial(_replace, style=style, member=member, value=_nested(rest, value)))
    left.extendleft(reversed(later))
    for change in reversed(found):
        text = change(text)
    return text


def _place(
    text: str, members: Members, root: Node, pointer: Pointer
) -> tuple[Node, Member | None, int, bool]:
    """The innermost object on the way to a place, and its member on that way, if it has it; how deep the
    object is, and whether it begins a line.
    """
    node, spacious, last = root, True, len(pointer) - 1
    for depth, key in enumerate(pointer):
        member = members.find(node, key)
        if member is None or member.value.members is None or depth == last:
            return node, member, depth, spacious
        node, spacious = member.value, _begins_line(text, member.start)
    raise ValueError("A path is not empty.")


def _more(left: deque[tuple[Pointer, Any]], holder: Pointer, known: set[str]) -> dict[str, Any]:
    """What the next of the changes put into an object that has members of these names, taken from them."""
    found: dict[str, Any] = {}
    while left:
        pointer, value = left[0]
        key, *rest = pointer[len(holder) :] or (None,)
        if pointer[: len(holder)] != holder or key is None or key in known or value is REMOVED:
            break
        found[key] = _nested(tuple(rest), value)
        known.add(key)
        left.popleft()
    return found


def _gone(left: deque[tuple[Pointer, Any]], holder: Pointer) -> set[str]:
    """What the next of the changes take out of an object, taken from them."""
    found: set[str] = set()
    while left and left[0][1] is REMOVED and len(left[0][0]) > len(holder) and left[0][0][:-1] == holder:
        found.add(left.popleft()[0][-1])
    return found


def _nested(pointer: Pointer, value: Any) -> Any:
    """The value, in an object for each key on the way to it."""
    for key in reversed(pointer):
        value = {key: value}
    return value


def _replace(text: str, style: _Style, member: Member, value: Any) -> str:
    start, end = member.value.start, member.value.end
    old = text[start:end]
    was = jsonc.parse(old)
    if json.dumps(was) == json.dumps(value):
        return text
    one_line = isinstance(was, dict | list) and len(was) > 0 and LINE_BREAK.search(old) is None
    one_line = one_line or not (_begins_line(text, member.start) or LINE_BREAK.search(old))
    indent = _indent(text, member.start)
    new = style.render(value, None if one_line else indent)
    return text[:start] + _comments_in(old, style.newline + indent) + new + text[end:]


def _comments_in(value: str, line: str) -> str:
    """The comments inside of a value, to stand before what takes its place; `line` begins another line."""
    comments = (value[each.start : each.end] for each in jsonc.tokenize(value) if each.kind == "comment")
    return "".join(each + (line if each.startswith("//") else " ") for each in comments)


def _insert(text: str, style: _Style, node: Node, new: dict[str, Any], spacious: bool) -> str:
    """Put members behind the last one; `spacious` if the object itself begins a line."""
    if not node.members:
        return _insert_first(text, style, node, new, spacious)
    last = node.members[-1]
    end = last.value.end
    behind = end if last.comma is None else last.comma + 1
    if not _begins_line(text, last.start):
        space = "" if style.tight else " "
        piece = ",".join(space + style.member(*each, None) for each in new.items())
        return text[:behind] + (f",{piece}" if last.comma is None else f"{piece},") + text[behind:]
    indent = _indent(text, last.start)
    piece = ",".join(style.newline + indent + style.member(*each, indent) for each in new.items())
    if last.comma is None:
        place = _end(_COMMENTS_OF_LINE, text, end)
        return text[:end] + "," + text[end:place] + piece + text[place:]
    place = _end(_COMMENTS_OF_LINE, text, behind)
    return text[:place] + piece + "," + text[place:]


def _insert_first(text: str, style: _Style, node: Node, new: dict[str, Any], spacious: bool) -> str:
    inside = node.start + 1
    place = _end(_COMMENTS, text, inside)
    if not spacious and LINE_BREAK.search(text, inside, node.end) is None:
        space = " " if place > inside else ""
        piece = f",{'' if style.tight else ' '}".join(style.member(*each, None) for each in new.items())
        return text[:place] + space + piece + text[node.end - 1 :]
    outer = _indent(text, node.start)
    indent = outer + style.unit
    piece = ",".join(style.newline + indent + style.member(*each, indent) for each in new.items())
    return text[:place] + piece + style.newline + outer + text[node.end - 1 :]


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return start if found is None else found.end()


def _line_start(text: str, offset: int) -> int:
    return max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1


def _indent(text: str, offset: int) -> str:
    """The space at the beginning of the line."""
    line = text[_line_start(text, offset) : offset]
    return line[: len(line) - len(line.lstrip(SPACE))]


def _begins_line(text: str, offset: int) -> bool:
    return not text[_line_start(text, offset) : offset].strip(SPACE)
