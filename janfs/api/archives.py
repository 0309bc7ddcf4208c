"""Archives over the API: a model as one file, taken from here and brought in."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Literal

from litestar import get, post
from litestar.params import FromPath, RawBody
from litestar.response import Stream
from msgspec import Struct

from janfs.api.actor import Actor
from janfs.api.context import ApiContext, Context
from janfs.api.errors import decode_body, refuse_fields
from janfs.archive.export import Packed, earlier_histories
from janfs.catalogue.catalogue import find_model
from janfs.errors import InvalidInput, ModelNotFound
from janfs.folder import paths
from janfs.folder.real import RealFileSystem
from janfs.pipeline.commands import Record
from janfs.pipeline.recorder import Draft
from janfs.views import EventView, event_view, stream_of

_STEP = 4 * 1024 * 1024  # bytes of an archive that are made ready at once


class EarlierEvent(Struct, frozen=True):
    """An event of another janfs; its `position` is that of the log there. `archive` brought it."""

    archive: str
    event: EventView


class EarlierHistory(Struct, frozen=True):
    """What happened to a model before it came here, oldest first."""

    data: list[EarlierEvent]
    object: Literal["list"] = "list"


class ImportRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`path` is that of an archive on this machine, from the root directory on."""

    path: str


class ImportedModel(Struct, frozen=True):
    """The model that came out of an archive; `new` is false if it was here already."""

    id: str
    new: bool
    object: Literal["imported"] = "imported"


@post("/v1/models/{model_id:str}/export", status_code=200)
async def export_model(context: Context, actor: Actor, model_id: FromPath[str], body: RawBody) -> Stream:
    """The model's folder with its history, as one archive."""
    refuse_fields(body)
    catalogue = context.pipeline.snapshot.catalogue
    model = find_model(catalogue, model_id)
    if model is None:
        raise ModelNotFound(model_id)
    fs = RealFileSystem(context.settings.root)
    packed = await asyncio.to_thread(Packed, fs, context.log, catalogue, model)
    headers = {"content-disposition": f'attachment; filename="{packed.name}"'}
    return Stream(_pieces(context, actor, packed, model.uid), media_type="application/x-tar", headers=headers)


@get("/v1/models/{model_id:str}/imported", sync_to_thread=True)
def earlier_history(context: Context, model_id: FromPath[str]) -> EarlierHistory:
    """What happened to a model before it came here in an archive."""
    stream = stream_of(context.pipeline.snapshot.catalogue, model_id)
    found = earlier_histories(context.log, context.log.read(stream=stream))
    return EarlierHistory([EarlierEvent(archive, event_view(record)) for archive, record in found])


@post("/v1/import", status_code=200)
async def import_archive(context: Context, actor: Actor, body: RawBody) -> ImportedModel:
    """Take in an archive that lies on this machine."""
    path = Path(decode_body(body, ImportRequest).path)
    if (
        not path.is_absolute()
        or not paths.is_archive(path.name)
        or not await asyncio.to_thread(_is_file, path)
    ):
        raise InvalidInput(f"{path} is no {paths.ARCHIVE_SUFFIX} file on this machine.", param="path")
    found = await asyncio.to_thread(context.archives.take, path, None, actor)
    return ImportedModel(found.id, found.new)


def _is_file(path: Path) -> bool:
    """Whether a file is there; not where we may not look, nor where the name is longer than any."""
    try:
        return path.is_file()
    except OSError:
        return False


async def _pieces(context: ApiContext, actor: str, packed: Packed, uid: str) -> AsyncGenerator[bytes]:
    source = iter(packed)
    while data := await asyncio.to_thread(_gather, source):
        yield data
    told = Record((Draft(uid, packed.event(), actor),))
    await asyncio.wrap_future(context.pipeline.submit(told))


def _gather(source: Iterator[bytes]) -> bytes:
    """Some megabytes at once, so that not every one is a trip to another thread."""
    found: list[bytes] = []
    size = 0
    for piece in source:
        found.append(piece)
        size += len(piece)
        if size >= _STEP:
            break
    return b"".join(found)
