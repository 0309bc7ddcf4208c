"""A projection moves on with the append that it belongs to, or not at all."""

from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from janfs.log import projections
from janfs.log.projections import Checkpoint, Key
from janfs.log.store import EventLog, Within
from tests.log.kit import new

keys = st.tuples(st.sampled_from(["file", "model"]), st.sampled_from(["a", "b", "é", ""]))
changes = st.dictionaries(keys, st.none() | st.text(max_size=3), max_size=5)


def saving(name: str, at: Checkpoint, changed: Mapping[Key, str | None]) -> Within:
    return lambda connection, _: projections.save(connection, name, at, changed)


def replacing(name: str, at: Checkpoint, every: Mapping[Key, str]) -> Within:
    return lambda connection, _: projections.replace(connection, name, at, every)


def stored(log: EventLog, name: str) -> list[tuple[str, str, str]]:
    with log.query() as connection:
        return list(projections.rows(connection, name))


def test_a_projection_that_was_never_saved_has_no_checkpoint(log: EventLog) -> None:
    with log.query() as connection:
        assert projections.checkpoint(connection, "p") is None
        assert list(projections.rows(connection, "p")) == []


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(changes, max_size=6), st.sampled_from([None, 2]))
def test_rows_are_what_a_dictionary_would_hold(
    log: EventLog, steps: list[dict[Key, str | None]], replaced_at: int | None
) -> None:
    model: dict[Key, str] = {}
    log.append([], within=replacing("p", Checkpoint(1, 0), {}))
    for number, changed in enumerate(steps):
        at = Checkpoint(version=2, position=number)
        if number == replaced_at:
            every = {key: value for key, value in changed.items() if value is not None}
            model = dict(every)
            log.append([], within=replacing("p", at, every))
        else:
            for key, value in changed.items():
                model.pop(key, None) if value is None else model.update({key: value})
            log.append([], within=saving("p", at, changed))
        assert stored(log, "p") == sorted((*key, value) for key, value in model.items())
        with log.query() as connection:
            assert projections.checkpoint(connection, "p") == at


def test_projections_do_not_touch_each_other(log: EventLog) -> None:
    row: dict[Key, str | None] = {("file", "a"): "1"}
    for name in ("p", "q"):
        log.append([], within=saving(name, Checkpoint(1, 0), row))
    log.append([], within=replacing("p", Checkpoint(1, 0), {}))
    assert (stored(log, "p"), stored(log, "q")) == ([], [("file", "a", "1")])


def test_an_append_that_fails_takes_its_projection_along(log: EventLog) -> None:
    def within(connection: Connection, _: object) -> None:
        projections.save(connection, "p", Checkpoint(1, 1), {("file", "a"): "1"})
        raise KeyError

    with pytest.raises(KeyError):
        log.append([new()], within=within)
    assert stored(log, "p") == []
    with log.query() as connection:
        assert projections.checkpoint(connection, "p") is None
