"""Copies of sequences: the best one is found, and the longest unused goes first."""

from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp.shelf import Shelf
from tests.engines.llama_cpp.fake_model import FakeCopy

texts = st.lists(st.integers(1, 2), min_size=1, max_size=8)


def put(shelf: Shelf, tokens: list[int]) -> None:
    shelf.put(tokens, FakeCopy(tokens))


@given(st.lists(texts, max_size=6), texts, st.integers(0, 8))
def test_the_copy_that_has_most_in_common_is_found(
    copies: list[list[int]], tokens: list[int], beyond: int
) -> None:
    shelf = Shelf(10_000)
    for copy in copies:
        put(shelf, copy)

    def common(copy: list[int]) -> int:
        return next(
            (at for at, (a, b) in enumerate(zip(copy, tokens, strict=False)) if a != b),
            min(map(len, (copy, tokens))),
        )

    most = max(map(common, copies), default=0)
    found = shelf.longest(tokens, range(1), beyond)
    assert (found is not None) == (most > beyond)
    if found is not None:
        copy, length = found
        assert length == most == common(copy.tokens)


def test_a_cleared_shelf_says_what_it_had_and_has_nothing() -> None:
    shelf = Shelf(100)
    for number in (1, 2):
        put(shelf, [number] * 4)
    assert [shelf.clear(), shelf.clear()] == [8, 0]
    assert shelf.longest([1] * 4, range(1), 0) is None


def test_the_longest_unused_is_given_up_when_there_are_too_many_bytes() -> None:
    shelf = Shelf(10)
    for number in (1, 2, 3):
        put(shelf, [number] * 3)
    assert shelf.longest([1] * 3, range(1), 0), "it is used, and 2 is the oldest now"
    put(shelf, [4] * 3)
    assert [number for number in (1, 2, 3, 4) if shelf.has([number] * 3, 0)] == [1, 3, 4]


def test_a_chat_that_goes_on_takes_the_place_of_its_beginnings() -> None:
    shelf = Shelf(10)
    put(shelf, [9])
    for length in range(1, 9):
        put(shelf, [1] * length)
    assert shelf.has([9], 0)
    assert shelf.has([1] * 8, 0)


def test_what_is_too_large_is_not_kept() -> None:
    shelf = Shelf(10)
    put(shelf, [1] * 11)
    assert not shelf.has([1], 0)
