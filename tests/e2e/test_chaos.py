"""Workers that die, clients that vanish and settings that change, with real models under load."""

import asyncio
import json
import os
import resource
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import psutil
import pytest

from janfs.sample import sample_file
from tests.support.patience import PATIENCE
from tests.support.service import ServiceProcess
from tests.support.streams import Listener, until

pytestmark = pytest.mark.model

GROWN = 96 << 20  # bytes that a service and its workers may have more after the storm than before
LONG = 100_000  # words: more than any test waits for
TOO_MUCH = "word " * 2_000_000  # 10 MB, and an array of as many tokens


APART = {"kv_unified": False, "ctx_len": 8192}  # 2,048 tokens for each of four requests
either_cache = pytest.mark.parametrize(
    "more", [{}, APART], ids=["what suits", "a cache for each"], indirect=True
)


@pytest.fixture
def more(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Further engine parameters of both models."""
    found: dict[str, Any] = getattr(request, "param", {})
    return found


@pytest.fixture
def service(tmp_path: Path, more: dict[str, Any]) -> Iterator[ServiceProcess]:
    """A service with the models `one` and `two`, both loaded."""
    for name in ("one", "two"):
        folder = tmp_path / "jan/models" / name
        folder.mkdir(parents=True)
        os.link(sample_file(), folder / f"{name}.gguf") if _same_disk(tmp_path) else (
            folder / f"{name}.gguf"
        ).write_bytes(sample_file().read_bytes())
        settings(tmp_path / "jan", name, **more)
    with ServiceProcess(tmp_path / "jan", "--hashing", "off") as service:
        for name in ("one", "two"):
            service.wait_model(name)
            service.client.post(f"/v1/models/{name}/start").raise_for_status()
        yield service


def _same_disk(path: Path) -> bool:
    return path.stat().st_dev == sample_file().stat().st_dev


def settings(root: Path, name: str, **changes: Any) -> None:
    """Write a model's model.json, in one step as editors do."""
    path = root / "models" / name / "model.json"
    wanted = {"ctx_len": 2048, "n_parallel": 4, "cpu_threads": 1} | changes
    path.with_suffix(".new").write_text(json.dumps({"engine_parameters": wanted}))
    path.with_suffix(".new").replace(path)


def loaded(service: ServiceProcess) -> dict[str, dict[str, Any]]:
    """What is loaded, by the models' ids."""
    engines = service.get("/v1/engines")["data"]
    return {model["id"]: model for engine in engines for model in engine["models"]}


def memory(service: ServiceProcess) -> int:
    """Bytes of the service and all its processes that are not of files."""
    found = 0
    for each in (psutil.Process(service.process.pid), *children(service)):
        with suppress(psutil.NoSuchProcess):  # it ended just now
            found += each.memory_full_info().uss
    return found


def children(service: ServiceProcess) -> list[psutil.Process]:
    """All that the service started, and that one or the other of them did."""
    return psutil.Process(service.process.pid).children(recursive=True)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def starve(pid: int) -> None:
    """Give a process no more memory than it has: the next large piece that it wants is refused.

    That of each thread is set aside long before; RLIMIT_DATA is about what of it may be used.
    """
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        resource.prlimit(pid, limit, (1, resource.RLIM_INFINITY))


def run(service: ServiceProcess, storm: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def whole() -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(
            base_url=service.url, timeout=PATIENCE, trust_env=False, limits=limits
        ) as client:
            await storm(client)

    asyncio.run(whole())


async def idle(service: ServiceProcess) -> None:
    """Wait until nothing is computed and nobody waits."""

    def quiet() -> bool:
        return all(model["requests"] + model["waiting"] == 0 for model in loaded(service).values())

    await until(quiet, "requests are left")


@either_cache
@pytest.mark.parametrize("harm", [kill, starve])
def test_a_worker_that_dies_takes_its_own_streams_and_no_others(
    service: ServiceProcess, harm: Callable[[int], None]
) -> None:
    async def storm(client: httpx.AsyncClient) -> None:
        untouched = Listener(client, "two", 100)
        hit = [Listener(client, "one", LONG) for _ in range(3)]
        for each in (untouched, *hit):
            await each.begun()
        before = loaded(service)["one"]["pid"]
        harm(before)
        if harm is starve:
            refused = await client.post("/tokenize", json={"model": "one", "content": TOO_MUCH})
            assert refused.json()["error"]["code"] == "engine_crashed", refused.text
        await asyncio.wait([each.task for each in hit], timeout=PATIENCE)
        for each in hit:
            assert each.task.done(), "a stream of a dead worker goes on"
            assert each.error is not None, "a stream ended as if all were well"
            assert each.error["code"] == "engine_crashed", each.error
            assert each.finish is None
        after = Listener(client, "one", 4)
        await asyncio.wait([untouched.task, after.task])
        assert (after.finish, after.error) == ("length", None)
        assert (untouched.finish, untouched.error) == ("length", None)
        assert len("".join(untouched.pieces)) > 100
        assert loaded(service)["one"]["pid"] != before

    run(service, storm)
    assert service.client.get("/readyz").is_success


def test_clients_that_vanish_leave_nothing_behind(service: ServiceProcess) -> None:
    run(service, lambda client: vanishing(service, client, clients=60, rounds=2))


@either_cache
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_clients_that_vanish_again_and_again_leave_nothing_behind(
    service: ServiceProcess,
) -> None:
    run(service, lambda client: vanishing(service, client, clients=200, rounds=12))


async def vanishing(service: ServiceProcess, client: httpx.AsyncClient, *, clients: int, rounds: int) -> None:
    start = 0
    for number in range(rounds):
        untouched = Listener(client, "two", 30)
        crowd = [Listener(client, "one", LONG) for _ in range(clients)]
        await asyncio.sleep(0.5)
        for each in crowd[::2]:
            await each.leave()
        await asyncio.sleep(0.5)
        for each in crowd[1::2]:
            await each.leave()
        assert {each.status for each in crowd} <= {0, 200, 429}, "a client was told of a defect"
        await asyncio.wait([untouched.task])
        assert (untouched.finish, untouched.error) == ("length", None)
        await idle(service)
        start = start or memory(service)  # after the first round: caches are full
        grown = memory(service) - start
        assert grown < GROWN, f"{grown >> 20} MiB more after {number + 1} rounds"
    after = Listener(client, "one", 4)
    await asyncio.wait([after.task])
    assert after.finish == "length"


def test_a_model_is_swapped_under_load_and_nobody_notices(service: ServiceProcess) -> None:
    run(service, lambda client: editing(service, client, edits=3))


@either_cache
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_model_is_swapped_fifty_times_under_load_and_nobody_notices(
    service: ServiceProcess, more: dict[str, Any]
) -> None:
    run(service, lambda client: editing(service, client, edits=50, more=more))


async def editing(
    service: ServiceProcess,
    client: httpx.AsyncClient,
    *,
    edits: int,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    other = loaded(service)["two"]["pid"]
    await idle(service)
    start, parts = memory(service), 1 if more.get("kv_unified", True) else 4
    steady = Listener(client, "two", 20 * edits)
    answers: list[Listener] = []
    stopping = asyncio.Event()

    async def ask() -> None:
        while not stopping.is_set():
            one = Listener(client, "one", 8)
            answers.append(one)
            await asyncio.wait([one.task])

    async def swap(name: str, context: int) -> None:
        settings(service.root, name, **{**more, "ctx_len": context * parts})
        await until(lambda: loaded(service).get(name, {}).get("context") == context, "it is swapped")

    asking = [asyncio.create_task(ask()) for _ in range(3)]
    for number in range(1, edits + 1):
        long = Listener(client, "one", 60)
        await long.begun()
        await swap("one", 2048 + 256 * (number % 2))
        await asyncio.wait([long.task])
        assert (long.finish, long.error) == ("length", None), "an answer on the old settings broke"
    stopping.set()
    await asyncio.wait([*asking, steady.task])
    for each in (*answers, steady):
        assert (each.status, each.finish, each.error) == (200, "length", None)
    now = loaded(service)
    assert now["two"]["pid"] == other, "another model noticed"
    await idle(service)
    workers = {now["one"]["pid"], other}

    def beside() -> set[int]:
        pids = {child.pid for child in children(service)}
        assert workers <= pids
        return pids - workers

    await until(lambda: len(beside()) <= 1, "only the spare one is left beside the workers")
    grown = memory(service) - start
    assert grown < GROWN, f"{grown >> 20} MiB more"


@pytest.mark.long
def test_a_worker_that_is_stopped_is_found_and_replaced(service: ServiceProcess) -> None:
    async def storm(client: httpx.AsyncClient) -> None:
        hit, untouched = Listener(client, "one", LONG), Listener(client, "two", 600)
        await hit.begun()
        before = loaded(service)["one"]["pid"]
        os.kill(before, signal.SIGSTOP)
        await asyncio.wait([hit.task], timeout=PATIENCE)
        assert hit.error is not None, "nobody found the worker that stands still"
        assert "no sign of life" in hit.error["message"]
        after = Listener(client, "one", 4)
        await asyncio.wait([after.task, untouched.task])
        assert (after.finish, untouched.finish) == ("length", "length")
        assert not psutil.pid_exists(before)

    run(service, storm)
