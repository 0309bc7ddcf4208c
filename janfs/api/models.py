"""/v1/models: what there is, and starting, stopping and deleting it."""

import asyncio
import re
from typing import Annotated, Any, Literal

from litestar import Response, delete, get, patch, route
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, QueryParameter, RawBody, SkipValidation
from msgspec import Struct
from msgspec.structs import replace

from janfs.api.actor import Actor
from janfs.api.context import ApiContext, Context
from janfs.api.errors import decode_body
from janfs.api.moments import Moment, Past, position_of
from janfs.availability import find_outsider
from janfs.catalogue.catalogue import find_model
from janfs.catalogue.entries import Model
from janfs.engine_views import loaded_model
from janfs.engines.remote.model import RemoteModel
from janfs.errors import ModelNotFound, ModelNotRunnable, UnsupportedParameter
from janfs.folder import paths
from janfs.listing import ModelList
from janfs.manifest.json_patch import read_operations
from janfs.manifest.patch import Patch, merge_patch
from janfs.manifest.schema import SourceRef
from janfs.past.models import model_at, models_at
from janfs.pipeline.commands import Delete, Edit
from janfs.remotes import find_remote
from janfs.serving import resolve
from janfs.views import ModelView, find_view

JSON_PATCH = "application/json-patch+json"
_TAG = re.compile(r'(?:W/)?"?([^\s,"]+)"?')  # the quotes may be left out
_NO_SETTINGS: tuple[Any, ...] = (None, {}, "", "{}")


class ModelListBody(Struct, frozen=True):
    """OpenAI's envelope of a list."""

    object: Literal["list"]
    data: list[ModelView]


class ManifestPatch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Fields of model.json that are to change, as a JSON merge patch (RFC 7396): null takes a field out."""

    name: str | None = None
    owned_by: str | None = None
    version: str | None = None
    created: int | None = None
    description: str | None = None
    format: str | None = None
    engine: str | None = None
    sources: tuple[SourceRef, ...] | None = None
    engine_parameters: dict[str, Any] | None = None
    model_parameters: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    assets: tuple[str, ...] | None = None


class Deleted(Struct, frozen=True):
    """What became of a model that was deleted; its folder lies in the root's trash."""

    id: str
    object: Literal["model"] = "model"
    deleted: bool = True


class StateChange(Struct, frozen=True):
    """What a model's engine does now, with a sentence for people."""

    id: str
    state: str
    message: str
    object: Literal["model"] = "model"


@route("/v1/models", http_method=["GET", "HEAD"])
async def list_models(
    context: Context,
    model_list: SkipValidation[NamedDependency[ModelList]],
    past: Past,
    at: Moment = None,
) -> Response[bytes]:
    """Every model, and every file that is not one yet or cannot be one; with `at` as they were then."""
    if at is None:
        encoded = model_list.encode(context.downloads.snapshot(), context.state_of)
    else:
        encoded = await asyncio.to_thread(lambda: models_at(past.at(position_of(context, at))))
    return Response(encoded, media_type="application/json")


@get("/v1/models/{model_id:str}")
async def get_model(
    context: Context, model_id: FromPath[str], past: Past, at: Moment = None
) -> Response[ModelView]:
    """One model, by id or alias; with `at` as it was then, with the text of its model.json.

    The ETag is that of its model.json, for If-Match.
    """
    if at is not None:
        now = context.pipeline.snapshot.catalogue
        then = await asyncio.to_thread(
            lambda: model_at(context.log, now, past.at(position_of(context, at)), model_id)
        )
        return Response(then)
    return _shown(context, model_id)


@patch("/v1/models/{model_id:str}")
async def patch_model(
    context: Context,
    actor: Actor,
    model_id: FromPath[str],
    body: RawBody,
    *,
    if_match: Annotated[str | None, HeaderParameter(name="If-Match")] = None,
    content_type: Annotated[str | None, HeaderParameter(name="Content-Type")] = None,
    default: Annotated[list[str] | None, QueryParameter()] = None,
) -> Response[ModelView]:
    """Change fields of a model.json, by a JSON merge patch: null takes a field out.

    With the content type application/json-patch+json by a JSON patch, which can also set a field to null.
    `default`, a path such as `model_parameters.stop`, gives a field back to janfs; it may be repeated.
    """
    given_back = tuple(tuple(path.split(".")) for path in default or ())
    if (content_type or "").lower().startswith(JSON_PATCH):
        wanted = Patch(given_back=given_back, operations=read_operations(decode_body(body, Any)))
    else:
        wanted = merge_patch(decode_body(body or b"{}", Any), given_back)
    seen = None if if_match is None or if_match.strip() == "*" else frozenset(_TAG.findall(if_match))
    await asyncio.wrap_future(context.pipeline.submit(Edit(model_id, wanted, actor, seen)))
    return _shown(context, model_id)


