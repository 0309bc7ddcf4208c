from pathlib import Path

from click.testing import CliRunner

from janfs.cli import main
from janfs.cli.ps import table

LOADED = {
    "id": "big",
    "state": "running",
    "since": 1000.0,
    "memory": 400_000_000,
    "resident": 355_000_000,
    "requests": 2,
    "waiting": 1,
    "tokens_per_second": 91.25,
    "context": 4096,
    "last_used": 8000.0,
    "unloads_at": None,
    "pinned": False,
    "lowered": {},
}


def cells(**changes: object) -> str:
    return table([LOADED | changes], 8200.0).splitlines()[1]


def test_a_loaded_model_is_a_line() -> None:
    line = cells()
    for words in ("big", "running", "2 h", "355.0 MB (400.0 MB estimated)", "91.2", "4,096", "3 min ago"):
        assert words in line, f"{words} is missing in {line}"


def test_what_is_special_is_said() -> None:
    assert "4,096 (lowered to fit)" in cells(lowered={"ctx_len": 4096})
    assert cells(pinned=True).endswith("pinned")
    assert cells(unloads_at=8230.0).endswith("in 30 s")
    assert "400.0 MB estimated" in cells(resident=None, context=None, state="loading")


def test_no_model_and_no_service_are_said_in_words(tmp_path: Path) -> None:
    assert "No model is loaded" in table([], 0)
    outcome = CliRunner().invoke(main, ["ps", "--root", str(tmp_path)])
    assert outcome.exit_code == 5
    assert "No janfs serves" in outcome.output
