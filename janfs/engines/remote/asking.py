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
BOUND = (
    "max_completion_tokens"  # what OpenAI's newer models want in place of max_tokens, which all others know
)
_THERE = {"typ_p": "typical_p"}  # what others call a parameter of a model.json
_SAME = {"max_tokens": BOUND, BOUND: "max_tokens"}


def asked(model: RemoteModel, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request. What the client leaves out comes from the model's model.json, if it says so.

    A stream is asked for its usage, whoever wants it: it is counted here.
    """
    body = {**request, "model": model.name}
    if operation not in GENERATING:
        return body
    for name, value in model.defaults.items():
        there = _THERE.get(name, name)
        given = any(body.get(each) is not None for each in (there, _SAME.get(there, there)))
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


def of_our_own_accord(
    operation: str, request: Mapping[str, Any], body: Mapping[str, Any], *, translated: bool
) -> frozenset[str]:
    """What of a request's body no client has asked for, as servers name it that want it otherwise.

    A request that was `translated` from other words has thoughts of earlier turns in its messages, and a
    bound that no client gave in these words; so has one whose bound is the model.json's.
    """
    fields = {USAGE}
    if translated:
        fields.add(THOUGHTS)
    if operation == CHAT and "max_tokens" in body and (translated or request.get("max_tokens") is None):
        fields.add(BOUND)
    return frozenset(fields)


def without(body: Mapping[str, Any], request: Mapping[str, Any], fields: Set[str]) -> dict[str, Any]:
    """A body as a server wants it that named those fields: as the client said, and that is all."""
    said = {name: value for name, value in body.items() if name not in fields - {BOUND}}
    if USAGE in fields and USAGE in request:
        said[USAGE] = request[USAGE]
    if BOUND in fields and "max_tokens" in said:
        said[BOUND] = said.pop("max_tokens")
    if THOUGHTS in fields:
        said["messages"] = [
            {name: value for name, value in message.items() if name != THOUGHTS}
            for message in body["messages"]
        ]
    return said
