"""/v1/completions as clients see it; the engine is a fake."""

from typing import Any

import httpx
import openai
import pytest

from janfs.engines.protocol import Likely, TextDelta, TextPrompt, TokenLogprob, TokenPrompt
from janfs.errors import ContextExceeded
from tests.api.service import Service, eventually
from tests.api.test_chat import TIMINGS, USAGE, chunks


def ask(service: Service, **fields: Any) -> httpx.Response:
    return service.client.post("/v1/completions", json={"model": "tiny", "prompt": "Once"} | fields)


def answers(service: Service, outcome: str) -> float:
    """How many of the model's answers ended so, as is counted."""
    name = f'janfs_answers_total{{model="tiny",outcome="{outcome}"}} '
    lines = service.client.get("/metrics").text.splitlines()
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


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
        "timings": TIMINGS,
    }


def test_a_stream_has_openais_chunks(tiny: Service) -> None:
    *found, last, done = chunks(ask(tiny, stream=True, stream_options={"include_usage": True}))
    assert [chunk["choices"][0]["text"] for chunk in found] == ["Hello", " there", ""]
    assert [chunk["choices"][0]["finish_reason"] for chunk in found] == [None, None, "stop"]
    assert [chunk.get("timings") for chunk in found] == [None, None, TIMINGS]
    assert (last["choices"], last["usage"]["total_tokens"], done) == ([], 9, "[DONE]")


def test_the_openai_client_completes(tiny: Service) -> None:
    with openai.OpenAI(
        base_url=f"{tiny.url}/v1", api_key="none", max_retries=0, _strict_response_validation=True
    ) as client:
        assert client.completions.create(model="tiny", prompt="Once").choices[0].text == "Hello there"
    # Its own strict validation does not know that a chunk has no finish_reason yet, which OpenAI's have not.
    with (
        openai.OpenAI(base_url=f"{tiny.url}/v1", api_key="none", max_retries=0) as client,
        client.completions.create(model="tiny", prompt="Once", stream=True) as stream,
    ):
        assert "".join(chunk.choices[0].text for chunk in stream) == "Hello there"


def test_each_prompt_is_answered_and_its_tokens_count_once(tiny: Service) -> None:
    cases: list[tuple[Any, list[TextPrompt | TokenPrompt]]] = [
        ("Once", [TextPrompt("Once")]),
        ("", [TextPrompt("")]),
        (["Once"], [TextPrompt("Once")]),
        (["Once", "Twice"], [TextPrompt("Once"), TextPrompt("Twice")]),
        ([1, 2, 3], [TokenPrompt((1, 2, 3))]),
        ([[1, 2], [3]], [TokenPrompt((1, 2)), TokenPrompt((3,))]),
    ]
    for prompt, expected in cases:
        for n in (1, 2):
            tiny.pool.reset()
            answer = ask(tiny, prompt=prompt, n=n, seed=5)
            assert answer.status_code == 200, f"{prompt!r}: {answer.text}"
            asked = [(each.prompt, each.sampling.seed) for _, each in tiny.pool.asked]
            assert asked == [(each, 5 + number) for each in expected for number in range(n)]
            body = answer.json()
            assert [each["index"] for each in body["choices"]] == list(range(n * len(expected)))
            usage = body["usage"]
            assert (usage["prompt_tokens"], usage["completion_tokens"]) == (
                7 * len(expected),
                2 * n * len(expected),
            )
            assert usage["prompt_tokens_details"] == {"cached_tokens": 5 * len(expected)}


def test_a_stream_of_several_prompts_counts_each_of_them_once(tiny: Service) -> None:
    fields = {"prompt": ["a", "b"], "n": 2, "stream": True, "stream_options": {"include_usage": True}}
    *found, last, _ = chunks(ask(tiny, **fields))
    assert {chunk["choices"][0]["index"] for chunk in found} == {0, 1, 2, 3}
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (14, 8)


def test_many_prompts_take_turns_and_no_more_of_the_queue_than_can_be_computed(tiny: Service) -> None:
    answer = ask(tiny, prompt=["Once"] * 200)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["choices"]) == 200
    assert tiny.pool.most_at_once <= 4, "n_parallel is 4"


@pytest.mark.parametrize("stream", [False, True])
def test_of_several_prompts_none_is_answered_where_one_does_not_fit(tiny: Service, stream: bool) -> None:
    tiny.pool.misfits = {TextPrompt("long"): ContextExceeded(600, 512, param="prompt")}
    before = answers(tiny, "error")
    answer = ask(tiny, prompt=["Once", "long"], stream=stream)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("exceed_context_size_error", "prompt[1]")
    assert (error["n_prompt_tokens"], error["n_ctx"]) == (600, 512)
    assert tiny.pool.asked == []
    assert answers(tiny, "error") == before + 1, "what was refused is counted, as of a single prompt"
    asked_wrong = ask(tiny, prompt=["Once", "long"], n=33, stream=stream).json()["error"]
    assert asked_wrong["param"] == "n", "no model is loaded for a request that cannot be answered anyway"


