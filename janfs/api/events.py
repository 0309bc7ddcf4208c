"""/v1/events and each model's history: pages of the log, and the log as it grows."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, QueryParameter, SkipValidation
from litestar.types import ASGIApp
from msgspec import Struct
from msgspec.structs import replace

from janfs.api.bell import Bell
from janfs.api.context import ApiContext, Context
from janfs.api.sse import EventStream, comment, message
from janfs.downloads.manager import Progress
from janfs.errors import EventDamaged, InvalidInput
from janfs.log.reader import LogReader
from janfs.log.records import Record
from janfs.past.moments import record_at
from janfs.views import EventView, event_view, stream_of

MAX_PAGE = 1000
PROGRESS_EVERY = 1.0  # seconds between two messages on a download
STREAM_PAGE = 200  # events that a stream holds in memory at once

Position = Annotated[int, QueryParameter(ge=0, le=2**63 - 1)]
PageSize = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)]


class Archived(Struct, frozen=True):
    """Where the events up to a position are: a file's name, in the root's `.janfs/archive`."""

    position: int
    archive: str


class EventPage(Struct, frozen=True):
    """A page of the log. `next` is what to give as `after` for the page that follows; null on the last.

    `archived` says what of the events that were asked for is no longer in the log, null if all of them are.
    """

    object: Literal["list"]
    data: list[EventView]
    next: int | None
    archived: Archived | None = None


@get("/v1/events", sync_to_thread=True)
def list_events(context: Context, after: Position = 0, limit: PageSize = 100) -> EventPage:
    """The events with a position greater than `after`."""
    return _page(context.log, after, limit)


@get("/v1/models/{model_id:str}/history", sync_to_thread=True)
def model_history(
    context: Context, model_id: FromPath[str], after: Position = 0, limit: PageSize = 100
) -> EventPage:
    """The events of one model, by id, alias or uid; removed models have a history too."""
    stream = stream_of(context.pipeline.snapshot.catalogue, model_id)
    return _page(context.log, after, limit, stream)


@get("/v1/events/stream")
async def stream_events(
    context: Context,
    bell: SkipValidation[NamedDependency[Bell]],
    after: Position = 0,
    last_event_id: Annotated[str | None, HeaderParameter(name="last-event-id")] = None,
) -> ASGIApp:
    """The log as server-sent events, from `after` or Last-Event-ID on, without end; `id` is the position.

    What of them is no longer in the log is told first. A position that is yet to come is refused: it is of a
    log in whose place another was put, and who waited for it would miss what comes until then.
    """
    after = _resume_at(last_event_id, after)
    last = await asyncio.to_thread(context.log.last)
    if after > last.position:
        raise InvalidInput(
            f"The log ends at position {last.position}; {after} is yet to come.",
            param="after" if last_event_id is None else "Last-Event-ID",
        )
    events = _follow(context, bell, after)
    return EventStream(events, events.aclose)


async def _follow(context: ApiContext, bell: Bell, after: int) -> AsyncGenerator[bytes]:
    yield comment("events follow")
    archived = _archived(context.log, after)
    if archived is not None:
        yield message(msgspec.json.encode(archived), event="archived")
    while not context.stopping.is_set():
        rung = bell.next_ring()  # before reading, so that nothing falls in between
        records = await asyncio.to_thread(_of_all, context.log, after, STREAM_PAGE)
        for record in records:
            yield message(
                msgspec.json.encode(event_view(record)), event=record.type, id_=str(record.position)
            )
        if records:
            after = records[-1].position
            continue
        running = context.downloads.running()
        for model_id, progress in running:
            yield message(_progress(model_id, progress), event="download-progress")
        try:
            async with asyncio.timeout(PROGRESS_EVERY if running else context.heartbeat):
                await rung.wait()
        except TimeoutError:
            if not running:
                yield comment("still here")


def _progress(model_id: str, progress: Progress) -> bytes:
    told = {"id": model_id, "done": progress.done, "total": progress.total, "rate": progress.rate}
    return msgspec.json.encode(told)


def _resume_at(last_event_id: str | None, after: int) -> int:
    if last_event_id is None:
        return after
    with contextlib.suppress(ValueError):
        if 0 <= (position := int(last_event_id)) < 2**63:
            return position
    raise InvalidInput("Last-Event-ID must be a position of the log, a whole number.", param="Last-Event-ID")


def _of_all(log: LogReader, after: int, limit: int) -> list[Record]:
    """Events of all models; one that is damaged holds up no other, and its data is null."""
    found: list[Record] = []
    while len(found) < limit:
        try:
            for record in log.read(after, limit=limit - len(found)):
                found.append(record)
                after = record.position
            return found
        except EventDamaged as error:
            after = error.position
            found.append(replace(record_at(log, after), data="null"))
    return found


def _page(log: LogReader, after: int, limit: int, stream: str | None = None) -> EventPage:
    told = (
        _of_all(log, after, limit + 1) if stream is None else log.read(after, stream=stream, limit=limit + 1)
    )
    records = list(told)
    following = records[limit - 1].position if len(records) > limit else None
    shown = [event_view(record) for record in records[:limit]]
    return EventPage("list", shown, following, _archived(log, after))


def _archived(log: LogReader, after: int) -> Archived | None:
    seam = log.seam
    return None if seam is None or after >= seam.position else Archived(seam.position, seam.archive)
