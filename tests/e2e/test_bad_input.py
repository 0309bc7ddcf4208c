"""Bad input to a real service: each gets a clear answer, nothing is lost, and the rest goes on working."""

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from janfs.cli import main
from tests.e2e.conftest import SAMPLE_ID
from tests.support.ggufs import tiny_gguf
from tests.support.service import ServiceProcess

WHOLE = tiny_gguf("Whole")
BAD_FILES = {
    "zero.gguf": b"",
    "text.gguf": b"This was a text file, and somebody renamed it.",
    "cut.gguf": WHOLE[:40],
    "magic.gguf": b"GGML" + WHOLE[4:],
    "big-endian.gguf": b"GGUF" + struct.pack(">I", 3) + WHOLE[8:],
    "version.gguf": b"GGUF" + struct.pack("<I", 99) + WHOLE[8:],
    "tensors.gguf": b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0) + bytes(100),
}
ODD_NAMES = {
    b"My Model (final) 7B.gguf": "my-model-final-7b",
    b"quote\"d and 'single'.gguf": "quote-d-and-single",
    b"line\nfeed.gguf": "line-feed",
    b"caf\xe9.gguf": "caf-e9",
    b"x" * 250 + b".gguf": "x" * 96,
    "模型.gguf".encode(): "model",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("bad") / "jan"
    with ServiceProcess(root, "--sample") as service:
        service.wait_model(SAMPLE_ID)
        yield service


def test_files_that_are_no_models_are_left_alone_and_say_why(service: ServiceProcess) -> None:
    models = service.root / "models"
    for name, content in BAD_FILES.items():
        (models / name).write_bytes(content)
    ids = [name.removesuffix(".gguf") for name in BAD_FILES]
    service.wait(
        lambda: all(service.models().get(id_, {}).get("status") == "invalid" for id_ in ids),
        "every bad file to be invalid",
    )
    for name, content in BAD_FILES.items():
        assert (models / name).read_bytes() == content, f"{name} was touched"
        shown = service.models()[name.removesuffix(".gguf")]
        assert shown["reason"].startswith(name), shown["reason"]
        answer = chat(service, model=name.removesuffix(".gguf"))
        assert answer.status_code in (400, 409, 503), answer.text
        assert answer.json()["error"]["message"]
    assert service.models()[SAMPLE_ID]["status"] == "ready"


def test_names_of_any_kind_lead_to_a_plain_id_and_lose_nothing(service: ServiceProcess) -> None:
    models = os.fsencode(service.root / "models")
    for number, name in enumerate(ODD_NAMES):
        with open(os.path.join(models, name), "wb") as file:  # noqa: PTH118, PTH123 - names are bytes
            file.write(tiny_gguf(f"Odd {number}"))
        service.wait_model(ODD_NAMES[name])
    for name, id_ in ODD_NAMES.items():
        inside = os.listdir(os.path.join(models, id_.encode()))  # noqa: PTH118, PTH208
        assert sorted(inside) == sorted([name, b"model.json"]), f"{name!r} is not in {id_}"


def test_two_files_of_one_derived_id_become_two_models(service: ServiceProcess) -> None:
    models = service.root / "models"
    (models / "Twin.gguf").write_bytes(tiny_gguf("First"))
    (models / "twin.gguf").write_bytes(tiny_gguf("Second"))
    service.wait_model("twin")
    service.wait_model("twin-2")


def test_a_broken_model_json_says_where_and_the_last_good_one_stays(service: ServiceProcess) -> None:
    manifest = service.root / "models" / SAMPLE_ID / "model.json"
    good = manifest.read_text()
    manifest.write_text(good.replace('"object": "model",', '"object": model,'))
    service.wait(lambda: "json_error" in service.models()[SAMPLE_ID], "the error to show")
    shown = service.models()[SAMPLE_ID]
    line = [text.strip() for text in good.splitlines()].index('"object": "model",') + 1
    assert shown["json_error"]["line"] == line
    assert shown["status"] == "ready"
    assert shown["engine_parameters"] == {"ctx_len": 8192}
    said = shown["json_error"]["reason"]
    assert f"line {line}, column {shown['json_error']['column']}: " in said
    listed = next(each for each in service.client.get("/v1/models").json()["data"] if each["id"] == SAMPLE_ID)
    assert listed["json_error"] == shown["json_error"]
    assert said in listed["reason"]
    ls = CliRunner().invoke(main, ["ls", "--root", str(service.root)])
    assert said in " ".join(ls.output.split()), "janfs ls does not say where"
    history = service.client.get(f"/v1/models/{SAMPLE_ID}/history?limit=1000").json()["data"]
    rejected = next(event for event in history if event["type"] == "json-rejected")["data"]
    assert rejected["line"] == line
    assert said.endswith(rejected["reason"])
    manifest.write_text(good)
    service.wait(lambda: "json_error" not in service.models()[SAMPLE_ID], "it to be mended")


def chat(service: ServiceProcess, **changes: Any) -> httpx.Response:
    body = {"model": SAMPLE_ID, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, **changes}
    return service.client.post("/v1/chat/completions", json=body)


@pytest.mark.parametrize(
    ("changes", "status", "param"),
    [
        ({"model": "nope"}, 404, "model"),
        ({"model": 7}, 400, "model"),
        ({"messages": []}, 400, "messages"),
        ({"messages": "Hi"}, 400, "messages"),
        ({"messages": [{"role": "user"}]}, 400, None),
        ({"temperature": -1}, 400, "temperature"),
        ({"temperature": 1e9}, 400, "temperature"),
        ({"top_p": 2}, 400, "top_p"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": -5}, 400, "max_tokens"),
        ({"stop": ["x"] * 100}, 400, "stop"),
        ({"seed": "seven"}, 400, "seed"),
        ({"n": 300}, 400, "n"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, 400, "tools[0].function.name"),
        ({"no_such_field": 1}, 400, "no_such_field"),
    ],
)
def test_wrong_requests_are_refused_by_name(
    service: ServiceProcess, changes: dict[str, Any], status: int, param: str | None
) -> None:
    answer = chat(service, **changes)
    error = answer.json()["error"]
    assert answer.status_code == status, answer.text
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    assert param is None or error["param"] == param, error


@pytest.mark.model
@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("completions", {"prompt": "a" * 100_000}, "prompt"),
        ("completions", {"prompt": [10**9]}, "prompt"),
        ("completions", {"prompt": ["a"] * 3000}, "prompt"),
        ("completions", {"prompt": "\ud800"}, None),
        ("embeddings", {"input": "a"}, "model"),
        ("embeddings", {"input": [2**40]}, "input[0]"),
        ("embeddings", {"input": {"text": "a"}}, "input"),
        ("rerank", {"query": "a", "documents": ["b"]}, "model"),
        ("rerank", {"query": "a", "documents": "b"}, "documents"),
        ("tokenize", {"content": ["a"]}, "content"),
        ("detokenize", {"tokens": [10**9]}, "tokens"),
        ("detokenize", {"tokens": "a"}, "tokens"),
        ("apply-template", {"messages": [{"role": "nobody", "content": "a"}]}, "messages[0].role"),
    ],
    ids=str,
)
def test_no_endpoint_takes_what_makes_no_sense(
    service: ServiceProcess, path: str, body: dict[str, Any], param: str | None
) -> None:
    answer = service.client.post(
        f"/v1/{path}",
        content=json.dumps({"model": SAMPLE_ID} | body),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.model
def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(service: ServiceProcess) -> None:
    answer = chat(service, messages=[{"role": "user", "content": "word " * 20_000}])
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["type"] == "exceed_context_size_error"
    assert error["n_ctx"] == 8192
    assert error["n_prompt_tokens"] > 20_000


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"[" * 100_000, "application/json", 400),
        (b'{"model": ', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", None, 415),
        (b'{"a": "' + b"x" * 100_000_000 + b'"}', "application/json", 413),
    ],
    ids=["brackets", "malformed", "text", "no type", "100 MB"],
)
def test_bodies_that_are_no_requests_are_refused(
    service: ServiceProcess, content: bytes, content_type: str | None, status: int
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    try:
        answer = service.client.post("/v1/chat/completions", content=content, headers=headers)
    except httpx.WriteError:
        assert status == 413, "the connection was cut"  # refused while it was still being sent
    else:
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["message"]
    assert service.client.get("/healthz").is_success


def test_a_foreign_page_and_a_foreign_name_are_not_let_in(service: ServiceProcess) -> None:
    assert service.client.get("/v1/models", headers={"Origin": "http://evil.example"}).status_code == 403
    assert service.client.get("/v1/models", headers={"Host": "evil.example"}).status_code == 403


def test_a_linked_file_is_organised_as_a_link(service: ServiceProcess, tmp_path: Path) -> None:
    elsewhere = tmp_path / "store"
    elsewhere.mkdir()
    (elsewhere / "linked.gguf").write_bytes(tiny_gguf("Linked"))
    (service.root / "models" / "linked.gguf").symlink_to(elsewhere / "linked.gguf")
    shown = service.wait_model("linked")
    link = service.root / shown["folder"] / "linked.gguf"
    assert link.is_symlink(), "the link was not moved as a link"
    assert link.resolve() == elsewhere / "linked.gguf"
    assert (elsewhere / "linked.gguf").exists(), "a file outside the root was moved"
