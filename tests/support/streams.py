"""Clients of a running service that listen to many streams at once."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx

from tests.support.patience import PATIENCE


class Listener:
    """One streamed chat. `pieces` are the texts so far, `error` what the stream ended with, if it broke."""

    def __init__(self, client: httpx.AsyncClient, model: str, words: int, **fields: Any) -> None:
        self.pieces: list[str] = []
        self.status = 0
        self.error: dict[str, Any] | None = None
        self.finish: str | None = None
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "Count as far as you can, in words."}],
            "max_tokens": words,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
        }
        self.task = asyncio.create_task(self._listen(client, body | fields))

    async def begun(self) -> None:
        """Wait for the first piece, or the end."""
        await until(lambda: bool(self.pieces) or self.task.done(), "a stream began")

    async def leave(self) -> None:
        """Close the connection, as a client that vanishes."""
        self.task.cancel()
        await asyncio.wait([self.task])

    async def _listen(self, client: httpx.AsyncClient, body: dict[str, Any]) -> None:
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            self.status = answer.status_code
            if not answer.is_success:
                self.error = json.loads(await answer.aread())["error"]
                return
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    self._hear(json.loads(line.removeprefix("data: ")))

    def _hear(self, message: dict[str, Any]) -> None:
        self.error = message.get("error", self.error)
        for choice in message.get("choices", ()):
            if choice["delta"].get("content"):
                self.pieces.append(choice["delta"]["content"])
            self.finish = choice["finish_reason"] or self.finish


async def until(condition: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
    """Wait until it is so. Raises `AssertionError`."""
    async with asyncio.timeout(within) as limit:
        while not condition():
            await asyncio.sleep(0.02)
    assert not limit.expired(), f"waited in vain: {what}"
