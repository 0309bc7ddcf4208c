"""langchain's standard tests of chat models, against a running service with a real, small model.

They stand here by name: those that try what a client and a service must understand of each other, and not how
clever a model is. `make test` runs them one after the other on two cores, so an answer is kept short.
"""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, tool
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from tests.clients.conftest import QUOTE
from tests.e2e.conftest import SAMPLE_ID
from tests.support.service import ServiceProcess

pytestmark = [
    pytest.mark.model,
    # langchain's own, of the field in which openai's client keeps what it parsed.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]


class Chats(ChatModelIntegrationTests):
    """Their tests, which ask this for the client and for what it can be expected to do."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "base_url": f"{self._url}/v1",
            "api_key": "none",
            "model": SAMPLE_ID,
            "temperature": 0,
            "max_tokens": 48,
            "stream_usage": True,
            "logit_bias": {QUOTE: 6},
            "extra_body": {"parallel_tool_calls": False},
        }


@pytest.fixture(scope="module")
def chats(service: ServiceProcess) -> Chats:
    return Chats(service.url)


@tool
def my_adder_tool(a: int, b: int) -> int:
    """Takes two integers, a and b, and returns their sum."""
    return a + b


SCHEMAS = [{"schema_type": kind} for kind in ("pydantic", "typeddict", "json_schema")]
TOOL: dict[str, BaseTool] = {"my_adder_tool": my_adder_tool}
STANDARD: list[tuple[Callable[..., None], dict[str, Any]]] = [
    (Chats.test_invoke, {}),
    (Chats.test_stream, {}),
    (Chats.test_batch, {}),
    (Chats.test_conversation, {}),
    (Chats.test_double_messages_conversation, {}),
    (Chats.test_usage_metadata, {}),
    (Chats.test_usage_metadata_streaming, {}),
    (Chats.test_stop_sequence, {}),
    (Chats.test_tool_calling, {}),
    (Chats.test_tool_choice, {}),
    (Chats.test_tool_calling_with_no_arguments, {}),
    (Chats.test_tool_message_histories_string_content, TOOL),
    (Chats.test_tool_message_error_status, TOOL),
    (Chats.test_structured_few_shot_examples, TOOL),
    (Chats.test_structured_output, SCHEMAS[0]),
    (Chats.test_structured_output, SCHEMAS[1]),
    (Chats.test_structured_output, SCHEMAS[2]),
    (Chats.test_message_with_name, {}),
]


@pytest.mark.parametrize(
    ("standard", "given"),
    STANDARD,
    ids=["-".join([test.__name__, *map(str, given.values())][:2])[:50] for test, given in STANDARD],
)
def test_langchain_is_at_home(chats: Chats, standard: Callable[..., None], given: dict[str, Any]) -> None:
    standard(chats, model=ChatOpenAI(**chats.chat_model_params), **given)
