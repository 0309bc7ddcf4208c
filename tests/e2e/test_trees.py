"""Whole trees of other tools, moved into a real models folder as they are."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ggufs import large_gguf
from tests.support.service import ServiceProcess

COMMIT = "c" * 40


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("trees") / "jan") as service:
        service.wait_ready()
        yield service


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def move_in(service: ServiceProcess, tree: Path) -> Path:
    """All at once: where a copy pauses between two files, the first may be a model before the second."""
    return tree.rename(service.root / "models" / tree.name)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_lm_studios_models_come_out_of_their_publishers_folders(
    service: ServiceProcess, tmp_path: Path
) -> None:
    quantised = tmp_path / "lmstudio/models/publisher/Llama-GGUF"
    for quantisation in ("Q4_K_M", "Q8_0"):
        put(quantised / f"Llama-{quantisation}.gguf", large_gguf(f"Llama {quantisation}"))
    put(quantised / "README.md", "# Llama")
    put(tmp_path / "lmstudio/models/other/Qwen-GGUF/Qwen-Q8_0.gguf", large_gguf("Qwen"))
    put(tmp_path / "lmstudio/models/other/Qwen-GGUF/downloading_Qwen-Q4_0.gguf.part", "half")
    tree = move_in(service, tmp_path / "lmstudio")
    for name in ("llama-q4_k_m", "llama-q8_0", "qwen-q8_0"):
        service.wait_model(name)
    for quantisation in ("Q4_K_M", "Q8_0"):
        home = service.root / "models" / f"llama-{quantisation.lower()}"
        assert files(home) == [f"Llama-{quantisation}.gguf", "README.md", "model.json"]
    left = [path.name for path in tree.rglob("*") if path.is_file()]
    assert left == ["downloading_Qwen-Q4_0.gguf.part"], "what another tool still needs was taken"


def test_a_hubs_cache_stays_as_it_is_and_its_models_get_links(
    service: ServiceProcess, tmp_path: Path
) -> None:
    content = large_gguf("Story")
    digest = hashlib.sha256(content).hexdigest()
    repository = tmp_path / "hub/models--org--Story-GGUF"
    blob = put(repository / "blobs" / digest, content)
    put(repository / "blobs" / f"{digest}.incomplete", b"half")
    put(repository / "refs/main", COMMIT)
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "Story-Q4_0.gguf").symlink_to(os.path.relpath(blob, snapshot))
    before = {path.relative_to(tmp_path / "hub") for path in (tmp_path / "hub").rglob("*")}
    tree = move_in(service, tmp_path / "hub")
    service.wait_model("story-q4_0")
    link = service.root / "models/story-q4_0/Story-Q4_0.gguf"
    assert link.is_symlink()
    assert link.read_bytes() == content
    assert {path.relative_to(tree) for path in tree.rglob("*")} == before, "the cache was changed"


def test_a_download_of_the_hubs_tool_brings_its_digest_along(service: ServiceProcess, tmp_path: Path) -> None:
    content = large_gguf("Fetched")
    file = put(tmp_path / "Fetched-GGUF/Fetched-Q4_0.gguf", content)
    digest = hashlib.sha256(content).hexdigest()
    put(
        tmp_path / "Fetched-GGUF/.cache/huggingface/download/Fetched-Q4_0.gguf.metadata",
        f"{COMMIT}\n{digest}\n{file.stat().st_mtime + 60}\n",
    )
    move_in(service, tmp_path / "Fetched-GGUF")
    service.wait_model("Fetched-GGUF")
    events = service.get("/v1/models/Fetched-GGUF/history")["data"]
    said = [event["data"] for event in events if event["type"] == "file-hashed"]
    assert [(each["sha256"], each["by"]) for each in said[:1]] == [(digest, "hub")]


def test_llama_cpps_cache_is_a_folder_of_several_models(service: ServiceProcess, tmp_path: Path) -> None:
    for name in ("ggml-org_a_A-Q4_0", "ggml-org_b_B-Q8_0"):
        put(tmp_path / f"llama.cpp/{name}.gguf", large_gguf(name))
        put(tmp_path / f"llama.cpp/{name}.gguf.json", '{"etag": "x", "url": "https://example.org"}')
    put(tmp_path / "llama.cpp/manifest=ggml-org=a=latest.json", "{}")
    put(tmp_path / "llama.cpp/ggml-org_c_C-Q4_0.gguf.downloadInProgress", "half")
    move_in(service, tmp_path / "llama.cpp")
    for name in ("ggml-org_a_a-q4_0", "ggml-org_b_b-q8_0"):
        service.wait_model(name)


def test_jans_old_folders_are_taken_as_they_are(service: ServiceProcess, tmp_path: Path) -> None:
    old = {
        "id": "tinyllama-1.1b",
        "object": "model",
        "name": "TinyLlama",
        "version": "1.0",
        "engine": "nitro",
        "sources": [{"filename": "tinyllama.gguf", "url": "https://example.org/tinyllama.gguf"}],
        "settings": {"ctx_len": 4096, "llama_model_path": "tinyllama.gguf"},
        "parameters": {"max_tokens": 99},
    }
    here = tmp_path / "janold/models/tinyllama-1.1b"
    put(here / "model.json", json.dumps(old))
    put(here / "tinyllama.gguf", large_gguf("TinyLlama"))
    old |= {"id": "phi", "sources": [{"filename": "phi.gguf", "url": "https://example.org/phi.gguf"}]}
    old |= {"settings": {}}
    put(tmp_path / "janold/models/phi/model.json", json.dumps(old))
    put(tmp_path / "janold/threads/one/thread.json", "{}")
    tree = move_in(service, tmp_path / "janold")
    shown = service.wait_model("tinyllama-1.1b")
    assert (shown["folder"], shown["model_parameters"]["max_tokens"]) == (
        "models/janold/models/tinyllama-1.1b",
        99,
    )
    service.wait_model("phi", "to-download")
    assert files(tree / "models/tinyllama-1.1b") == ["model.json", "tinyllama.gguf"]
