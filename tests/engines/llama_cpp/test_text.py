from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from janfs.engines.llama_cpp.text import TextStream

# Few letters, so that stop strings do occur; bytes, so that invalid UTF-8 does.
letters = st.text(alphabet="abé😀", max_size=12)
stops = st.lists(st.text(alphabet="abé😀", min_size=1, max_size=4), max_size=3)
noise = st.one_of(letters.map(str.encode), st.binary(max_size=12))


def run(pieces: list[bytes], stop: list[str]) -> tuple[list[str], str | None]:
    stream = TextStream(stop)
    out = [stream.feed(piece) for piece in pieces]
    return [*out, stream.finish()], stream.found


def cut(text: str, stop: list[str]) -> tuple[str, str | None]:
    """The definition: up to the beginning of the stop string that is complete first."""
    ends = [(at + len(each), at, each) for each in stop if (at := text.find(each)) >= 0]
    return (text[: min(ends)[1]], min(ends)[2]) if ends else (text, None)


@given(data=noise, stop=stops, cuts=st.lists(st.integers(0, 48), max_size=8))
@example(data=b"\xf0\x9f\x98", stop=[], cuts=[1, 2])
@example(data=b"abab", stop=["ba", "aba"], cuts=[2])
def test_the_text_does_not_depend_on_how_the_bytes_are_cut(
    data: bytes, stop: list[str], cuts: list[int]
) -> None:
    edges = sorted({0, len(data), *(min(at, len(data)) for at in cuts)})
    pieces = [data[a:b] for a, b in pairwise(edges)]
    out, found = run(pieces, stop)
    assert ("".join(out), found) == cut(data.decode("utf-8", "replace"), stop)


@given(data=letters.map(str.encode), stop=stops)
def test_what_is_out_is_never_taken_back(data: bytes, stop: list[str]) -> None:
    whole, _ = cut(data.decode(), stop)
    stream, seen = TextStream(stop), ""
    for byte in data:
        seen += stream.feed(bytes([byte]))
        assert whole.startswith(seen), f"{seen!r} was shown, but the text is {whole!r}"


def test_an_emoji_comes_out_whole_at_its_last_byte() -> None:
    stream = TextStream()
    assert [stream.feed(bytes([byte])) for byte in "😀".encode()] == ["", "", "", "😀"]


def test_an_unfinished_character_becomes_a_replacement_at_the_end_only() -> None:
    stream = TextStream()
    assert stream.feed("😀".encode()[:3]) == ""
    assert stream.finish() == "�"


def test_a_beginning_of_a_stop_string_is_held_and_then_let_go() -> None:
    stream = TextStream(["<|end|>"])
    assert stream.feed(b"hi <|e") == "hi "
    assert stream.feed(b"lse") == "<|else"
    assert stream.feed(b" <|end") == " "
    assert stream.feed(b"|> and more") == ""
    assert stream.stopped
    assert stream.feed(b"more") == "" == stream.finish()
