"""A real `janfs serve` in a process of its own, on a free port, for end-to-end tests and benchmarks."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from janfs.log.lock import Owner
from janfs.root import RootPaths
from tests.support.patience import PATIENCE


class ServiceProcess:
    """`janfs serve --root ROOT --port 0 ...`; `client` talks to it."""

    def __init__(
        self, root: Path, *options: str, env: dict[str, str] | None = None, within: Sequence[str] = ()
    ) -> None:
        """`within` is a command that runs another one in its place, such as setpriv."""
        self.root = root
        self.output = root.with_name(f"{root.name}.stderr")  # a pipe that nobody reads would fill up
        self.started = time.perf_counter()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    *within,
                    sys.executable,
                    "-m",
                    "janfs",
                    "serve",
                    "--root",
                    str(root),
                    "--port",
                    "0",
                    *options,
                ],
                env={**os.environ, **(env or {})},
                stderr=output,
            )
        key = options[options.index("--api-key") + 1] if "--api-key" in options else None
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        # Made while the service starts: it reads all certificates, which would count as the service's time.
        self.client = httpx.Client(headers=headers, timeout=PATIENCE, trust_env=False)
        self.url = self._wait_for_url()
        self.client.base_url = self.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.stop()

    def stop(self, number: int = signal.SIGTERM) -> str:
        """End it and wait; what it wrote to stderr."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        return self.output.read_text()

    def kill(self) -> None:
        """`kill -9`."""
        self.stop(signal.SIGKILL)

    def get(self, path: str) -> Any:
        """The JSON at a path; raises for any status that is an error."""
        return self.client.get(path).raise_for_status().json()

    def models(self) -> dict[str, Any]:
        """Every listed model by id."""
        return {model["id"]: model for model in self.get("/v1/models")["data"]}

    def wait_ready(self, within: float = PATIENCE) -> None:
        """Wait until everything on disk has been looked at."""
        self.wait(lambda: self.client.get("/readyz").is_success, "the service to be ready", within)

    def wait_model(self, model_id: str, status: str = "ready", within: float = PATIENCE) -> dict[str, Any]:
        """Wait until a model has this status; the model."""
        found: dict[str, Any] = {}

        def is_so() -> bool:
            nonlocal found
            found = self.models().get(model_id, {})
            return found.get("status") == status

        self.wait(is_so, f"{model_id} to be {status}", within)
        return found  # as it was then: a second look might see it otherwise

    def wait(self, happened: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
        """Wait for something. Raises `AssertionError` with the list of models when it does not come."""
        until = time.monotonic() + within
        while not happened():
            if time.monotonic() > until:
                raise AssertionError(f"waited {within} s in vain for {what}; the list: {self.models()}")
            time.sleep(0.02)

    def _wait_for_url(self) -> str:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            owner = _named_in(RootPaths(self.root).lock)
            if owner.pid == self.process.pid and owner.url:
                return owner.url
            time.sleep(0.005)
        self.process.kill()
        raise AssertionError(f"the service did not start: {self.output.read_text()}")


def _named_in(lock: Path) -> Owner:
    """Who a lock file names. `read_owner` would take the lock for an instant, and keep the service from
    starting where this process comes to a stop in it.
    """
    text = lock.read_bytes().strip() if lock.exists() else b""
    return msgspec.json.decode(text, type=Owner) if text else Owner()
