"""Histories and the stream of events."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from janfs.clock import SystemClock
from janfs.compacting import compact
from janfs.root import OpenRoot
from tests.api.service import Service, eventually, running_service
from tests.log.kit import by_hand
from tests.support.lives import live
from tests.support.patience import PATIENCE


def events_of(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """Server-sent events as they come, without comments."""
    found: dict[str, str] = {}
    for line in lines:
        if line == "" and found:
            yield found
            found = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            found[name] = value


def take(
    service: Service, count: int, path: str = "/v1/events/stream", **headers: str
) -> list[dict[str, str]]:
    with service.client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = events_of(answer.iter_lines())
        return [next(events) for _ in range(count)]


def test_a_model_has_a_history_from_drop_to_delete(service: Service) -> None:
    service.drop("tiny.gguf")
    page = service.get("/v1/models/tiny/history")
    assert page["object"] == "list"
    assert page["next"] is None
    types = [event["type"] for event in page["data"]]
    assert types[:3] == ["file-dropped", "model-registered", "move-planned"]
    first = page["data"][0]
    assert set(first) == {
        "position",
        "type",
        "recorded_at",
        "stream",
        "actor",
        "cause",
        "correlation",
        "data",
    }
    assert first["data"]["path"] == "models/tiny.gguf"
    service.client.delete("/v1/models/tiny")
    for name in ("tiny", first["stream"]):
        last = service.get(f"/v1/models/{name}/history")["data"][-1]
        assert last["type"] == "model-deleted", "a removed model keeps its history, under its id and its uid"


def test_the_history_of_nothing_is_a_404(service: Service) -> None:
    answer = service.client.get("/v1/models/none/history")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_pages_follow_one_another_without_gaps(service: Service) -> None:
    for name in "abc":
        service.drop(f"{name}.gguf")
    whole = service.get("/v1/events?limit=1000")["data"]
    assert [event["position"] for event in whole] == list(range(1, len(whole) + 1))
    paged: list[Any] = []
    after: int | None = 0
    while after is not None:
        page = service.get(f"/v1/events?after={after}&limit=4")
        assert len(page["data"]) <= 4
        paged += page["data"]
        after = page["next"]
    assert paged == whole
    exact = service.get(f"/v1/events?limit={len(whole)}")
    assert exact["next"] is None, "the page that ends with the log leads nowhere"


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "limit=0", "limit=1001", "after=99999999999999999999", "limit=1.5"]
)
def test_wrong_pages_are_a_400_that_names_the_parameter(tiny: Service, query: str) -> None:
    answer = tiny.client.get(f"/v1/events?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == query.partition("=")[0]


@pytest.fixture
def still(tmp_path: Path) -> Iterator[Service]:
    """A service whose streams are woken by events alone."""
    with running_service(tmp_path / "root", heartbeat=3600.0) as service:
        yield service


def test_the_stream_gives_what_was_and_then_what_comes(still: Service) -> None:
    service = still
    service.drop("one.gguf")
    past = service.get("/v1/events?limit=1000")["data"]
    with service.client.stream("GET", "/v1/events/stream") as answer:
        events = events_of(answer.iter_lines())
        for expected in past:
            event = next(events)
            assert (int(event["id"]), event["event"]) == (expected["position"], expected["type"])
            assert json.loads(event["data"]) == expected
        dropping = threading.Thread(target=service.drop, args=("two.gguf",))
        dropping.start()
        assert int(next(events)["id"]) == len(past) + 1, "a new event did not come by itself"
        dropping.join()


def test_the_stream_resumes_where_it_was_left(service: Service) -> None:
    service.drop("one.gguf")
    assert take(service, 1, "/v1/events/stream?after=2")[0]["id"] == "3"
    assert take(service, 1, **{"Last-Event-ID": "3"})[0]["id"] == "4"
    assert take(service, 1, "/v1/events/stream?after=1", **{"Last-Event-ID": "3"})[0]["id"] == "4"
    for wrong in ("x", "-1", str(2**70)):
        answer = service.client.get("/v1/events/stream", headers={"Last-Event-ID": wrong})
        assert answer.status_code == 400, wrong


def test_a_stream_from_a_position_that_is_yet_to_come_is_refused(service: Service) -> None:
    service.drop("one.gguf")
    head = service.get("/readyz")["position"]
    yet = str(head + 1)
    for asked, headers in ((f"?after={yet}", {}), ("", {"Last-Event-ID": yet})):
        with service.client.stream("GET", f"/v1/events/stream{asked}", headers=headers) as answer:
            assert answer.status_code == 400
            assert f"ends at position {head}" in answer.read().decode()
    with service.client.stream("GET", f"/v1/events/stream?after={head}") as answer:
        assert answer.status_code == 200


def test_a_long_log_streams_in_full(service: Service) -> None:
    for number in range(60):
        (service.root / f"models/m{number}.gguf").write_bytes(b"no model")
    service.look()
    for number in range(60):
        service.drop(f"n{number}.gguf") if number % 20 == 0 else None
    count = len(service.get("/v1/events?limit=1000")["data"])
    assert [int(event["id"]) for event in take(service, count)] == list(range(1, count + 1))


def test_a_quiet_stream_shows_that_it_lives(tmp_path: Any) -> None:
    with running_service(tmp_path / "root", heartbeat=0.05) as service:
        service.look()
        head = service.get("/readyz")["position"]
        with service.client.stream("GET", f"/v1/events/stream?after={head}") as answer:
            lines = answer.iter_lines()
            assert [line for line in (next(lines) for _ in range(5)) if line] == [
                ": events follow",
                ": still here",
                ": still here",
            ]


def test_streams_end_when_the_server_stops(service: Service) -> None:
    ended = threading.Event()
    opened = threading.Event()

    def follow() -> None:
        with httpx.stream(
            "GET", f"{service.url}/v1/events/stream", timeout=PATIENCE, trust_env=False
        ) as answer:
            opened.set()
            for _ in answer.iter_lines():
                pass
        ended.set()

    following = threading.Thread(target=follow)
    following.start()
    assert opened.wait(PATIENCE)
    service.stop_server()
    following.join(PATIENCE)
    assert ended.is_set(), "the server waited for an endless stream"


def test_streams_that_nobody_reads_any_more_are_let_go(service: Service) -> None:
    for _ in range(20):
        take(service, 0)
    service.drop("one.gguf")
    eventually(lambda: service.get("/v1/events?limit=1")["data"], "the service does not answer any more")


def test_a_model_json_that_cannot_be_read_is_in_the_stream_with_its_place(service: Service) -> None:
    service.drop("tiny.gguf")
    position = service.pipeline.snapshot.catalogue.position
    path = service.root / "models/tiny/model.json"
    good = path.read_bytes()
    path.write_text('{\n  "name": 5\n}')
    service.look()
    first = take(service, 1, f"/v1/events/stream?after={position}")[0]
    assert first["event"] == "json-rejected"
    said = json.loads(first["data"])["data"]
    assert (said["path"], said["line"], said["column"]) == ("models/tiny/model.json", 2, 3)
    assert "name must be" in said["reason"]
    path.write_bytes(good)
    service.look()
    mended = take(service, 1, **{"Last-Event-ID": first["id"]})[0]
    assert mended["event"] == "json-edited", "it is taken the moment it is mended"


def test_a_page_and_a_stream_say_where_archived_events_are(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with OpenRoot(root, SystemClock()) as opened:
        live(opened.log)
    done = compact(root, lambda _: 12, SystemClock())
    with running_service(root) as service:
        for path in ("/v1/events", "/v1/events?after=11", "/v1/models/uid-1/history"):
            page = service.get(path)
            assert page["archived"] == {"position": 12, "archive": Path(done.archive).name}, path
            assert all(event["position"] > 12 for event in page["data"])
        assert service.get("/v1/events?after=12")["archived"] is None
        first, second = take(service, 2, "/v1/events/stream?after=11")
        assert (first["event"], json.loads(first["data"])) == ("archived", page["archived"])
        assert second["id"] == "13"
        assert take(service, 1, "/v1/events/stream?after=12")[0]["id"] == "13"


def test_a_damaged_event_holds_up_no_other(service: Service) -> None:
    for name in "abc":
        service.drop(f"{name}.gguf")
    whole = service.get("/v1/events?limit=1000")["data"]
    damage = "UPDATE events SET data = CAST(data || x'ff' AS TEXT) WHERE position IN (2, 3)"
    by_hand(service.root / ".janfs/log.db", damage, guarded=False)
    expected = [event | ({"data": None} if event["position"] in (2, 3) else {}) for event in whole]
    assert service.get("/v1/events?limit=1000")["data"] == expected
    page = service.get("/v1/events?after=1&limit=2")
    assert (page["data"], page["next"]) == (expected[1:3], 3)
    streamed = take(service, len(whole))
    assert [json.loads(event["data"]) for event in streamed] == expected
