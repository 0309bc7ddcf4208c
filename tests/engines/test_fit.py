import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from janfs.engines.fit import LEAST_CONTEXT, Room, fits, less, lowered, taken
from janfs.engines.memory import context_of, need, parts_of
from janfs.engines.protocol import EngineSettings, ModelShape, RunSpec
from janfs.errors import DoesNotFit
from tests.engines.shapes import SMOLLM2, settings, shapes

BOTH = frozenset({"ctx_len", "ngl"})
rooms = st.builds(
    Room,
    st.integers(-(1 << 30), 1 << 42),
    st.one_of(st.none(), st.integers(0, 1 << 42)),
)


def spec_of(shape: ModelShape | None, given: EngineSettings, lowerable: frozenset[str] = BOTH) -> RunSpec:
    return RunSpec(
        model_id="big",
        uid="u",
        engine="fake",
        path="/m.gguf",
        settings=given,
        fingerprint="one",
        shape=shape,
        lowerable=lowerable,  # type: ignore[arg-type]
    )


@given(shapes(), settings, rooms, st.frozensets(st.sampled_from(["ctx_len", "ngl"])))
def test_what_is_found_fits_and_only_what_may_be_lowered_is_and_never_below_its_floor(
    shape: ModelShape, wanted: EngineSettings, room: Room, lowerable: frozenset[str]
) -> None:
    spec = spec_of(shape, wanted, lowerable)
    try:
        found = lowered(spec, room)
    except DoesNotFit:
        assert not fits(spec, room)
        return
    assert fits(replace(spec, settings=found), room)
    changed = {name for name in found.__struct_fields__ if getattr(found, name) != getattr(wanted, name)}
    assert changed <= lowerable
    if fits(spec, room):
        assert not changed, "what fits was lowered"
    if "ctx_len" in changed:
        assert parts_of(wanted) * LEAST_CONTEXT <= found.ctx_len < context_of(shape, wanted)
    if "ngl" in changed:
        assert found.ngl >= 0, "layers on no GPU"


@given(shapes(), settings, rooms, st.frozensets(st.sampled_from(["ctx_len", "ngl"])))
def test_a_second_try_takes_less_and_changes_only_what_may_be_lowered(
    shape: ModelShape, tried: EngineSettings, room: Room, lowerable: frozenset[str]
) -> None:
    spec = spec_of(shape, tried, lowerable)
    found = less(spec, tried, room)
    if found is None:
        return
    assert fits(replace(spec, settings=found), room)
    changed = {name for name in found.__struct_fields__ if getattr(found, name) != getattr(tried, name)}
    assert changed
    assert changed <= lowerable
    if "ctx_len" in changed:
        assert parts_of(tried) * LEAST_CONTEXT <= found.ctx_len < context_of(shape, tried)
    assert taken(replace(spec, settings=found), Room(0)).host <= taken(spec, Room(0)).host


def test_half_the_context_goes_first_then_half_the_layers() -> None:
    given, room = EngineSettings(ctx_len=8192), Room(1 << 50, 1 << 50)
    half = less(spec_of(SMOLLM2, given), given, room)
    assert half == replace(given, ctx_len=4096)
    least = replace(given, ctx_len=LEAST_CONTEXT)
    fewer = less(spec_of(SMOLLM2, least), least, room)
    assert fewer == replace(least, ngl=(SMOLLM2.layers + 1) // 2)
    assert less(spec_of(SMOLLM2, least), least, Room(1 << 50)) is None, "layers on no GPU were lowered"
    assert less(spec_of(SMOLLM2, given, frozenset()), given, room) is None


@given(shapes(), settings, st.integers(LEAST_CONTEXT + 256, 1 << 20), st.floats(0, 1))
def test_no_longer_context_would_have_fitted(
    shape: ModelShape, given: EngineSettings, context: int, part: float
) -> None:
    parts = parts_of(given)
    wanted, shortest = (replace(given, ctx_len=parts * each) for each in (context, LEAST_CONTEXT))
    most, least = need(shape, wanted).total, need(shape, shortest).total
    spec, room = spec_of(shape, wanted), Room(least + int(part * (most - least)))
    found = lowered(spec, room)
    if found != wanted:
        longer = replace(found, ctx_len=found.ctx_len + parts * 256)
        assert not fits(replace(spec, settings=longer), room)


def test_a_sum_says_why_a_model_does_not_fit() -> None:
    with pytest.raises(DoesNotFit) as refused:
        lowered(spec_of(SMOLLM2, EngineSettings(ctx_len=8192), frozenset()), Room(300 << 20))
    for words in ("'big'", "93 MiB of weights", "180 MiB for 8,192 tokens", "model.json asks for", "300 MiB"):
        assert words in refused.value.detail


def test_on_a_gpu_the_context_is_lowered_before_the_layers() -> None:
    wanted, plenty = EngineSettings(ctx_len=8192, ngl=100), 1 << 40
    spec = spec_of(SMOLLM2, wanted)
    whole = taken(spec, Room(plenty, plenty)).device
    little = lowered(spec, Room(plenty, whole - 1))
    assert (little.ngl, LEAST_CONTEXT <= little.ctx_len < 8192) == (100, True)
    less = lowered(spec, Room(plenty, 60 << 20))
    assert (less.ctx_len, 0 < less.ngl < 30) == (LEAST_CONTEXT, True)
    assert lowered(spec, Room(plenty, 0)).ngl == 0


def test_a_model_of_which_nothing_is_known_has_room() -> None:
    spec = spec_of(None, EngineSettings())
    assert fits(spec, Room(0))
    assert lowered(spec, Room(0)) == spec.settings
    assert taken(spec, Room(0)).host == 0


def test_what_is_taken_is_the_whole_estimate_on_a_machine_without_gpus() -> None:
    spec = spec_of(SMOLLM2, EngineSettings())
    assert taken(spec, Room(0)).host == need(SMOLLM2, spec.settings).total
