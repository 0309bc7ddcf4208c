"""What a line says, beyond what the commands' own tests look at."""

import pytest
import structlog

from janfs import logs
from janfs.cli import printing

HOSTILE = "a\x1b]0;mine\x07\x1b[2J\nb\u202e\x9b"
SHOWN = r"a\x1b]0;mine\x07\x1b[2J\nb\u202e\x9b"


def test_what_was_noted_follows_the_line_of_its_event() -> None:
    event = {
        "position": 7,
        "recorded_at": "2026-03-01T14:00:00.5",
        "type": "json-edited",
        "actor": "folder",
        "cause": 3,
        "data": {"path": "models/a/model.json", "notes": ["tfs_z is without effect.", "warp is not known."]},
    }
    line, *notes = printing.event_line(event).splitlines()
    assert line.endswith("json-edited       folder after 3  path=models/a/model.json")
    assert [note.strip() for note in notes] == event["data"]["notes"]


def test_a_load_that_failed_is_told_beside_the_model() -> None:
    model = {"id": "a", "status": "ready", "state": "failed", "size": 5, "state_reason": "No memory is left."}
    assert printing.table([model]).splitlines()[1] == "a   ready   failed  5 B   No memory is left."


def test_what_a_file_is_called_steers_no_terminal_and_begins_no_line() -> None:
    model = {"id": "a", "status": "invalid", "state": "stopped", "size": 5, "reason": f"{HOSTILE}: no."}
    reason = {"link": "first", "words": f"someone wrote {HOSTILE}", "position": 3}
    event = {
        "position": 7,
        "recorded_at": "2026-03-01T14:00:00.5",
        "type": "file-dropped",
        "actor": "folder",
        "cause": None,
        "data": {"path": HOSTILE},
    }
    for said, lines in (
        (printing.table([model]), 2),
        (printing.reasons({"subject": HOSTILE, "reasons": [reason], "unsettled": None}), 2),
        (printing.event_line(event), 1),
        (printing.details({"id": "a", "folder": HOSTILE}), 2),
    ):
        assert SHOWN in said
        assert len(said.splitlines()) == lines, said


def test_what_is_logged_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    logs.configure()
    try:
        structlog.get_logger().warning("file-not-understood", path=HOSTILE)
    finally:
        structlog.configure(**before)
    assert SHOWN in capsys.readouterr().err
