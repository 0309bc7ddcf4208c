"""The queue of texts that become vectors, on a model that is none."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp.budget import STEP_SECONDS
from janfs.engines.llama_cpp.embedding import EmbeddingQueue
from janfs.engines.protocol import Embedding
from janfs.errors import ContextExceeded, EngineError


class FakeVectors:
    """Makes the bytes of a text's tokens its vector, and checks what llama.cpp would answer with a crash."""

    n_ctx, n_batch, most_texts = 40, 16, 5

    def __init__(self) -> None:
        self.batches: list[list[Sequence[int]]] = []
        self.failing = False

    def compute(self, texts: Sequence[Sequence[int]]) -> list[bytes]:
        assert 0 < len(texts) <= self.most_texts
        assert len(texts) == 1 or sum(map(len, texts)) <= self.n_batch
        assert max(map(len, texts)) <= self.n_ctx
        self.batches.append(list(texts))
        if self.failing:
            raise EngineError("no luck")
        return [bytes(text) for text in texts]


TEXTS = st.lists(
    st.lists(st.integers(0, 255), min_size=1, max_size=FakeVectors.n_ctx), min_size=1, max_size=8
)


@given(st.lists(TEXTS, min_size=1, max_size=6), st.booleans(), st.data())
def test_every_request_gets_its_vectors_in_order_and_none_after_it_was_cancelled(
    requests: list[list[list[int]]], beside: bool, data: st.DataObject
) -> None:
    queue, left = EmbeddingQueue(FakeVectors()), dict(enumerate(requests))
    for number, texts in left.items():
        queue.submit(str(number), texts)
    cancelled: set[int] = set()
    found: dict[int, list[Embedding]] = {number: [] for number in left}
    while not queue.idle:
        for request_id, outcome in queue.step(beside=beside):
            assert isinstance(outcome, tuple)
            assert outcome, "news without any"
            assert int(request_id) not in cancelled
            found[int(request_id)] += outcome
        if data.draw(st.booleans(), "cancel"):
            gone = data.draw(st.sampled_from(sorted(left)), "which")
            cancelled.add(gone)
            queue.cancel(str(gone))
    for number, texts in left.items():
        expected = [Embedding(bytes(text), len(text)) for text in texts]
        if number in cancelled:
            assert found[number] == expected[: len(found[number])]
        else:
            assert found[number] == expected


def test_a_request_of_one_text_does_not_wait_for_all_of_one_of_many() -> None:
    queue = EmbeddingQueue(FakeVectors())
    queue.submit("many", [[1] * 8] * 100)
    queue.submit("one", [[2] * 8])
    assert "one" in [request_id for request_id, _ in queue.step()]


def test_several_texts_are_computed_at_once() -> None:
    model = FakeVectors()
    queue = EmbeddingQueue(model)
    queue.submit("r", [[1] * 4] * 8)
    while not queue.idle:
        queue.step()
    assert [len(batch) for batch in model.batches] == [4, 4]


def test_beside_answers_a_step_is_as_long_as_one_of_them_may_wait() -> None:
    clock = iter(range(1000))
    model = FakeVectors()
    model.n_batch = 100
    model.most_texts = 100
    queue = EmbeddingQueue(model, clock=lambda: float(next(clock)))
    queue.submit("r", [[1] * 20] * 12)
    queue.step()
    assert len(model.batches[-1]) == 5, "alone it takes all that is worth computing at once"
    queue.step(beside=True)
    assert len(model.batches[-1]) == 1, "100 tokens took a second; a quarter of it is 25 tokens"


class SlowVectors(FakeVectors):
    """Takes a tenth of a second for each token, by a clock of its own."""

    now = 0.0

    def compute(self, texts: Sequence[Sequence[int]]) -> list[bytes]:
        self.now += sum(map(len, texts)) / 10
        return super().compute(texts)


def test_texts_of_which_each_takes_long_leave_half_of_the_time_to_answers() -> None:
    model = SlowVectors()
    queue = EmbeddingQueue(model, clock=lambda: model.now)
    queue.submit("r", [[1] * 40] * 10)
    while len(model.batches) < 9:
        queue.step(beside=True)
        model.now += 0.05  # a token of each answer
    written = model.now - 9 * 4
    assert written == pytest.approx(8 * (4 - STEP_SECONDS), abs=1)
    assert queue.step(), "the answers have ended, and nobody is to be waited for"


def test_a_text_that_is_too_long_is_refused_with_both_sizes() -> None:
    queue = EmbeddingQueue(FakeVectors())
    with pytest.raises(ContextExceeded) as caught:
        queue.submit("r", [[1], [2] * 41], param="documents")
    assert (caught.value.n_prompt_tokens, caught.value.n_ctx, caught.value.param) == (41, 40, "documents[1]")
    assert queue.idle


def test_a_batch_that_fails_ends_the_requests_in_it_once() -> None:
    model = FakeVectors()
    queue = EmbeddingQueue(model)
    queue.submit("a", [[1] * 8] * 3)
    queue.submit("b", [[1] * 8])
    queue.submit("c", [[1] * 8])
    model.failing = True
    assert [request_id for request_id, outcome in queue.step() if isinstance(outcome, EngineError)] == [
        "a",
        "b",
    ]
    model.failing = False
    assert [request_id for request_id, _ in queue.step()] == ["c"]
    assert queue.idle
