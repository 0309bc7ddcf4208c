"""Pieces of an answer that are told together: few messages, and nothing late, lost or out of order."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp.gathering import GAP, Gathering
from janfs.engines.llama_cpp.scheduler import Event
from janfs.engines.protocol import (
    CallDelta,
    Finished,
    ReasoningDelta,
    Reply,
    TextDelta,
    TokenLogprob,
    Usage,
)
from janfs.errors import EngineError, JanfsError

END = Finished("stop", Usage(1, 9))


class Steps:
    """A clock that stands still but for steps, and what is told after each of them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.gathering = Gathering(lambda: self.now)

    def step(self, seconds: float, *replies: Reply | JanfsError, of: str = "a") -> list[Reply | JanfsError]:
        self.now += seconds
        for reply in replies:
            self.gathering.add(Event(of, reply))
        return [told for name, told in self.gathering.due() if name == of]


def texts(replies: Sequence[Reply | JanfsError]) -> list[str]:
    return [each.text for each in replies if isinstance(each, TextDelta)]


def test_the_first_piece_is_told_at_once_and_quick_ones_then_together() -> None:
    steps = Steps()
    told = [texts(steps.step(0.01, TextDelta(letter))) for letter in "abcdefg"]
    assert told == [["a"], [], [], ["bcd"], [], [], ["efg"]]


def test_what_comes_slower_is_told_piece_by_piece() -> None:
    steps = Steps()
    for seconds in (0.5, 0.05, 0.02, GAP * 0.6):
        told = [texts(steps.step(seconds, TextDelta(letter))) for letter in "abcdef"][1:]
        assert told == [[letter] for letter in "bcdef"], f"of pieces every {seconds} seconds"


def test_the_end_and_an_error_come_at_once_with_all_that_was_held_back() -> None:
    error = EngineError("Broken.")
    for last in (END, error):
        steps = Steps()
        steps.step(0.01, TextDelta("a"))
        assert steps.step(0.01, TextDelta("b")) == []
        assert steps.step(0.001, TextDelta("c"), last) == [TextDelta("bc", pieces=2), last]
        assert not steps.gathering.holds


def test_before_a_step_that_may_take_long_all_is_told() -> None:
    steps = Steps()
    steps.step(0.01, TextDelta("a"))
    steps.step(0.01, TextDelta("b"))
    assert steps.gathering.holds
    assert steps.gathering.all() == [Event("a", TextDelta("b"))]
    assert not steps.gathering.holds


def test_what_was_cancelled_is_not_told() -> None:
    steps = Steps()
    steps.step(0.01, TextDelta("a"))
    steps.step(0.01, TextDelta("b"))
    steps.gathering.forget("a")
    assert steps.gathering.all() == []


def test_answers_do_not_wait_for_one_another() -> None:
    steps = Steps()
    steps.step(0.01, TextDelta("a"))
    steps.step(0.01, TextDelta("b"))
    assert texts(steps.step(0.005, TextDelta("x"), of="other")) == ["x"], "a first piece was held back"
    assert steps.gathering.holds, "the other answer's beginning told what was held back of this one"


def test_logprobs_and_counts_of_pieces_that_are_told_together_are_kept() -> None:
    one, other = TokenLogprob(1, b"b", -0.5), TokenLogprob(2, b"c", -0.25)
    steps = Steps()
    assert steps.step(0.01, TextDelta("a", usage=Usage(3, 1))) == [TextDelta("a", usage=Usage(3, 1))]
    steps.step(0.01, TextDelta("b", (one,)))
    told = steps.step(0.01, TextDelta("c", (other,)), END)
    assert told == [TextDelta("bc", (one, other), pieces=2), END]


def test_only_what_is_of_a_kind_is_put_together() -> None:
    pieces: tuple[Reply, ...] = (
        ReasoningDelta("so"), ReasoningDelta(" it"), TextDelta("is"),
        CallDelta(0, "f"), CallDelta(0, None, "{"), CallDelta(0, None, "}"), CallDelta(1, "g"),
        CallDelta(1, None, "{"), CallDelta(2, None, "}"),
    )  # fmt: skip
    assert Steps().step(0.01, *pieces) == [
        ReasoningDelta("so it", pieces=2), TextDelta("is"),
        CallDelta(0, "f"), CallDelta(0, None, "{}", pieces=2), CallDelta(1, "g"),
        CallDelta(1, None, "{"), CallDelta(2, None, "}"),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.001, 0.1), st.text(min_size=1)), max_size=60))
def test_however_pieces_come_what_is_told_of_an_answer_is_what_there_is(
    given_: list[tuple[str, float, str]],
) -> None:
    steps = Steps()
    told: dict[str, list[TextDelta]] = {"a": [], "b": []}
    held_since: dict[str, float] = {}

    def take(events: list[Event]) -> None:
        for name, reply in events:
            assert isinstance(reply, TextDelta)
            told[name].append(reply)
            held_since.pop(name, None)

    for name, seconds, text in given_:
        steps.now += seconds
        steps.gathering.add(Event(name, TextDelta(text)))
        held_since.setdefault(name, steps.now)
        take(steps.gathering.due())
        assert all(steps.now - since <= GAP for since in held_since.values()), "a piece waits too long"
    take(steps.gathering.all())
    for name, replies in told.items():
        mine = [text for which, _, text in given_ if which == name]
        assert "".join(each.text for each in replies) == "".join(mine)
        assert sum(each.pieces for each in replies) == len(mine)
