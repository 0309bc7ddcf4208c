"""What is sent to an engine elsewhere: the client's request as it came, for the model's name there. Pure."""

from collections.abc import Mapping, Set
from typing import Any

from janfs.engines.remote.model import RemoteModel

CHAT, TEXT, EMBEDDINGS, RERANK = "chat/completions", "completions", "embeddings", "rerank"
TOKENIZE, DETOKENIZE, APPLY_TEMPLATE = "../tokenize", "../detokenize", "../apply-template"
COUNT_TOKENS = "messages/count_tokens"
GENERATING = (CHAT, TEXT)
USAGE = "stream_options"  # has the answer end with its usage
THOUGHTS = "reasoning_content"  # of a message, as most servers call it
_THERE = {"typ_p": "typical_p"}  # what others call a parameter of a model.json


def asked(model: RemoteModel, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request. What the client leaves out comes from the model's model.json, if it says so.

    A stream is asked for its usage, whoever wants it: it is counted here.
    """
    body = {**request, "model": model.name}
    if operation not in GENERATING:
        return body
    for name, value in model.defaults.items():
        there = _THERE.get(name, name)
        given = body.get(there) is not None or (
            name == "max_tokens" and body.get("max_completion_tokens") is not None
        )
        if not given and value != []:  # no stops are none to speak of
            body[there] = value
    if streams(operation, body):
        options = body.get(USAGE)
        if options is None:
            options = {}
        if isinstance(options, dict):
            body[USAGE] = {**options, "include_usage": True}
    return body


def streams(operation: str, request: Mapping[str, Any]) -> bool:
    """Whether a request asks for a stream."""
    return operation in GENERATING and request.get("stream") is True


def wants_usage(request: Mapping[str, Any]) -> bool:
    """Whether the client asks for the usage of a stream, too."""
    options = request.get(USAGE)
    return isinstance(options, dict) and options.get("include_usage") is True


def of_our_own_accord(*, translated: bool) -> frozenset[str]:
    """The fields that no client has asked for, and that are left out for a server that refuses them.

    A request that was `translated` from other words has thoughts of earlier turns in its messages.
    """
    return frozenset((USAGE, THOUGHTS) if translated else (USAGE,))


def without(body: Mapping[str, Any], request: Mapping[str, Any], fields: Set[str]) -> dict[str, Any]:
    """A body without some of those fields: as the client said, and that is all."""
    said = {name: value for name, value in body.items() if name not in fields}
    if USAGE in fields and USAGE in request:
        said[USAGE] = request[USAGE]
    if THOUGHTS in fields:
        said["messages"] = [
            {name: value for name, value in message.items() if name != THOUGHTS}
            for message in body["messages"]
        ]
    return said