def _shown(context: ApiContext, name: str) -> Response[ModelView]:
    snapshot = context.downloads.snapshot()
    view = find_view(snapshot, name, context.state_of)
    if view is None:
        raise ModelNotFound(name)
    file = snapshot.catalogue.files.get(paths.join(view.folder, paths.MANIFEST))
    tag = {} if file is None or file.document is None else {"ETag": f'"{file.document}"'}
    model = find_model(snapshot.catalogue, name)
    if model is not None and model.remote is None:
        view = replace(view, loaded=loaded_model(model.id, context.pool.state(model.uid)))
    return Response(view, headers=tag)


@delete("/v1/models/{model_id:str}", status_code=200)
async def delete_model(context: Context, actor: Actor, model_id: FromPath[str]) -> Deleted:
    """Stop a model and move its folder to the trash."""
    model = present_model(context, model_id)
    await context.pool.stop(model.uid, reason="it is being deleted")
    await asyncio.to_thread(context.downloads.cancel, model.id, actor)
    await asyncio.wrap_future(context.pipeline.submit(Delete(model.id, actor)))
    return Deleted(model.id)


@route("/v1/models/{model_id:str}/start", http_method=["PUT", "POST"], status_code=200)
async def start_model(context: Context, model_id: FromPath[str], body: RawBody) -> StateChange:
    """Load a model now. Returns once it is ready. Of a model elsewhere: see whether its engine answers."""
    _refuse_settings(body)
    elsewhere = find_remote(context.pipeline.snapshot.catalogue, model_id)
    if elsewhere is not None:
        return await _look_elsewhere(context, elsewhere)
    model = resolve(context.downloads.snapshot(), context.settings.root, model_id).model
    await context.pool.start(model.id)
    return StateChange(model.id, context.state_of(model.uid).state, f"Model {model.id} started")


@route("/v1/models/{model_id:str}/stop", http_method=["PUT", "POST"], status_code=200)
async def stop_model(context: Context, model_id: FromPath[str], body: RawBody) -> StateChange:
    """Unload a model. Returns once it is gone; requests that run have a moment to end.

    A model on another machine stays there.
    """
    _refuse_settings(body)
    model = present_model(context, model_id)
    if model.remote is not None:
        message = (
            f"Model {model.id} is served by {model.remote} on another machine; there is nothing to stop here"
        )
    elif await context.pool.stop(model.uid):
        message = f"Model {model.id} stopped"
    else:
        message = f"Model {model.id} was not running"
    return StateChange(model.id, context.state_of(model.uid).state, message)


async def _look_elsewhere(context: ApiContext, model: RemoteModel) -> StateChange:
    listed = await context.remotes.check(model)
    noted = [
        each.reason for each in context.remotes.health(model.engine) if each.state == "up" and each.reason
    ]
    unlisted = listed is not None and model.name not in listed
    but = f", but does not list a model '{model.name}'" if unlisted else f", but {noted[0]}" if noted else ""
    message = f"Model {model.id} is served by {model.engine.id} on another machine, which answers{but}"
    return StateChange(model.id, context.state_of(model.uid).state, message)


def present_model(context: ApiContext, name: str) -> Model:
    """The model that this is now. Raises `ModelNotFound`, or `ModelNotRunnable` for a file without model."""
    model = find_model(context.pipeline.snapshot.catalogue, name)
    if model is not None:
        return model
    outsider = find_outsider(context.pipeline.snapshot, name)
    if outsider is None:
        raise ModelNotFound(name)
    raise ModelNotRunnable(
        f"'{name}' is the file {outsider.path}, which is {outsider.availability.status} and no model (yet). "
        "Remove the file itself if it is not wanted.",
        param="model",
    )


def _refuse_settings(body: bytes) -> None:
    """Settings belong into model.json, where they stay; a body that holds some is not ignored."""
    if body.strip() and decode_body(body, Any) not in _NO_SETTINGS:
        raise UnsupportedParameter(
            "Settings in the body are not supported. Write them into its model.json, which is read at once."
        )
