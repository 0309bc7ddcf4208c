"""`janfs set`, on a root that nobody has open and on one that is being served."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from janfs.cli import main
from janfs.cli.common import user
from tests.support.ggufs import tiny_gguf
from tests.support.service import ServiceProcess


def janfs(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--root", str(root)], catch_exceptions=False)


def written(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "models/story/model.json").read_text())
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/story.gguf").write_bytes(tiny_gguf("Story"))
    assert janfs(tmp_path, "organise").exit_code == 0
    return tmp_path


def change_and_give_back(root: Path) -> None:
    before = written(root)
    done = janfs(root, "set", "story", "top_p=0.5", "metadata.author=me", "--remove", "description")
    assert done.exit_code == 0, done.output
    after = written(root)
    assert after["model_parameters"]["top_p"] == 0.5
    assert after["metadata"]["author"] == "me"
    assert "description" not in after
    done = janfs(root, "set", "story", "ngl=null", "top_k=7", "--remove", "top_k", "--remove", "min_p")
    assert done.exit_code == 0, done.output
    after = written(root)
    assert after["engine_parameters"]["ngl"] is None
    assert not {"top_k", "min_p"} & after["model_parameters"].keys()
    assert janfs(root, "set", "story", "--remove", "ngl").exit_code == 0
    done = janfs(root, "set", "story", 'metadata={"note": "x"}', 'engine_parameters={"ngl": null}')
    assert done.exit_code == 0, done.output
    after = written(root)
    assert after["metadata"] == before["metadata"] | {"author": "me", "note": "x"}, "the rest of it is lost"
    assert after["engine_parameters"] == before["engine_parameters"] | {"ngl": None}
    assert janfs(root, "set", "story", "--remove", "ngl", "--remove", "metadata.note").exit_code == 0
    back = janfs(
        root, "set", "story", "--default", "top_p", "--default", "description", "--remove", "metadata.author"
    )
    assert back.exit_code == 0, back.output
    assert written(root) == before


def test_without_a_service(root: Path) -> None:
    change_and_give_back(root)
    events = [json.loads(line) for line in janfs(root, "history", "story", "--json").output.splitlines()]
    assert events[-1]["type"] == "json-written"
    assert events[-1]["actor"].startswith("cli:")


def test_with_a_service(root: Path) -> None:
    # What is hashed is recorded a second after the last event, which may be in the middle of this.
    with ServiceProcess(root, "--hashing", "off") as service:
        service.wait_model("story")
        change_and_give_back(root)
        events = [json.loads(line) for line in janfs(root, "history", "story", "--json").output.splitlines()]
        assert events[-1]["type"] == "json-written"
        assert events[-1]["actor"] == f"api:{user()}", "who runs the command is lost on the way"


@pytest.mark.parametrize(
    ("known", "told"),
    [("ann", "ann"), ("DOM\\ann", "DOM_ann"), ("x" * 99, "x" * 64), (None, str(os.getuid()))],
)
def test_whoever_runs_a_command_has_a_name(
    monkeypatch: pytest.MonkeyPatch, known: str | None, told: str
) -> None:
    def getuser() -> str:
        if known is None:
            raise KeyError("getpwuid(): uid not found")
        return known

    monkeypatch.setattr("getpass.getuser", getuser)
    assert user() == told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ctx_len=many"], "ctx_len must be a whole number"),
        (["engine_parameters.ctxlen=1"], "Do you mean ctx_len?"),
        (["created=99999999999999999999999999"], "created: This number is too large"),
        (["name=x", "metadata.api_key=abc"], "metadata.api_key is a secret"),
        (["top_p"], "is not KEY=VALUE"),
        (["metadata.x=" + "[" * 9999 + "]" * 9999], "nested too deeply"),
        ([], "Say what to change"),
    ],
)
def test_what_is_wrong_is_said(root: Path, arguments: list[str], said: str) -> None:
    found = janfs(root, "set", "story", *arguments)
    assert found.exit_code != 0
    assert said in found.output
