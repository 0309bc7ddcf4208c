"""Folding events though today's code may fail at one, of an old log or just recorded.

A defect in a handler, or data that no longer fits its type, must not keep everything else from being served:
such an event is left out and noted (`Parked`), and the rest is applied.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

from janfs.catalogue.catalogue import Catalogue, Key
from janfs.catalogue.fold import Recorded, fold, park

STEP = 50_000  # events that are folded again one by one when one of them fails


def fold_what_applies(base: Catalogue, recorded: Iterable[Recorded]) -> tuple[Catalogue, frozenset[Key]]:
    """The catalogue after these events, with those parked that raise; and the keys that were touched."""
    touched: set[Key] = set()
    events = iter(recorded)
    while batch := list(islice(events, STEP)):
        try:
            base, keys = fold(base, batch)
        except Exception:  # noqa: BLE001 - it is parked with what it was, one by one
            base, keys = _one_by_one(base, batch)
        touched |= keys
    return base, frozenset(touched)


def _one_by_one(base: Catalogue, batch: Sequence[Recorded]) -> tuple[Catalogue, frozenset[Key]]:
    touched: set[Key] = set()
    for item in batch:
        try:
            base, keys = fold(base, [item])
        except Exception as error:  # noqa: BLE001 - the reason is kept in the catalogue
            base, keys = park(base, item, f"{type(error).__name__}: {error}")
        touched |= keys
    return base, frozenset(touched)
