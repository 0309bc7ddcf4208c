"""A field of a request has an effect, is refused by name, or is documented to have none."""

import re
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from anthropic.types import message_create_params as message
from openai.types import EmbeddingCreateParams
from openai.types import completion_create_params as text
from openai.types.chat import completion_create_params as chat
from openai.types.responses import response_create_params as response

from janfs.api.chat_request import ChatRequest, ContentPart
from janfs.api.completions import CompletionRequest
from janfs.api.embeddings import EmbeddingsRequest
from janfs.api.messages_blocks import Block
from janfs.api.messages_request import MessagesRequest
from janfs.api.messages_tools import ToolParam
from janfs.api.rerank import RerankRequest
from janfs.api.responses_request import ResponsesRequest
from tests.api.service import Service

HI = [{"role": "user", "content": "Hi"}]
REQUESTS: list[tuple[str, type, dict[str, Any]]] = [
    ("/v1/chat/completions", ChatRequest, {"messages": HI}),
    ("/v1/completions", CompletionRequest, {"prompt": "Hi"}),
    ("/v1/embeddings", EmbeddingsRequest, {"input": "Hi"}),
    ("/v1/rerank", RerankRequest, {"query": "Hi", "documents": ["Ho"]}),
    ("/v1/responses", ResponsesRequest, {"input": "Hi"}),
    ("/v1/messages", MessagesRequest, {"messages": HI, "max_tokens": 5}),
]
WITH_EFFECT = {"json_schema"}  # a schema may be anything
DOCS = Path(__file__).parents[2] / "docs" / "api.md"


def without_effect() -> set[str]:
    """The fields that the documentation says to have none."""
    found = re.search(r"\*\*Without effect\*\*(.+?)\n\n", DOCS.read_text(), re.DOTALL)
    assert found is not None
    return set(re.findall(r"`(\w+)`", found[1]))


def anything(type_: type) -> list[str]:
    """The fields of a request that take whatever is said."""
    return [each.name for each in msgspec.structs.fields(type_) if each.type is Any]


@pytest.mark.parametrize(("path", "type_", "body"), REQUESTS, ids=[path for path, _, _ in REQUESTS])
def test_what_a_request_says_is_done_refused_or_documented(
    tiny: Service, path: str, type_: type, body: dict[str, Any]
) -> None:
    for name in set(anything(type_)) - WITH_EFFECT:
        said = {"x": "odd"}
        answer = tiny.client.post(path, json={"model": "tiny", **body, name: said})
        if answer.is_success:
            assert name in without_effect(), f"{path} takes {name} without a word of what becomes of it"
        else:
            assert name in answer.text, f"{path} refuses {name} without naming it"


CLIENTS: list[tuple[str, Any]] = [
    ("/v1/chat/completions", chat.CompletionCreateParamsStreaming),
    ("/v1/completions", text.CompletionCreateParamsStreaming),
    ("/v1/embeddings", EmbeddingCreateParams),
    ("/v1/responses", response.ResponseCreateParamsStreaming),
    ("/v1/messages", message.MessageCreateParamsStreaming),
]


@pytest.mark.parametrize(("path", "theirs"), CLIENTS, ids=[path for path, _ in CLIENTS])
def test_whatever_the_official_clients_can_say_is_known_or_refused_by_name(
    tiny: Service, path: str, theirs: Any
) -> None:
    [(type_, body)] = [(type_, body) for known, type_, body in REQUESTS if known == path]
    unknown = get_type_hints(theirs).keys() - {each.encode_name for each in msgspec.structs.fields(type_)}
    for name in unknown:
        answer = tiny.client.post(path, json={"model": "tiny", **body, name: {"x": "odd"}})
        assert answer.status_code == 400, name
        assert f"'{name}'" in answer.json()["error"]["message"]
    assert len(unknown) < 10, f"{path} knows few of its clients' words"


@pytest.mark.parametrize("type_", [Block, ToolParam])
def test_so_are_the_parts_of_a_message(type_: type) -> None:
    assert set(anything(type_)) <= without_effect()


def test_nothing_is_documented_that_does_not_exist() -> None:
    types = [*(type_ for _, type_, _ in REQUESTS), Block, ToolParam, ContentPart]
    assert without_effect() <= {name for type_ in types for name in anything(type_)} | {"metadata"}
