"""Answers as typed objects, as `instructor` and the official client get them, from a real, small model."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field

from tests.clients.conftest import QUOTE
from tests.e2e.conftest import SAMPLE_ID
from tests.support.service import ServiceProcess

pytestmark = pytest.mark.model

ASKED: Any = [{"role": "user", "content": "Ada is 36 years old and likes mathematics. Who is she?"}]
COMMON: Any = {"model": SAMPLE_ID, "temperature": 0}


class Person(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=150)
    likes: list[str] = Field(max_length=2)


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    weight: float = Field(multiple_of=0.5, gt=0, lt=100)


class Household(BaseModel):
    """What pydantic has of JSON Schema beyond the plain types."""

    rooms: int = Field(multiple_of=2, ge=2, le=20)
    colours: set[Literal["red", "green", "blue"]] = Field(min_length=2)
    keys: dict[Literal["front", "back"], Annotated[int, Field(ge=0, le=9)]] = Field(min_length=1)
    ages: dict[Annotated[str, Field(pattern="^[a-z]{1,8}$")], int] = Field(min_length=1, max_length=2)
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


@pytest.fixture(scope="module")
def client(service: ServiceProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{service.url}/v1", api_key="none", max_retries=0, _strict_response_validation=True
    ) as found:
        yield found


def test_a_chat_answers_with_an_object(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(
        messages=ASKED, response_format=Person, logit_bias={str(QUOTE): 6}, max_tokens=120, **COMMON
    )
    assert answer.choices[0].finish_reason == "stop"
    assert isinstance(answer.choices[0].message.parsed, Person)


@pytest.mark.parametrize("seed", range(3))
def test_an_object_fits_all_that_its_class_says(client: openai.OpenAI, seed: int) -> None:
    schema = {"name": "Household", "schema": Household.model_json_schema(), "strict": True}
    answer = client.chat.completions.create(
        model=SAMPLE_ID,
        messages=[{"role": "user", "content": "Describe a household with a pet."}],
        response_format={"type": "json_schema", "json_schema": schema},
        max_tokens=300,
        temperature=1.2,
        seed=seed,
    )
    assert answer.choices[0].finish_reason == "stop"
    Household.model_validate_json(answer.choices[0].message.content or "")


def test_a_response_answers_with_an_object_streamed_or_not(client: openai.OpenAI) -> None:
    whole = client.responses.parse(input=ASKED, text_format=Person, max_output_tokens=120, **COMMON)
    assert isinstance(whole.output_parsed, Person)
    with client.responses.stream(input=ASKED, text_format=Person, max_output_tokens=120, **COMMON) as stream:
        streamed = stream.get_final_response()
    assert isinstance(streamed.output_parsed, Person)


def test_an_object_that_is_refused_is_asked_for_again_with_the_reason(client: openai.OpenAI) -> None:
    """`instructor`'s loop: a call's arguments are checked, and go back with what is wrong with them."""
    tool: Any = {"type": "function", "function": {"name": "Person", "parameters": Person.model_json_schema()}}
    messages = list(ASKED)
    for _ in range(2):
        answer = client.chat.completions.create(
            messages=messages,
            tools=[tool],
            tool_choice={"type": "function", "function": {"name": "Person"}},
            parallel_tool_calls=False,
            logit_bias={str(QUOTE): 6},
            max_tokens=120,
            **COMMON,
        )
        message = answer.choices[0].message
        assert message.tool_calls is not None
        [call] = message.tool_calls
        assert call.type == "function"
        assert call.function.name == "Person"
        Person.model_validate_json(call.function.arguments)
        wrong = {"role": "tool", "tool_call_id": call.id, "content": "1 validation error: name is too short"}
        messages += [message.model_dump(exclude_none=True), wrong]
