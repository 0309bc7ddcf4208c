"""A service with little memory, and what it says of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from janfs.cli import main
from tests.e2e.conftest import SAMPLE_ID
from tests.support.service import ServiceProcess

pytestmark = pytest.mark.model

ASK = {"model": SAMPLE_ID, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}


def janfs(*arguments: str) -> str:
    """What a command prints."""
    outcome = CliRunner().invoke(main, arguments)
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def ctx_len(service: ServiceProcess) -> Any:
    """The setting that holds, with its origin."""
    return service.get(f"/v1/models/{SAMPLE_ID}/config")["engine_parameters"]["ctx_len"]


def test_a_context_that_nobody_asked_for_is_lowered_and_one_that_the_user_wants_is_refused(
    start: Callable[..., ServiceProcess],
) -> None:
    service = start("--sample", "--memory", "300M")
    service.wait_model(SAMPLE_ID)
    answer = service.client.post("/v1/chat/completions", json=ASK)
    assert answer.is_success, answer.text

    setting = ctx_len(service)
    assert setting["origin"] == {"kind": "memory fit"}
    assert 2048 <= setting["value"] < 8192
    fingerprint = service.get(f"/v1/fingerprints/{answer.json()['system_fingerprint']}")
    assert fingerprint["settings"]["ctx_len"] == setting["value"], "the answer was not given with these"

    [shown] = json.loads(janfs("ps", "--json", "--root", str(service.root)))
    assert shown == service.get(f"/v1/models/{SAMPLE_ID}")["loaded"] | {
        name: shown[name] for name in ("resident", "tokens_per_second")
    }
    assert shown["lowered"] == {"ctx_len": setting["value"]}
    assert 0 < shown["resident"] <= shown["memory"]
    assert "(lowered to fit)" in janfs("ps", "--root", str(service.root))

    model_json = service.root / "models" / SAMPLE_ID / "model.json"
    wanted = json.loads(model_json.read_text())
    wanted["engine_parameters"]["ctx_len"] = 8193
    model_json.write_text(json.dumps(wanted))
    service.wait(lambda: ctx_len(service)["value"] == 8193, "the edit to be seen")
    refused = service.client.post("/v1/chat/completions", json=ASK)
    assert refused.status_code == 503, refused.text
    error = refused.json()["error"]
    assert error["code"] == "model_does_not_fit"
    assert "8,448 tokens of context, which model.json asks for" in error["message"]


def test_a_preloaded_model_is_there_before_anybody_asks(start: Callable[..., ServiceProcess]) -> None:
    service = start("--sample", "--preload", SAMPLE_ID)
    service.wait(
        lambda: service.models().get(SAMPLE_ID, {}).get("state") == "running", "the model to be loaded"
    )
