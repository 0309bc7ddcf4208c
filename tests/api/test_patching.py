"""PATCH /v1/models/{id}: fields of a model.json, changed in its text."""

import json
from typing import Any

import httpx
import pytest

from tests.api.service import Service, eventually

PATH = "models/tiny/model.json"


@pytest.fixture
def tiny(service: Service) -> Service:
    service.drop("tiny.gguf")
    return service


def patch(service: Service, body: Any, query: str = "", **headers: str) -> httpx.Response:
    return service.client.patch(f"/v1/models/tiny{query}", json=body, headers=headers)


def test_a_field_is_changed_and_nothing_else_in_the_text(tiny: Service) -> None:
    path = tiny.root / PATH
    path.write_text("// mine\n" + path.read_text())
    tiny.look()
    before = path.read_text()
    answer = patch(tiny, {"model_parameters": {"temperature": 0.1}, "description": None})
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_parameters"]["temperature"] == 0.1
    lines = [line for line in before.splitlines() if '"description"' not in line]
    assert path.read_text().splitlines() == [
        line.replace('"temperature": 0.7', '"temperature": 0.1') for line in lines
    ]


def test_the_log_says_who_asked(tiny: Service) -> None:
    patch(tiny, {"name": "Mine"})
    events = tiny.get("/v1/models/tiny/history?limit=1000")["data"]
    written = [(event["type"], event["actor"]) for event in events][-2:]
    assert written == [("write-planned", "api"), ("json-written", "api")]
    assert "/name" in events[-1]["data"]["owned"]


def test_a_caller_that_says_a_name_is_recorded_by_it(tiny: Service) -> None:
    patch(tiny, {"name": "Mine"}, **{"X-Janfs-Actor": "ann@desk"})
    assert tiny.get("/v1/models/tiny/history?limit=1000")["data"][-1]["actor"] == "api:ann@desk"
    by = {leaf["path"][0]: leaf["actor"] for leaf in tiny.get("/v1/models/tiny/blame")["leaves"]}
    assert by["name"] == "api:ann@desk"


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "cli:ann"])
def test_a_name_that_is_none_is_refused(tiny: Service, name: str) -> None:
    answer = patch(tiny, {"name": "Mine"}, **{"X-Janfs-Actor": name})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_header"), answer.text
    assert tiny.get("/v1/models/tiny")["name"] == "tiny"


@pytest.mark.parametrize(
    ("operation", "param"),
    [
        ({"op": "add", "path": "/metadata/x", "value": "DEEP"}, "metadata.x"),
        ({"op": "add", "path": "/metadata/~2", "value": 1}, "[0].path"),
    ],
)
def test_what_no_json_patch_can_say_is_refused_by_name(
    tiny: Service, operation: dict[str, Any], param: str
) -> None:
    before = (tiny.root / PATH).read_text()
    text = json.dumps([operation]).replace('"DEEP"', "[" * 600 + "]" * 600)
    headers = {"content-type": "application/json-patch+json"}
    answer = tiny.client.patch("/v1/models/tiny", content=text, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert (tiny.root / PATH).read_text() == before


def test_what_is_so_already_is_theirs_from_then_on_and_no_byte_changes(tiny: Service) -> None:
    before = (tiny.root / PATH).read_bytes()
    assert patch(tiny, {"owned_by": "you"}).status_code == 200
    assert (tiny.root / PATH).read_bytes() == before
    event = tiny.get("/v1/models/tiny/history?limit=1000")["data"][-1]
    assert (event["type"], event["actor"], event["data"]["owned"]) == ("json-kept", "api", ["/owned_by"])


def test_a_field_is_given_back(tiny: Service) -> None:
    before = (tiny.root / PATH).read_text()
    patch(tiny, {"name": "Mine"})
    answer = patch(tiny, {}, "?default=name")
    assert answer.status_code == 200, answer.text
    assert (tiny.root / PATH).read_text() == before


def test_if_match_guards_against_an_edit_in_between(tiny: Service) -> None:
    tag = tiny.client.get("/v1/models/tiny").headers["etag"]
    assert patch(tiny, {"name": "One"}, **{"If-Match": tag}).status_code == 200
    answer = patch(tiny, {"name": "Two"}, **{"If-Match": tag})
    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "precondition_failed")
    now = tiny.client.get("/v1/models/tiny")
    assert now.json()["name"] == "One"
    path = tiny.root / PATH
    path.write_text(path.read_text().replace('"One"', '"Three"'))  # seen by nobody yet
    answer = patch(tiny, {"name": "Four"}, **{"If-Match": now.headers["etag"]})
    assert answer.status_code == 412
    assert patch(tiny, {"name": "Five"}, **{"If-Match": "*"}).status_code == 200


@pytest.mark.parametrize("form", ['"nope", {0}', '{0},"nope"', 'W/"nope" , W/{0}'])
def test_one_of_several_tags_is_enough(tiny: Service, form: str) -> None:
    tag = tiny.client.get("/v1/models/tiny").headers["etag"]
    assert patch(tiny, {"name": "One"}, **{"If-Match": form.format(tag)}).status_code == 200
    assert patch(tiny, {"name": "Two"}, **{"If-Match": form.format(tag)}).status_code == 412, "it changed"


