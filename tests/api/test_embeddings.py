"""/v1/embeddings as clients see it; the engine is a fake."""

import base64
import struct
from typing import Any

import httpx
import openai
import pytest

from janfs.engines.protocol import TextPrompt, TokenPrompt
from janfs.errors import ContextExceeded, InvalidInput
from tests.api.service import Service


def ask(service: Service, **fields: Any) -> httpx.Response:
    return service.client.post("/v1/embeddings", json={"model": "tiny", "input": "Once"} | fields)


def test_an_answer_has_openais_shape_and_vectors_of_length_one(tiny: Service) -> None:
    assert ask(tiny).json() == {
        "object": "list",
        "model": "tiny",
        "data": [{"object": "embedding", "index": 0, "embedding": pytest.approx([0.6, 0.8])}],
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }


def test_every_kind_of_input_becomes_a_vector_each(tiny: Service) -> None:
    cases: list[tuple[Any, tuple[TextPrompt | TokenPrompt, ...]]] = [
        ("Once", (TextPrompt("Once"),)),
        (["Once", ""], (TextPrompt("Once"), TextPrompt(""))),
        ([1, 2, 3], (TokenPrompt((1, 2, 3)),)),
        ([[1], [2, 3]], (TokenPrompt((1,)), TokenPrompt((2, 3)))),
    ]
    for given, expected in cases:
        answer = ask(tiny, input=given)
        assert answer.status_code == 200, f"{given}: {answer.text}"
        assert tiny.pool.embedded[-1] == ("tiny", expected)
        assert [each["index"] for each in answer.json()["data"]] == list(range(len(expected)))
        assert answer.json()["usage"]["total_tokens"] == 2 * len(expected)


def test_base64_holds_the_same_numbers(tiny: Service) -> None:
    text = ask(tiny, encoding_format="base64").json()["data"][0]["embedding"]
    assert struct.unpack("<2f", base64.b64decode(text)) == pytest.approx((0.6, 0.8))


def test_fewer_dimensions_have_a_length_of_one_again(tiny: Service) -> None:
    tiny.pool.vectors = [(0.0, -2.0, 5.0)]
    assert ask(tiny, dimensions=2).json()["data"][0]["embedding"] == [0, -1]


@pytest.mark.parametrize(
    ("norm", "expected"), [(-1, [3, -4]), (0, [24570, -32760]), (1, [3 / 7, -4 / 7]), (2, [0.6, -0.8])]
)
def test_the_norm_is_as_it_is_asked_for(tiny: Service, norm: int, expected: list[float]) -> None:
    tiny.pool.vectors = [(3.0, -4.0)]
    assert ask(tiny, embd_normalize=norm).json()["data"][0]["embedding"] == pytest.approx(expected)


def test_vectors_at_the_ends_of_the_range_are_normalised_too(tiny: Service) -> None:
    tiny.pool.vectors = [(3e38, 3e38), (1e-38, 1e-38), (0.0, 0.0)]
    half = pytest.approx([0.5**0.5] * 2)
    found = [each["embedding"] for each in ask(tiny, input=["a", "b", "c"]).json()["data"]]
    assert found == [half, half, [0, 0]]


def test_what_is_wrong_is_refused_by_name(tiny: Service) -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"input": []}, "input", "invalid_value"),
        ({"input": ["a"] * 2049}, "input", "invalid_value"),
        ({"input": [1, "a"]}, "input", "invalid_value"),
        ({"input": [-1]}, "input[0]", "invalid_value"),
        ({"input": [[2**31]]}, "input[0][0]", "invalid_value"),
        ({"input": None}, "input", "invalid_value"),
        ({"encoding_format": "int8"}, "encoding_format", "invalid_value"),
        ({"dimensions": 0}, "dimensions", "invalid_value"),
        ({"dimensions": 3}, "dimensions", "invalid_value"),
        ({"embd_normalize": -2}, "embd_normalize", "invalid_value"),
        ({"truncate": True}, "truncate", "unsupported_parameter"),
    ]
    for fields, param, code in cases:
        answer = ask(tiny, **fields)
        assert answer.status_code == 400, f"{fields}: {answer.status_code} {answer.text}"
        error = answer.json()["error"]
        assert (error["param"], error["code"]) == (param, code), f"{fields}: {error}"
    assert ask(tiny, model="nobody").status_code == 404


def test_what_the_engine_refuses_is_told(tiny: Service) -> None:
    for number, given, param in (
        (0, "a", "input"),
        (0, [1, 2], "input"),
        (0, ["a"], "input[0]"),
        (1, ["a", "b"], "input[1]"),
        (1, [[1], [2]], "input[1]"),
    ):
        tiny.pool.vectors = ContextExceeded(600, 512, param=f"input[{number}]")
        error = ask(tiny, input=given).json()["error"]
        assert (error["code"], error["param"]) == ("exceed_context_size_error", param), f"of {given}"
        assert (error["n_prompt_tokens"], error["n_ctx"]) == (600, 512)
    tiny.pool.vectors = InvalidInput("This model writes text.", param="model")
    answer = ask(tiny)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


def test_what_is_no_number_is_an_error_and_no_vector(tiny: Service) -> None:
    tiny.pool.vectors = [(1.0, float("nan"))]
    answer = ask(tiny)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_error")


@pytest.mark.parametrize("strict", [True, False])
def test_the_openai_client_embeds(tiny: Service, strict: bool) -> None:
    with openai.OpenAI(
        base_url=f"{tiny.url}/v1", api_key="none", max_retries=0, _strict_response_validation=strict
    ) as client:
        # Left to itself it asks for base64, which its own strict validation does not know.
        fields: dict[str, Any] = {"encoding_format": "float"} if strict else {}
        answer = client.embeddings.create(model="tiny", input=["a", "b"], **fields)
        assert [each.embedding for each in answer.data] == [pytest.approx([0.6, 0.8])] * 2
        assert answer.usage.prompt_tokens == 4
