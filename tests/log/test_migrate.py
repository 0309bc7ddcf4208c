"""Every database that any release wrote is brought to today's tables, with nothing lost."""

import shutil
import sqlite3
from argparse import Namespace
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from janfs.errors import LogCorrupt, LogError, LogTooNew
from janfs.log import migrate as module
from janfs.log.connection import reader_engine, writer_engine
from janfs.log.guards import GUARDS
from janfs.log.migrate import copy_database, migrate, newest_revision, scripts_folder
from janfs.log.reader import LogReader
from janfs.log.verify import verify
from janfs.pipeline.recorder import Recorder, compare, rebuild
from tests.log.kit import by_hand, everything, fill, new, open_log

RELEASED = Path(__file__).parent / "released"
REVISIONS = sorted(script.name.partition("_")[0] for script in (scripts_folder() / "versions").glob("0*.py"))
NEXT = "9998"
UPGRADE = f"""
from alembic import op
revision, down_revision, branch_labels, depends_on = "{NEXT}", "{REVISIONS[-1]}", None, None
def upgrade():
    op.execute("CREATE TABLE later (a INTEGER) STRICT")
    op.execute("INSERT INTO later SELECT position FROM events")
"""


def run(path: Path) -> None:
    engine = writer_engine(path)
    try:
        migrate(engine, path)
    finally:
        engine.dispose()


def revision(path: Path) -> str:
    return str(everything(path)["alembic_version"][0][0])


# From nothing, from every release.


def test_a_database_that_is_not_there_is_made(tmp_path: Path) -> None:
    run(tmp_path / "log.db")
    assert revision(tmp_path / "log.db") == newest_revision()
    assert [path.name for path in tmp_path.iterdir()] == ["log.db"], "there was nothing to copy"


def test_a_database_without_tables_is_filled(tmp_path: Path) -> None:
    """As a start leaves it that was killed before its first commit."""
    (tmp_path / "log.db").touch()
    run(tmp_path / "log.db")
    assert revision(tmp_path / "log.db") == newest_revision()


def test_the_newest_revision_is_the_end_of_one_line_of_scripts() -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts_folder()))
    assert ScriptDirectory.from_config(config).get_current_head() == newest_revision()


def test_alembics_own_command_makes_the_same_database(tmp_path: Path, database: Path) -> None:
    """What a developer runs by hand to look at a migration."""
    config = Config(cmd_opts=Namespace(x=[f"database={tmp_path / 'own.db'}"]))
    config.set_main_option("script_location", str(scripts_folder()))
    command.upgrade(config, "head")
    assert everything(tmp_path / "own.db") == everything(database)


@pytest.mark.parametrize("released", REVISIONS)
def test_the_log_of_every_release_is_kept_whole(tmp_path: Path, released: str) -> None:
    dump = RELEASED / f"{released}.sql"
    assert dump.exists(), f"keep a filled database of revision {released} as {dump.name} (sqlite3's .dump)"
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text(encoding="utf-8"))
        connection.row_factory = sqlite3.Row
        before = [dict(row) for row in connection.execute("SELECT * FROM events ORDER BY position")]
    run(path)
    assert before, "the released log holds nothing"
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        after = [dict(row) for row in connection.execute("SELECT * FROM events ORDER BY position")]
        triggers = {
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='trigger'")
        }
    assert [{key: row[key] for key in old} for old, row in zip(before, after, strict=True)] == before
    assert triggers == GUARDS.keys()
    with closing(open_log(path)) as log:
        verdict = verify(log)
        assert verdict.ok, verdict.reason
        assert verdict.documents > 0
        assert log.append([new("a")])[0].position == len(before) + 1


@pytest.mark.parametrize("dump", sorted(RELEASED.glob("*-lived.sql")), ids=lambda dump: dump.stem)
def test_what_models_lived_through_under_every_release_makes_a_catalogue_today(
    tmp_path: Path, dump: Path
) -> None:
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text(encoding="utf-8"))
    run(path)
    with closing(open_log(path)) as log:
        catalogue = Recorder(log).catalogue
        assert {catalogue.models[catalogue.ids[name]].status for name in ("m0", "m1")} == {"ready"}
        assert "m2" not in catalogue.ids, "the model that was deleted is back"
        assert compare(log).difference is None
        assert rebuild(log) == catalogue


