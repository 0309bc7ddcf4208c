"""/v1/organise and pairing: what a person decides about the folder, asked for over the API."""

import asyncio
from typing import Literal

from litestar import post
from litestar.params import FromPath, RawBody
from msgspec import Struct

from janfs.api.actor import Actor
from janfs.api.context import Context
from janfs.api.errors import decode_body
from janfs.errors import ModelNotFound
from janfs.organise.rehearsal import Deed
from janfs.pipeline import deeds
from janfs.pipeline.commands import Look, Organise, Pair
from janfs.views import ModelView, find_view


class PairRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`part` is a projector's or adapter's file name, or its path below the root."""

    part: str


class OrganiseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """With `dry_run` nothing is done, and what would be is said."""

    dry_run: bool = False


class Organised(Struct, frozen=True):
    """What was done, or would be, in order; `waiting` are files that are not whole yet."""

    deeds: list[Deed]
    waiting: list[str]
    dry_run: bool
    object: Literal["organised"] = "organised"


@post("/v1/models/{model_id:str}/pair", status_code=200)
async def pair_model(context: Context, actor: Actor, model_id: FromPath[str], body: RawBody) -> ModelView:
    """Give a projector or an adapter to a model."""
    wanted = decode_body(body, PairRequest)
    await asyncio.wrap_future(context.pipeline.submit(Pair(wanted.part, model_id, actor)))
    view = find_view(context.pipeline.snapshot, model_id, context.pool.state)
    if view is None:
        raise ModelNotFound(model_id)
    return view


@post("/v1/organise", status_code=200)
async def organise(context: Context, body: RawBody) -> Organised:
    """Look at everything and organise it now, even where organising is off."""
    wanted = decode_body(body, OrganiseRequest) if body.strip() else OrganiseRequest()
    if wanted.dry_run:
        await asyncio.wrap_future(context.pipeline.submit(Look()))
        found = await asyncio.to_thread(deeds.of_snapshot, context.pipeline.snapshot)
        return Organised(found.deeds, found.waiting, dry_run=True)
    before = context.pipeline.snapshot.catalogue.position
    after = await asyncio.wrap_future(context.pipeline.submit(Organise()))
    done = await asyncio.to_thread(deeds.done, context.log, before, after)
    return Organised(done, sorted(context.pipeline.snapshot.arrivals), dry_run=False)
