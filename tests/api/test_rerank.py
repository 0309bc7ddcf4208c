"""/v1/rerank as clients see it; the engine is a fake."""

from typing import Any

import httpx
import pytest

from janfs.engines.protocol import PairPrompt
from janfs.errors import InvalidInput
from tests.api.service import Service

DOCUMENTS = ["no", {"text": "yes"}, "perhaps"]


def ask(service: Service, path: str = "/v1/rerank", **fields: Any) -> httpx.Response:
    service.pool.vectors = [(-1.5,), (2.0,), (0.25,)]
    return service.client.post(path, json={"model": "tiny", "query": "?", "documents": DOCUMENTS} | fields)


@pytest.mark.parametrize("path", ["/v1/rerank", "/v1/reranking", "/rerank", "/reranking"])
def test_the_best_texts_come_first(tiny: Service, path: str) -> None:
    assert ask(tiny, path).json() == {
        "object": "list",
        "model": "tiny",
        "results": [
            {"index": 1, "relevance_score": 2.0},
            {"index": 2, "relevance_score": 0.25},
            {"index": 0, "relevance_score": -1.5},
        ],
        "usage": {"prompt_tokens": 6, "total_tokens": 6},
    }
    pairs = (PairPrompt("?", "no"), PairPrompt("?", "yes"), PairPrompt("?", "perhaps"))
    assert tiny.pool.embedded == [("tiny", pairs)]


def test_only_so_many_are_told_and_with_their_texts_if_that_is_asked_for(tiny: Service) -> None:
    found = ask(tiny, top_n=2, return_documents=True).json()["results"]
    assert [each["document"] for each in found] == [{"text": "yes"}, {"text": "perhaps"}]
    assert len(ask(tiny, top_n=9).json()["results"]) == 3


def test_what_is_wrong_is_refused_by_name(tiny: Service) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"documents": []}, "documents"),
        ({"documents": ["a"] * 2049}, "documents"),
        ({"documents": [1]}, "documents[0]"),
        ({"documents": [{"title": "a"}]}, "documents[0].title"),
        ({"query": None}, "query"),
        ({"query": "é" * 8193, "documents": ["a"] * 2048}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"rank_fields": []}, "rank_fields"),
    ]
    for fields, param in cases:
        answer = ask(tiny, **fields)
        assert answer.status_code == 400, f"{fields}: {answer.status_code} {answer.text}"
        assert answer.json()["error"]["param"] == param
    assert tiny.pool.embedded == []


def test_a_long_query_may_be_asked_of_as_many_as_the_engine_can_be_told(tiny: Service) -> None:
    assert ask(tiny, query="é" * 8192, documents=["a"] * 2048).status_code == 200


def test_a_model_that_does_not_rank_says_so(tiny: Service) -> None:
    def ask_again() -> httpx.Response:
        tiny.pool.vectors = InvalidInput("It does not rank.", param="model")
        return tiny.client.post("/v1/rerank", json={"model": "tiny", "query": "?", "documents": ["a"]})

    answer = ask_again()
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "It does not rank.")
