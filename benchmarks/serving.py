"""Answers as clients see them, beside llama.cpp's own server: same llama.cpp, file, threads, slots, context.

Both serve the same requests in turn, several rounds, and what counts is the ratio within a round. Short ones
take turns several times a round, and their median counts. Prompts are always new, so that nothing is in
anybody's cache but what the measured requests themselves have put there.

llama-server gives each slot a cache of its own, an eighth of the context. It can also have one for all, and
is asked a second time like that where it matters. We have what suits those who run, and are asked a second
time with a cache for each all the time (`kv_unified` false).
"""

import itertools
import json
import shutil
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.llama_server import LlamaServer, build
from benchmarks.report import RESULTS, Row, median, percentile
from benchmarks.streams import Streamed, ask, at_once, user, words
from janfs.sample import sample_file
from tests.support.service import ServiceProcess

SLOTS, CONTEXT, THREADS = 8, 16_384, 2
SIZES = f"-np {SLOTS} -c {CONTEXT} -t {THREADS} -tb {THREADS}".split()
ROUNDS = 3
READING = 1.0  # seconds that a person takes before asking on, at least
QUIET = 2.0  # seconds in which ours begins the next turns, so that it takes nothing from whoever is next
UNLOADED_FOR = 2.0  # seconds; a model is unloaded because nobody asked for a while
MODEL = "measured"
ALIKE = ", one cache for all"
APART = ", a cache for each"
TAG = {"enum": ["tall", "small", "young", "old", "kind", "proud"]}
PERSON = {  # of one length, so that both write as much
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
        "born": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": TAG, "minItems": 6, "maxItems": 6},
        "address": {
            "type": "object",
            "properties": {"city": {"type": "string", "minLength": 8, "maxLength": 16}, "flat": TAG},
            "required": ["city", "flat"],
            "additionalProperties": False,
        },
    },
    "required": ["id", "born", "tags", "address"],
    "additionalProperties": False,
}
WAVES = {1: 7, 4: 5, 8: 3}  # by clients, in turn
CHATS = 5

Turn = tuple[int, int]  # the round, and the time within it


@dataclass(frozen=True)
class Served:
    """A model behind a port; `pid` is the process at the head of those that serve it."""

    port: int
    model: str
    pid: int
    unload: Callable[[], None]


@dataclass(frozen=True)
class Measured:
    """Both servers' figure in one round; `busy` is the share of the machine that others used meanwhile."""

    name: str
    round: int
    ours: float
    theirs: float
    busy: float


def run(where: Path | None = None, rounds: int = ROUNDS) -> list[Row]:
    """All scenarios, ours and llama-server's in turn."""
    program = build()
    found: list[Measured] = []
    with (
        tempfile.TemporaryDirectory(dir=where) as folder,
        _llama_server(program, Path(folder) / "llama-server.log") as theirs,
        _llama_server(program, Path(folder) / "alike.log", "--kv-unified") as alike,
        _janfs(Path(folder) / "as-suits") as ours,
        _janfs(Path(folder) / "apart", kv_unified=False) as apart,
    ):
        pairs = {"": (ours, theirs), APART: (apart, theirs)}
        for number in range(rounds):
            for clients, times in WAVES.items():
                more = {ALIKE: (ours, alike)} if clients > 1 else {}
                found += _in_turn(partial(_throughput, clients=clients), number, pairs | more, times)
            for scenario in (_shared_prompt, _long_prompt, _bound):
                found += _in_turn(scenario, number, pairs)
            found += _in_turn(_second_turn, number, pairs, CHATS)
        for kind, (one, other) in pairs.items():
            found.append(_shown(Measured(f"memory{kind}", 0, _memory(one), _memory(other), 0)))
    with (
        tempfile.TemporaryDirectory(dir=where) as folder,
        _router(program, Path(folder)) as router,
        _janfs(Path(folder)) as ours,
    ):
        for number in range(rounds):
            for name, pause in (("cold", UNLOADED_FOR), ("cold at once", 0.0)):
                cold = partial(_cold, name=name, pause=pause)
                found += _in_turn(cold, number, {"": (ours, router)}, lasting=False)
    _keep_rounds(found)
    return _rows(found)


def _in_turn(
    scenario: Callable[[Served, Turn], dict[str, float]],
    number: int,
    pairs: dict[str, tuple[Served, Served]],
    times: int = 1,
    *,
    lasting: bool = True,
) -> list[Measured]:
    """A scenario's figures of ours and theirs, whose names end as the key of the pair says.

    They are medians of so many `times`. Unless their processes are `lasting`, nobody knows what others had of
    the machine.
    """
    servers = list({id(server): server for pair in pairs.values() for server in pair}.values())
    began = _cpu(*servers) if lasting else None
    figures: dict[tuple[int, str], list[float]] = defaultdict(list)
    for time_ in range(times):
        # Who goes first changes, as the machine may get slower or faster all the while.
        first = (number + time_) % len(servers)
        for server in servers[first:] + servers[:first]:
            for name, value in scenario(server, (number, time_)).items():
                figures[id(server), name].append(value)
            time.sleep(QUIET)
    busy = _share_of_others(began, _cpu(*servers)) if began is not None else 0
    middle = {key: median(found) for key, found in figures.items()}
    names = list(dict.fromkeys(name for _, name in figures))
    return [
        _shown(Measured(f"{name}{kind}", number, middle[id(ours), name], middle[id(theirs), name], busy))
        for kind, (ours, theirs) in pairs.items()
        for name in names
    ]