def test_a_log_of_an_older_release_can_be_verified_before_it_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((RELEASED / "0001-lived.sql").read_text(encoding="utf-8"))
    log = LogReader(reader_engine(path))
    assert verify(log).ok
    by_hand(path, "UPDATE events SET actor = 'me' WHERE position = 4", guarded=False)
    assert verify(log).bad_position == 4
    log.close()


def test_a_database_of_today_is_left_alone(database: Path) -> None:
    content, modified = database.read_bytes(), database.stat().st_mtime_ns
    run(database)
    assert (database.read_bytes(), database.stat().st_mtime_ns) == (content, modified)


# An upgrade.


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations of a later release, with one revision more."""
    folder = tmp_path / "100% new scripts"
    shutil.copytree(scripts_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / f"{NEXT}_later.py").write_text(UPGRADE)
    monkeypatch.setattr(module, "scripts_folder", lambda: folder)
    return folder


def test_before_an_upgrade_the_database_is_copied(database: Path, scripts: Path) -> None:
    with closing(open_log(database)) as log:
        records = fill(log)
    before = everything(database)
    run(database)
    copy = database.with_name(f"log.db.before-{NEXT}")
    assert everything(copy) == before
    after = everything(database)
    assert after["later"] == [(record.position,) for record in records]
    assert after["events"] == before["events"]
    assert (revision(database), revision(copy)) == (NEXT, REVISIONS[-1])


def test_the_copy_holds_what_still_lies_in_the_write_ahead_log(
    tmp_path: Path, database: Path, scripts: Path
) -> None:
    """As after a kill: the last commits are in log.db-wal only."""
    killed = tmp_path / "killed"
    killed.mkdir()
    with closing(open_log(database)) as log:
        fill(log)
        for name in ("log.db", "log.db-wal"):
            shutil.copy(database.with_name(name), killed / name)
    run(killed / "log.db")
    assert len(everything(killed / f"log.db.before-{NEXT}")["events"]) == 6
    assert len(everything(killed / "log.db")["later"]) == 6


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(database: Path, scripts: Path) -> None:
    with closing(open_log(database)) as log:
        fill(log)
    before = everything(database)
    script = scripts / "versions" / f"{NEXT}_later.py"
    script.write_text(f"{UPGRADE}    op.execute('INSERT INTO nowhere VALUES (1)')\n")
    with pytest.raises(LogError, match=f"before-{NEXT}"):
        run(database)
    assert everything(database) == before
    script.write_text(UPGRADE)
    run(database)
    assert revision(database) == NEXT, "the next try must be able to succeed"


# What cannot be upgraded.


def test_a_database_of_a_newer_janfs_is_refused_and_not_touched(database: Path) -> None:
    by_hand(database, "UPDATE alembic_version SET version_num = '9999'")
    content, modified = database.read_bytes(), database.stat().st_mtime_ns
    with pytest.raises(LogTooNew, match=r"9999.*newer|newer.*9999"):
        run(database)
    assert (database.read_bytes(), database.stat().st_mtime_ns) == (content, modified)
    assert [path.name for path in database.parent.iterdir()] == ["log.db"]


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_refused_and_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(content)
    with pytest.raises(LogCorrupt, match=r"log\.db"):
        run(path)
    assert path.read_bytes() == content


def test_a_database_that_cannot_be_opened_is_an_error_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "log.db").mkdir()
    with pytest.raises(LogError, match=r"log\.db"):
        run(tmp_path / "log.db")


def test_a_copy_is_consistent_while_the_original_is_in_use(database: Path, tmp_path: Path) -> None:
    with closing(open_log(database)) as log:
        fill(log)
        copy_database(database, tmp_path / "copy.db")
        log.append([new()])
    assert len(everything(tmp_path / "copy.db")["events"]) == 6
