"""Streamed answers, and when each piece of them came.

Threads and http.client: they take little of the CPU that the servers are measured by.
"""

import http.client
import json
import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

_WORDS = re.findall(
    "[a-z]+",
    """
    time year people way day man thing woman life child world school state family student group country
    problem hand part place case week company system program question work government number night point
    home water room mother area money story fact month lot right study book eye job word business issue
    side kind head house service friend father power hour game line end member law car city community
    name president team minute idea kid body information back parent face others level office door
    health person art war history party result change morning reason research girl guy moment air
    """,
)
T = TypeVar("T")


@dataclass(frozen=True)
class Streamed:
    """One answer. Times are in seconds, as `time.perf_counter` has them."""

    sent: float
    arrivals: tuple[float, ...]  # of pieces with text
    tokens: int
    cached: int
    text: str

    @property
    def first(self) -> float:
        """Seconds to the first token."""
        return self.arrivals[0] - self.sent

    def gaps(self, begin: float, end: float) -> list[float]:
        """Seconds between successive pieces, of the gaps that reach into this stretch of time."""
        pairs = zip(self.arrivals, self.arrivals[1:], strict=False)
        return [after - before for before, after in pairs if after > begin and before < end]


def ask(
    port: int, model: str, messages: Sequence[Mapping[str, str]], max_tokens: int, **more: Any
) -> Streamed:
    """A greedy chat answer of exactly `max_tokens`, streamed."""
    body = {
        "model": model,
        "messages": list(messages),
        "max_tokens": max_tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
        **more,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    sent = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise AssertionError(f"{answer.status}: {answer.read().decode()}")
    arrivals, texts, usage = [], [], None
    for line in answer:
        if not line.startswith(b"data: {"):
            continue
        now, chunk = time.perf_counter(), json.loads(line[6:])
        if "error" in chunk:
            raise AssertionError(chunk["error"])
        usage = chunk.get("usage") or usage
        text = chunk["choices"][0]["delta"].get("content") if chunk["choices"] else None
        if text:
            arrivals.append(now)
            texts.append(text)
    connection.close()
    if usage is None or not arrivals:
        raise AssertionError("a stream without an answer, or without its usage")
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return Streamed(sent, tuple(arrivals), usage["completion_tokens"], cached, "".join(texts))


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What these give, run in a thread each. Raises the first error among them."""
    results: list[T | None] = [None] * len(calls)
    errors: list[Exception] = []

    def run(place: int) -> None:
        try:
            results[place] = calls[place]()
        except Exception as error:  # noqa: BLE001  # raised below, in the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [result for result in results if result is not None]


def user(text: str) -> dict[str, str]:
    """A message of the user's."""
    return {"role": "user", "content": text}


def words(count: int, seed: object) -> str:
    """So many words; another seed gives another text."""
    return " ".join(random.Random(repr(seed)).choices(_WORDS, k=count))
