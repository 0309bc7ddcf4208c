"""Where everything stands in the text of a JSON file with comments."""

import json

from msgspec import Struct

from janfs.manifest.jsonc import Token, tokenize


class Node(Struct, frozen=True):
    """A value from `start` up to `end`; `members` of an object, None of anything else."""

    start: int
    end: int
    members: "tuple[Member, ...] | None" = None

    @property
    def keys(self) -> list[str]:
        """The names of the members."""
        return [member.key for member in self.members or ()]


class Member(Struct, frozen=True):
    """A key from `start` on and its value, with the offset of the comma that follows, if one does."""

    key: str
    start: int
    value: Node
    comma: int | None = None


class Members:
    """The members of a tree's objects by name: to look for each among thousands takes too long."""

    def __init__(self) -> None:
        self._of: dict[int, dict[str, Member]] = {}  # an object, by where it starts

    def find(self, node: Node, key: str) -> Member | None:
        """The member of that name, if this is an object that has it."""
        if node.start not in self._of:
            self._of[node.start] = {each.key: each for each in reversed(node.members or ())}
        return self._of[node.start].get(key)


def read_tree(text: str) -> Node:
    """The outermost value of a text that `jsonc.parse` has accepted."""
    return _Builder(text).value()


class _Builder:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [token for token in tokenize(text) if token.kind not in ("space", "comment")]
        self._next = 0

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _take_sign(self, sign: str) -> Token | None:
        token = self._tokens[self._next]
        if token.kind != "sign" or self._text[token.start] != sign:
            return None
        self._next += 1
        return token

    def value(self) -> Node:
        token = self._take()
        if token.kind == "sign" and self._text[token.start] == "{":
            return self._object(token)
        if token.kind == "sign":
            return Node(token.start, self._end_of_list())
        return Node(token.start, token.end)

    def _object(self, opening: Token) -> Node:
        members = []
        while (closing := self._take_sign("}")) is None:
            name = self._take()
            key: str = json.loads(self._text[name.start : name.end])
            self._take()  # the colon
            value = self.value()
            comma = self._take_sign(",")
            members.append(Member(key, name.start, value, None if comma is None else comma.start))
        return Node(opening.start, closing.end, tuple(members))

    def _end_of_list(self) -> int:
        """The end of the list whose bracket has just been taken."""
        depth = 1
        while depth:
            token = self._take()
            sign = self._text[token.start] if token.kind == "sign" else ""
            depth += (sign in ("[", "{")) - (sign in ("]", "}"))
        return token.end
