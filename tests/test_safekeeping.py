"""Written out and read in, backed up and put back, a log is what it was; what is damaged is refused."""

import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from janfs.errors import InvalidInput, JanfsError, LogCorrupt, LogError, RootLocked
from janfs.log import lines
from janfs.log.reader import PAGE
from janfs.log.verify import verify
from janfs.pipeline.recorder import Recorder, compare
from janfs.root import OpenRoot, RootPaths, read_log
from janfs.safekeeping import back_up, read_in, restore, write_out
from tests.fakes.clock import FakeClock
from tests.log.kit import by_hand, everything, new
from tests.support.lives import live

RELEASED = Path(__file__).parent / "log" / "released"


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a history; to be read, not changed."""
    root = tmp_path_factory.mktemp("safe") / "jan"
    with OpenRoot(root, FakeClock()) as opened:
        live(opened.log)
    return root


@pytest.fixture
def root(lived: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lived, tmp_path / "jan"))


def rows_of(root: Path) -> dict[str, object]:
    return dict(everything(RootPaths(root).database))


def stands(root: Path) -> None:
    log = read_log(root)
    try:
        verdict, found = verify(log), compare(log)
        assert verdict.ok, verdict.complaint
        assert found.difference is None, found.difference
    finally:
        log.close()


def test_what_is_written_out_and_read_in_is_the_same_to_the_byte(root: Path, tmp_path: Path) -> None:
    write_out(root, tmp_path / "log.jsonl")
    end = read_in(tmp_path / "other", [tmp_path / "log.jsonl"], FakeClock())
    assert rows_of(tmp_path / "other") == rows_of(root)
    stands(tmp_path / "other")
    log = read_log(root)
    assert log.last() == end
    log.close()
    with OpenRoot(tmp_path / "other", FakeClock()) as opened:
        assert opened.log.append([new("uid-0")])[0].position == end.position + 1
    left = [path.name for path in RootPaths(tmp_path / "other").private.iterdir() if path.is_file()]
    assert sorted(left) == ["lock", "log.db"], "something was left behind"


def test_every_line_written_out_says_what_it_is(root: Path, tmp_path: Path) -> None:
    write_out(root, tmp_path / "log.jsonl")
    written = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    stored = rows_of(root)
    assert [line["line"] for line in written].count("event") == len(stored["events"])  # type: ignore[arg-type]
    assert [line["line"] for line in written].count("document") == len(stored["documents"])  # type: ignore[arg-type]
    assert written[0]["line"] == "log"
    assert written[0]["head"] == written[-1]["hash"]
    assert written[0]["until"] == written[-1]["position"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10**9), bit=st.integers(0, 7))
def test_one_bit_of_a_written_log_is_found_or_changes_nothing(
    lived: Path, tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    """A digit of a hash in capitals is the same hash; all else must be refused."""
    folder = tmp_path_factory.mktemp("line")
    write_out(lived, folder / "log.jsonl")
    content = bytearray((folder / "log.jsonl").read_bytes())
    content[at % len(content)] ^= 1 << bit
    before = list(lines.read((folder / "log.jsonl").read_bytes().splitlines(), "log"))
    try:
        after = list(lines.read(bytes(content).splitlines(), "log"))
    except LogCorrupt:
        pass
    else:
        hashes = [[getattr(line, "hash", "").lower() for line in read] for read in (before, after)]
        assert hashes[0] == hashes[1]
        assert [_record(line) for line in after] == [_record(line) for line in before]
    shutil.rmtree(folder)


def _record(line: lines.Line) -> object:
    if isinstance(line, lines.Event):
        return line.record()
    return line.content() if isinstance(line, lines.Document) else None


BROKEN: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "empty": (lambda text: [], "ends before it begins"),
    "no header": (lambda text: text[1:], "line 1: .*no log of janfs"),
    "cut": (lambda text: text[:-1], "something is missing"),
    "an event left out": (lambda text: [*text[:-3], *text[-2:]], "something is missing"),
    "two events changed places": (lambda text: [*text[:-2], text[-1], text[-2]], "something is missing"),
    "twice": (lambda text: [*text, *text], "second log"),
    "nested": (
        lambda text: [text[0], b'{"line":"event","x":' + b"[" * 100_000],
        "line 2: it makes no sense",
    ),
    "no documents": (lambda text: [line for line in text if b'"document"' not in line], "it names, is gone"),
    "another document": (
        lambda text: [line.replace(b"m0", b"m9") if b'"document"' in line else line for line in text],
        "does not match its SHA-256",
    ),
    "of a newer janfs": (
        lambda text: [text[0].replace(b'"format":1', b'"format":2'), *text[1:]],
        "newer janfs",
    ),
    "no JSON": (lambda text: [*text[:4], b"{\n", *text[5:]], "line 5: it makes no sense"),
}


@pytest.mark.parametrize(("change", "complaint"), BROKEN.values(), ids=BROKEN.keys())
def test_a_damaged_export_is_refused_and_leaves_the_root_empty(
    root: Path, tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], complaint: str
) -> None:
    write_out(root, tmp_path / "log.jsonl")
    text = (tmp_path / "log.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "log.jsonl").write_bytes(b"".join(change(text)))
    with pytest.raises(LogCorrupt, match=complaint):
        read_in(tmp_path / "other", [tmp_path / "log.jsonl"], FakeClock())
    assert not RootPaths(tmp_path / "other").database.exists()
    assert [path.name for path in RootPaths(tmp_path / "other").private.iterdir() if path.is_file()] == [
        "lock"
    ]


def test_a_root_with_a_log_takes_no_other(root: Path, tmp_path: Path) -> None:
    write_out(root, tmp_path / "log.jsonl")
    before = rows_of(root)
    with pytest.raises(LogError, match="has a log already"):
        read_in(root, [tmp_path / "log.jsonl"], FakeClock())
    assert rows_of(root) == before
    OpenRoot(tmp_path / "fresh", FakeClock()).close()
    read_in(tmp_path / "fresh", [tmp_path / "log.jsonl"], FakeClock())
    assert rows_of(tmp_path / "fresh") == before, "a log in which nothing was recorded yet may be replaced"


def test_a_damaged_log_is_not_written_out(root: Path, tmp_path: Path) -> None:
    by_hand(RootPaths(root).database, "UPDATE events SET actor = 'x' WHERE position = 5", guarded=False)
    with pytest.raises(LogCorrupt, match="position 5"):
        write_out(root, tmp_path / "log.jsonl")
    assert not list(tmp_path.glob("log.jsonl*")), "half an export is there"


def test_a_long_log_is_written_page_by_page(tmp_path: Path) -> None:
    with OpenRoot(tmp_path / "jan", FakeClock()) as opened:
        opened.log.append([new("a", data=f'"{number}"') for number in range(2 * PAGE + 1)])
        pieces = lines.write(opened.log)
        next(pieces)
        opened.log.append([new("later")])
        assert sum(1 for _ in pieces) == 2 * PAGE + 1, "what came after the header goes along"


# Backups.


def test_a_backup_is_the_log_and_comes_back_as_it(root: Path, tmp_path: Path) -> None:
    before = rows_of(root)
    path, verdict = back_up(root, tmp_path / "copy.db")
    assert (path, verdict.ok) == (tmp_path / "copy.db", True)
    assert everything(path) == before
    assert [each.name for each in tmp_path.glob("copy*")] == ["copy.db"], "a backup is one file"
    with OpenRoot(root, FakeClock()) as opened:
        live(opened.log, first=10)
    after = rows_of(root)
    head, kept = restore(root, path, FakeClock())
    assert rows_of(root) == before
    assert head.position == verdict.events
    assert kept is not None
    assert everything(kept) == after, "the log that was there is lost"
    stands(root)


def test_a_backup_is_named_by_where_it_ends(root: Path) -> None:
    path, verdict = back_up(root, None)
    assert path == RootPaths(root).backups / f"log-{verdict.events}-{verdict.head[:12]}.db"
    with pytest.raises(InvalidInput, match="not overwritten"):
        back_up(root, None)


def test_nothing_is_overwritten(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    for make in (back_up, write_out):
        with pytest.raises(InvalidInput, match="not overwritten"):
            make(root, tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "precious"
    with pytest.raises(InvalidInput, match="not overwritten"):
        back_up(root, Path())
    with pytest.raises(InvalidInput, match="cannot be"):
        write_out(root, tmp_path / "no such folder" / "x")


def test_a_backup_leaves_alone_what_lies_beside_it(root: Path, tmp_path: Path) -> None:
    for ending in (".part", ".part-wal", ".part.new"):
        (tmp_path / f"log.db{ending}").write_text("precious")
    before = {path.name for path in tmp_path.iterdir()}
    back_up(root, tmp_path / "log.db")
    assert {path.name for path in tmp_path.iterdir()} == before | {"log.db"}
    assert (tmp_path / "log.db.part").read_text() == "precious"


def test_a_backup_while_events_are_written_is_whole(root: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    with OpenRoot(root, FakeClock()) as opened:
        recorder = Recorder(opened.log)

        def write() -> None:
            number = 100
            while not stop.is_set():
                live(opened.log, models=1, edits=0, first=number)
                number += 1

        writer = threading.Thread(target=write)
        writer.start()
        ends = []
        try:
            for number in range(5):
                _, verdict = back_up(root, tmp_path / f"{number}.db")
                ends.append(verdict.events)
        finally:
            stop.set()
            writer.join()
        assert recorder.catalogue.position <= ends[0]
        assert ends == sorted(ends)
    for number in range(5):
        restore(root, tmp_path / f"{number}.db", FakeClock())
        stands(root)


def test_a_damaged_log_is_not_backed_up_and_a_damaged_backup_not_restored(root: Path, tmp_path: Path) -> None:
    path, _ = back_up(root, tmp_path / "copy.db")
    by_hand(path, "DELETE FROM events WHERE position = 3", guarded=False)
    before = rows_of(root)
    with pytest.raises(LogCorrupt, match="position 3"):
        restore(root, path, FakeClock())
    (tmp_path / "none.db").write_bytes(b"no database at all" * 300)
    with pytest.raises(LogCorrupt, match="no sound database"):
        restore(root, tmp_path / "none.db", FakeClock())
    with pytest.raises(InvalidInput, match="no backup"):
        restore(root, tmp_path / "nowhere.db", FakeClock())
    assert rows_of(root) == before
    by_hand(RootPaths(root).database, "DELETE FROM events WHERE position = 3", guarded=False)
    with pytest.raises(LogCorrupt, match="position 3"):
        back_up(root, tmp_path / "again.db")
    assert not list(tmp_path.glob("again*"))


def test_a_log_damaged_beyond_reading_is_replaced_and_kept(root: Path, tmp_path: Path) -> None:
    before = rows_of(root)
    path, _ = back_up(root, tmp_path / "copy.db")
    database = RootPaths(root).database
    database.write_bytes(os.urandom(8192))
    _, kept = restore(root, path, FakeClock())
    assert kept is not None
    assert kept.stat().st_size == 8192
    assert rows_of(root) == before


def test_a_backup_of_an_older_release_is_brought_to_todays_tables(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript((RELEASED / "0001-lived.sql").read_text())
    restore(tmp_path / "jan", old, FakeClock())
    with OpenRoot(tmp_path / "jan", FakeClock()) as opened:
        catalogue = Recorder(opened.log).catalogue
    assert {"m0", "m1"} <= set(catalogue.ids.keys())
    stands(tmp_path / "jan")


def test_a_root_in_use_is_not_restored_into(root: Path, tmp_path: Path) -> None:
    path, _ = back_up(root, tmp_path / "copy.db")
    with OpenRoot(root, FakeClock()), pytest.raises(RootLocked):
        restore(root, path, FakeClock())
    reader = read_log(root)
    held = reader.query()
    held.exec_driver_sql("SELECT * FROM events").fetchone()
    with pytest.raises(LogError, match="close that first"):
        restore(root, path, FakeClock())
    held.close()
    reader.close()
    restore(root, path, FakeClock())


@pytest.mark.parametrize("moment", ["link", "replace", "fsync"])
def test_whenever_a_restore_is_cut_off_one_of_the_logs_is_there(
    root: Path, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = back_up(root, tmp_path / "copy.db")
    with OpenRoot(root, FakeClock()) as opened:
        live(opened.log, first=10)
    both = (everything(path), rows_of(root))
    tried = 0
    for nth in range(1, 10):
        calls = 0

        def cut(*arguments: object, real: Callable[..., object], nth: int = nth) -> object:
            nonlocal calls
            calls += 1
            if calls == nth:
                raise KeyboardInterrupt
            return real(*arguments)

        with monkeypatch.context() as patched:
            owner = Path if moment == "replace" else os
            real = getattr(owner, moment)
            patched.setattr(owner, moment, lambda *a, real=real: cut(*a, real=real))
            try:
                restore(root, path, FakeClock())
            except KeyboardInterrupt:
                tried += 1
        assert rows_of(root) in both, f"cut at {moment} {nth} neither log is there"
        if calls < nth:
            break
    assert tried > 0, f"a restore no longer calls {moment}"
    stands(root)


def test_a_file_that_is_no_log_is_no_reason_to_fail_oddly(root: Path, tmp_path: Path) -> None:
    with pytest.raises(JanfsError, match="cannot be read"):
        read_in(tmp_path / "other", [tmp_path / "nothing.jsonl"], FakeClock())