def test_several_prompts_are_not_looked_at_for_nobody(tiny: Service) -> None:
    before = answers(tiny, "cancelled")
    tiny.pool.checks_held = True
    with pytest.raises(httpx.ReadTimeout):
        tiny.client.post("/v1/completions", json={"model": "tiny", "prompt": ["a", "b"]}, timeout=0.5)
    eventually(lambda: answers(tiny, "cancelled") == before + 1, "nobody saw that the client left")
    assert (tiny.pool.checking, tiny.pool.asked) == (0, [])


def test_an_echo_is_asked_of_the_engine_and_counts_for_the_offsets(tiny: Service) -> None:
    first = TokenLogprob(5, b"Once", None)
    tiny.pool.texts, tiny.pool.logprobs = ["Once"], (first, TokenLogprob(6, b" upon", -0.25))
    found = ask(tiny, echo=True, logprobs=0, max_tokens=0).json()["choices"][0]
    request = tiny.pool.asked[-1][1]
    assert (request.echo, request.sampling.logprobs, request.sampling.max_tokens) == (True, 0, 0)
    assert found["logprobs"] == {
        "tokens": ["Once", " upon"],
        "token_logprobs": [None, -0.25],
        "top_logprobs": [None, {" upon": -0.25}],
        "text_offset": [0, 4],
    }
    ask(tiny)
    assert not tiny.pool.asked[-1][1].echo


def test_what_is_not_supported_or_wrong_is_refused_by_name(tiny: Service) -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"prompt": ["a"] * 1025, "n": 2}, "prompt", "invalid_value"),
        ({"max_tokens": -1}, "max_tokens", "invalid_value"),
        ({"suffix": "end"}, "suffix", "unsupported_parameter"),
        ({"best_of": 3}, "best_of", "unsupported_parameter"),
        ({"logprobs": 21}, "logprobs", "invalid_value"),
        ({"messages": []}, "messages", "unsupported_parameter"),
        ({"prompt": []}, "prompt", "invalid_value"),
        ({"prompt": ["One", 2]}, "prompt", "invalid_value"),
        ({"prompt": [-1]}, "prompt[0]", "invalid_value"),
        ({"prompt": [2**31]}, "prompt[0]", "invalid_value"),
        ({"prompt": [1, [1]]}, "prompt", "invalid_value"),
        ({"prompt": [[2**31]]}, "prompt[0][0]", "invalid_value"),
        ({"prompt": [[[1]]]}, "prompt[0][0]", "invalid_value"),
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


SPELLED = [("a", [b"a"]), ("🌱", [b"\xf0\x9f", b"\x8c", b"\xb1"]), ("bé", [b"b\xc3", b"\xa9"]), ("z", [b"z"])]
"""The text of each delta, and the tokens that led to it."""


@pytest.mark.parametrize("stream", [False, True])
def test_offsets_are_those_into_the_text_where_characters_span_tokens(tiny: Service, stream: bool) -> None:
    tiny.pool.texts = [
        TextDelta(text, tuple(TokenLogprob(1, piece, -0.5) for piece in pieces)) for text, pieces in SPELLED
    ]
    answer = ask(tiny, logprobs=1, stream=stream)
    found = chunks(answer)[:-1] if stream else [answer.json()]
    told = [choice for each in found for choice in each["choices"] if choice["logprobs"] is not None]
    assert "".join(choice["text"] for choice in told) == "a🌱béz"
    offsets = [offset for choice in told for offset in choice["logprobs"]["text_offset"]]
    assert offsets == [0, 1, 1, 1, 2, 3, 4]


def test_no_offset_lies_behind_the_text(tiny: Service) -> None:
    tiny.pool.texts = [TextDelta("Hi", (TokenLogprob(1, b"<|special|>", -0.5), TokenLogprob(2, b"Hi", -0.5)))]
    assert ask(tiny, logprobs=1).json()["choices"][0]["logprobs"]["text_offset"] == [0, 2]


def test_of_tokens_that_look_alike_the_chosen_one_is_told_then_the_likeliest(tiny: Service) -> None:
    tops = (
        Likely(6, b"\xf0", -0.25),
        Likely(7, b"a", -0.75),
        Likely(8, b"\xf1", -1.0),
        Likely(9, b"a", -2.0),
    )
    tiny.pool.texts, tiny.pool.logprobs = ["\ufffd"], (TokenLogprob(8, b"\xf1", -1.0, tops),)
    found = ask(tiny, logprobs=4).json()["choices"][0]["logprobs"]
    assert found["top_logprobs"] == [{"\ufffd": -1.0, "a": -0.75}]


def test_the_token_that_was_chosen_is_among_the_likeliest(tiny: Service) -> None:
    tiny.pool.texts = ["Hello"]
    tiny.pool.logprobs = (TokenLogprob(5, b"Hello", -2.5, (Likely(6, b"Hi", -0.5),)),)
    found = ask(tiny, logprobs=1).json()["choices"][0]["logprobs"]
    assert found["top_logprobs"] == [{"Hello": -2.5, "Hi": -0.5}]
    with openai.OpenAI(
        base_url=f"{tiny.url}/v1", api_key="none", max_retries=0, _strict_response_validation=True
    ) as client:
        logprobs = client.completions.create(model="tiny", prompt=["a", "b"], logprobs=1).choices[1].logprobs
    assert logprobs is not None
    assert logprobs.token_logprobs == [-2.5]
