"""Archives over the API: from one janfs to another."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.service import Service, eventually, gguf, running_service


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Service]:
    """A second janfs with a root of its own."""
    with running_service(tmp_path / "other") as found:
        yield found


def exported(service: Service, name: str) -> bytes:
    answer = service.client.post(f"/v1/models/{name}/export")
    assert answer.status_code == 200, answer.text
    assert f"{name}.janfs.tar" in answer.headers["content-disposition"]
    return answer.content


def with_past(service: Service) -> bytes:
    """A model with an edit and a note beside it; its archive."""
    service.drop("Tiny.gguf")
    path = service.root / "models/tiny/model.json"
    path.write_bytes(b'// mine\n{"name": "Edited", "id": "tiny"}')
    (service.root / "models/tiny/notes.txt").write_text("my notes")
    service.look()
    eventually(lambda: service.get("/v1/models/tiny")["name"] == "Edited", "the edit was not seen")
    return exported(service, "tiny")


def files(service: Service, name: str) -> dict[str, bytes]:
    folder = service.root / "models" / name
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def earlier(service: Service, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.get(f"/v1/models/{name}/imported")["data"]
    return found


def types(service: Service, name: str) -> list[str]:
    return [event["type"] for event in service.get(f"/v1/models/{name}/history")["data"]]


def test_a_dropped_archive_gives_the_same_model_with_its_past(service: Service, other: Service) -> None:
    archive = with_past(service)
    eventually(lambda: "model-exported" in types(service, "tiny"), "the export is not in the log")
    other.drop("tiny.janfs.tar", archive)
    eventually(lambda: "tiny" in {m["id"] for m in other.get("/v1/models")["data"]}, "nothing came of it")
    eventually(lambda: "model-imported" in types(other, "tiny"), "the import is not in the log")
    assert files(other, "tiny") == files(service, "tiny")
    model = other.get("/v1/models/tiny")
    assert (model["status"], model["name"]) == ("ready", "Edited")
    past = earlier(other, "tiny")
    assert {item["archive"] for item in past} == {"models/tiny.janfs.tar"}
    before = [event["type"] for event in service.get("/v1/models/tiny/history")["data"]]
    assert [item["event"]["type"] for item in past] == before[:-1], "all but the export itself"
    assert earlier(service, "tiny") == []
    [hashed] = [e for e in other.get("/v1/models/tiny/history")["data"] if e["type"] == "file-hashed"]
    assert hashed["data"]["by"] == "archive"
    edited = next(item["event"]["data"]["sha256"] for item in past if item["event"]["type"] == "json-edited")
    assert other.context.log.document(edited) == b'// mine\n{"name": "Edited", "id": "tiny"}'


def test_a_past_goes_from_hand_to_hand(service: Service, other: Service, tmp_path: Path) -> None:
    archive = with_past(service)
    other.drop("tiny.janfs.tar", archive)
    eventually(
        lambda: earlier(other, "tiny") if "tiny" in str(other.get("/v1/models")) else False, "nothing came"
    )
    further = exported(other, "tiny")
    with running_service(tmp_path / "third") as third:
        third.drop("again.janfs.tar", further)
        eventually(lambda: "tiny" in str(third.get("/v1/models")) and earlier(third, "tiny"), "nothing came")
        archives = [item["archive"] for item in earlier(third, "tiny")]
        assert list(dict.fromkeys(archives)) == ["models/tiny.janfs.tar", "models/again.janfs.tar"]


def test_the_same_archive_again_gives_no_second_model(service: Service, other: Service) -> None:
    archive = with_past(service)
    for name in ("one.janfs.tar", "two.janfs.tar"):
        other.drop(name, archive)
        eventually(lambda: other.pipeline.catalogue.files[f"models/{name}"].taken, "it was not taken in")  # noqa: B023
    assert [model["id"] for model in other.get("/v1/models")["data"]] == ["tiny"]
    past = [item["event"]["position"] for item in earlier(other, "tiny")]
    assert len(past) == len(set(past)) > 0, "its past is told twice"
    answer = service.client.post("/v1/import", json={"path": str(other.root / "models/one.janfs.tar")})
    assert answer.json() == {"id": "tiny", "new": False, "object": "imported"}
    assert earlier(service, "tiny") == [], "what happened here is told as from elsewhere"


def test_another_model_of_that_name_stays_what_it_is(
    service: Service, other: Service, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.janfs.tar"
    path.write_bytes(with_past(service))
    other.drop("Tiny.gguf", gguf("something else"))
    answer = other.client.post("/v1/import", json={"path": str(path)})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"id": "tiny-2", "new": True, "object": "imported"}
    assert {model["id"] for model in other.get("/v1/models")["data"]} == {"tiny", "tiny-2"}
    assert (other.root / "models/tiny/Tiny.gguf").read_bytes() == gguf("something else")


def test_an_archive_that_was_touched_is_refused_and_told(
    service: Service, other: Service, tmp_path: Path
) -> None:
    archive = bytearray(with_past(service))
    at = archive.index(gguf("Tiny.gguf")) + 200
    archive[at] ^= 1
    other.drop("tiny.janfs.tar", bytes(archive))

    def refused() -> bool:
        listed = {model["id"]: model for model in other.get("/v1/models")["data"]}
        return any("is not what was packed" in model.get("reason", "") for model in listed.values())

    eventually(refused, "nothing was said of it")
    assert not (other.root / "models/tiny").exists(), "something of it can be seen"
    path = tmp_path / "tiny.janfs.tar"
    path.write_bytes(archive)
    answer = other.client.post("/v1/import", json={"path": str(path)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "archive_invalid")
    left = [name.name for name in (other.root / "models").iterdir()]
    assert sorted(left) == [".janfs-root", "tiny.janfs.tar"]


def test_a_half_copied_archive_is_taken_in_once_it_is_whole(service: Service, other: Service) -> None:
    archive = with_past(service)
    path = other.root / "models/tiny.janfs.tar"
    with path.open("wb") as file:
        file.write(archive[: len(archive) // 2])
        file.flush()
        other.look_once()
        assert other.get("/v1/models")["data"] == []
        file.write(archive[len(archive) // 2 :])
    eventually(lambda: "tiny" in str(other.get("/v1/models")), "it was not taken in")
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(archive).digest(), "the drop is gone"


@pytest.mark.parametrize(
    "path",
    [
        *("relative.janfs.tar", "/none.janfs.tar", "/etc/passwd", "", "/nul\0.janfs.tar"),
        *(f"/{'x' * 300}.janfs.tar", f"/{'x/' * 3000}x.janfs.tar"),
    ],
    ids=str.__len__,
)
def test_what_is_no_archive_here_is_refused(service: Service, path: str) -> None:
    answer = service.client.post("/v1/import", json={"path": path})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "path")


def test_a_model_that_is_not_there_cannot_be_packed(service: Service) -> None:
    assert service.client.post("/v1/models/none/export").status_code == 404
    assert service.client.get("/v1/models/none/imported").status_code == 404
