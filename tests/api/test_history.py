"""The past as the API tells it."""

import json
from pathlib import Path
from typing import Any

import pytest

from janfs.events.types import ModelStarted
from janfs.past.fingerprints import started_parts
from janfs.pipeline.commands import Record
from janfs.pipeline.recorder import Draft
from janfs.serving import resolve
from tests.api.service import Service
from tests.log.kit import by_hand
from tests.support.patience import PATIENCE


@pytest.fixture
def edited(service: Service) -> Service:
    """The model `tiny`, whose model.json someone edited once."""
    service.drop("tiny.gguf")
    manifest = service.root / "models/tiny/model.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"name": "Mine"}))
    service.look()
    return service


def last(service: Service) -> int:
    return service.pipeline.snapshot.catalogue.position


def test_a_model_is_shown_as_it_was_with_its_text(edited: Service) -> None:
    then = last(edited) - 1
    model = edited.get("/v1/models/tiny", params={"at": str(then)})
    assert (model["name"], model["at"]) == ("tiny", then)
    assert json.loads(model["model_json"])["name"] == "tiny"
    now = edited.get("/v1/models/tiny")
    assert now["name"] == "Mine"
    assert "at" not in now
    assert "model_json" not in now


def test_the_list_of_a_moment_has_the_models_of_then(edited: Service) -> None:
    assert edited.get("/v1/models", params={"at": "0"})["data"] == []
    assert edited.get("/v1/models", params={"at": "yesterday 14:00"})["data"] == []
    (model,) = edited.get("/v1/models", params={"at": "now"})["data"]
    assert model["id"] == "tiny"


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/v1/models?at=soon", 400, "yesterday 14:00"),
        ("/v1/models?at=1000000", 400, "yet to come"),
        ("/v1/models/tiny?at=0", 404, "no model 'tiny' at position 0"),
        ("/v1/models/nope/diff", 404, "does not exist"),
        ("/v1/models/tiny/diff?from=soon", 400, "yesterday 14:00"),
        ("/v1/models/nope/blame", 404, "does not exist"),
        ("/v1/why?subject=nope", 404, "knows nothing of"),
        ("/v1/why?subject=" + "a/" * 1500, 404, "knows nothing of"),
        ("/v1/why", 400, "subject"),
    ],
)
def test_what_cannot_be_answered_is_refused(edited: Service, path: str, status: int, says: str) -> None:
    answer = edited.client.get(path)
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/models?at=soon", "at"),
        ("/v1/models/tiny/config?at=soon", "at"),
        ("/v1/models/tiny/diff?from=soon", "from"),
        ("/v1/models/tiny/diff?to=soon", "to"),
    ],
)
def test_a_moment_that_is_none_is_refused_by_its_name(edited: Service, path: str, param: str) -> None:
    assert edited.client.get(path).json()["error"]["param"] == param


def test_a_diff_names_the_moments_and_the_changes(edited: Service) -> None:
    found = edited.get("/v1/models/tiny/diff")
    assert (found["object"], found["id"]) == ("diff", "tiny")
    assert (found["from"], found["to"]) == (last(edited) - 1, last(edited))
    assert found["changes"] == [{"path": ["name"], "kind": "changed", "old": "tiny", "new": "Mine"}]
    assert found["text"].startswith("--- model.json #")
    assert found["after"]["actor"] == "folder"
    back = edited.get("/v1/models/tiny/diff", params={"from": "now", "to": str(last(edited) - 1)})
    assert back["changes"][0]["new"] == "tiny"


def test_blame_tells_who_set_each_leaf(edited: Service) -> None:
    found = edited.get("/v1/models/tiny/blame")
    by: dict[str, Any] = {".".join(leaf["path"]): leaf["actor"] for leaf in found["leaves"]}
    assert by["name"] == "folder"
    assert by["engine"] == "janfs"


def test_why_tells_the_chain_in_words(edited: Service) -> None:
    found = edited.get("/v1/why", params={"subject": "models/tiny/tiny.gguf"})
    assert [reason["link"] for reason in found["reasons"]] == ["first", "because", "because"]
    assert found["reasons"][0]["words"] == "janfs moved models/tiny.gguf to models/tiny/tiny.gguf"


