from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp.budget import (
    APART_SECONDS,
    LEAST_CHUNK,
    MOST_APART,
    STEP_SECONDS,
    TILE,
    Pace,
    shares,
    shares_in_turn,
    whole_tiles,
)

missing = st.lists(st.integers(0, 300), max_size=8)


@given(missing, st.integers(8, 200), st.integers(1, 200))
def test_a_step_is_shared_out(missing: list[int], room: int, chunk: int) -> None:
    given = shares(missing, room, chunk)
    assert sum(given) <= room
    assert all(share <= each for share, each in zip(given, missing, strict=True))
    assert all(share >= 1 for share, each in zip(given, missing, strict=True) if each), "somebody goes idle"
    prompts = [(share, each) for share, each in zip(given, missing, strict=True) if each > 1]
    writing = missing.count(1)
    most = whole_tiles(writing + chunk) - writing if writing else room
    taken = sum(share for share, _ in prompts)
    assert taken <= max(most, len(prompts)), "those who write wait longer than they should"
    left = room - sum(given)
    if prompts and left and taken < most:
        assert all(share == each for share, each in prompts), "there was room left"
    if prompts:
        share, each = prompts[0]
        assert share >= min(each, (taken - len(prompts)) // 2), "the oldest has not its half"


@given(missing, st.integers(8, 200), st.integers(1, 200), st.sampled_from(["oldest", "shortest"]))
def test_prompts_that_are_computed_apart_take_turns(
    missing: list[int], room: int, chunk: int, first: Literal["oldest", "shortest"]
) -> None:
    given = shares_in_turn(missing, room, chunk, first)
    assert sum(given) <= room
    assert all(share <= each for share, each in zip(given, missing, strict=True))
    prompts = [(share, each) for share, each in zip(given, missing, strict=True) if each > 1]
    writing = missing.count(1)
    assert given.count(1) >= writing, "somebody who writes goes idle"
    taken, wanted = sum(share for share, _ in prompts), sum(each for _, each in prompts)
    most = room - writing
    if writing:
        most = min(most, MOST_APART * chunk, max(chunk, 2 * chunk * len(prompts) // writing))
    assert taken == min(most, wanted), "those who write wait too long, or for too little"
    assert sum(0 < share < each for share, each in prompts) <= 1, "a piece of more than one was computed"
    if prompts:
        share, each = prompts[0] if first == "oldest" else min(prompts, key=lambda prompt: prompt[1])
        assert share == min(each, taken), "somebody else's turn"


@pytest.mark.parametrize(
    ("writing", "waiting", "chunks"),
    [(1, 1, 2), (4, 1, 1), (4, 4, 2), (5, 3, 6 / 5), (2, 6, 6), (1, 7, MOST_APART)],
)
def test_the_more_wait_for_those_who_write_the_more_is_done_for_them_at_a_time(
    writing: int, waiting: int, chunks: float
) -> None:
    given = shares_in_turn([1] * writing + [1000] * waiting, 10_000, 90, "shortest")
    assert given[:writing] == [1] * writing
    assert sum(given[writing:]) == int(90 * chunks)


@given(st.integers(0, 3000))
def test_no_rows_are_paid_for_in_vain(rows: int) -> None:
    fewer = whole_tiles(rows)
    assert fewer <= rows
    assert fewer < TILE or fewer % TILE == 0, "a tile is begun that is not filled"
    assert rows - fewer <= TILE, "a whole tile more would have done"


def test_nothing_is_measured_where_only_a_few_tokens_were_computed() -> None:
    pace = Pace()
    before = pace.chunk
    pace.saw(LEAST_CHUNK - 1, 100.0)
    pace.saw(LEAST_CHUNK, 0.0)
    assert pace.chunk == before


@pytest.mark.parametrize("step_seconds", [STEP_SECONDS, APART_SECONDS])
@pytest.mark.parametrize("seconds_per_token", [0.0001, 0.001, 0.01])
def test_the_chunk_follows_the_machine(seconds_per_token: float, step_seconds: float) -> None:
    pace = Pace(step_seconds)
    for _ in range(20):
        pace.saw(pace.chunk, 10 * seconds_per_token * pace.chunk)
    for _ in range(20):
        pace.saw(pace.chunk, seconds_per_token * pace.chunk)
    expected = max(LEAST_CHUNK, step_seconds / seconds_per_token)
    assert expected * 0.95 <= pace.chunk <= expected * 1.05
