"""Downloads over the API: beginning, watching and ending them."""

import asyncio
from typing import Annotated, Literal

from litestar import delete, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, HeaderParameter, RawBody
from msgspec import Struct

from janfs.api.actor import Actor
from janfs.api.context import ApiContext, Context
from janfs.api.errors import HttpRefusal, decode_body, refuse_fields
from janfs.catalogue.catalogue import find_model
from janfs.errors import ModelNotFound


class DownloadState(Struct, frozen=True):
    """How far a download is: bytes, `total` where all servers say it, `rate` in bytes per second.

    `state` is `running` or `none`; the model's status then says what became of it. `file` comes now.
    """

    id: str
    state: Literal["running", "none"]
    message: str
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    file: str | None = None
    object: Literal["download"] = "download"


class PullRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`source` is an address of a GGUF file, or `hf:org/repo[:file]`."""

    source: str


@post("/v1/models/{model_id:str}/download", status_code=200)
async def start_download(
    context: Context, actor: Actor, model_id: FromPath[str], body: RawBody
) -> DownloadState:
    """Fetch what a model lacks, from the addresses in its model.json. Returns once it has begun."""
    refuse_fields(body)
    found = await asyncio.to_thread(context.downloads.start, model_id, actor)
    return _state(context, found)


@get("/v1/models/{model_id:str}/{name:str}")
async def start_download_by_get(
    context: Context,
    actor: Actor,
    model_id: FromPath[str],
    name: FromPath[str],
    site: Annotated[str | None, HeaderParameter(name="sec-fetch-site")] = None,
) -> DownloadState:
    """Jan's spelling, `/v1/models/download/{id}`: a parameter, so that a model may be called `download`."""
    if model_id != "download":
        raise NotFoundException
    if site in ("cross-site", "same-site"):  # a page can have a browser GET anything, as a picture say
        raise HttpRefusal(403, "forbidden", "Another site's page may not start downloads.")
    found = await asyncio.to_thread(context.downloads.start, name, actor)
    return _state(context, found)


@get("/v1/models/{model_id:str}/download", sync_to_thread=False)
def get_download(context: Context, model_id: FromPath[str]) -> DownloadState:
    """How far a model's download is."""
    return _state(context, model_id)


@delete("/v1/models/{model_id:str}/download", status_code=200)
async def cancel_download(context: Context, actor: Actor, model_id: FromPath[str]) -> DownloadState:
    """Stop a download and remove what came of it."""
    stopped = await asyncio.to_thread(context.downloads.cancel, model_id, actor)
    state = _state(context, model_id)
    message = f"Download of {state.id} cancelled" if stopped else f"{state.id} was not being downloaded"
    return DownloadState(state.id, "none", message)


@post("/v1/pull", status_code=200)
async def pull_model(context: Context, actor: Actor, body: RawBody) -> DownloadState:
    """Make a model of an address and begin to fetch it. Returns once it has begun."""
    wanted = decode_body(body, PullRequest)
    found = await asyncio.to_thread(context.downloads.pull, wanted.source, actor)
    return _state(context, found)


def _state(context: ApiContext, name: str) -> DownloadState:
    model = find_model(context.pipeline.snapshot.catalogue, name)
    if model is None:
        raise ModelNotFound(name)
    progress = context.downloads.progress(model.uid)
    if progress is None:
        return DownloadState(model.id, "none", f"{model.id} is {model.status}")
    return DownloadState(
        model.id,
        "running",
        f"Starting download {model.id}" if progress.done == 0 else f"Downloading {model.id}",
        progress.done,
        progress.total,
        progress.rate,
        progress.file_name,
    )
