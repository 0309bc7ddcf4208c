"""Taking members out of the text of an object, which leaves everything else as it is, to the byte. Pure."""

import re
from collections.abc import Set

from janfs.manifest.tree import Member, Node

LINE_BREAK = re.compile(r"\r\n|\r|\n")
SPACE = " \t"


def remove(text: str, node: Node, gone: Set[str]) -> str:
    """Take out the members of these names, each with one comma, and its line if nothing else stands there.

    Comments stay. The last one goes first: so what is before it stays where the tree says.
    """
    members = node.members or ()
    commas = [member.comma for member in members]  # as they are by now
    is_last, end = True, node.end
    for at in reversed(range(len(members))):
        if members[at].key not in gone:
            is_last = False
            continue
        before = commas[at - 1] if at > 0 else None
        member = Member(members[at].key, members[at].start, members[at].value, commas[at])
        if is_last and at == 0:
            return _without_the_only_one(text, node.start, end, member)
        shorter, comma = _without(text, member, before, is_last)
        end -= len(text) - len(shorter)
        text = shorter
        if at > 0:
            commas[at - 1] = comma
    return text


def _without_the_only_one(text: str, start: int, end: int, member: Member) -> str:
    behind = member.value.end if member.comma is None else member.comma + 1
    around = text[start + 1 : member.start] + text[member.value.end : behind - 1] + text[behind : end - 1]
    if not around.strip():
        return text[: start + 1] + text[end - 1 :]
    return _without(text, member, None, is_last=True)[0]


def _without(text: str, member: Member, before: int | None, is_last: bool) -> tuple[str, int | None]:
    """The text without a member, and where the comma `before` it is then, None if there is none any more."""
    start, end = member.start, member.value.end
    comma = before if member.comma is None else member.comma
    if comma is None:
        return _cut(text, *_with_space(text, start, end)), None
    if before is not None and is_last and not text[before + 1 : start].strip():
        moved = None if member.comma is None else member.comma - (end - before)
        return _cut(text, before, end), moved
    if comma >= end and not text[end:comma].strip():
        return _cut(text, *_with_space(text, start, comma + 1)), before
    first, second = sorted([(comma, comma + 1), _with_space(text, start, end)])
    return _cut(_cut(text, *second), *first), None if member.comma is None else before


def _with_space(text: str, start: int, end: int) -> tuple[int, int]:
    """The span with the space that would be left over without it: that of its line, or up to what follows."""
    before, after = start, end
    while text[before - 1] in SPACE:
        before -= 1
    while text[after] in SPACE:
        after += 1
    found = LINE_BREAK.match(text, after)
    if found is None:
        return start, after
    return (before, found.end()) if text[before - 1] in "\r\n" else (before, after)


def _cut(text: str, start: int, end: int) -> str:
    return text[:start] + text[end:]
