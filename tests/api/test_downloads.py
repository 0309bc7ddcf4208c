"""Downloads over the API, from a server of our own."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from janfs.downloads import part as parts
from tests.api.service import Service, eventually, gguf, running_service
from tests.support.web import Site, sha256, web

CONTENT = gguf("pulled") + bytes(500_000)


@pytest.fixture
def site() -> Iterator[Site]:
    with web() as found:
        yield found


@pytest.fixture
def open_service(tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path / "jan", download_private=True) as found:
        yield found


def wanting(service: Service, url: str, name: str = "m") -> None:
    """A model.json that says where its file is, and no file."""
    content = {"sources": [{"filename": "m.gguf", "url": url}], "name": "Mine"}
    service.drop(f"{name}/model.json", json.dumps(content).encode())


def events(service: Service, name: str) -> list[str]:
    return [event["type"] for event in service.get(f"/v1/models/{name}/history")["data"]]


def wait_for(service: Service, name: str, status: str) -> None:
    eventually(lambda: service.get(f"/v1/models/{name}")["status"] == status, f"{name} is not {status}")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/models/m/download"), ("GET", "/v1/models/download/m")]
)
def test_a_model_that_is_to_be_downloaded_is(
    open_service: Service, site: Site, method: str, path: str
) -> None:
    service = open_service
    wanting(service, site.put("m.gguf", CONTENT))
    assert service.get("/v1/models/m")["status"] == "to-download"
    answer = service.client.request(method, path)
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == "m"
    wait_for(service, "m", "ready")
    eventually(lambda: "download-completed" in events(service, "m"), "it never ended")
    assert (service.root / "models/m/m.gguf").read_bytes() == CONTENT
    assert json.loads((service.root / "models/m/model.json").read_text())["name"] == "Mine", (
        "not theirs any more"
    )
    told = [name for name in events(service, "m") if name.startswith(("download", "file"))]
    assert told[0] == "download-started"
    assert set(told[1:3]) == {"file-downloaded", "file-dropped"}
    assert told[3:] == ["file-hashed", "download-completed"]
    again = service.client.post("/v1/models/m/download")
    assert (again.status_code, again.json()["error"]["param"]) == (400, "model")


def test_while_it_comes_it_is_arriving_and_says_how_far_it_is(open_service: Service, site: Site) -> None:
    service = open_service
    url = site.put("m.gguf", CONTENT, pace=3600.0)
    wanting(service, url)
    service.client.post("/v1/models/m/download")

    def half_there() -> bool:
        progress = service.get("/v1/models/m/download")
        model = service.get("/v1/models/m")
        return 0 < progress["done"] < progress["total"] == len(CONTENT) and model["status"] == "arriving"

    eventually(half_there, "no progress was seen")
    listed = {model["id"]: model for model in service.get("/v1/models")["data"]}
    assert listed["m"]["status"] == "arriving"
    with service.client.stream("GET", "/v1/events/stream") as stream:
        for line in stream.iter_lines():
            if line == "event: download-progress":
                break
    start = service.client.post("/v1/models/m/start")
    assert (start.status_code, start.json()["error"]["code"]) == (409, "model_not_ready")
    cancelled = service.client.delete("/v1/models/m/download")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "none")
    assert service.get("/v1/models/m")["status"] == "to-download"
    assert [path.name for path in (service.root / "models/m").iterdir()] == ["model.json"], "parts are left"
    assert events(service, "m")[-1] == "download-cancelled"


def test_a_failure_is_told_with_its_reason_and_can_be_tried_again(open_service: Service, site: Site) -> None:
    service = open_service
    url = site.url + "/m.gguf"
    wanting(service, url)
    service.client.post("/v1/models/m/download")
    eventually(lambda: "download-failed" in events(service, "m"), "it never failed")
    wait_for(service, "m", "to-download")
    reason = service.get("/v1/models/m")["reason"]
    assert "not there" in reason
    assert reason.count(url) == 1, "the address is told more than once"
    assert [path.name for path in (service.root / "models/m").iterdir()] == ["model.json"], "nothing came"
    site.put("m.gguf", CONTENT)
    service.client.post("/v1/models/m/download")
    wait_for(service, "m", "ready")


def test_pulling_makes_a_model_of_an_address(open_service: Service, site: Site) -> None:
    service = open_service
    url = site.put("Some%20Model.Q4_0.gguf".replace("%20", "-"), CONTENT)
    pulled = service.client.post("/v1/pull", json={"source": url})
    assert pulled.status_code == 200, pulled.text
    name = pulled.json()["id"]
    assert name == "some-model.q4_0"
    wait_for(service, name, "ready")
    eventually(
        lambda: service.get(f"/v1/models/{name}").get("description"), "its model.json says nothing of it"
    )
    model = service.get(f"/v1/models/{name}")
    assert model["sources"] == [{"filename": "Some-Model.Q4_0.gguf", "url": url}]
    eventually(lambda: service.get(f"/v1/models/{name}/download")["state"] == "none", "it does not end")
    again = service.client.post("/v1/pull", json={"source": url})
    assert (again.status_code, again.json()["id"], again.json()["state"]) == (200, name, "none")


def test_pulling_a_shard_makes_a_model_of_its_whole_set(open_service: Service, site: Site) -> None:
    urls = [site.put(f"m-0000{number}-of-00002.gguf", CONTENT) for number in (1, 2)]
    name = open_service.client.post("/v1/pull", json={"source": urls[1]}).json()["id"]
    sources = open_service.get(f"/v1/models/{name}")["sources"]
    assert [source["url"] for source in sources] == urls


def test_those_who_pull_one_file_at_once_get_one_model(open_service: Service, site: Site) -> None:
    url = site.put("m.gguf", CONTENT)

    def pull(_: int) -> str:
        return str(open_service.client.post("/v1/pull", json={"source": url}).json().get("id"))

    with ThreadPoolExecutor(4) as askers:
        assert set(askers.map(pull, range(4))) == {"m"}
    wait_for(open_service, "m", "ready")
    assert len(open_service.get("/v1/models")["data"]) == 1


def test_pulling_from_the_hub_takes_what_fits(
    open_service: Service, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_service
    site.put("org/repo/resolve/main/m-Q4_K_M.gguf", CONTENT)
    listing = [
        {"type": "file", "path": name, "size": len(CONTENT), "lfs": {"oid": sha256(CONTENT)}}
        for name in ("m-Q4_K_M.gguf", "m-Q8_0.gguf")
    ]
    site.put("api/models/org/repo/tree/main", json.dumps(listing).encode())
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    name = service.client.post("/v1/pull", json={"source": "hf:org/repo"}).json()["id"]
    assert name == "m-q4_k_m"
    wait_for(service, name, "ready")
    wrong = service.client.post("/v1/pull", json={"source": "hf:org/repo:Q2_K"})
    assert wrong.status_code == 400
    assert "m-Q8_0.gguf" in wrong.json()["error"]["message"]


@pytest.mark.parametrize("listing", [b"[" * 200_000, b"[]" + b" " * 2000, b"<html>", b"\xff"])
def test_a_list_of_the_hub_that_is_none_is_told(
    open_service: Service, site: Site, monkeypatch: pytest.MonkeyPatch, listing: bytes
) -> None:
    if listing.startswith(b"[]"):
        monkeypatch.setattr("janfs.downloads.web.MOST_JSON", 1000)
    site.put("api/models/org/repo/tree/main", listing)
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    answer = open_service.client.post("/v1/pull", json={"source": "hf:org/repo"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "download_failed")


@pytest.mark.parametrize("source", ["nonsense", "https://example.org/README.md", "hf:a", ""])
def test_what_cannot_be_pulled_is_refused(service: Service, source: str) -> None:
    answer = service.client.post("/v1/pull", json={"source": source})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "source")
    assert not [path for path in (service.root / "models").iterdir() if not path.name.startswith(".janfs-")]


def test_private_addresses_are_refused_unless_allowed(service: Service, site: Site) -> None:
    url = site.put("m.gguf", CONTENT)
    wanting(service, url)
    for path, body in (("/v1/models/m/download", None), ("/v1/pull", {"source": url})):
        answer = service.client.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "download_refused")
        assert "--download-private" in answer.json()["error"]["message"]
    assert not site.asked, "it was asked all the same"


def test_a_model_without_an_address_has_nothing_to_download(service: Service) -> None:
    service.drop("a.gguf")
    answer = service.client.post("/v1/models/a/download")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    assert service.client.post("/v1/models/none/download").status_code == 404
    assert service.client.get("/v1/models/none/download").status_code == 404
    assert service.client.delete("/v1/models/none/download").status_code == 404
    assert service.client.get("/v1/models/download/none").status_code == 404


@pytest.mark.parametrize("name", ["download", "pull"])
def test_a_model_may_be_called_as_an_endpoint_is(service: Service, name: str) -> None:
    service.drop(f"{name}.gguf")
    assert service.get(f"/v1/models/{name}")["id"] == name
    assert service.client.get(f"/v1/models/{name}/download").status_code == 200


def test_another_sites_page_starts_nothing(open_service: Service, site: Site) -> None:
    wanting(open_service, site.put("m.gguf", CONTENT))
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}
    answer = open_service.client.get("/v1/models/download/m", headers=headers)
    assert answer.status_code == 403
    assert open_service.get("/v1/models/m/download")["state"] == "none"


def test_deleting_a_model_ends_its_download(open_service: Service, site: Site) -> None:
    service = open_service
    wanting(service, site.put("m.gguf", CONTENT, pace=3600.0))
    service.client.post("/v1/models/m/download")
    assert service.client.delete("/v1/models/m").status_code == 200
    assert service.client.get("/v1/models/m").status_code == 404


def test_what_was_coming_when_it_ended_goes_on_after_the_next_start(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PIECE", 100_000)
    url = site.put("m.gguf", CONTENT, pace=3600.0)
    with running_service(tmp_path / "jan", download_private=True) as service:
        wanting(service, url)
        service.client.post("/v1/models/m/download")
        eventually(lambda: service.get("/v1/models/m/download")["done"] > 0, "nothing came")
    assert parts.parts_in(tmp_path / "jan/models/m"), "what came was thrown away"
    site.files["/m.gguf"].pace = 0
    with running_service(tmp_path / "jan", download_private=True) as service:
        service.look()
        service.context.downloads.resume()  # type: ignore[attr-defined]  # a start alone does that
        wait_for(service, "m", "ready")


def test_an_address_that_is_none_keeps_no_other_download_from_going_on(service: Service) -> None:
    service.drop("a/a.gguf")
    service.drop("a/model.json", json.dumps({"sources": [{"url": "http://[bad"}]}).encode())
    service.context.downloads.resume()  # type: ignore[attr-defined]