@pytest.mark.parametrize("tags", ['"nope", "neither"', "", '""'])
def test_tags_none_of_which_is_the_files_refuse_the_edit(tiny: Service, tags: str) -> None:
    assert patch(tiny, {"name": "One"}, **{"If-Match": tags}).status_code == 412


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"engine_parameters": {"ctxlen": 1}}, "engine_parameters.ctxlen"),
        ({"engine_parameters": {"ctx_len": "many"}}, "engine_parameters.ctx_len"),
        ({"model_parameters": {"temperature": 9}}, "model_parameters.temperature"),
        ({"colour": "red"}, "colour"),
        ({"name": 5}, "name"),
        ({"id": "other"}, "id"),
    ],
)
def test_what_is_wrong_is_refused_with_its_path_and_changes_nothing(
    tiny: Service, body: Any, param: str
) -> None:
    before = (tiny.root / PATH).read_bytes()
    answer = patch(tiny, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert (tiny.root / PATH).read_bytes() == before


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ('{"engine_parameters": {"ngl": 1e400}}', "engine_parameters.ngl"),
        ('{"name": "x", "metadata": {"a": [1, -1e999]}}', "metadata.a[1]"),
        ('{"created": 99999999999999999999999999}', "created"),
        ('{"name": "x", "headers": {"hf_token": "abc"}}', "headers.hf_token"),
    ],
)
def test_the_message_names_the_place_too(tiny: Service, body: str, param: str) -> None:
    """It is all that `janfs set` prints."""
    kind = {"content-type": "application/json"}
    answer = tiny.client.patch("/v1/models/tiny", content=body, headers=kind)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param), answer.text
    assert error["message"].startswith(param), error["message"]


def test_what_is_no_object_is_refused(tiny: Service) -> None:
    assert patch(tiny, ["name"]).status_code == 400


def test_a_file_that_cannot_be_read_is_left_as_it_is(tiny: Service) -> None:
    (tiny.root / PATH).write_text('{"name": ')
    tiny.look()
    answer = patch(tiny, {"name": "Mine"})
    assert answer.status_code == 409, answer.text
    assert (tiny.root / PATH).read_text() == '{"name": '


def test_nor_is_one_that_could_never_be_read_changed(tiny: Service) -> None:
    (tiny.root / "models/never").mkdir()
    (tiny.root / "models/never/model.json").write_text('{"name": ')
    tiny.drop("never/never.gguf")
    eventually(
        lambda: "never" in str(tiny.get("/v1/models")), "a text that may still be written is waited for"
    )
    answer = tiny.client.patch("/v1/models/never", json={"name": "Mine"})
    assert (answer.status_code, "Mend the file first" in answer.text) == (409, True), answer.text


def test_a_read_only_file_is_left_as_it_is(tiny: Service) -> None:
    (tiny.root / PATH).chmod(0o444)
    before = (tiny.root / PATH).read_bytes()
    answer = patch(tiny, {"name": "Mine"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "model_json_untouched")
    assert "read-only" in answer.json()["error"]["message"]
    assert (tiny.root / PATH).read_bytes() == before
    assert "reason" not in tiny.get("/v1/models/tiny"), "nothing is wrong with the model"


def test_an_unknown_model_is_a_404(service: Service) -> None:
    assert service.client.patch("/v1/models/none", json={}).status_code == 404


def test_a_merge_patch_may_say_what_it_is(tiny: Service) -> None:
    kind = {"Content-Type": "application/merge-patch+json"}
    answer = tiny.client.patch("/v1/models/tiny", content=b'{"name": "Mine"}', headers=kind)
    assert answer.status_code == 200, answer.text


def json_patch(service: Service, *operations: Any) -> httpx.Response:
    kind = {"Content-Type": "application/json-patch+json"}
    body = json.dumps(operations).encode()
    return service.client.patch("/v1/models/tiny", content=body, headers=kind)


def test_a_json_patch_sets_null_and_takes_it_out_again(tiny: Service) -> None:
    (tiny.root / "engines/llama-cpp.json").write_text('{"ngl": 7}')
    tiny.look()
    before = (tiny.root / PATH).read_bytes()
    answer = json_patch(tiny, {"op": "add", "path": "/engine_parameters/ngl", "value": None})
    assert answer.status_code == 200, answer.text
    ngl = tiny.get("/v1/models/tiny/config")["engine_parameters"]["ngl"]
    assert (ngl["value"], ngl["origin"]["kind"], ngl["origin"]["file"]) == (100, "built-in", PATH)
    answer = json_patch(tiny, {"op": "remove", "path": "/engine_parameters/ngl"})
    assert answer.status_code == 200, answer.text
    assert (tiny.root / PATH).read_bytes() == before
    ngl = tiny.get("/v1/models/tiny/config")["engine_parameters"]["ngl"]
    assert (ngl["value"], ngl["origin"]["kind"]) == (7, "engine")


def test_a_json_patch_tests_before_it_changes(tiny: Service) -> None:
    before = (tiny.root / PATH).read_bytes()
    change = {"op": "replace", "path": "/name", "value": "Mine"}
    answer = json_patch(tiny, change, {"op": "test", "path": "/owned_by", "value": "me"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "precondition_failed")
    assert (tiny.root / PATH).read_bytes() == before
    assert json_patch(tiny, {"op": "test", "path": "/owned_by", "value": "you"}, change).status_code == 200
    assert tiny.get("/v1/models/tiny")["name"] == "Mine"


@pytest.mark.parametrize(
    ("operation", "param"),
    [
        ({"op": "add", "path": "/colour", "value": "red"}, "colour"),
        ({"op": "add", "path": "/engine_parameters", "value": {"ctxlen": 1}}, "engine_parameters.ctxlen"),
        ({"op": "remove", "path": "/metadata/none"}, "metadata.none"),
        ({"op": "jump"}, "[0].op"),
    ],
)
def test_what_is_wrong_in_a_json_patch_is_refused_with_its_path(
    tiny: Service, operation: Any, param: str
) -> None:
    answer = json_patch(tiny, operation)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
