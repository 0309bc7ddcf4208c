"""A grammar in a model's folder, from the file to the fingerprint of an answer and back."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import SAMPLE_ID
from tests.support.service import ServiceProcess

pytestmark = pytest.mark.model

ASK = {"model": SAMPLE_ID, "messages": [{"role": "user", "content": "Is it?"}], "max_tokens": 8}


def test_an_edited_grammar_binds_the_next_answer_whose_fingerprint_leads_to_it(
    start: Callable[..., ServiceProcess],
) -> None:
    service = start("--sample", "--hashing", "off", "--spare-worker", "off")
    service.wait_model(SAMPLE_ID)
    form = service.root / "models" / SAMPLE_ID / "form.gbnf"
    service.client.patch(
        f"/v1/models/{SAMPLE_ID}", json={"engine_parameters": {"grammar_file": form.name}}
    ).raise_for_status()

    def ask() -> tuple[str, Any]:
        """What is answered, and what its fingerprint stands for."""
        said = service.client.post("/v1/chat/completions", json=ASK).raise_for_status().json()
        found = service.get(f"/v1/fingerprints/{said['system_fingerprint']}")
        return said["choices"][0]["message"]["content"], found

    found = {}
    for word in ("yes", "no"):
        form.write_text(f'root ::= "{word}"')
        answer, stands_for = ask()
        assert answer == word
        binary, grammar = stands_for["parts"]
        assert binary["path"].endswith(".gguf")
        assert grammar["path"] == f"models/{SAMPLE_ID}/form.gbnf"
        assert grammar["sha256"] == hashlib.sha256(form.read_bytes()).hexdigest()
        found[stands_for["fingerprint"]] = word
    assert list(found.values()) == ["yes", "no"]
