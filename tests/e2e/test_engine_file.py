"""An engine's file is edited while its model runs, and the next answer comes with it."""

import json
from collections.abc import Callable

import pytest

from tests.e2e.conftest import SAMPLE_ID
from tests.support.service import ServiceProcess

pytestmark = pytest.mark.model


def test_the_next_request_runs_with_an_edited_engine_file(start: Callable[..., ServiceProcess]) -> None:
    service = start("--sample", "--hashing", "off")
    service.wait_model(SAMPLE_ID)

    def fingerprint() -> str:
        body = {"model": SAMPLE_ID, "prompt": "Hi", "max_tokens": 1}
        answer = service.client.post("/v1/completions", json=body).raise_for_status().json()
        return str(answer["system_fingerprint"])

    def parallel() -> dict[str, object]:
        found: dict[str, object] = service.get(f"/v1/models/{SAMPLE_ID}/config")["engine_parameters"][
            "n_parallel"
        ]
        return found

    before = fingerprint()
    path = service.root / "engines" / "llama-cpp.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"n_parallel": 2}, indent=2))
    service.wait(lambda: parallel()["value"] == 2, "the edit to be seen")
    assert parallel()["origin"] == {
        "kind": "engine",
        "file": "engines/llama-cpp.json",
        "line": 2 + list(said).index("n_parallel"),
        "column": 3,
        "key": "n_parallel",
    }
    assert fingerprint() != before, "it still runs with the old settings"
    ended = [e for e in service.get("/v1/events?limit=1000")["data"] if e["type"] == "model-stopped"]
    assert [each["data"]["reason"] for each in ended] == ["its settings changed"]
