"""Organising and pairing over the API."""

from pathlib import Path

import pytest

from tests.api.service import Service, eventually
from tests.folder import gguf_bytes as make


def projector(name: str) -> bytes:
    values = {
        "general.architecture": make.text("clip"),
        "general.type": make.text("mmproj"),
        "general.name": make.text(name),
    }
    head = make.header(values, [make.Tensor("t")])
    return head + bytes(-len(head) % 32) + bytes(128)


def files(root: Path) -> set[str]:
    return {
        str(path.relative_to(root / "models"))
        for path in (root / "models").rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_a_person_pairs_a_projector_that_fits_no_header(service: Service) -> None:
    service.drop("story.gguf")
    service.drop("other.gguf", projector("unrelated"))
    assert service.get("/v1/models/other")["status"] == "part"
    answer = service.client.post("/v1/models/story/pair", json={"part": "other.gguf"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == "story"
    eventually(lambda: "story/other.gguf" in files(service.root), "the projector was not brought in")
    history = [event["type"] for event in service.get("/v1/models/story/history")["data"]]
    assert "part-paired" in history


@pytest.mark.parametrize(
    ("model", "part", "status", "param"),
    [("nobody", "story.gguf", 404, "model"), ("story", "absent.gguf", 404, "part")],
)
def test_a_pair_that_is_none_is_refused(
    service: Service, model: str, part: str, status: int, param: str
) -> None:
    service.drop("story.gguf")
    answer = service.client.post(f"/v1/models/{model}/pair", json={"part": part})
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


def test_a_name_that_two_parts_have_must_be_given_in_full(service: Service) -> None:
    service.drop("story.gguf")
    service.drop("one/mmproj.gguf", projector("one"))
    service.drop("two/mmproj.gguf", projector("two"))
    answer = service.client.post("/v1/models/story/pair", json={"part": "mmproj.gguf"})
    assert answer.status_code == 400
    assert "models/one/mmproj.gguf" in answer.json()["error"]["message"]


def test_organising_with_nothing_to_do_says_so(service: Service) -> None:
    service.drop("story.gguf")
    answer = service.client.post("/v1/organise")
    assert answer.json() == {"deeds": [], "waiting": [], "dry_run": False, "object": "organised"}
