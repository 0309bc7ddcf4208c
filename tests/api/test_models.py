"""/v1/models as clients see it."""

import json

import openai
import pytest

from janfs.errors import LoadFailed
from tests.api.service import Service, uid_of


def test_a_dropped_model_is_listed(with_model: Service) -> None:
    body = with_model.get("/v1/models")
    assert body["object"] == "list"
    [model] = body["data"]
    assert (model["id"], model["object"], model["status"]) == ("tiny-one", "model", "ready")
    assert isinstance(model["created"], int)
    assert with_model.get("/v1/models/tiny-one") == model


def test_the_openai_client_lists_retrieves_and_deletes(with_model: Service) -> None:
    with openai.OpenAI(base_url=f"{with_model.url}/v1", api_key="none") as client:
        assert [model.id for model in client.models.list()] == ["tiny-one"]
        model = client.models.retrieve("tiny-one")
        assert (model.id, model.object, model.owned_by) == ("tiny-one", "model", "you")
        deleted = client.models.delete("tiny-one")
        assert (deleted.id, deleted.object, deleted.deleted) == ("tiny-one", "model", True)
        assert client.models.list().data == []
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve("tiny-one")
    assert caught.value.code == "model_not_found"


def test_an_edit_of_model_json_shows(with_model: Service) -> None:
    path = with_model.root / "models/tiny-one/model.json"
    written = json.loads(path.read_text())
    path.write_text(json.dumps(written | {"name": "Mine"}))
    with_model.look()
    assert with_model.get("/v1/models/tiny-one")["name"] == "Mine"


def test_a_refused_file_stands_in_the_list_and_spoils_nothing(with_model: Service) -> None:
    with_model.drop("notes.gguf", b"this is text and no model at all")
    entries = {entry["id"]: entry for entry in with_model.get("/v1/models")["data"]}
    assert entries["tiny-one"]["status"] == "ready"
    assert entries["notes"]["status"] == "invalid"
    assert "notes.gguf" in entries["notes"]["reason"]
    assert with_model.get("/v1/models/notes") == entries["notes"]


def test_an_unknown_model_is_a_404_that_openais_clients_understand(service: Service) -> None:
    for quoted in ("none", "a%20b", "%C3%A9", "a%2Fb", "a/b/c", "%25", "%27%22%3C", "%0A", "a%3Ab", "%FF"):
        answer = service.client.get(f"/v1/models/{quoted}")
        assert answer.status_code == 404, f"{quoted}: {answer.text}"
        error = answer.json()["error"]
        assert (error["code"], error["type"]) == ("model_not_found", "invalid_request_error"), quoted


def test_an_id_with_odd_characters_is_found_as_it_is_quoted(service: Service) -> None:
    service.drop("%41 [é]+.gguf")
    [model] = service.get("/v1/models")["data"]
    assert service.get(f"/v1/models/{model['id']}") == model
    answer = service.client.get("/v1/models/50%2541")
    assert "'50%41'" in answer.json()["error"]["message"], "the path was unquoted twice"


def test_deleting_stops_the_model_and_keeps_its_folder_in_the_trash(with_model: Service) -> None:
    uid = uid_of(with_model.pipeline, "tiny-one")
    answer = with_model.client.delete("/v1/models/tiny-one")
    assert answer.status_code == 200
    assert answer.json() == {"id": "tiny-one", "object": "model", "deleted": True}
    assert with_model.pool.stopped == [uid]
    assert not (with_model.root / "models/tiny-one").exists()
    assert list((with_model.root / ".janfs/trash").glob("*/Tiny One.gguf"))


def test_deleting_an_unknown_model_is_a_404(service: Service) -> None:
    answer = service.client.delete("/v1/models/none")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_a_file_that_is_no_model_is_not_deleted(service: Service) -> None:
    service.drop("notes.gguf", b"this is text and no model at all")
    answer = service.client.delete("/v1/models/notes")
    assert answer.status_code == 409
    assert "models/notes.gguf" in answer.json()["error"]["message"]
    assert (service.root / "models/notes.gguf").exists()


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_model_is_started_and_stopped(with_model: Service, method: str) -> None:
    started = with_model.client.request(method, "/v1/models/tiny-one/start")
    assert started.status_code == 200, started.text
    assert started.json() == {
        "id": "tiny-one",
        "object": "model",
        "state": "running",
        "message": "Model tiny-one started",
    }
    assert with_model.get("/v1/models/tiny-one")["state"] == "running"
    stopped = with_model.client.request(method, "/v1/models/tiny-one/stop").json()
    assert (stopped["state"], stopped["message"]) == ("stopped", "Model tiny-one stopped")
    again = with_model.client.request(method, "/v1/models/tiny-one/stop")
    assert (again.status_code, again.json()["message"]) == (200, "Model tiny-one was not running")


@pytest.mark.parametrize("body", [None, {}, "", "{}"])
def test_starting_takes_an_empty_body_of_settings(with_model: Service, body: object) -> None:
    answer = with_model.client.put("/v1/models/tiny-one/start", json=body)
    assert answer.status_code == 200, answer.text


def test_starting_refuses_settings_that_it_would_ignore(with_model: Service) -> None:
    answer = with_model.client.put("/v1/models/tiny-one/start", json={"ctx_len": 5})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_parameter"
    assert "model.json" in answer.json()["error"]["message"]


def test_a_model_that_cannot_be_loaded_is_a_503_with_the_reason(with_model: Service) -> None:
    with_model.pool.start_error = LoadFailed("Out of memory.")
    answer = with_model.client.put("/v1/models/tiny-one/start")
    assert answer.status_code == 503
    assert answer.json()["error"] == {
        "message": "Out of memory.",
        "type": "server_error",
        "param": None,
        "code": "model_load_failed",
    }


def test_a_model_that_is_not_ready_is_not_started(with_model: Service) -> None:
    (with_model.root / "models/tiny-one/Tiny One.gguf").unlink()
    with_model.look()
    answer = with_model.client.put("/v1/models/tiny-one/start")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "model_not_ready")
    assert "missing" in answer.json()["error"]["message"]


@pytest.mark.parametrize("deed", ["download", "verify", "export"])
def test_what_is_asked_by_an_address_alone_takes_no_fields(service: Service, deed: str) -> None:
    service.drop("tiny.gguf")
    path = f"/v1/models/tiny/{deed}"
    answer = service.client.post(path, json={"path": "/x"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "path")
    assert answer.json()["error"]["code"] == "unsupported_parameter"
    same = [service.client.post(path, **how).status_code for how in ({}, {"json": {}}, {"json": None})]
    assert len(set(same)) == 1
