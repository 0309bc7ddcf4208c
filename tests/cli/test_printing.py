"""What a line says, beyond what the commands' own tests look at."""

from janfs.cli import printing


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
