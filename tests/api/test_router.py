"""llama.cpp's router calls, by the names and answers of its server-models.cpp."""

from janfs.errors import Busy
from tests.api.service import Service, projector


def value(service: Service) -> str:
    [model] = service.get("/models")["data"]
    return str(model["status"]["value"])


def test_models_are_listed_in_the_routers_words(with_model: Service) -> None:
    listed = with_model.get("/models")
    assert listed["object"] == "list"
    [model] = listed["data"]
    assert (model["id"], model["object"], model["source"]) == ("tiny-one", "model", "models_dir")
    assert model["status"] == {"value": "unloaded", "args": []}
    assert model["architecture"] == {"input_modalities": ["text"], "output_modalities": ["text"]}
    assert model["path"] == str(with_model.root / "models/tiny-one/Tiny One.gguf")
    assert (model["can_remove"], model["tags"], model["aliases"]) == (False, [], [])
    assert "meta" not in model


def test_a_model_with_a_projector_takes_images(with_model: Service) -> None:
    with_model.drop("tiny-one/mmproj.gguf", projector())
    [model] = [each for each in with_model.get("/models")["data"] if each["id"] == "tiny-one"]
    assert model["architecture"]["input_modalities"] == ["text", "image"]


def test_a_load_is_begun_and_shows_in_the_list(with_model: Service) -> None:
    def call(name: str) -> tuple[int, str]:
        answer = with_model.client.post(f"/models/{name}", json={"model": "tiny-one"})
        found = answer.json()
        return answer.status_code, found.get("success") or found["error"]["message"]

    assert call("load") == (200, True)
    assert value(with_model) == "loading"
    assert call("load") == (400, "model is already running"), "llama.cpp's router says so of one that loads"
    with_model.pool.become("tiny-one", "running")
    assert value(with_model) == "loaded"
    assert call("load") == (400, "model is already running")
    assert call("unload") == (200, True)
    assert value(with_model) == "unloaded"
    assert call("unload") == (400, "model is not running")


def test_a_load_that_failed_shows_in_the_list_and_may_be_tried_again(with_model: Service) -> None:
    with_model.pool.become("tiny-one", "failed")
    [model] = with_model.get("/models")["data"]
    assert model["status"] == {"value": "unloaded", "args": [], "failed": True, "exit_code": 1}
    assert with_model.client.post("/models/load", json={"model": "tiny-one"}).status_code == 200


def test_what_is_known_at_once_is_told_at_once(with_model: Service) -> None:
    with_model.pool.start_error = Busy("Too many.", retry_after=9)
    answer = with_model.client.post("/models/load", json={"model": "tiny-one"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "9")


def test_a_loaded_model_tells_of_its_context(with_model: Service) -> None:
    with_model.pool.become("tiny-one", "running")
    [model] = with_model.get("/models")["data"]
    assert model["meta"]["n_ctx"] == 64


def test_unknown_models_and_wishes_are_refused(service: Service) -> None:
    for call in ("load", "unload"):
        unknown = service.client.post(f"/models/{call}", json={"model": "none"})
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
        wish = service.client.post(f"/models/{call}", json={"model": "none", "extra": 1})
        assert wish.json()["error"]["code"] == "unsupported_parameter"


def test_reload_looks_at_the_folder_first(service: Service) -> None:
    assert service.get("/models?reload=1")["data"] == []
    service.drop("New.gguf")
    assert [model["id"] for model in service.get("/models?reload=1")["data"]] == ["new"]
