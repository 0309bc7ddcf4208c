"""A compacted log says what the whole one said, stands on its seam, and leads back into its archives."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from janfs.catalogue import rows
from janfs.catalogue.catalogue import Catalogue
from janfs.cli import main
from janfs.compacting import Compaction, compact
from janfs.errors import EventsArchived, InvalidInput, JanfsError, LogCorrupt
from janfs.log.archives import check_archives
from janfs.log.guards import GUARDS
from janfs.log.verify import Noted, verify
from janfs.past.moments import AsOf, position_at
from janfs.pipeline.recorder import Recorder, compare, rebuild
from janfs.root import OpenRoot, RootPaths, read_log
from janfs.safekeeping import read_in, write_out
from tests.fakes.clock import FakeClock
from tests.log.kit import by_hand, everything
from tests.support.lives import live

EVENTS = 29


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compact") / "jan"
    with OpenRoot(root, FakeClock()) as opened:
        live(opened.log)
        assert opened.log.head.position == EVENTS
    return root


@pytest.fixture
def root(lived: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lived, tmp_path / "jan"))


def shorten(root: Path, position: int, *, dry_run: bool = False) -> Compaction:
    return compact(root, lambda _: position, FakeClock(), dry_run=dry_run)


def archives(root: Path) -> list[Path]:
    return sorted(RootPaths(root).archives.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def rows_of(root: Path) -> dict[str, list[tuple[Any, ...]]]:
    found = everything(RootPaths(root).database)
    return found | {"events": sorted(found["events"])}


def catalogue_of(root: Path) -> Catalogue:
    with OpenRoot(root, FakeClock()) as opened:
        return Recorder(opened.log).catalogue


def stands(root: Path) -> None:
    log = read_log(root)
    try:
        verdict, found = verify(log), compare(log)
        assert verdict.ok, verdict.complaint
        assert found.difference is None, found.difference
    finally:
        log.close()


def janfs(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--root", str(root)], catch_exceptions=False)


@pytest.mark.parametrize("position", [1, 5, 13, 22, 24, EVENTS])
def test_every_model_keeps_its_state_and_the_log_goes_on(root: Path, position: int) -> None:
    before, whole = catalogue_of(root), rows_of(root)
    done = shorten(root, position)
    assert (done.position, done.events) == (position, position)
    after = catalogue_of(root)
    assert dict(rows.to_rows(after)) == dict(rows.to_rows(before))
    stored = rows_of(root)
    assert stored["events"][:-1] == whole["events"][position:], "an event that should stay is another"
    assert stored["events"][-1][3] == "log-compacted"
    stands(root)
    with OpenRoot(root, FakeClock()) as opened:
        assert opened.log.seam is not None
        assert opened.log.seam.position == position
        live(opened.log, first=50)
        live(opened.log, models=1, first=0, says="again")  # streams and causes from before the seam go on
        assert rebuild(opened.log) == Recorder(opened.log).catalogue
    stands(root)


def test_the_archive_and_the_rest_make_the_whole_log_again(root: Path, tmp_path: Path) -> None:
    whole = rows_of(root)
    shorten(root, 10)
    shorten(root, 20)
    names = [path.name.rsplit("-", 1)[0] for path in archives(root)]
    assert names == ["log-1-10", "log-11-20"]
    write_out(root, tmp_path / "rest.jsonl")
    read_in(tmp_path / "again", [*archives(root), tmp_path / "rest.jsonl"], FakeClock())
    again = rows_of(tmp_path / "again")
    assert again["events"][:EVENTS] == whole["events"]
    assert {row[0] for row in whole["documents"]} <= {row[0] for row in again["documents"]}
    assert again["seam"] == []
    stands(tmp_path / "again")
    read_in(tmp_path / "short", [tmp_path / "rest.jsonl"], FakeClock())
    assert rows_of(tmp_path / "short") == rows_of(root)
    with pytest.raises(JanfsError, match="Name the archive with what comes before first"):
        read_in(tmp_path / "no", [archives(root)[1]], FakeClock())
    with pytest.raises(JanfsError, match="in their order"):
        read_in(tmp_path / "no", [archives(root)[0], archives(root)[0]], FakeClock())


def test_documents_that_only_archived_events_name_go_with_them(root: Path) -> None:
    before = {row[0] for row in rows_of(root)["documents"]}
    shorten(root, 22)
    after = {row[0] for row in rows_of(root)["documents"]}
    assert len(before - after) >= 1, "texts of a deleted model's old edits are kept for nothing"
    text = archives(root)[0].read_text()
    assert all(digest in text for digest in before - after), "a document is in neither"


def test_verify_takes_the_archives_and_finds_what_was_noted_in_them(root: Path) -> None:
    log = read_log(root)
    heads = {position: log.head_at(position).hash.hex() for position in (5, 15, 25)}
    log.close()
    shorten(root, 10)
    shorten(root, 20)
    old, new = archives(root)
    for position, head in heads.items():
        result = janfs(
            root, "verify", "--archive", str(old), "--archive", str(new), "--head", f"{head}@{position}"
        )
        assert result.exit_code == 0, result.output
    assert "give --archive" in janfs(root, "verify", "--head", f"{heads[5]}@5").output
    assert janfs(root, "verify", "--head", f"{heads[25]}@25").exit_code == 0
    assert janfs(root, "verify", "--archive", str(old)).exit_code == 6, "it does not lead to the seam"
    log = read_log(root)
    assert [archive.until for archive in check_archives(log, [new, old], Noted(heads[5]))] == [10, 20]
    log.close()
    new.write_bytes(new.read_bytes().replace(b'"actor":"folder"', b'"actor":"nobody"', 1))
    assert janfs(root, "verify", "--archive", str(new)).exit_code == 6


def test_what_was_archived_is_said_to_be_and_where(root: Path) -> None:
    shorten(root, 10)
    name = archives(root)[0].name
    result = janfs(root, "history")
    assert f"up to position 10 is archived in {name}" in result.output
    log = read_log(root)
    try:
        with pytest.raises(EventsArchived, match=name):
            AsOf(log).at(9)
        assert AsOf(log).at(10).position == 10
        assert AsOf(log).at(20) == rebuild(log, 20)
        assert position_at(log, log.last().position, "10", FakeClock().now()) == 10
    finally:
        log.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE seam SET position = position - 1",
        "UPDATE seam SET hash = zeroblob(32)",
        "UPDATE seam SET data = replace(data, 'log-1', 'log-2')",
        "UPDATE seam SET data = '{}'",
        "UPDATE seam SET data = CAST(replace(data, 'log-1', CAST(x'ff' AS TEXT)) AS TEXT)",
        "UPDATE seam SET data = json_set(data, '$.hash', 'no digits')",
        "DELETE FROM seam",
        "UPDATE archived_streams SET version = version + 1",
        "DELETE FROM archived_streams WHERE stream = 'uid-2'",
        "DELETE FROM events WHERE position = 21",
        "UPDATE documents SET content = x'5b5d' WHERE sha256 IN (SELECT data ->> 'state' FROM seam)",
    ],
)
def test_a_seam_that_was_changed_is_found(root: Path, change: str) -> None:
    shorten(root, 20)
    by_hand(RootPaths(root).database, change, guarded=False)
    log = read_log(root)
    try:
        verdict = verify(log, guarded=False)
        assert not verdict.ok, f"{change} went unnoticed"
    finally:
        log.close()


@pytest.mark.parametrize("text", ["'{}'", "CAST(x'22ff22' AS TEXT)", "json_set(data, '$.hash', 'no digits')"])
def test_a_seam_that_makes_no_sense_is_told_by_whoever_reads_the_log(root: Path, text: str) -> None:
    shorten(root, 20)
    by_hand(RootPaths(root).database, f"UPDATE seam SET data = {text}", guarded=False)
    for command in (("verify",), ("history",), ("log", "export")):
        result = janfs(root, *command)
        assert (result.exit_code, "makes no sense" in result.output) == (6, True), result.output


@pytest.mark.parametrize("content", ["5b5d", "ff"])
def test_nothing_begins_with_a_state_that_is_not_what_was_written(root: Path, content: str) -> None:
    shorten(root, 20)
    which = "sha256 IN (SELECT data ->> 'state' FROM seam)"
    change = f"UPDATE documents SET content = x'{content}' WHERE {which}"
    by_hand(RootPaths(root).database, change, guarded=False)
    log = read_log(root)
    try:
        with pytest.raises(LogCorrupt, match="which its seam begins with"):
            rebuild(log)
    finally:
        log.close()


def test_a_log_in_which_nothing_happened_since_is_not_compacted_again(root: Path) -> None:
    for kept in (1, 2):
        shorten(root, EVENTS - 3 + kept)
    shorten(root, EVENTS + 2)
    before, head = archives(root), read_log(root).last()
    with pytest.raises(InvalidInput, match="nothing before"):
        shorten(root, head.position)
    assert (archives(root), read_log(root).last()) == (before, head)


def test_a_dry_run_and_a_refusal_change_nothing(root: Path) -> None:
    before = rows_of(root)
    shown = shorten(root, 10, dry_run=True)
    assert (shown.events, shown.archive.startswith("log-1-10-")) == (10, True)
    with pytest.raises(InvalidInput, match="nothing before"):
        shorten(root, 0)
    assert janfs(root, "log", "compact", "--before", "99").exit_code == 1
    assert rows_of(root) == before
    assert not RootPaths(root).archives.exists()
    with OpenRoot(root, FakeClock()):
        assert janfs(root, "log", "compact", "--before", "11").exit_code == 4, "a root in use is left alone"
    result = janfs(root, "log", "compact", "--before", "11")
    assert "10 events, up to position 10, are in log-1-10-" in result.output
    stands(root)


def test_a_damaged_log_is_not_compacted(root: Path) -> None:
    with OpenRoot(root, FakeClock()) as opened:
        digest = next(opened.log.document_digests())[0]
    with pytest.raises(LogCorrupt, match=digest):
        _damage_and_shorten(root, digest)
    assert not RootPaths(root).archives.exists()


def _damage_and_shorten(root: Path, digest: str) -> None:
    database = RootPaths(root).database
    guard = (
        "CREATE TRIGGER documents_no_update BEFORE UPDATE ON documents\n        BEGIN SELECT RAISE(ABORT, "
    )
    guard += "'documents are append-only: no UPDATE'); END"
    change = f"UPDATE documents SET content = x'00' WHERE sha256 = '{digest}'"
    by_hand(database, "DROP TRIGGER documents_no_update", change, GUARDS["documents_no_update"])
    shorten(root, 10)


@pytest.mark.parametrize("moment", ["replace", "fsync"])
def test_whenever_a_compaction_is_cut_off_the_log_is_whole_or_compacted(
    root: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rows_of(root)["events"]
    owner = Path if moment == "replace" else os
    real: Callable[..., object] = getattr(owner, moment)
    tried = 0
    for nth in range(1, 12):
        calls = 0

        def cut(*arguments: object, nth: int = nth) -> object:
            nonlocal calls
            calls += 1
            if calls == nth:
                raise KeyboardInterrupt
            return real(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(owner, moment, lambda *arguments, cut=cut: cut(*arguments))
            try:
                shorten(root, 10)
            except KeyboardInterrupt:
                tried += 1
            except InvalidInput:  # it was done the time before, though cut off at the very end
                pass
        events = rows_of(root)["events"]
        assert events == whole or events[:-1] == whole[10:], f"cut at {moment} {nth} neither log is there"
        stands(root)
        if calls < nth:
            break
    assert tried > 0
    assert rows_of(root)["events"][0][0] == 11
    assert len(archives(root)) == 1
    text = archives(root)[0].read_bytes()
    log = read_log(root)
    assert log.seam is not None
    assert log.seam.sha256 == hashlib.sha256(text).hexdigest()
    log.close()
