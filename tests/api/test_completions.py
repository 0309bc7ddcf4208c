"""/v1/completions as clients see it; the engine is a fake."""

from typing import Any

import httpx
import openai

from janfs.engines.protocol import Likely, TextPrompt, TokenLogprob, TokenPrompt
from tests.api.service import Service
from tests.api.test_chat import USAGE, chunks


def ask(service: Service, **fields: Any) -> httpx.Response:
    return service.client.post("/v1/completions", json={"model": "tiny", "prompt": "Once"} | fields)


def test_a_whole_answer_has_openais_shape(tiny: Service) -> None:
    body = ask(tiny).json()
    assert body.pop("id").startswith("cmpl-")
    assert isinstance(body.pop("created"), int)
    assert body.pop("system_fingerprint").startswith("fp_")
    assert body == {
        "object": "text_completion",
        "model": "tiny",
        "choices": [{"index": 0, "text": "Hello there", "finish_reason": "stop", "logprobs": None}],
        "usage": USAGE,
    }


def test_a_stream_has_openais_chunks(tiny: Service) -> None:
    *found, last, done = chunks(ask(tiny, stream=True, stream_options={"include_usage": True}))
    assert [chunk["choices"][0]["text"] for chunk in found] == ["Hello", " there", ""]
    assert [chunk["choices"][0]["finish_reason"] for chunk in found] == [None, None, "stop"]
    assert (last["choices"], last["usage"]["total_tokens"], done) == ([], 9, "[DONE]")


def test_the_openai_client_completes(tiny: Service) -> None:
    with openai.OpenAI(base_url=f"{tiny.url}/v1", api_key="none") as client:
        assert client.completions.create(model="tiny", prompt="Once").choices[0].text == "Hello there"
        with client.completions.create(model="tiny", prompt="Once", stream=True) as stream:
            assert "".join(chunk.choices[0].text for chunk in stream) == "Hello there"


def test_a_prompt_is_a_text_a_list_of_one_or_tokens(tiny: Service) -> None:
    for prompt, expected in (
        ("Once", TextPrompt("Once")),
        ("", TextPrompt("")),
        (["Once"], TextPrompt("Once")),
        ([1, 2, 3], TokenPrompt((1, 2, 3))),
    ):
        answer = ask(tiny, prompt=prompt)
        assert answer.status_code == 200, f"{prompt!r}: {answer.text}"
        assert tiny.pool.asked[-1][1].prompt == expected


def test_what_is_not_supported_or_wrong_is_refused_by_name(tiny: Service) -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"prompt": ["One", "two"]}, "prompt", "unsupported_parameter"),
        ({"echo": True}, "echo", "unsupported_parameter"),
        ({"suffix": "end"}, "suffix", "unsupported_parameter"),
        ({"best_of": 3}, "best_of", "unsupported_parameter"),
        ({"logprobs": 21}, "logprobs", "invalid_value"),
        ({"messages": []}, "messages", "unsupported_parameter"),
        ({"prompt": []}, "prompt", "invalid_value"),
        ({"prompt": ["One", 2]}, "prompt", "invalid_value"),
        ({"prompt": [-1]}, "prompt", "invalid_value"),
        ({"prompt": [2**31]}, "prompt", "invalid_value"),
        ({"prompt": [[1]]}, "prompt[0]", "invalid_value"),
        ({"prompt": None}, "prompt", "invalid_value"),
    ]
    for fields, param, code in cases:
        answer = ask(tiny, **fields)
        assert answer.status_code == 400, f"{fields}: {answer.status_code} {answer.text}"
        error = answer.json()["error"]
        assert (error["param"], error["code"]) == (param, code), f"{fields}: {error}"
    assert tiny.pool.asked == []


def test_fields_that_change_nothing_are_accepted(tiny: Service) -> None:
    answer = ask(tiny, echo=False, best_of=1, suffix=None, logprobs=None, user="me")
    assert answer.status_code == 200, answer.text


def test_logprobs_have_the_shape_of_text_completions(tiny: Service) -> None:
    tiny.pool.logprobs = (TokenLogprob(5, b"Hello", -0.5, (Likely(5, b"Hello", -0.5),)),)
    expected = {
        "tokens": ["Hello", "Hello"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{"Hello": -0.5}, {"Hello": -0.5}],
        "text_offset": [0, 5],
    }
    assert ask(tiny, logprobs=1).json()["choices"][0]["logprobs"] == expected
