"""The parts of an answer one after another: the pieces of each call together, whatever came between. Pure."""

from collections.abc import Iterator

from janfs.engines.protocol import CallDelta, ReasoningDelta, TextDelta

Part = TextDelta | ReasoningDelta | CallDelta


class InTurn:
    """Puts parts into an order in which they can be told one at a time.

    Servers may write several calls at once, piece by piece in turns; our APIs have one block or item open at
    a time. What does not belong to the call that is being told waits until its arguments are whole, or until
    the end. What comes of a call after its whole arguments and something else is left out.
    """

    def __init__(self) -> None:
        self._open: int | None = None  # the call that is being told; None for words
        self._arguments = _Nesting()  # of it
        self._begun: set[int | None] = set()  # calls that were told, or are
        self._waiting: dict[int | None, list[Part]] = {}  # by call; words by None

    def take(self, part: Part) -> Iterator[Part]:
        """What can be told now that this has come."""
        number = part.index if isinstance(part, CallDelta) else None
        if number == self._open:
            yield self._told(part)
        else:
            self._waiting.setdefault(number, []).append(part)
        while self._waiting and (self._open is None or self._arguments.over):
            number = next(iter(self._waiting))
            parts = self._due(number)
            if not parts:
                continue
            self._open, self._arguments = number, _Nesting()
            if number is not None:
                self._begun.add(number)
            for each in parts:
                yield self._told(each)

    def rest(self) -> Iterator[Part]:
        """What still waits when nothing more will come."""
        for number in list(self._waiting):
            yield from self._due(number)

    def _due(self, number: int | None) -> list[Part]:
        parts = self._waiting.pop(number)
        return [] if number in self._begun else parts

    def _told(self, part: Part) -> Part:
        if isinstance(part, CallDelta):
            self._arguments.read(part.arguments)
        return part


class _Nesting:
    """Follows a JSON object, or an array, to its end."""

    def __init__(self) -> None:
        self.over = False
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def read(self, text: str) -> None:
        for char in text:
            if self._escaped:
                self._escaped = False
            elif self._quoted:
                self._escaped = char == "\\"
                self._quoted = char != '"'
            elif char == '"':
                self._quoted = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                self.over = self.over or self._depth <= 0
