from pathlib import Path

import msgspec
import pytest

from janfs.engines.llama_cpp.kv_memory import MAX_SEQUENCES
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.native import NativeModel
from tests.engines.llama_cpp.native_models import SMALL, TEXT, answers, go_on, load

APART = msgspec.structs.replace(SMALL, ctx_len=512, kv_unified=False)


@pytest.mark.parametrize("kind", ["tiny_model", "windowed_model"])
def test_shared_cells_are_as_good_as_ones_own(kind: str, request: pytest.FixtureRequest, log: Log) -> None:
    model = load(request.getfixturevalue(kind), log)
    assert model.memory.can_share
    expected = answers(model)
    assert len(set(expected)) > 5, "the answers say nothing of the prompt"
    go_on(model, 0, TEXT, 0)
    kept = MAX_SEQUENCES - 1
    assert kept >= SMALL.n_parallel, "a number that no batch may have, but the memory knows"
    assert model.memory.share(0, kept, 0, len(TEXT))
    model.memory.release(0)
    for length, answer in zip(range(40, len(TEXT)), expected, strict=True):
        assert model.memory.share(kept, 1, 0, length - 1)
        assert go_on(model, 1, TEXT[:length], length - 1) == answer
        model.memory.release(1)


@pytest.mark.parametrize("number", [1, MAX_SEQUENCES - 1], ids=["one that batches have", "a finished one"])
def test_a_copy_is_as_good_as_what_it_was_made_of(tiny: NativeModel, number: int) -> None:
    expected = []
    for length in (60, len(TEXT)):
        tiny.memory.release(0)
        expected.append(go_on(tiny, 0, TEXT[:length], 0))
    assert tiny.memory.share(0, number, 0, len(TEXT))
    tiny.memory.release(0)
    goes_on = [*TEXT[:40], 9, 9, 9]
    assert tiny.memory.share(number, 0, 0, 40)
    live = go_on(tiny, 0, goes_on, 40)
    saved = tiny.memory.save(number, 0, 2**20)
    assert saved is not None
    assert tiny.memory.save(number, 0, saved.nbytes - 1) is None, "more than is wanted"
    assert tiny.memory.cut(0, 42)
    assert go_on(tiny, 0, goes_on, 42) == live, "who lives beside what is copied is not as it was"
    assert tiny.memory.cut(number, 59), "what was copied is not as it was"
    for seq in (0, number):
        tiny.memory.release(seq)
    go_on(tiny, 0, [9] * 100, 0)  # overwrites the cells
    for length, answer in zip((60, len(TEXT)), expected, strict=True):
        assert tiny.memory.restore(1, saved)
        assert tiny.memory.cut(1, length - 1)
        assert go_on(tiny, 1, TEXT[:length], length - 1) == answer
        tiny.memory.release(1)


@pytest.mark.parametrize("number", [0, MAX_SEQUENCES - 1], ids=["one that batches have", "a finished one"])
def test_a_copy_of_an_end_comes_back_behind_its_beginning(tiny: NativeModel, number: int) -> None:
    expected = go_on(tiny, 0, TEXT, 0)
    assert tiny.memory.share(0, 1, 0, 60)
    if number:
        assert tiny.memory.share(0, number, 0, len(TEXT))
    whole, end = (tiny.memory.save(number, start, 2**20) for start in (0, 60))
    assert whole is not None
    assert end is not None
    assert end.nbytes < whole.nbytes / 2, "more than the end was copied"
    for seq in {0, number}:
        tiny.memory.release(seq)
    go_on(tiny, 0, [9] * 100, 0)  # overwrites the cells
    tiny.memory.release(0)
    for _ in range(2):
        assert tiny.memory.share(1, 0, 0, 60)
        assert tiny.memory.restore(0, end)
        assert tiny.memory.cut(0, len(TEXT) - 1)
        assert go_on(tiny, 0, TEXT, len(TEXT) - 1) == expected
        tiny.memory.release(0)
    assert go_on(tiny, 1, TEXT, 60) == expected, "the beginning that others have is not as it was"


