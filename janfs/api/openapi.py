"""The description of the API (OpenAPI 3.1), made from its handlers and types; it says what is routed."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

import janfs
from janfs.api import (
    archives,
    chat,
    completions,
    config,
    downloads,
    embeddings,
    engines,
    events,
    hashes,
    health,
    history,
    messages,
    models,
    organising,
    rerank,
    responses,
    router,
    tokens,
)
from janfs.api.chat_request import ChatRequest
from janfs.api.error_bodies import ErrorBody
from janfs.api.messages_request import ChatParams, MessagesRequest
from janfs.api.responses_request import ResponsesRequest
from janfs.api.responses_views import ResponseEvent, ResponseView
from janfs.engine_views import EngineList
from janfs.origins import ModelConfig
from janfs.past.fingerprints import Fingerprint
from janfs.past.reasons import Why
from janfs.past.texts import ModelBlame, ModelDiff
from janfs.views import EventView, ModelView

_REF = "#/components/schemas/{name}"
_PATH_PARAMETER = re.compile(r"{(\w+):\w+}")
_AFTER = {
    "name": "after",
    "in": "query",
    "schema": {"type": "integer", "minimum": 0, "default": 0},
    "description": "Only what comes after this position of the log.",
}
_LIMIT = {
    "name": "limit",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1, "maximum": events.MAX_PAGE, "default": 100},
    "description": "At most so many events.",
}
_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "schema": {"type": "string"},
    "description": "The position of the last event that arrived; wins over `after`.",
}


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string"}, "description": description}


def _moment(name: str, description: str) -> dict[str, Any]:
    return _query(name, f"{description} A position of the log, a time, or words such as `yesterday 14:00`.")


_AT = _moment("at", "As it was at this moment.")
_RELOAD = _query("reload", "With any value the folder is looked at first.")
_REQUEST = _query(
    "request", 'A request\'s fields as JSON, such as `{"temperature": 0.2}`: what holds for it.'
)
_SUBJECT = {
    "name": "subject",
    "in": "query",
    "required": True,
    "schema": {"type": "string"},
    "description": "A model's id, alias or uid, or a path below the root.",
}


_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "The ETag that the model was read with; 412 if its model.json is another since.",
}
_DEFAULT = {
    "name": "default",
    "in": "query",
    "schema": {"type": "array", "items": {"type": "string"}},
    "description": "A field that is given back to janfs, such as `model_parameters.stop`. May be repeated.",
}


class Operation(Struct, frozen=True):
    """A handler with what it takes and gives; `streamed` is the type of a message of its event stream."""

    handler: HTTPRouteHandler
    answer: type[Struct] | None
    body: type[Struct] | None = None
    streamed: type[Struct] | None = None
    parameters: tuple[dict[str, Any], ...] = ()


OPERATIONS = (
    Operation(models.list_models, models.ModelListBody, parameters=(_AT,)),
    Operation(models.get_model, ModelView, parameters=(_AT,)),
    Operation(config.get_config, ModelConfig, parameters=(_AT, _REQUEST)),
    Operation(models.patch_model, ModelView, body=models.ManifestPatch, parameters=(_IF_MATCH, _DEFAULT)),
    Operation(models.delete_model, models.Deleted),
    Operation(models.start_model, models.StateChange),
    Operation(models.stop_model, models.StateChange),
    Operation(router.list_router_models, router.RouterModelList, parameters=(_RELOAD,)),
    Operation(router.load_router_model, router.RouterSuccess, body=router.RouterModelName),
    Operation(router.unload_router_model, router.RouterSuccess, body=router.RouterModelName),
    Operation(organising.pair_model, ModelView, body=organising.PairRequest),
    Operation(organising.organise, organising.Organised, body=organising.OrganiseRequest),
    Operation(archives.export_model, None),
    Operation(archives.earlier_history, archives.EarlierHistory),
    Operation(archives.import_archive, archives.ImportedModel, body=archives.ImportRequest),
    Operation(downloads.start_download, downloads.DownloadState),
    Operation(downloads.get_download, downloads.DownloadState),
    Operation(downloads.cancel_download, downloads.DownloadState),
    Operation(downloads.start_download_by_get, downloads.DownloadState),
    Operation(downloads.pull_model, downloads.DownloadState, body=downloads.PullRequest),
    Operation(hashes.verify_model, hashes.Verification),
    Operation(hashes.dedupe, hashes.Deduped, body=hashes.DedupeRequest),
    Operation(events.model_history, events.EventPage, parameters=(_AFTER, _LIMIT)),
    Operation(
        history.model_diff,
        ModelDiff,
        parameters=(_moment("from", "The moment before."), _moment("to", "The moment after; now without.")),
    ),
    Operation(history.revert_model, history.Reverted, body=history.RevertRequest),
    Operation(history.model_blame, ModelBlame),
    Operation(history.get_fingerprint, Fingerprint),
    Operation(history.explain, Why, parameters=(_SUBJECT,)),
    Operation(chat.create_chat_completion, chat.ChatCompletion, body=ChatRequest, streamed=chat.ChatChunk),
    Operation(
        completions.create_completion,
        completions.Completion,
        body=completions.CompletionRequest,
        streamed=completions.Completion,
    ),
    Operation(
        messages.create_message,
        messages.MessageAnswer,
        body=MessagesRequest,
        streamed=messages.StreamEvent,
    ),
    Operation(responses.create_response, ResponseView, body=ResponsesRequest, streamed=ResponseEvent),
    Operation(messages.count_message_tokens, messages.CountedTokens, body=ChatParams),
    Operation(embeddings.create_embeddings, embeddings.EmbeddingList, body=embeddings.EmbeddingsRequest),
    Operation(tokens.tokenize, tokens.Tokenized, body=tokens.TokenizeRequest),
    Operation(tokens.detokenize, tokens.Detokenized, body=tokens.DetokenizeRequest),
    Operation(tokens.apply_template, tokens.AppliedTemplate, body=ChatRequest),
    Operation(rerank.rerank, rerank.RerankAnswer, body=rerank.RerankRequest),
    Operation(events.list_events, events.EventPage, parameters=(_AFTER, _LIMIT)),
    Operation(events.stream_events, None, streamed=EventView, parameters=(_AFTER, _LAST_EVENT_ID)),
    Operation(engines.list_engines, EngineList),
    Operation(health.healthz, health.Health),
    Operation(health.readyz, health.Health),
    Operation(health.metrics, None),
)


def describe(operations: Iterable[Operation]) -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    types: list[type[Struct]] = [ErrorBody]
    for operation in operations:
        types += [kind for kind in (operation.answer, operation.body, operation.streamed) if kind]
        for path in sorted(operation.handler.paths):
            item = paths.setdefault(_PATH_PARAMETER.sub(r"{\1}", path), {})
            for method in sorted(operation.handler.http_methods):
                item[method.lower()] = _describe_one(operation, path, method)
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "janfs",
            "version": janfs.version(),
            "description": "OpenAI-compatible models, chat and completions, and the history of everything.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _describe_one(operation: Operation, path: str, method: str) -> dict[str, Any]:
    text = operation.handler.fn.__doc__ or ""
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(path)
    ]
    content: dict[str, Any] = {}
    if operation.answer is not None and method != "HEAD":
        content["application/json"] = {"schema": _ref(operation.answer)}
    if operation.streamed is not None:
        content["text/event-stream"] = {"schema": _ref(operation.streamed)}
    found: dict[str, Any] = {
        "operationId": "_".join([operation.handler.handler_name, method.lower(), *_which(operation, path)]),
        "summary": text,
        "parameters": [*in_path, *operation.parameters],
        "responses": {
            "200": {"description": "What was asked for.", "content": content},
            "default": {
                "description": "What is wrong.",
                "content": {"application/json": {"schema": _ref(ErrorBody)}},
            },
        },
    }
    if operation.body is not None:
        body = {"application/json": {"schema": _ref(operation.body)}}
        found["requestBody"] = {"required": True, "content": body}
    return found


def _ref(kind: type[Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}


def _which(operation: Operation, path: str) -> list[str]:
    """Of several paths of a handler, what sets one apart from the first."""
    paths = sorted(operation.handler.paths)
    return [] if path == paths[0] else [path.strip("/").replace("/", "_")]
