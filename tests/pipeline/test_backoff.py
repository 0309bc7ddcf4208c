from hypothesis import given
from hypothesis import strategies as st

from janfs.pipeline.backoff import FIRST, LAST, Backoff


def test_what_failed_is_tried_after_a_minute_then_after_twice_as_long_up_to_an_hour() -> None:
    backoff, now, waits = Backoff(), 0.0, []
    backoff.note("models/a", failed=True, now=now)
    for _ in range(9):
        due = backoff.next_due()
        assert due is not None
        waits.append(due - now)
        now = due
        assert backoff.take_due(now) == {"models/a"}
        backoff.note("models/a", failed=True, now=now)
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_success_forgets_the_failures() -> None:
    backoff = Backoff()
    backoff.note("models/a", failed=True, now=0)
    backoff.take_due(60)
    backoff.note("models/a", failed=False, now=60)
    assert backoff.next_due() is None
    backoff.note("models/a", failed=True, now=100)
    assert backoff.next_due() == 100 + FIRST


def test_at_once_is_now() -> None:
    backoff = Backoff()
    backoff.note("models/a", failed=True, now=5, at_once=True)
    backoff.note("models/b", failed=False, now=5, at_once=True)
    assert backoff.take_due(5) == {"models/a"}


def test_the_first_wait_and_the_longest_may_be_others() -> None:
    backoff = Backoff(first=1, last=3)
    backoff.note("x", failed=True, now=0)
    assert [backoff.next_due(), backoff.take_due(1), backoff.next_due()] == [1, {"x"}, 3]
    assert [backoff.take_due(3), backoff.next_due()] == [{"x"}, 6]


def test_a_hint_makes_due_what_waits_unless_it_was_just_tried() -> None:
    backoff = Backoff(first=1, last=60)
    backoff.hint("x", 0)
    assert backoff.next_due() is None, "it does not wait for anything"
    backoff.note("x", failed=True, now=0)
    for now in (1.0, 3.0, 7.0):
        assert backoff.take_due(now) == {"x"}
    backoff.hint("x", 7.5)
    assert backoff.take_due(7.5) == set(), "that may be what the try itself changed"
    backoff.hint("x", 8.0)
    assert backoff.take_due(8.0) == {"x"}
    assert backoff.next_due() == 8 + 16


def test_the_wait_begins_when_the_try_ends() -> None:
    backoff = Backoff(first=1, last=60)
    backoff.note("x", failed=True, now=0)
    assert backoff.take_due(1) == {"x"}
    backoff.tried("x", 31)
    assert backoff.next_due() == 33
    backoff.hint("x", 31.5)
    assert backoff.take_due(31.5) == set()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.floats(0, 500)), max_size=30))
def test_noting_a_failure_again_neither_hastens_nor_delays_the_next_try(
    notes: list[tuple[str, bool, float]],
) -> None:
    backoff, now = Backoff(), 0.0
    since: dict[str, float] = {}
    for place, failed, passed in notes:
        now += passed
        for taken in backoff.take_due(now):
            since[taken] = now
        backoff.note(place, failed=failed, now=now)
        if failed:
            since.setdefault(place, now)
        else:
            since.pop(place, None)
    due = backoff.next_due()
    assert (due is None) == (not since)
    assert due is None or due > now, "what is due must be taken, or the loop would spin"
    assert due is None or due <= min(since.values()) + LAST