def _shown(measured: Measured) -> Measured:
    """A figure, which is shown as it comes: a run takes minutes."""
    print(
        f"round {measured.round + 1}, {measured.name}: {measured.ours:.3f} against {measured.theirs:.3f}",
        flush=True,
    )
    return measured


def _throughput(server: Served, turn: Turn, *, clients: int) -> dict[str, float]:
    """Tokens a second of several clients with prompts of 120 words that have nothing in common."""
    prompts = [[user(words(120, (turn, clients, client)))] for client in range(clients)]
    began = time.perf_counter()
    answers = at_once([partial(ask, server.port, server.model, prompt, 64) for prompt in prompts])
    return {f"tokens/s, {clients}": _tokens(answers) / (time.perf_counter() - began)}


def _shared_prompt(server: Served, turn: Turn) -> dict[str, float]:
    """8 clients with one system prompt of 400 words, two questions each, 32 tokens."""
    system = {"role": "system", "content": words(400, ("system", turn))}

    def client(place: int) -> list[Streamed]:
        questions = (words(12, (turn, place, wave)) for wave in range(2))
        return [ask(server.port, server.model, [system, user(each)], 32) for each in questions]

    began = time.perf_counter()
    answers = list(itertools.chain(*at_once([partial(client, place) for place in range(8)])))
    seconds = time.perf_counter() - began
    first = [answer.first for answer in answers]
    return {
        "shared tokens/s": _tokens(answers) / seconds,
        "shared first p99": percentile(first, 0.99),
        "shared first p50": median(first),
    }


def _long_prompt(server: Served, turn: Turn) -> dict[str, float]:
    """Gaps of 4 running answers while a prompt of some 2,000 tokens is computed."""
    long: list[Streamed] = []

    def writer(place: int) -> Streamed:
        return ask(server.port, server.model, [user(words(20, (turn, place)))], 400)

    def reader() -> Streamed:
        time.sleep(2.0)  # the others are writing by then
        long.append(ask(server.port, server.model, [user(words(1_750, ("long", turn)))], 4))
        return long[0]

    writers = at_once([*(partial(writer, place) for place in range(4)), reader])[:4]
    (prompt,) = long
    gaps = [gap for each in writers for gap in each.gaps(prompt.sent, prompt.arrivals[0])]
    return {"gap p99": percentile(gaps, 0.99), "long first": prompt.first}


def _second_turn(server: Served, turn: Turn) -> dict[str, float]:
    """Seconds to the first token of a chat's second turn; the first had 300 words.

    A person takes `READING` seconds before that is asked, a program none.
    """
    firsts: dict[str, float] = {}
    for name, pause in (("second turn", READING), ("second turn at once", 0.0)):
        messages = [user(words(300, (name, turn)))]
        answer = ask(server.port, server.model, messages, 32)
        messages += [{"role": "assistant", "content": answer.text}, user(words(12, turn))]
        time.sleep(pause)
        firsts[name] = ask(server.port, server.model, messages, 8).first
    return firsts


def _bound(server: Served, turn: Turn) -> dict[str, float]:
    """Tokens a second of 8 clients whose answers are bound to a schema, two each, of 90 tokens or so."""
    format_ = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    more = {"response_format": format_, "ignore_eos": False}

    def client(place: int) -> list[Streamed]:
        asked = [user(f"A person, with these tags: {words(8, (turn, place, wave))}") for wave in range(2)]
        return [ask(server.port, server.model, [each], 160, **more) for each in asked]

    began = time.perf_counter()
    answers = list(itertools.chain(*at_once([partial(client, place) for place in range(8)])))
    return {"bound tokens/s": _tokens(answers) / (time.perf_counter() - began)}


def _cold(server: Served, turn: Turn, *, name: str, pause: float) -> dict[str, float]:
    """Seconds from a request for a model that is not loaded to its first token; the median of three.

    It was unloaded `pause` seconds before.
    """
    firsts = []
    for load in range(3):
        server.unload()
        time.sleep(pause)
        firsts.append(ask(server.port, server.model, [user(words(5, (turn, load, pause)))], 4).first)
    return {name: median(firsts)}


@contextmanager
def _llama_server(program: Path, log: Path, *more: str) -> Iterator[Served]:
    with LlamaServer(program, log, ["-m", str(sample_file()), *SIZES, *more]) as server:
        ask(server.port, MODEL, [user("Hello.")], 4)
        yield Served(server.port, MODEL, server.process.pid, lambda: None)


