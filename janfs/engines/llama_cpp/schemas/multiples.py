"""Multiples of a number between bounds, digit by digit. Pure."""

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor, gcd
from typing import NamedTuple

from janfs.engines.llama_cpp.schemas.rules import Rules, SchemaError, either

MOST_DIGITS = 16  # before the point where no bound has more: a number has an end
LONGEST = 40  # digits of a bound
_EXACT = 15  # digits that a number of 64 bits keeps
_MOST_RULES = 4096


class Step(NamedTuple):
    """What all are a multiple of: so many units of the last of the `places` behind the point."""

    units: int
    places: int


def step_of(said: Decimal, *, whole: bool) -> Step:
    """The step between multiples, or between those that are `whole`. Raises `SchemaError`."""
    exact = Fraction(said)
    if exact <= 0:
        raise SchemaError("'multipleOf' must be more than 0")
    places = next((n for n in range(MOST_DIGITS + 1) if 10**n % exact.denominator == 0), None)
    if places is None or exact >= 10**MOST_DIGITS:
        raise SchemaError(f"'multipleOf' of more than {MOST_DIGITS} digits")
    units = int(exact * 10**places)
    return Step(units // gcd(units, 10**places), 0) if whole else Step(units, places)


class End(NamedTuple):
    """A bound; where it is `strict` it may not be met."""

    value: Decimal
    strict: bool


def multiples(rules: Rules, step: Step, low: End, high: End | None) -> list[str]:
    """The ways to write a multiple of a step between bounds, of which `low` is not negative.

    Raises `SchemaError` where the grammar would be too large.
    """
    scale = 10**step.places
    least = Fraction(low.value) * scale
    first = floor(least) + 1 if low.strict else ceil(least)
    digits = max(1, _EXACT - step.places, len(str(first // scale)))
    last = 10**digits * scale - 1
    if high is not None:
        most = Fraction(high.value) * scale
        last = ceil(most) - 1 if high.strict else floor(most)
        digits = len(str(max(0, last) // scale))
    if digits > LONGEST:
        raise SchemaError(f"a bound of more than {LONGEST} digits")
    writer, ways = _Writer(rules, step), []
    for count in range(1, digits + 1):  # of digits before the point
        size = count + step.places
        begins, ends = max(first, 10 ** (size - 1) if count > 1 else 0), min(last, 10**size - 1)
        if begins <= ends:
            found = writer.rest(size, 0, f"{begins:0{size}}", f"{ends:0{size}}")
            ways += [found] if found is not None else []
    return ways


class _Writer:
    """Rules for the digits that are left of a multiple, by the remainder that those before leave."""

    def __init__(self, rules: Rules, step: Step) -> None:
        self._rules = rules
        self._step = step
        self._names: dict[tuple[int, int, str | None, str | None], str | None] = {}

    def rest(self, left: int, remainder: int, low: str | None, high: str | None) -> str | None:
        """A rule for `left` more digits, from `low` to `high` where these bind them; None where none fit."""
        low = None if low is None or not low.strip("0") else low
        high = None if high is None or not high.strip("9") else high
        units = self._step.units
        # Of the remainder only that matters which so many digits cannot make good for.
        key = (left, remainder % (units // gcd(units, 10**left)), low, high)
        if key not in self._names:
            if len(self._names) > _MOST_RULES:
                raise SchemaError("'multipleOf' needs too large a grammar; a 'maximum' makes it smaller")
            self._names[key] = self._made(left, remainder, low, high)
        return self._names[key]

    def _made(self, left: int, remainder: int, low: str | None, high: str | None) -> str | None:
        units, places = self._step
        least, most = int(low or 0), int(high) if high else 10**left - 1
        if least + -(remainder * 10**left + least) % units > most:
            return None
        by_rest: dict[str | None, str] = {}  # the digits before what follows them
        for digit in range(int(low[0]) if low else 0, int(high[0]) + 1 if high else 10) if left else ():
            follows = self.rest(
                left - 1,
                (remainder * 10 + digit) % units,
                low[1:] if low and digit == int(low[0]) else None,
                high[1:] if high and digit == int(high[0]) else None,
            )
            if follows is not None:
                by_rest[follows] = by_rest.get(follows, "") + str(digit)
        point = '"." ' if left == places else ""
        ways = [f"{point}[{digits}] {follows}" for follows, digits in by_rest.items()]
        if left <= places and not least and remainder * 10**left % units == 0:  # zeros need not be there
            ways.append('""')
        return self._rules.add(either(ways))
