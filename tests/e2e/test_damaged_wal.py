"""A byte of the write-ahead log turned over while nobody had it open: kept, said, and gone on from."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from janfs.cli import main
from janfs.root import RootPaths
from tests.support.ggufs import tiny_gguf
from tests.support.service import ServiceProcess

AT = 32 + 2 * (24 + 4096) + 1000  # in the third frame


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A root that was killed with all of its log in the write-ahead log, a byte of which is another now."""
    root = tmp_path / "jan"
    with ServiceProcess(root, "--checkpoints", "off") as service:
        (root / "models" / "zephyr.gguf").write_bytes(tiny_gguf("Zephyr"))
        service.wait_model("zephyr")
        service.kill()
    wal = RootPaths(root).database.with_name("log.db-wal")
    content = wal.read_bytes()
    wal.write_bytes(content[:AT] + bytes([content[AT] ^ 1]) + content[AT + 1 :])
    return root


def beside(root: Path) -> dict[str, bytes]:
    """What lies beside the log, but for what SQLite makes anew."""
    found = RootPaths(root).private.glob("log.db*")
    return {path.name: path.read_bytes() for path in found if not path.name.endswith("-shm")}


def test_verify_leaves_the_damaged_log_as_it_found_it(damaged: Path) -> None:
    before = beside(damaged)
    for _ in range(2):
        result = CliRunner().invoke(main, ["verify", "--root", str(damaged)])
        assert result.exit_code == 6
        assert "log.db-wal is damaged at byte 8272" in result.output, "a table that is missing hides why"
        assert beside(damaged) == before


def test_a_start_keeps_what_it_found_says_so_and_goes_on(damaged: Path) -> None:
    before = beside(damaged)
    with ServiceProcess(damaged) as service:
        service.wait_ready()
        warned = service.get("/readyz")["warning"]
        service.wait_model("zephyr")  # what is on disk was recorded anew
        events = service.get("/v1/events?limit=1000")["data"]
        said = service.stop()
    [copy, wal] = sorted(path for path in beside(damaged) if ".damaged-" in path)
    assert "log-damaged" in said
    assert "byte 8272" in said
    for told in (said, warned):
        assert copy in told
        assert wal in told
    assert "janfs restore" in warned
    kept = beside(damaged)
    assert (kept[copy], kept[wal]) == (before["log.db"], before["log.db-wal"]), "the copies are not as found"
    [event] = [event for event in events if event["type"] == "log-damaged"]
    assert event["data"]["offset"] == 8272
    assert event["data"]["kept"] == [copy, wal]
    assert CliRunner().invoke(main, ["verify", "--root", str(damaged)]).exit_code == 0

    with ServiceProcess(damaged) as service:
        service.wait_ready()
        assert "warning" not in service.get("/readyz"), "it warns of what was told and is over"
        events = service.get("/v1/events?limit=1000")["data"]
    assert sum(event["type"] == "log-damaged" for event in events) == 1
    assert sorted(beside(damaged)) == sorted(["log.db", copy, wal])


def test_commands_say_it_where_it_is_no_part_of_their_answer(damaged: Path) -> None:
    result = CliRunner().invoke(main, ["ls", "--json", "--root", str(damaged)])
    assert json.loads(result.stdout) == []
    assert [path for path in beside(damaged) if ".damaged-" in path], "reading lost what was found"


def test_where_no_copy_can_be_made_nothing_is_opened(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = beside(damaged)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("janfs.log.wal.copy_whole", full)
    result = CliRunner().invoke(main, ["ls", "--root", str(damaged)])
    assert result.exit_code == 1
    assert "No space left on device" in result.output
    assert "janfs restore" in result.output
    assert beside(damaged) == before


def test_a_restored_backup_keeps_it_too(damaged: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with ServiceProcess(other):
        pass
    backup = tmp_path / "backup.db"
    assert CliRunner().invoke(main, ["backup", str(backup), "--root", str(other)]).exit_code == 0
    before = beside(damaged)
    assert CliRunner().invoke(main, ["restore", str(backup), "--root", str(damaged)]).exit_code == 0
    kept = {content for name, content in beside(damaged).items() if ".damaged-" in name}
    assert kept == {before["log.db"], before["log.db-wal"]}
