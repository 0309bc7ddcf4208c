"""/v1/models/{id}/config: the settings that hold, from every layer, and where each comes from."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import FromPath, QueryParameter

from janfs.api.chat_request import ChatRequest
from janfs.api.context import ApiContext, Context
from janfs.api.errors import decode_body
from janfs.api.moments import Moment, Past, position_of
from janfs.api.sampling import asked_of, sampling_of
from janfs.errors import InvalidInput, ModelNotFound, ModelNotRunnable
from janfs.manifest.effective import values
from janfs.origins import ModelConfig, config_of, fitted, overridden
from janfs.serving import resolve

Asked = Annotated[str | None, QueryParameter(name="request")]


@get("/v1/models/{model_id:str}/config")
async def get_config(
    context: Context, model_id: FromPath[str], past: Past, at: Moment = None, asked: Asked = None
) -> ModelConfig:
    """The settings that hold for a model, each with the place it comes from; with `at` those of then.

    Those of a loaded model that are lowered so that it fits have the origin "memory fit". With `request`,
    the body of a request or the fields of it that matter, what that would override has the origin "request".
    """

    def find() -> ModelConfig:
        now = context.pipeline.snapshot.catalogue
        then = now if at is None else past.at(position_of(context, at))
        return config_of(then, model_id, context.log.document)

    found = await asyncio.to_thread(find)
    found = found if at is not None else fitted(found, _lowered(context, model_id))
    return found if asked is None else overridden(found, _asked(found, asked))


def _asked(config: ModelConfig, text: str) -> Mapping[str, tuple[str, Any]]:
    """What a request says of model parameters. Raises `InvalidInput` as the request would."""
    try:
        said = decode_body(text.encode(), Any)
    except InvalidInput as error:
        raise InvalidInput(f"'request': {error.detail}", param=error.param or "request") from error
    if not isinstance(said, dict):
        raise InvalidInput("'request' must be an object, such as {\"temperature\": 0.2}.", param="request")
    whole = {"model": config.id, "messages": [], **said}
    fields = decode_body(msgspec.json.encode(whole), ChatRequest)
    sampling_of(fields, values(config.model_parameters), max_tokens=fields.max_completion_tokens)
    asked = asked_of(fields)
    if fields.max_completion_tokens is not None:
        asked["max_tokens"] = "max_completion_tokens", fields.max_completion_tokens
    return asked


def _lowered(context: ApiContext, name: str) -> Mapping[str, int]:
    """The settings of a model that are lowered as it is loaded, if it is, and with those that hold now."""
    try:
        spec = resolve(context.pipeline.snapshot, context.settings.root, name).spec
    except (ModelNotFound, ModelNotRunnable):
        return {}
    now = context.pool.state(spec.uid)
    return now.lowered if now.wanted == spec.fingerprint else {}
