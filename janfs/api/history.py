"""The past over the API: what a model.json was and is, who set what, and why something is as it is."""

import asyncio
from typing import Annotated, Literal

from litestar import get, post
from litestar.params import FromPath, QueryParameter, RawBody
from msgspec import Struct

from janfs.api.actor import Actor
from janfs.api.context import Context
from janfs.api.errors import decode_body
from janfs.api.moments import Past, position_of
from janfs.history.diff import Change
from janfs.past import reasons, texts
from janfs.past.fingerprints import Fingerprint, find_fingerprint
from janfs.past.reasons import Why
from janfs.past.reverts import model_of, preview
from janfs.past.texts import ModelBlame, ModelDiff
from janfs.pipeline.commands import Revert

From = Annotated[str | None, QueryParameter(name="from")]
To = Annotated[str | None, QueryParameter(name="to")]


@get("/v1/models/{model_id:str}/diff")
async def model_diff(
    context: Context, model_id: FromPath[str], start: From = None, end: To = None
) -> ModelDiff:
    """What changed in a model's model.json between two moments; the last change if none is given."""

    def find() -> ModelDiff:
        first = None if start is None else position_of(context, start, "from")
        last = None if end is None else position_of(context, end, "to")
        return texts.diff(context.log, context.pipeline.snapshot.catalogue, model_id, first, last)

    return await asyncio.to_thread(find)


class RevertRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`to` is a position of the log (also as a number), a time, or words; `dry_run` changes nothing."""

    to: str | int
    dry_run: bool = False


class Reverted(Struct, frozen=True):
    """What was changed, or would be: as in a diff, `changes` by setting and `text` by lines.

    `to` is the position whose model.json is there again, `position` that of the log afterwards.
    """

    id: str
    to: int
    position: int
    changes: list[Change]
    text: str
    dry_run: bool
    object: Literal["reverted"] = "reverted"


@post("/v1/models/{model_id:str}/revert", status_code=200)
async def revert_model(context: Context, actor: Actor, model_id: FromPath[str], body: RawBody) -> Reverted:
    """Bring a model's model.json back to what it was; a deleted model comes out of the trash."""
    wanted = decode_body(body, RevertRequest)
    catalogue = context.pipeline.snapshot.catalogue
    uid = model_of(catalogue, model_id).uid

    def look() -> ModelDiff:
        return preview(context.log, catalogue, uid, position_of(context, str(wanted.to), "to"))

    found = await asyncio.to_thread(look)
    position = catalogue.position
    if not wanted.dry_run:
        position = await asyncio.wrap_future(context.pipeline.submit(Revert(uid, found.end, actor)))
    model = context.pipeline.snapshot.catalogue.models[uid]
    return Reverted(model.id, found.end, position, found.changes, found.text, wanted.dry_run)


@get("/v1/models/{model_id:str}/blame", sync_to_thread=True)
def model_blame(context: Context, model_id: FromPath[str]) -> ModelBlame:
    """Each leaf of a model's model.json, with who set it and when."""
    return texts.blame_of(context.log, context.pipeline.snapshot.catalogue, model_id)


@get("/v1/fingerprints/{fingerprint:str}", sync_to_thread=True)
def get_fingerprint(context: Context, fingerprint: FromPath[str], past: Past) -> Fingerprint:
    """The files, settings and engine that the `system_fingerprint` of an answer stands for."""
    return find_fingerprint(context.log, context.pipeline.snapshot.catalogue, past.at, fingerprint)


@get("/v1/why", sync_to_thread=True)
def explain(context: Context, subject: Annotated[str, QueryParameter()]) -> Why:
    """Why a file or a model is as it is: the chain of causes, the last event first."""
    return reasons.why(context.log, context.pipeline.snapshot, subject)
