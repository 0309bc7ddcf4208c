"""Full hashes over the API: reading a model's files again, and letting copies share their content."""

import asyncio
from typing import Literal

from litestar import post
from litestar.params import FromPath, RawBody
from msgspec import Struct

from janfs.api.actor import Actor
from janfs.api.context import ApiContext, Context
from janfs.api.errors import decode_body, refuse_fields
from janfs.catalogue.catalogue import Catalogue, find_model, present_models
from janfs.catalogue.entries import Model
from janfs.errors import ModelNotFound
from janfs.folder.real import RealFileSystem
from janfs.pipeline import deeds, verifying
from janfs.pipeline.commands import Dedupe, Record
from janfs.pipeline.deeds import Freed, Kept
from janfs.pipeline.recorder import Draft
from janfs.pipeline.verifying import Checked


class Verification(Struct, frozen=True):
    """What reading a model's GGUF files from end to end showed."""

    id: str
    files: list[Checked]
    object: Literal["verification"] = "verification"


class DedupeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`model` limits it to the copies in one model; with `dry_run` nothing is done but hashing."""

    model: str | None = None
    dry_run: bool = False


class Deduped(Struct, frozen=True):
    """The copies that share their originals' content now, or would, and those that could not; `freed` is in
    bytes.
    """

    files: list[Freed]
    freed: int
    dry_run: bool
    kept: list[Kept] = []
    object: Literal["deduped"] = "deduped"


@post("/v1/models/{model_id:str}/verify", status_code=200)
async def verify_model(context: Context, model_id: FromPath[str], body: RawBody) -> Verification:
    """Read a model's files from end to end, and compare them with what they held before."""
    refuse_fields(body)
    catalogue = context.pipeline.snapshot.catalogue
    model = _find(catalogue, model_id)
    fs = RealFileSystem(context.settings.root)
    files, drafts = await asyncio.to_thread(verifying.verify, fs, catalogue, model.uid)
    await _record(context, drafts)
    return Verification(model.id, files)


@post("/v1/dedupe", status_code=200)
async def dedupe(context: Context, actor: Actor, body: RawBody) -> Deduped:
    """Let files with the same content share it on disk, once both were read and found the same."""
    wanted = decode_body(body, DedupeRequest) if body.strip() else DedupeRequest()
    fs = RealFileSystem(context.settings.root)
    await _record(
        context, await asyncio.to_thread(verifying.hash_alike, fs, context.pipeline.snapshot.catalogue)
    )
    catalogue = context.pipeline.snapshot.catalogue
    chosen = [_find(catalogue, wanted.model)] if wanted.model is not None else present_models(catalogue)
    uids = sorted(model.uid for model in chosen)
    if wanted.dry_run:
        would = [freed for uid in uids for freed in deeds.would_free(catalogue, uid)]
        return Deduped(would, sum(each.size for each in would), dry_run=True)
    before = after = catalogue.position
    for uid in uids:
        pairs, drafts = await asyncio.to_thread(verifying.compare, fs, catalogue, uid)
        await _record(context, drafts)
        if pairs:
            after = await asyncio.wrap_future(context.pipeline.submit(Dedupe(tuple(pairs), actor)))
    done = await asyncio.to_thread(deeds.freed, context.log, before, after)
    kept = await asyncio.to_thread(deeds.kept, context.log, before, after)
    return Deduped(done, sum(each.size for each in done), dry_run=False, kept=kept)


async def _record(context: ApiContext, drafts: list[Draft]) -> None:
    if drafts:
        await asyncio.wrap_future(context.pipeline.submit(Record(tuple(drafts))))


def _find(catalogue: Catalogue, name: str) -> Model:
    model = find_model(catalogue, name)
    if model is None:
        raise ModelNotFound(name)
    return model
