"""What the projection stores is the whole catalogue: it comes back the same, maps made from it included."""

import json
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.catalogue.catalogue import Catalogue, Key
from janfs.catalogue.fold import Recorded, fold
from janfs.catalogue.rows import changed_rows, from_rows, to_rows
from tests.catalogue.strategies import histories


@settings(max_examples=100, deadline=None)
@given(histories, st.randoms())
def test_a_stored_catalogue_comes_back_whatever_the_order_of_its_rows(
    history: list[Recorded], random: Random
) -> None:
    catalogue, _ = fold(Catalogue(), history)
    rows = [(*key, value) for key, value in to_rows(catalogue)]
    random.shuffle(rows)
    assert from_rows(rows, catalogue.position) == catalogue


@settings(max_examples=100, deadline=None)
@given(histories, st.integers(0, 25))
def test_going_on_from_a_stored_catalogue_is_going_on(history: list[Recorded], cut: int) -> None:
    before, _ = fold(Catalogue(), history[:cut])
    loaded = from_rows([(*key, value) for key, value in to_rows(before)], before.position)
    assert fold(loaded, history[cut:]) == fold(before, history[cut:])


@settings(max_examples=100, deadline=None)
@given(histories)
def test_rows_moved_on_by_what_was_touched_are_the_rows_of_the_whole(history: list[Recorded]) -> None:
    catalogue = Catalogue()
    rows: dict[Key, str] = {}
    for start in range(0, len(history), 3):
        catalogue, touched = fold(catalogue, history[start : start + 3])
        for key, value in changed_rows(catalogue, touched).items():
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
    assert rows == dict(to_rows(catalogue))
    for value in rows.values():
        assert list(json.loads(value)) == sorted(json.loads(value)), "a row is canonical JSON"


def test_an_empty_catalogue_has_no_rows() -> None:
    assert list(to_rows(Catalogue())) == []
    assert from_rows([], 0) == Catalogue()


@pytest.mark.parametrize("value", ["", "{}", '{"path":1}', "[]"])
def test_rows_that_are_none_of_ours_are_refused(value: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        from_rows([("file", "a", value)], 1)
