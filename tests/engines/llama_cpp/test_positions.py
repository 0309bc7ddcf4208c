"""Where tokens stand behind images, beside the plain way: a list of every token's position."""

from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp.pictures import placeholders, whole
from janfs.engines.llama_cpp.positions import Image, Positions

pieces = st.lists(st.just(None) | st.builds(Image, st.integers(1, 9), st.integers(1, 9)), max_size=6)


def written(positions: Positions, seq: int, given: list[Image | None]) -> list[tuple[int, int]]:
    """Put words and images into a sequence; the places between them, each with its position."""
    place = position = 0
    bounds = [(place, position)]
    for piece in given:
        if piece is not None:
            positions.add(seq, place, piece)
        place += piece.rows if piece else 1
        position += piece.extent if piece else 1
        bounds.append((place, position))
    return bounds


@given(pieces)
def test_what_follows_an_image_stands_where_it_ends(given: list[Image | None]) -> None:
    positions = Positions()
    for place, position in written(positions, 3, given):
        assert positions.of(3, place) == position
        assert positions.of(4, place) == place, "another sequence has no images"


@given(pieces, pieces, st.data())
def test_what_is_shared_stands_where_it_stood(
    one: list[Image | None], other: list[Image | None], data: st.DataObject
) -> None:
    positions = Positions()
    bounds = written(positions, 1, one)
    at = data.draw(st.integers(0, len(bounds) - 1))
    positions.share(1, 2, 0, bounds[at][0])
    for place, position in bounds[: at + 1]:
        assert positions.of(2, place) == position
    kept = positions.images(2)
    positions.cut(1, 0)
    assert positions.images(1) == {}
    assert positions.images(2) == kept, "a sequence lost what it shared with one that is gone"
    positions.put(1, kept)
    written(positions, 5, other)
    positions.share(1, 5, 0, bounds[at][0])
    assert all(positions.of(5, place) == position for place, position in bounds[: at + 1])


@given(pieces, st.data())
def test_what_is_cut_off_is_forgotten(given: list[Image | None], data: st.DataObject) -> None:
    positions = Positions()
    bounds = written(positions, 1, given)
    at = data.draw(st.integers(0, len(bounds) - 1))
    place, position = bounds[at]
    positions.cut(1, place)
    assert [positions.of(1, place + more) for more in range(20)] == [position + more for more in range(20)]


runs = st.lists(st.integers(0, 5) | st.binary(min_size=1, max_size=1), max_size=6)


@given(runs, st.integers(1, 5))
def test_an_image_is_left_whole(run: list[int | bytes], rows: int) -> None:
    tokens, bounds = list[int](), [0]
    for each in run:
        tokens += [each] if isinstance(each, int) else placeholders(each, rows)
        bounds.append(len(tokens))
    for place in range(len(tokens) + 1):
        assert whole(tokens, place) == max(bound for bound in bounds if bound <= place)