def test_a_copy_for_which_there_is_no_room_leaves_what_is_before_it(tiny: NativeModel) -> None:
    expected = go_on(tiny, 0, TEXT, 0)
    end = tiny.memory.save(0, 60, 2**20)
    assert end is not None
    assert tiny.memory.cut(0, 60)
    go_on(tiny, 1, [9] * (tiny.n_ctx - len(TEXT) + 1), 0)
    assert not tiny.memory.restore(0, end)
    tiny.memory.release(1)
    assert tiny.memory.cut(0, 60)
    assert go_on(tiny, 0, TEXT, 60) == expected


def test_a_copy_for_which_there_is_no_room_does_not_come_back(tiny: NativeModel) -> None:
    go_on(tiny, 0, TEXT, 0)
    saved = tiny.memory.save(0, 0, 2**20)
    tiny.memory.release(0)
    go_on(tiny, 1, [9] * (tiny.n_ctx - len(TEXT) + 1), 0)
    assert not tiny.memory.restore(0, saved)
    assert tiny.memory.cut(1, 50)
    assert tiny.memory.restore(0, saved), "what is there was not in order any more"


def test_behind_a_window_no_copy_is_made(windowed_model: Path, log: Log) -> None:
    model = load(windowed_model, log)
    go_on(model, 0, TEXT, 0)
    assert model.memory.save(0, 0, 2**20) is None


def test_a_part_that_was_computed_twice_can_be_given_up_for_the_others(tiny: NativeModel) -> None:
    expected = go_on(tiny, 0, TEXT, 0)
    other = go_on(tiny, 1, [*TEXT[:60], 5, 6, 7], 0)
    assert tiny.memory.share(0, 1, 20, 60)
    assert tiny.memory.cut(1, 62)
    assert go_on(tiny, 1, [*TEXT[:60], 5, 6, 7], 62) == other
    tiny.memory.release(1)
    assert tiny.memory.cut(0, 86)
    assert go_on(tiny, 0, TEXT, 86) == expected


def test_behind_a_window_a_cell_that_is_gone_is_not_shared(windowed_model: Path, log: Log) -> None:
    three = msgspec.structs.replace(SMALL, n_parallel=3)
    model = load(windowed_model, log, three)
    go_on(model, 0, [5] * 100, 0)
    go_on(model, 1, [6] * 100, 0)
    go_on(model, 2, [7] * 50, 0)
    model.memory.release(1)
    go_on(model, 1, [8] * 104, 0)  # more than came free: takes 4 cells that the third cannot see any more
    assert model.memory.share(0, 5, 0, 20)
    assert not model.memory.share(2, 6, 0, 10), "its first cells were given away"
    assert not model.memory.share(2, 5, 2, 50), "this would leave a hole"
    assert model.memory.share(2, 6, 0, 50)


@pytest.mark.parametrize(("lost", "shared"), [(4, True), (24, False)])
def test_behind_a_window_what_goes_on_elsewhere_is_given_no_beginning(
    windowed_model: Path, log: Log, lost: int, shared: bool
) -> None:
    model = load(windowed_model, log, msgspec.structs.replace(SMALL, ctx_len=512, n_parallel=3))
    go_on(model, 0, [7] * 100, 0)
    go_on(model, 1, [6] * 100, 0)
    go_on(model, 2, [*[7] * 20, *[8] * 30], 0)
    model.memory.release(1)
    go_on(model, 1, [9] * (100 + lost), 0)  # takes as many cells that the third cannot see any more
    assert model.memory.share(0, 2, 0, 20) == shared
    assert model.memory.can_cut(2, 50), "what it has at its end is there"
    assert model.memory.can_cut(2, 20) == shared, "a hole is taken for cells"


def test_what_is_cut_to_before_its_window_shares_nothing(windowed_model: Path, log: Log) -> None:
    model = load(windowed_model, log)
    go_on(model, 0, [5] * 60, 0)
    go_on(model, 1, [6] * 190, 0)
    model.memory.release(0)
    assert model.memory.cut(1, 150)
    go_on(model, 0, [7] * 106, 0)  # takes 46 cells that the other one cannot see any more
    assert model.memory.cut(1, 40)
    assert not model.memory.share(1, 5, 0, 40), "what its next token would see is gone"


