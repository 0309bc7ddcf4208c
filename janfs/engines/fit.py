"""Settings that fit the memory there is, or the sum that says why none do. Pure; sizes are in bytes."""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from janfs.engines.memory import Split, context_of, in_words, need, parts_of, split
from janfs.engines.protocol import EngineSettings, ModelShape, RunSpec
from janfs.errors import DoesNotFit

LEAST_CONTEXT = 2048  # tokens of a request: with fewer a chat is over before it has begun
_STEP = 256  # tokens


class Room(msgspec.Struct, frozen=True):
    """Free memory: the machine's own, and that of all its GPUs together, where it has any."""

    host: int
    device: int | None = None

    def covers(self, other: "Room") -> bool:
        """Whether there is at least as much of both."""
        return self.host >= other.host and (self.device or 0) >= (other.device or 0)

    def plus(self, more: Split) -> "Room":
        """With that freed as well."""
        return Room(self.host + more.host, None if self.device is None else self.device + more.device)


def taken(spec: RunSpec, room: Room) -> Split:
    """What a model takes with the settings of its spec."""
    if spec.shape is None:
        return Split(0, 0)
    if room.device is None:
        return Split(need(spec.shape, spec.settings).total, 0)
    return split(spec.shape, spec.settings)


def fits(spec: RunSpec, room: Room) -> bool:
    """Whether a model has room as it is wanted. One of which nothing is known always has."""
    return spec.shape is None or _fits(spec.shape, spec.settings, room)


def lowered(spec: RunSpec, room: Room) -> EngineSettings:
    """The spec's settings, with what may be lowered brought down as far as it takes to fit.

    First the context, to `LEAST_CONTEXT` for a request at the lowest, then the layers on the GPU: what does
    not lie there is slow, a short context is only short. Raises `DoesNotFit`.
    """
    shape, settings = spec.shape, spec.settings
    if shape is None or _fits(shape, settings, room):
        return settings
    least = settings
    wanted, shortest, step = context_of(shape, settings), *_floor_and_step(settings)
    if "ctx_len" in spec.lowerable and wanted > shortest:
        steps = range(shortest // step, wanted // step)
        least = replace(settings, ctx_len=shortest)
        if _fits(shape, least, room):
            return _most(steps, lambda count: replace(settings, ctx_len=count * step), shape, room)
    if "ngl" in spec.lowerable and room.device is not None:
        layers = range(shape.layers + 1)
        if _fits(shape, replace(least, ngl=0), room):
            return _most(layers, lambda ngl: replace(least, ngl=ngl), shape, room)
    raise DoesNotFit(_why(spec, least, room))


def less(spec: RunSpec, tried: EngineSettings, room: Room) -> EngineSettings | None:
    """Settings for another try, after one for which there was less memory than it was thought to take.

    Half the context, `LEAST_CONTEXT` for a request at the lowest, or else half the layers on the GPU, and no
    more than fits into what is free now. None where nothing may be lowered, or not far enough.
    """
    if spec.shape is None:
        return None
    context, shortest, step = context_of(spec.shape, tried), *_floor_and_step(tried)
    if "ctx_len" in spec.lowerable and context > shortest:
        half = max(shortest, context // 2 // step * step)
        smaller = replace(tried, ctx_len=half)
    elif "ngl" in spec.lowerable and room.device is not None and tried.ngl != 0:
        layers = spec.shape.layers + 1
        smaller = replace(tried, ngl=min(layers, tried.ngl if tried.ngl > 0 else layers) // 2)
    else:
        return None
    try:
        return lowered(replace(spec, settings=smaller), room)
    except DoesNotFit:
        return None


def _floor_and_step(settings: EngineSettings) -> tuple[int, int]:
    """The shortest context of all requests together, and by how much it is lowered at a time, in tokens."""
    parts = parts_of(settings)
    return parts * LEAST_CONTEXT, parts * _STEP


def _fits(shape: ModelShape, settings: EngineSettings, room: Room) -> bool:
    if room.device is None:
        return need(shape, settings).total <= room.host
    parts = split(shape, settings)
    return parts.host <= room.host and parts.device <= room.device


def _most(
    among: range, with_: Callable[[int], EngineSettings], shape: ModelShape, room: Room
) -> EngineSettings:
    """With the largest of a range that fits, the first of which does; what fits with more fits with less."""
    low, high = among.start, among.stop
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _fits(shape, with_(middle), room) else (low, middle)
    return with_(low)


def _why(spec: RunSpec, settings: EngineSettings, room: Room) -> str:
    assert spec.shape is not None
    takes = need(spec.shape, settings)
    kept = "" if "ctx_len" in spec.lowerable else ", which model.json asks for"
    free = in_words(max(room.host, 0))
    if room.device is not None:
        free += f" (and {in_words(max(room.device, 0))} on the GPU)"
    return (
        f"The model '{spec.model_id}' does not fit: it takes {in_words(takes.total)} "
        f"({in_words(takes.weights)} of weights, {in_words(takes.cache)} for "
        f"{context_of(spec.shape, settings):,} tokens of context{kept}, {in_words(takes.compute)} to compute "
        f"in, {in_words(takes.process)} for its process), and there is {free} for it. Unload another model, "
        'lower engine_parameters.ctx_len or n_parallel in its model.json, set cache_type to "q8_0", or take '
        "a file with a smaller quantisation. `janfs serve --memory off` loads it all the same."
    )
