"""Embedding and ranking models, dropped as files and used through the official client."""

import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import openai
import pytest

from tests.support.bert import Bert, mean_vector, rank_of, tiny_bert, write_bert
from tests.support.service import ServiceProcess

pytestmark = pytest.mark.model
TEXTS = ["what is the capital of france?", "paris is the capital of france."]


def test_a_dropped_embedding_model_embeds(
    start: Callable[..., ServiceProcess], minilm_model: Path, minilm_bert: Bert
) -> None:
    service = start()
    service.wait_ready()
    shutil.copyfile(minilm_model, service.root / "models" / "MiniLM.gguf")
    model = service.wait_model("minilm")
    assert model["engine_parameters"]["embedding"] is True
    with openai.OpenAI(
        base_url=f"{service.url}/v1", api_key="none", max_retries=0, _strict_response_validation=True
    ) as client:
        answer = client.embeddings.create(model="minilm", input=TEXTS, encoding_format="float")
        for text, found in zip(TEXTS, answer.data, strict=True):
            cosine = float(np.array(found.embedding) @ mean_vector(minilm_bert, text))
            assert cosine >= 0.9995, f"the vector of {text!r} is another"
        packed = client.with_options(_extra_kwargs={"_strict_response_validation": False})
        alone = packed.embeddings.create(model="minilm", input=TEXTS[0])  # in base64, unless told otherwise
        assert alone.data[0].embedding == pytest.approx(answer.data[0].embedding, abs=1e-4)
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model="minilm", input=["short", "very " * 600 + "long"])
        assert (caught.value.code, caught.value.param) == ("exceed_context_size_error", "input[1]")
        with pytest.raises(openai.BadRequestError, match="cannot write"):
            client.completions.create(model="minilm", prompt="Once")
    counted = service.client.get("/metrics").text
    assert 'janfs_embeddings_total{model="minilm",outcome="done"} 2.0' in counted


def test_a_dropped_reranker_ranks_and_no_other_does(start: Callable[..., ServiceProcess]) -> None:
    service, bert = start(), tiny_bert(ranks=True)
    service.wait_ready()
    for name, pooling in (("ranks", gguf.PoolingType.RANK), ("embeds", gguf.PoolingType.MEAN)):
        path = write_bert(service.root / f"{name}.gguf", bert, pooling, name=name)
        path.rename(service.root / "models" / path.name)
        service.wait_model(name)
    documents = ["a cat sat.", "nothing at all", "where is it?"]
    body = {"query": "what is it?", "documents": documents}
    answer = service.client.post("/v1/rerank", json={"model": "ranks"} | body).raise_for_status().json()
    expected = {number: rank_of(bert, "what is it?", text) for number, text in enumerate(documents)}
    assert [each["index"] for each in answer["results"]] == sorted(expected, key=lambda each: -expected[each])
    found = {each["index"]: each["relevance_score"] for each in answer["results"]}
    assert found == pytest.approx(expected, abs=2e-3)
    refused = service.client.post("/v1/rerank", json={"model": "embeds"} | body)
    assert (refused.status_code, "does not rank" in refused.text) == (400, True)
    too_long = {"query": "what?", "documents": ["a cat.", "a cat. " * 50]}
    refused = service.client.post("/v1/rerank", json={"model": "ranks"} | too_long)
    assert refused.json()["error"]["param"] == "documents[1]"
    refused = service.client.post("/v1/embeddings", json={"model": "ranks", "input": "a cat."})
    assert (refused.status_code, "/v1/rerank" in refused.text) == (400, True)