def test_a_recurrent_state_is_neither_shared_nor_cut(recurrent_model: Path, log: Log) -> None:
    model = load(recurrent_model, log)
    assert not model.memory.can_share
    assert len(set(answers(model))) > 1
    go_on(model, 0, TEXT, 0)
    assert not model.memory.cut(0, 50)


@pytest.mark.parametrize("kind", ["tiny_model", "windowed_model", "recurrent_model"])
def test_sequences_with_cells_of_their_own_have_the_same_answers(
    kind: str, request: pytest.FixtureRequest, log: Log
) -> None:
    path = request.getfixturevalue(kind)
    model = load(path, log, APART)
    assert (model.memory.n_cells, model.n_ctx) == (512, 256)
    assert not model.memory.unified
    go_on(model, 1, [9] * 200, 0)
    assert answers(model) == answers(load(path, log))


def test_a_copy_of_one_slot_is_as_good_in_another(tiny_model: Path, log: Log) -> None:
    expected = answers(load(tiny_model, log))
    model = load(tiny_model, log, APART)
    go_on(model, 1, TEXT, 0)
    saved = model.memory.save(1, 0, 2**20)
    assert saved is not None
    model.memory.release(1)
    go_on(model, 1, [9] * 100, 0)  # overwrites the cells
    for length, answer in zip(range(40, len(TEXT)), expected, strict=True):
        assert model.memory.restore(0, saved)
        assert model.memory.cut(0, length - 1)
        assert go_on(model, 0, TEXT[:length], length - 1) == answer
        model.memory.release(0)
    assert go_on(model, 1, [*[9] * 100, *TEXT], 100) == go_on(
        load(tiny_model, log), 0, [*[9] * 100, *TEXT], 0
    )


def test_a_slot_goes_on_only_from_where_its_window_reaches(windowed_model: Path, log: Log) -> None:
    model = load(windowed_model, log, APART)
    expected = go_on(model, 0, TEXT, 0)
    assert model.memory.can_cut(0, len(TEXT) - 1)
    assert model.memory.cut(0, len(TEXT) - 1)
    assert go_on(model, 0, TEXT, len(TEXT) - 1) == expected


@pytest.mark.parametrize("first", [True, False], ids=["one cache for all", "a cache for each"])
def test_a_copy_is_as_good_in_a_cache_of_the_other_kind(tiny_model: Path, log: Log, first: bool) -> None:
    expected = answers(load(tiny_model, log))
    model = load(tiny_model, log, msgspec.structs.replace(SMALL, ctx_len=512, n_parallel=2))
    assert (model.memory.unified, model.n_ctx, model.part) == (True, 512, 256)
    if not first:
        model.rearrange(False)
    go_on(model, 0, [9] * 100, 0)
    go_on(model, 1, TEXT, 0)
    saved = model.memory.save(1, 0, 2**20)
    assert saved is not None
    model.rearrange(not first)
    assert (model.memory.unified, model.n_ctx) == (not first, 512)
    go_on(model, 1, [9] * 100, 0)
    for length, answer in zip(range(40, len(TEXT)), expected, strict=True):
        assert model.memory.restore(0, saved)
        assert model.memory.cut(0, length - 1)
        assert go_on(model, 0, TEXT[:length], length - 1) == answer
        model.memory.release(0)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("tiny_model", {"kv_unified": True}),
        ("tiny_model", {"kv_unified": False}),
        ("tiny_model", {"n_parallel": 1}),
        ("tiny_model", {"ctx_len": 256}),
        ("windowed_model", {}),
        ("recurrent_model", {}),
    ],
    ids=str,
)
def test_a_cache_stays_as_it_is_where_somebody_wants_it_or_nothing_can_be_moved(
    kind: str, changes: dict[str, object], request: pytest.FixtureRequest, log: Log
) -> None:
    settings = msgspec.structs.replace(SMALL, **{"ctx_len": 512, "n_parallel": 2, **changes})
    assert load(request.getfixturevalue(kind), log, settings).part is None