@contextmanager
def _router(program: Path, folder: Path) -> Iterator[Served]:
    models = folder / "router" / MODEL
    models.mkdir(parents=True)
    (models / f"{MODEL}.gguf").symlink_to(sample_file())
    with LlamaServer(program, folder / "router.log", ["--models-dir", str(models.parent), *SIZES]) as server:

        def unload() -> None:
            if _router_status(server.port) != "unloaded":
                _post(server.port, "/models/unload", {"model": MODEL})
            while _router_status(server.port) != "unloaded":
                time.sleep(0.05)

        yield Served(server.port, MODEL, server.process.pid, unload)


@contextmanager
def _janfs(folder: Path, **more: Any) -> Iterator[Served]:
    model = folder / "root" / "models" / MODEL
    model.mkdir(parents=True)
    shutil.copyfile(sample_file(), model / f"{MODEL}.gguf")
    engine = {"ctx_len": CONTEXT, "n_parallel": SLOTS, "cpu_threads": THREADS, **more}
    (model / "model.json").write_text(json.dumps({"engine_parameters": engine}))
    with ServiceProcess(folder / "root") as service:
        service.wait_ready()
        service.wait_model(MODEL)
        port = urlsplit(service.url).port or 0
        ask(port, MODEL, [user("Hello.")], 4)
        yield Served(port, MODEL, service.process.pid, lambda: _post(port, f"/v1/models/{MODEL}/stop", {}))


def _post(port: int, path: str, body: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def _router_status(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/models", timeout=60) as answer:
        listed = json.load(answer)["data"]
    return str(next(model["status"]["value"] for model in listed if model["id"] == MODEL))


def _tokens(answers: list[Streamed]) -> int:
    return sum(answer.tokens for answer in answers)


def _processes(server: Served) -> list[psutil.Process]:
    head = psutil.Process(server.pid)
    return [head, *head.children(recursive=True)]


def _memory(server: Served) -> float:
    """Bytes, with what several processes share counted once (PSS)."""
    return float(sum(process.memory_full_info().pss for process in _processes(server)))


def _cpu(*servers: Served) -> tuple[float, float]:
    """Seconds of CPU so far: the whole machine's, and that of the servers and of this process."""
    whole = psutil.cpu_times()
    measured = [process for server in servers for process in _processes(server)] + [psutil.Process()]
    times = [process.cpu_times() for process in measured]
    return sum(whole) - whole.idle - whole.iowait, sum(each.user + each.system for each in times)


def _share_of_others(before: tuple[float, float], after: tuple[float, float]) -> float:
    whole, measured = after[0] - before[0], after[1] - before[1]
    return max(0.0, whole - measured) / whole if whole else 0.0


def _rows(found: list[Measured]) -> list[Row]:
    asked: dict[str, tuple[str, float | None, bool]] = {
        "tokens/s, 1": ("tokens/s, 1 client", 1.0, True),
        "tokens/s, 4": ("tokens/s, 4 clients", 1.0, True),
        "tokens/s, 8": ("tokens/s, 8 clients", 1.0, True),
        "shared tokens/s": ("one system prompt, 8 clients: tokens/s", 2.5, True),
        "shared first p99": ("… first token, p99", 0.3, False),
        "shared first p50": ("… first token, p50", None, False),
        "gap p99": ("gap between tokens while a long prompt arrives, p99", 0.5, False),
        "long first": ("… first token of the long prompt", None, False),
        "second turn": ("second turn of a chat, asked a second after the answer, first token", 1.0, False),
        "second turn at once": ("… asked at once", 1.0, False),
        "bound tokens/s": ("eight answers bound to a JSON schema: tokens/s", None, True),
        "memory": ("memory", 1.2, False),
    }
    targets = {
        **asked,
        "cold": ("first answer of a model that is not loaded (router mode)", 1.0, False),
        "cold at once": ("… asked again at once, half a second after the last", None, False),
        **{f"{key}{APART}": (f"a cache for each: {name}", *mark) for key, (name, *mark) in asked.items()},
        f"tokens/s, 4{ALIKE}": ("beside llama-server with one cache for all, 4 clients", None, True),
        f"tokens/s, 8{ALIKE}": ("… 8 clients", None, True),
    }
    rows = []
    for key, (name, target, higher) in targets.items():
        rounds = [each for each in found if each.name == key]
        ratios = [each.ours / each.theirs for each in rounds]
        note = f"{_figure(key, [r.ours for r in rounds])} against {_figure(key, [r.theirs for r in rounds])}"
        if len(ratios) > 1:
            note += f"; rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)}"
        rows.append(Row(name, median(ratios), "times", target, higher, note))
    busy = [each.busy for each in found if each.busy]
    rows.append(Row("the machine's time that others used meanwhile", 100 * median(busy), "%"))
    return rows


def _figure(key: str, values: list[float]) -> str:
    value = median(values)
    if key.startswith("memory"):
        return f"{value / 2**20:,.0f} MiB"
    return f"{value:.1f}" if "tokens/s" in key else f"{value:.3f} s"


def _keep_rounds(found: list[Measured]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "serving-rounds.json").write_text(
        json.dumps([asdict(each) for each in found], indent=1) + "\n"
    )
