"""Numbers between bounds, digit by digit. Pure."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from janfs.engines.llama_cpp.schemas.merging import Schema
from janfs.engines.llama_cpp.schemas.multiples import LONGEST, MOST_DIGITS, End, multiples, step_of
from janfs.engines.llama_cpp.schemas.rules import Rules, SchemaError, either, literal

_WHOLE = '("0" | [1-9] [0-9]{0,15})'
_FREE = f'"-"? {_WHOLE} ("." [0-9]{{1,16}})? ([eE] [-+]? [0-9]{{1,2}})?'


class _Bound(NamedTuple):
    """A bound on a number that is not negative: the digits before and after the point. It may not be met."""

    whole: int
    digits: str
    strict: bool


def number(rules: Rules, schema: Schema) -> str:
    """A number or, by its type, an integer that fits a schema. Raises `SchemaError`."""
    low, high = ends(schema)
    whole = schema.get("type") == "integer"
    if "multipleOf" in schema:
        step = step_of(_decimal("multipleOf", schema["multipleOf"]), whole=whole)
        return rules.add(either(_signed(low, high, partial(multiples, rules, step))))
    if low is None and high is None:
        return rules.add(f'"-"? {_WHOLE}' if whole else _FREE)
    return rules.add(either(_signed(low, high, partial(_between, whole=whole))))


def ends(schema: Schema) -> tuple[End | None, End | None]:
    """The bounds of a number that count. Raises `SchemaError`."""
    return (
        _tightest(schema, "minimum", "exclusiveMinimum", max),
        _tightest(schema, "maximum", "exclusiveMaximum", min),
    )


def _tightest(schema: Schema, name: str, strictly: str, pick: Any) -> End | None:
    found = [
        End(_decimal(key, schema[key]), strict)
        for key, strict in ((name, False), (strictly, True))
        if schema.get(key) is not None
    ]
    if not found:
        return None
    value = pick(end.value for end in found)
    return End(value, strict=End(value, strict=True) in found)


def _decimal(name: str, said: Any) -> Decimal:
    """A number as it was written."""
    if isinstance(said, bool) or not isinstance(said, int | float):
        raise SchemaError(f"'{name}' must be a number")
    return Decimal(str(said))


def _signed(low: End | None, high: End | None, positive: Callable[[End, End | None], list[str]]) -> list[str]:
    """The ways to write a number between bounds, as those that are `positive`, or zero, are written."""
    zero, ways = Decimal(0), list[str]()
    if high is None or high.value > 0 or (high.value == 0 and not high.strict):
        ways += positive(End(zero, strict=False) if low is None or low.value < 0 else low, high)
    if low is None or low.value < 0:
        nearest = End(zero, strict=True) if high is None or high.value >= 0 else _opposite(high)
        farthest = None if low is None else _opposite(low)
        ways += [f'"-" {way}' for way in positive(nearest, farthest)]
    return ways


def _opposite(end: End) -> End:
    return end._replace(value=-end.value)


def _between(low: End, high: End | None, *, whole: bool) -> list[str]:
    return _positive(_bound(low), None if high is None else _bound(high), whole=whole)


def _bound(end: End) -> _Bound:
    whole, _, digits = format(end.value, "f").partition(".")
    if len(whole) > LONGEST or len(digits) > LONGEST:
        raise SchemaError(f"a bound of more than {LONGEST} digits")
    return _Bound(int(whole), digits.rstrip("0"), end.strict)


def _positive(low: _Bound, high: _Bound | None, *, whole: bool) -> list[str]:
    """The ways to write a number from one bound to the other."""
    most = 10 ** max(MOST_DIGITS, len(str(low.whole))) - 1 if high is None else high.whole
    if whole:
        first = low.whole + bool(low.digits or low.strict)
        last = most - bool(high is not None and high.strict and not high.digits)
        return _integers(first, last)
    if low.whole > most:
        return []
    if low.whole == most:
        return _from(low.whole, low, high)
    middle = [f'{way} ("." [0-9]{{1,{MOST_DIGITS}}})?' for way in _integers(low.whole + 1, most - bool(high))]
    return _from(low.whole, low, None) + middle + (_from(most, None, high) if high is not None else [])


def _integers(low: int, high: int) -> list[str]:
    """The ways to write a whole number from `low` to `high`."""
    ways = []
    for size in range(len(str(low)), len(str(high)) + 1):
        first, last = max(low, 10 ** (size - 1) if size > 1 else 0), min(high, 10**size - 1)
        if first <= last:
            ways += _alike(str(first), str(last))
    return ways


def _alike(low: str, high: str) -> list[str]:
    """The same for numbers of as many digits."""
    if set(low) <= {"0"} and set(high) <= {"9"} and low:
        return [f"[0-9]{{{len(low)}}}"]
    if len(low) <= 1:
        return [f"[{low}-{high}]"] if low else ['""']
    if low[0] == high[0]:
        return [f"{literal(low[0])} {either(_alike(low[1:], high[1:]))}"]
    size, ways = len(low) - 1, []
    first, last = int(low[0]), int(high[0])
    if low[1:] != "0" * size:
        ways += [f"{literal(low[0])} {either(_alike(low[1:], '9' * size))}"]
        first += 1
    if high[1:] != "9" * size:
        ways += [f"{literal(high[0])} {either(_alike('0' * size, high[1:]))}"]
        last -= 1
    return ways + ([f"[{first}-{last}] [0-9]{{{size}}}"] if first <= last else [])


def _from(whole: int, low: _Bound | None, high: _Bound | None) -> list[str]:
    """The ways to write a number whose part before the point is given."""
    bare, ways = _fraction(low, high)
    point = f'"." {either(ways)}' if ways else ""
    written = literal(str(whole))
    if bare:
        return [f"{written} ({point})?" if point else written]
    return [f"{written} {point}"] if point else []


def _fraction(low: _Bound | None, high: _Bound | None) -> tuple[bool, list[str]]:
    """Whether nothing may stand behind the point, and what may."""
    above, below = low is None or not (low.digits or low.strict), high is None
    if above and below:
        return True, [f"[0-9]{{1,{MOST_DIGITS}}}"]
    if high is not None and not high.digits:  # no more than zero
        return (above and not high.strict), (['"0"{1,2}'] if above and not high.strict else [])
    if low is not None and low.strict and not low.digits and below:  # more than zero
        return False, [f'"0"{{0,{MOST_DIGITS - 1}}} [1-9] [0-9]{{0,{MOST_DIGITS}}}']
    ways: list[str] = []
    for digit in range(10):
        then_low, then_high = _behind(low, digit), _behind(high, digit)
        beyond = low is not None and not above and digit < int((low.digits or "0")[0])
        if beyond or (high is not None and digit > int(high.digits[0])):
            continue
        bare, rest = _fraction(then_low, then_high)
        if bare or rest:
            follows = f" ({either(rest)}){'?' if bare else ''}" if rest else ""
            ways.append(f'"{digit}"{follows}')
    return above, ways


def _behind(bound: _Bound | None, digit: int) -> _Bound | None:
    """What is left of a bound behind a digit; None where it is kept, whatever follows."""
    if bound is None or digit != int((bound.digits or "0")[0]):
        return None
    return bound._replace(digits=bound.digits[1:])
