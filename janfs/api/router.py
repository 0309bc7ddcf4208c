"""The router mode's calls of llama.cpp's server, for clients that know those.

Names and answers: tools/server/README.md, "Using multiple models", and server-models.cpp.
"""

import asyncio
from typing import Annotated, Literal

from litestar import get, post
from litestar.params import QueryParameter, RawBody
from msgspec import UNSET, Struct, UnsetType

from janfs.api.context import ApiContext, Context
from janfs.api.errors import decode_body
from janfs.api.models import present_model
from janfs.catalogue.catalogue import files_of, present_models
from janfs.catalogue.entries import Model
from janfs.engines.protocol import EngineState
from janfs.errors import InvalidInput
from janfs.folder.paths import decode_path
from janfs.pipeline.commands import Look
from janfs.serving import resolve

Value = Literal["unloaded", "loading", "loaded"]
_VALUES: dict[str, Value] = {"loading": "loading", "running": "loaded"}


class RouterModelName(Struct, frozen=True, forbid_unknown_fields=True):
    """Which model, by id or alias."""

    model: str


class RouterStatus(Struct, frozen=True, omit_defaults=True):
    """What a model does in llama.cpp's words. `args` would be a command line; here there is none."""

    value: Value
    args: tuple[str, ...]
    failed: bool = False
    exit_code: int | None = None


class Architecture(Struct, frozen=True):
    """What goes into a model, and what comes out of it."""

    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...] = ("text",)


class RouterMeta(Struct, frozen=True):
    """Of a loaded model, in tokens: its context, the one it was trained with, its vocabulary."""

    n_ctx: int
    n_ctx_train: int
    n_vocab: int
    n_params: int


class RouterModel(Struct, frozen=True, kw_only=True):
    """A model as llama.cpp's router lists it."""

    id: str
    aliases: tuple[str, ...]
    object: Literal["model"]
    owned_by: str
    created: int
    status: RouterStatus
    architecture: Architecture
    path: str
    source: str
    can_remove: bool
    tags: tuple[str, ...]
    meta: RouterMeta | UnsetType = UNSET


class RouterModelList(Struct, frozen=True):
    """OpenAI's envelope of a list."""

    data: list[RouterModel]
    object: Literal["list"] = "list"


class RouterSuccess(Struct, frozen=True):
    """It was done, or begun."""

    success: bool = True


@get("/models")
async def list_router_models(
    context: Context, reload: Annotated[str | None, QueryParameter()] = None
) -> RouterModelList:
    """Every model that can be run here; with `reload` the folder is looked at first."""
    if reload:
        await asyncio.wrap_future(context.pipeline.submit(Look()))
    models = sorted(present_models(context.pipeline.snapshot.catalogue), key=lambda model: model.id)
    return RouterModelList(
        [_listed(context, model) for model in models if model.status == "ready" and model.remote is None]
    )


@post("/models/load", status_code=200)
async def load_router_model(context: Context, body: RawBody) -> RouterSuccess:
    """Begin to load a model. What becomes of it is its status in the list, as at llama.cpp's router."""
    named = decode_body(body, RouterModelName).model
    model = resolve(context.downloads.snapshot(), context.settings.root, named).model
    if context.pool.state(model.uid).state in _VALUES:
        raise InvalidInput("model is already running", param="model")
    context.pool.begin(model.id)
    return RouterSuccess()


@post("/models/unload", status_code=200)
async def unload_router_model(context: Context, body: RawBody) -> RouterSuccess:
    """Unload a model. Returns once it is gone; requests that run have a moment to end."""
    model = present_model(context, decode_body(body, RouterModelName).model)
    if not await context.pool.stop(model.uid):
        raise InvalidInput("model is not running", param="model")
    return RouterSuccess()


def _listed(context: ApiContext, model: Model) -> RouterModel:
    catalogue, now = context.pipeline.snapshot.catalogue, context.pool.state(model.uid)
    binary = catalogue.files[model.binary] if model.binary is not None else None
    sees = any(file.facts is not None and file.facts.has_vision for file in files_of(catalogue, model.uid))
    return RouterModel(
        id=model.id,
        aliases=model.aliases,
        object="model",
        owned_by="you",
        created=binary.stamp.mtime_ns // 1_000_000_000 if binary is not None else 0,
        status=_status(now),
        architecture=Architecture(("text", "image") if sees else ("text",)),
        path=f"{context.settings.root}/{decode_path(model.binary or model.folder).decode(errors='replace')}",
        source="models_dir",
        can_remove=False,
        tags=(),
        meta=_meta(now),
    )


def _status(now: EngineState) -> RouterStatus:
    failed = now.state == "failed"
    return RouterStatus(_VALUES.get(now.state, "unloaded"), (), failed, 1 if failed else None)


def _meta(now: EngineState) -> RouterMeta | UnsetType:
    info = now.info
    return UNSET if info is None else RouterMeta(info.n_ctx, info.n_ctx_train, info.n_vocab, info.n_params)
