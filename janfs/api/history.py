"""The past over the API: what a model.json was and is, who set what, and why something is as it is."""

import asyncio
from typing import Annotated

from litestar import get
from litestar.params import FromPath, QueryParameter

from janfs.api.context import Context
from janfs.api.moments import Past, position_of
from janfs.past import reasons, texts
from janfs.past.fingerprints import Fingerprint, find_fingerprint
from janfs.past.reasons import Why
from janfs.past.texts import ModelBlame, ModelDiff

From = Annotated[str | None, QueryParameter(name="from")]
To = Annotated[str | None, QueryParameter(name="to")]


@get("/v1/models/{model_id:str}/diff")
async def model_diff(
    context: Context, model_id: FromPath[str], start: From = None, end: To = None
) -> ModelDiff:
    """What changed in a model's model.json between two moments; the last change if none is given."""

    def find() -> ModelDiff:
        first = None if start is None else position_of(context, start)
        last = None if end is None else position_of(context, end)
        return texts.diff(context.log, context.pipeline.snapshot.catalogue, model_id, first, last)

    return await asyncio.to_thread(find)


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
    return reasons.why(context.log, context.pipeline.snapshot.catalogue, subject)
