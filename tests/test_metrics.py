"""What Prometheus sees."""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from janfs.engines.protocol import Embedding, EngineInfo, EngineState, Finished, Reply, TextDelta, Usage
from janfs.errors import EngineError
from janfs.metrics import Metrics


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    """The value of one time series, as Prometheus' own parser reads it."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    found = [
        each.value
        for family in families
        for each in family.samples
        if (each.name, each.labels) == (name, labels)
    ]
    assert len(found) < 2, f"{name} {labels} is there twice"
    return found[0] if found else None


async def replies(*items: Reply | Exception) -> AsyncGenerator[Reply]:
    for item in items:
        if isinstance(item, Exception):
            raise item
        yield item


def drain(metrics: Metrics, *items: Reply | Exception, at_most: int = 99) -> list[Reply]:
    """What comes through of these replies, of which only so many are taken."""

    async def run() -> list[Reply]:
        taken: list[Reply] = []
        passing = metrics.generation("m", replies(*items))
        async for reply in passing:
            taken.append(reply)
            if len(taken) == at_most:
                break
        await passing.aclose()
        return taken

    return asyncio.run(run())


def test_vectors_are_counted_by_how_they_ended() -> None:
    metrics = Metrics()

    async def made() -> tuple[Embedding, ...]:
        return (Embedding(b"", 3), Embedding(b"", 4))

    async def failed() -> tuple[Embedding, ...]:
        raise EngineError("no luck")

    assert len(asyncio.run(metrics.embedding("m", made()))) == 2
    with pytest.raises(EngineError):
        asyncio.run(metrics.embedding("m", failed()))
    assert sample(metrics, "janfs_embeddings_total", model="m", outcome="done") == 1
    assert sample(metrics, "janfs_embeddings_total", model="m", outcome="error") == 1
    assert sample(metrics, "janfs_embedding_tokens_total", model="m") == 7


def test_every_metric_is_documented() -> None:
    metrics = Metrics()
    metrics.watch_engines(tuple)
    families = text_string_to_metric_families(metrics.exposition().decode())
    names = {f"{each.name}_total" if each.type == "counter" else each.name for each in families}
    told = (Path(__file__).parent.parent / "docs" / "operations.md").read_text()
    missing = {name for name in names if name.startswith("janfs_") and f"`{name}`" not in told}
    assert not missing, f"docs/operations.md does not tell of {missing}"


def test_a_generation_is_passed_on_and_counted() -> None:
    metrics = Metrics()
    items = (TextDelta("a"), TextDelta("b"), TextDelta("c"), Finished("length", Usage(7, 3, 5)))
    assert drain(metrics, *items) == list(items)
    assert sample(metrics, "janfs_answers_total", model="m", outcome="length") == 1
    assert sample(metrics, "janfs_prompt_tokens_total", model="m") == 7
    assert sample(metrics, "janfs_cached_tokens_total", model="m") == 5
    assert sample(metrics, "janfs_completion_tokens_total", model="m") == 3
    assert sample(metrics, "janfs_first_token_seconds_count", model="m") == 1
    assert sample(metrics, "janfs_between_tokens_seconds_count", model="m") == 2


def test_pieces_that_are_told_together_count_each_with_its_part_of_the_time() -> None:
    metrics = Metrics()
    drain(metrics, TextDelta("a"), TextDelta("bcd", pieces=3), Finished("length", Usage(7, 4)))
    assert sample(metrics, "janfs_first_token_seconds_count", model="m") == 1
    assert sample(metrics, "janfs_between_tokens_seconds_count", model="m") == 3


def test_a_generation_that_nobody_waits_for_is_cancelled() -> None:
    metrics = Metrics()
    drain(metrics, TextDelta("a"), TextDelta("b"), at_most=1)
    assert sample(metrics, "janfs_answers_total", model="m", outcome="cancelled") == 1


def test_a_generation_that_fails_is_an_error_and_stays_one() -> None:
    metrics = Metrics()
    with pytest.raises(EngineError, match="Broken"):
        drain(metrics, TextDelta("a"), EngineError("Broken."))
    assert sample(metrics, "janfs_answers_total", model="m", outcome="error") == 1


INFO = EngineInfo(
    pid=os.getpid(), load_seconds=1, n_ctx=1, n_ctx_train=1, n_parallel=1, n_vocab=1, n_params=1,
    description="",
)  # fmt: skip


def test_loaded_models_show_their_state_queue_and_memory() -> None:
    gone = EngineInfo(**{name: getattr(INFO, name) for name in INFO.__struct_fields__} | {"pid": 2**22 + 1})
    metrics = Metrics()
    metrics.watch_engines(
        lambda: [
            ("m", EngineState(state="running", active=2, waiting=3, info=INFO)),
            ("n", EngineState(state="stopping", info=gone)),
        ]
    )
    assert sample(metrics, "janfs_model_state", model="m", state="running") == 1
    assert sample(metrics, "janfs_model_requests", model="m", state="active") == 2
    assert sample(metrics, "janfs_model_requests", model="m", state="waiting") == 3
    assert (sample(metrics, "janfs_model_resident_bytes", model="m") or 0) > 1_000_000
    assert sample(metrics, "janfs_model_resident_bytes", model="n") is None, "its process is gone"


def test_an_engine_that_was_replaced_and_still_answers_counts_for_its_model() -> None:
    successor = EngineState(state="loading", waiting=3)
    replaced = EngineState(state="stopping", active=2, info=INFO)
    metrics = Metrics()
    metrics.watch_engines(lambda: [("m", successor), ("m", replaced)])
    assert sample(metrics, "janfs_model_state", model="m", state="loading") == 1
    assert sample(metrics, "janfs_model_state", model="m", state="stopping") is None
    assert sample(metrics, "janfs_model_requests", model="m", state="active") == 2
    assert sample(metrics, "janfs_model_requests", model="m", state="waiting") == 3
    assert (sample(metrics, "janfs_model_resident_bytes", model="m") or 0) > 1_000_000