def test_the_past_stays_when_the_model_is_gone(edited: Service, tmp_path: Path) -> None:
    then = last(edited)
    assert edited.client.delete("/v1/models/tiny").status_code == 200
    assert edited.get("/v1/models/tiny", params={"at": str(then)})["name"] == "Mine"
    found = edited.get("/v1/models/tiny/diff")
    assert {change["kind"] for change in found["changes"]} == {"removed"}
    assert edited.get("/v1/why", params={"subject": "tiny"})["reasons"][0]["type"] == "model-deleted"


def test_the_fingerprint_of_an_answer_and_of_its_chunks_is_resolved(edited: Service) -> None:
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}
    whole = edited.client.post("/v1/chat/completions", json=asked).json()
    said = whole["system_fingerprint"]
    streamed = edited.client.post("/v1/chat/completions", json=asked | {"stream": True}).text
    chunks = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    assert {chunk["system_fingerprint"] for chunk in chunks} == {said}
    assert edited.client.get(f"/v1/fingerprints/{said}").status_code == 404, "no engine was started for real"
    spec = resolve(edited.pipeline.snapshot, edited.root, "tiny").spec
    event = ModelStarted(spec.engine, spec.fingerprint, 1.0, 1, {"ctx_len": 7}, started_parts(spec.parts))
    edited.pipeline.submit(Record((Draft(spec.uid, event),))).result(PATIENCE)
    found = edited.get(f"/v1/fingerprints/{said}")
    assert (found["id"], found["position"]) == ("tiny", last(edited))
    assert found["settings"] == {"ctx_len": 7}
    assert found["parts"][0]["path"] == "models/tiny/tiny.gguf"


def revert(service: Service, **asked: object) -> Any:
    answer = service.client.post("/v1/models/tiny/revert", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_model_json_is_brought_back_and_the_caller_named(edited: Service) -> None:
    manifest = edited.root / "models/tiny/model.json"
    mine, then = manifest.read_text(), last(edited) - 1
    would = revert(edited, to=then, dry_run=True)
    assert would["changes"] == [{"path": ["name"], "kind": "changed", "old": "Mine", "new": "tiny"}]
    assert manifest.read_text() == mine, "a dry run changed something"
    done = revert(edited, to=str(then))
    assert (done["id"], done["to"], done["position"]) == ("tiny", then, last(edited))
    assert json.loads(manifest.read_text())["name"] == "tiny"
    page = edited.get("/v1/models/tiny/history")["data"]
    assert (page[-1]["type"], page[-1]["actor"], page[-1]["data"]["to"]) == ("json-reverted", "api", then)
    revert(edited, to=then + 1)
    assert manifest.read_text() == mine, "a revert can be reverted, to the byte"


def test_a_deleted_model_is_brought_back(edited: Service) -> None:
    then, uid = last(edited), edited.get("/v1/models/tiny/history")["data"][0]["stream"]
    assert edited.client.delete("/v1/models/tiny").status_code == 200
    assert edited.client.get("/v1/models/tiny").status_code == 404
    assert revert(edited, to=then)["id"] == "tiny"
    edited.look()
    model = edited.get("/v1/models/tiny")
    assert (model["status"], model["name"]) == ("ready", "Mine")
    assert edited.pipeline.snapshot.catalogue.ids["tiny"] == uid


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"to": 0}, 409, "cannot_revert"),
        ({"to": "soon"}, 400, "invalid_value"),
        ({}, 400, "invalid_value"),
        ({"to": 1, "dry": True}, 400, "unsupported_parameter"),
        ({"to": [1]}, 400, "invalid_value"),
    ],
)
def test_a_revert_that_cannot_be_is_refused(
    edited: Service, body: dict[str, Any], status: int, code: str
) -> None:
    answer = edited.client.post("/v1/models/tiny/revert", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    "path",
    ["/v1/models/{}/history", "/v1/models/{}/diff", "/v1/models/{}/blame", "/v1/why?subject={}"],
)
def test_what_a_damaged_event_would_tell_is_an_error_with_its_position_and_other_models_are_told_of(
    edited: Service, path: str
) -> None:
    position = last(edited)
    edited.drop("other.gguf")
    damage = f"UPDATE events SET data = CAST(data || x'ff' AS TEXT) WHERE position = {position}"
    by_hand(edited.root / ".janfs/log.db", damage, guarded=False)
    answer = edited.client.get(path.format("models/tiny/model.json" if "why" in path else "tiny"))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "event_damaged"), error
    assert error["message"].startswith(f"Event {position} of the log (json-edited) is damaged"), error
    edited.get(path.format("other"))
