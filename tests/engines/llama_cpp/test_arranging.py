"""When requests get a part of the cache each, and when they share it again."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp.arranging import Arranging, Wants, suits

PART = 1000
ALONE = Wants(200, 264, 0)
LIKE_ANOTHER = Wants(600, 632, 510)
LONG = Wants(900, 2000, 0)

some = st.builds(
    lambda length, more, common: Wants(length, length + more, min(common, length)),
    st.integers(1, 2000),
    st.integers(0, 4000),
    st.integers(0, 2000),
)


def test_requests_with_nothing_in_common_are_better_off_with_a_part_for_each() -> None:
    assert suits([ALONE] * 2, PART) is False
    assert suits([ALONE] * 8, PART) is False


def test_requests_that_share_a_long_beginning_are_better_off_with_one_cache() -> None:
    assert suits([Wants(600, 632, 0), *[LIKE_ANOTHER] * 7], PART) is True


def test_where_both_are_as_good_nothing_is_changed() -> None:
    assert suits([ALONE, *[Wants(200, 264, 145)] * 7], PART) is None


def test_short_prompts_that_begin_alike_are_looked_at_with_their_answers() -> None:
    assert suits([Wants(46, 206, 0), *[Wants(46, 206, 31)] * 7], PART) is False
    assert suits([Wants(46, 48, 0), *[Wants(46, 48, 35)] * 7], PART) is True, "there are hardly any answers"
    assert suits([Wants(450, 100_000, 0), *[Wants(450, 100_000, 430)] * 7], PART) is True


def test_a_single_request_is_as_well_off_with_either() -> None:
    assert suits([ALONE], PART) is None
    assert suits([], PART) is None


def test_who_may_not_find_room_in_a_part_has_the_whole_cache() -> None:
    assert suits([LONG], PART) is True
    assert suits([ALONE, LONG], PART) is True
    assert suits([ALONE, Wants(900, 1000, 0)], PART) is False, "there is room to its end"
    assert suits([ALONE, Wants(100, 100_000, 0)], PART) is False, "few write as much as they may"


@given(st.lists(some, max_size=8), st.integers(256, 4000))
def test_nobody_who_is_longer_than_a_part_is_given_one(wants: list[Wants], part: int) -> None:
    if any(each.length > part for each in wants):
        assert suits(wants, part) is True


def compute(arranging: Arranging, wants: list[Wants], seconds: float, *, unified: bool, costs: float) -> int:
    """Steps of a tenth of a second each; how many changes they brought."""
    changes = 0
    for _ in range(round(seconds * 10)):
        if (wanted := arranging.wanted(unified, wants)) != unified:
            unified = wanted
            changes += 1
            arranging.changed(unified, costs)
        arranging.computed(0.1)
    return changes


def test_a_part_for_each_comes_when_as_much_was_lost_as_it_costs() -> None:
    arranging = Arranging(PART)
    assert compute(arranging, [ALONE] * 8, 0.3, unified=True, costs=0.2) == 0
    assert compute(arranging, [ALONE] * 8, 0.2, unified=True, costs=0.2) == 1
    assert arranging.wanted(False, [LIKE_ANOTHER] * 8), "they share it again at once"
    arranging.changed(True, 0.2)
    assert compute(arranging, [ALONE] * 8, 1.9, unified=True, costs=0.2) == 0, "now it is known what it costs"


def test_who_shares_in_between_begins_the_count_anew() -> None:
    arranging = Arranging(PART)
    for _ in range(20):
        assert compute(arranging, [ALONE] * 8, 0.2, unified=True, costs=0.2) == 0
        assert compute(arranging, [LIKE_ANOTHER] * 8, 0.1, unified=True, costs=0.2) == 0
    assert compute(arranging, [ALONE] * 8, 0.5, unified=True, costs=0.2) == 1


def test_a_request_by_itself_leaves_things_as_they_are() -> None:
    arranging = Arranging(PART)
    for unified in (True, False):
        assert arranging.wanted(unified, [ALONE]) is unified


@given(
    costs=st.floats(0.01, 2.0),
    turns=st.lists(st.tuples(st.floats(0.2, 4.0), st.sampled_from([ALONE, LIKE_ANOTHER, LONG])), min_size=1),
)
def test_changes_take_a_small_part_of_the_time_whatever_comes(
    costs: float, turns: list[tuple[float, Wants]]
) -> None:
    arranging, unified, computed, changing = Arranging(PART), True, 0.0, 0.0
    for seconds, each in turns * 50:
        for _ in range(round(seconds * 10)):
            wanted = arranging.wanted(unified, [each] * 8)
            if wanted != unified:
                unified = wanted
                arranging.changed(unified, costs)
                changing += costs
            arranging.computed(0.1)
            computed += 0.1
    assert changing <= 2 * costs + 0.25 * computed


def test_one_cache_that_is_refused_is_asked_for_ever_more_rarely_until_it_is_there() -> None:
    arranging, asked = Arranging(PART), []
    for step in range(6_000):
        if arranging.wanted(False, [LONG]):
            asked.append(step / 10)
            arranging.refused(0.1)
        arranging.computed(0.1)
    waited = [round(after - before, 1) for before, after in itertools.pairwise(asked)]
    assert waited[0] == pytest.approx(1, abs=0.11)
    assert waited == sorted(waited)
    assert waited[-1] == pytest.approx(60, abs=0.11)
    arranging.computed(60)
    assert arranging.wanted(False, [LONG])
    arranging.changed(True, 0.1)
    arranging.changed(False, 0.1)
    assert arranging.wanted(False, [LONG]), "what was refused once is refused no more"


def test_who_cannot_be_served_so_is_asked_ever_more_rarely() -> None:
    arranging, asked = Arranging(PART), 0
    for _ in range(36_000):
        if not arranging.wanted(True, [ALONE] * 8):
            asked += 1
            arranging.put_off()
        arranging.computed(0.1)
    assert asked <= 15, "an hour of steps"
