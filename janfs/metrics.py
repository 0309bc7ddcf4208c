"""What is counted and measured, for Prometheus. Times are in seconds, sizes in bytes.

Everything is in a registry that is passed around; the names are documented in docs/operations.md.
"""

import time
from collections import Counter as Counts
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from janfs.engines.free_memory import resident
from janfs.engines.protocol import Embedding, EngineState, Finished, Reply, Usage
from janfs.engines.remote.upstream import UpstreamState
from janfs.errors import JanfsError

CONTENT_TYPE = CONTENT_TYPE_LATEST
_REQUEST_SECONDS = (0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300)
_FIRST_TOKEN_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKEN_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

_OUTCOMES = frozenset({"stop", "length", "tool_calls", "content_filter"})

StatesOf = Callable[[], Iterable[tuple[str, EngineState]]]
"""What each model that is loaded, or was, is doing now, with its id.

Behind it, with the same id, what that does which was replaced and still answers.
"""


ServersOf = Callable[[], Mapping[str, Sequence[UpstreamState]]]
"""The servers of each engine elsewhere that has been asked, by its id."""


class Metrics:
    """The service's metrics. All methods belong to one event loop."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = self._counter(
            "requests", "Requests that were answered.", "method", "route", "status"
        )
        self._request_seconds = self._histogram(
            "request_seconds", "From a request's first byte to its answer's last.", _REQUEST_SECONDS, "route"
        )
        self._answers = self._counter(
            "answers", "Generations by how they ended: stop, length, cancelled or error.", "model", "outcome"
        )
        self._prompt_tokens = self._counter("prompt_tokens", "Tokens of prompts that were answered.", "model")
        self._cached_tokens = self._counter(
            "cached_tokens", "Tokens of prompts that were computed already.", "model"
        )
        self._tokens = self._counter("completion_tokens", "Tokens that were generated.", "model")
        self._first_token = self._histogram(
            "first_token_seconds", "From the request to the first text, loading included.",
            _FIRST_TOKEN_SECONDS, "model",
        )  # fmt: skip
        self._between_tokens = self._histogram(
            "between_tokens_seconds", "Between one piece of text and the next.", _TOKEN_SECONDS, "model"
        )

        self._embeddings = self._counter(
            "embeddings", "Requests for vectors or ranks: done, cancelled or error.", "model", "outcome"
        )
        self._embedded_tokens = self._counter(
            "embedding_tokens", "Tokens of texts that became vectors or ranks.", "model"
        )

    def watch_engines(self, states_of: StatesOf) -> None:
        """Tell of loaded models too, asked when somebody looks."""
        self._registry.register(_Engines(states_of))

    def watch_servers(self, servers_of: ServersOf) -> None:
        """Tell of the servers of engines elsewhere, too."""
        self._registry.register(_Servers(servers_of))

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request is over. `route` is its path with the names of its parameters, never their values."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    async def generation(self, model_id: str, replies: AsyncGenerator[Reply]) -> AsyncGenerator[Reply]:
        """Pass on what a model answers, and measure it on the way."""
        with self.answering(model_id) as books:
            async with aclosing(replies):
                async for reply in replies:
                    if isinstance(reply, Finished):
                        books.used(reply.usage)
                        books.ended(reply.finish_reason)
                    else:
                        books.told(reply.pieces)
                    yield reply

    @contextmanager
    def preparing(self, model_id: str) -> Iterator[None]:
        """What comes before the generations of a request. Where it fails, it counts in their place."""
        outcome: str | None = "cancelled"
        try:
            yield
            outcome = None
        except JanfsError:
            outcome = "error"
            raise
        finally:
            if outcome is not None:
                self._answers.labels(model_id, outcome).inc()

    @contextmanager
    def answering(self, model_id: str) -> Iterator["Books"]:
        """The books of one generation; it was cancelled if it leaves without an end or an error."""
        books = Books(
            first=self._first_token.labels(model_id),
            between=self._between_tokens.labels(model_id),
            prompt=self._prompt_tokens.labels(model_id),
            cached=self._cached_tokens.labels(model_id),
            completion=self._tokens.labels(model_id),
        )
        try:
            yield books
        except JanfsError:
            books.outcome = "error"
            raise
        finally:
            self._answers.labels(model_id, books.outcome).inc()

    async def embedding(
        self, model_id: str, work: Coroutine[Any, Any, tuple[Embedding, ...]]
    ) -> tuple[Embedding, ...]:
        """The vectors that a model makes, counted."""
        with self.embedding_of(model_id) as used:
            found = await work
            used(sum(each.n_tokens for each in found))
            return found

    @contextmanager
    def embedding_of(self, model_id: str) -> Iterator[Callable[[int], None]]:
        """Counts a request for vectors or ranks; it is done when the number of its tokens was told."""
        outcome = "cancelled"

        def used(tokens: int) -> None:
            nonlocal outcome
            outcome = "done"
            self._embedded_tokens.labels(model_id).inc(tokens)

        try:
            yield used
        except JanfsError:
            outcome = "error"
            raise
        finally:
            self._embeddings.labels(model_id, outcome).inc()

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"janfs_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"janfs_{name}", text, labels, buckets=buckets, registry=self._registry)


class Books:
    """What is counted of one generation."""

    def __init__(
        self, *, first: Histogram, between: Histogram, prompt: Counter, cached: Counter, completion: Counter
    ) -> None:
        self.outcome = "cancelled"
        self._measure, self._between = first, between
        self._prompt, self._cached, self._completion = prompt, cached, completion
        self._last = time.perf_counter()

    def told(self, pieces: int = 1) -> None:
        """So many pieces of the answer are here, each of which took its part of the time."""
        now = time.perf_counter()
        for _ in range(pieces):
            self._measure.observe((now - self._last) / pieces)
        self._measure, self._last = self._between, now

    def used(self, usage: Usage) -> None:
        """So many tokens were it."""
        self._prompt.inc(usage.prompt_tokens)
        self._cached.inc(usage.cached_tokens)
        self._completion.inc(usage.completion_tokens)

    def ended(self, outcome: str) -> None:
        """It is at its end."""
        self.outcome = outcome if outcome in _OUTCOMES else "other"


class _Engines(Collector):
    """The loaded models and their processes, looked at when asked."""

    def __init__(self, states_of: StatesOf) -> None:
        self._states_of = states_of

    def collect(self) -> Iterator[Metric]:
        """See `Collector.collect`."""
        state = GaugeMetricFamily(
            "janfs_model_state", "1 for what a model does now.", labels=("model", "state")
        )
        requests = GaugeMetricFamily(
            "janfs_model_requests", "Requests that are computed, and that wait.", labels=("model", "state")
        )
        memory = GaugeMetricFamily(
            "janfs_model_resident_bytes", "Memory of the processes that hold a model.", labels=("model",)
        )
        states: dict[str, str] = {}
        counted: Counts[tuple[str, str]] = Counts()
        held: Counts[str] = Counts()
        for model_id, now in self._states_of():
            states.setdefault(model_id, now.state)
            counted.update({(model_id, "active"): now.active, (model_id, "waiting"): now.waiting})
            of_process = resident(now.info.pid) if now.info is not None else None
            if of_process is not None:
                held[model_id] += of_process
        for labels in states.items():
            state.add_metric(labels, 1)
        for labels, count in counted.items():
            requests.add_metric(labels, count)
        for model_id, size in held.items():
            memory.add_metric((model_id,), size)
        yield from (state, requests, memory)


class _Servers(Collector):
    """The servers of engines elsewhere, looked at when asked."""

    def __init__(self, servers_of: ServersOf) -> None:
        self._servers_of = servers_of

    def collect(self) -> Iterator[Metric]:
        """See `Collector.collect`."""
        names = ("engine", "server")
        up = GaugeMetricFamily("janfs_upstream_up", "Whether a server elsewhere answers.", labels=names)
        requests = GaugeMetricFamily("janfs_upstream_requests", "Requests that run there.", labels=names)
        for engine, servers in self._servers_of().items():
            for each in servers:
                up.add_metric((engine, each.url), each.state == "up")
                requests.add_metric((engine, each.url), each.active)
        yield from (up, requests)
