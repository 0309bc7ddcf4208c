"""/v1/engines as clients see it."""

from janfs.engines.protocol import EngineState
from tests.api.service import Service, eventually
from tests.fakes.pool import INFO


def edit(service: Service, name: str, text: str) -> None:
    """Write an engine's file as a person would, and wait until it was looked at."""
    path = service.root / "engines" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    service.look()


def test_without_files_there_is_the_engine_in_the_box(service: Service) -> None:
    [engine] = service.get("/v1/engines")["data"]
    assert engine == {
        "id": "llama-cpp",
        "object": "engine",
        "file": None,
        "engine_parameters": {},
        "notes": [],
        "problems": [],
        "models": [],
        "upstreams": [],
    }


def test_a_file_is_shown_without_its_secrets(service: Service) -> None:
    edit(service, "openai.json", '{"full_url": "https://example.org/v1", "api_key": "sk-mine"}')
    eventually(lambda: len(service.get("/v1/engines")["data"]) == 2, "the file is not listed")
    by_id = {engine["id"]: engine for engine in service.get("/v1/engines")["data"]}
    assert by_id["openai"]["engine_parameters"] == {"full_url": "https://example.org/v1", "api_key": "***"}
    assert "sk-mine" not in service.client.get("/v1/events?limit=1000").text


def test_what_is_wrong_with_a_file_is_shown_with_line_and_column(service: Service) -> None:
    edit(service, "nitro.json", '{"ngl": 1}')
    eventually(lambda: service.get("/v1/engines")["data"][0]["file"], "the file was not read")
    edit(service, "nitro.json", '{\n  "ngl": 1,\n  broken\n}')
    eventually(lambda: service.get("/v1/engines")["data"][0]["problems"], "the mistake is not shown")
    [engine] = service.get("/v1/engines")["data"]
    assert engine["engine_parameters"] == {"ngl": 1}, "the last good settings are gone"
    [problem] = engine["problems"]
    assert (problem["file"], problem["line"], problem["column"]) == ("engines/nitro.json", 3, 3)
    assert problem["reason"].startswith("nitro.json, line 3, column 3: ")
    assert problem["reason"].endswith("The last good one stays in force.")


def test_of_two_names_the_one_that_is_not_read_is_named(service: Service) -> None:
    edit(service, "nitro.json", '{"ngl": 1}')
    edit(service, "llama-cpp.json", '{"ngl": 2}')
    eventually(lambda: service.get("/v1/engines")["data"][0]["problems"], "both are taken for good")
    [engine] = service.get("/v1/engines")["data"]
    assert (engine["file"], engine["engine_parameters"]) == ("engines/llama-cpp.json", {"ngl": 2})
    assert "engines/nitro.json is not read" in engine["problems"][0]["reason"]
    assert "line" not in engine["problems"][0]


def test_the_settings_of_a_model_tell_where_they_come_from(service: Service) -> None:
    service.drop("tiny.gguf")
    edit(service, "nitro.json", '{\n  "ngl": 0\n}')
    eventually(lambda: service.get("/v1/engines")["data"][0]["file"], "the file was not read")
    config = service.get("/v1/models/tiny/config")
    assert (config["id"], config["object"], config["engine"]) == ("tiny", "model.config", "llama-cpp")
    origin = {"kind": "engine", "file": "engines/nitro.json", "line": 2, "column": 3, "key": "ngl"}
    assert config["engine_parameters"]["ngl"] == {"value": 0, "origin": origin}
    temperature = config["model_parameters"]["temperature"]["origin"]
    assert (temperature["kind"], temperature["file"]) == ("generated", "models/tiny/model.json")
    before = service.get("/v1/models/tiny/config?at=6")["engine_parameters"]["ngl"]
    assert before == {"value": 100, "origin": {"kind": "built-in"}}, "then there was no such file"
    assert service.client.get("/v1/models/none/config").status_code == 404


def test_a_loaded_model_is_shown_with_its_engine_and_alone(with_model: Service) -> None:
    assert "loaded" not in with_model.get("/v1/models/tiny-one")
    with_model.client.post("/v1/models/tiny-one/start")
    shown = with_model.get("/v1/models/tiny-one")["loaded"]
    assert (shown["id"], shown["state"], shown["context"], shown["parallel"]) == (
        "tiny-one",
        "running",
        64,
        1,
    )
    assert shown["pid"] == INFO.pid
    assert shown["load_seconds"] == INFO.load_seconds
    [engine] = with_model.get("/v1/engines")["data"]
    assert engine["models"] == [shown]
    [uid] = with_model.pipeline.snapshot.catalogue.models
    with_model.pool.replaced = [(uid, EngineState(state="stopping", active=1))]  # it answers to its end
    [engine] = with_model.get("/v1/engines")["data"]
    assert [(each["id"], each["state"]) for each in engine["models"]] == [
        ("tiny-one", "running"),
        ("tiny-one", "stopping"),
    ]
    assert "loaded" not in with_model.get("/v1/models")["data"][0]
