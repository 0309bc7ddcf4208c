"""`janfs log`, `janfs backup` and `janfs restore`, by whoever has the root."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from janfs.cli import main
from janfs.root import OpenRoot, RootPaths
from tests.fakes.clock import FakeClock
from tests.log.kit import by_hand
from tests.support.lives import live

RELEASED = Path(__file__).parents[1] / "log" / "released"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root in which models lived and that nobody has open."""
    with OpenRoot(tmp_path / "jan", FakeClock()) as opened:
        live(opened.log)
    return tmp_path / "jan"


def janfs(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--root", str(root)], catch_exceptions=False)


def test_what_head_prints_verify_takes(root: Path) -> None:
    printed = janfs(root, "log", "head")
    assert printed.exit_code == 0, printed.output
    shown = json.loads(janfs(root, "log", "head", "--json").output)
    assert printed.output.strip() == f"{shown['hash']}@{shown['position']}"
    result = janfs(root, "verify", "--head", printed.output.strip())
    assert result.exit_code == 0, result.output
    assert printed.output.strip() in result.output
    other = janfs(root, "verify", "--head", f"{'0' * 64}@{shown['position']}")
    assert other.exit_code == 6
    assert f"at position {shown['position']}" in other.output
    assert "written anew" in other.output
    assert janfs(root, "verify", "--head", "nonsense").exit_code == 1
    assert janfs(root, "verify", "--files", "--head", "0" * 64).exit_code == 2


def test_verify_names_a_catalogue_that_is_not_what_the_log_says(root: Path) -> None:
    by_hand(RootPaths(root).database, "UPDATE projected SET value = '{}' WHERE key = 'uid-0'")
    result = janfs(root, "verify")
    assert result.exit_code == 6
    assert "model uid-0" in result.output
    shown = janfs(root, "verify", "--json")
    assert "model uid-0" in json.loads(shown.stdout)["catalogue"]["difference"]
    assert janfs(root, "rebuild").exit_code == 0
    assert janfs(root, "verify").exit_code == 0


def test_guards_that_were_dropped_are_put_back_where_the_content_stands(root: Path) -> None:
    database = RootPaths(root).database
    by_hand(database, "DROP TRIGGER events_no_update")
    refused = janfs(root, "ls")
    assert (refused.exit_code, "janfs log guard" in refused.output) == (6, True), refused.output
    found = janfs(root, "verify").output
    assert "events_no_update" in found
    assert "`janfs log guard`" in found
    assert "restore" not in found, "nothing is lost"
    assert "events_no_update" in janfs(root, "log", "guard").output
    assert janfs(root, "log", "guard").output == "The guards are as they should be.\n"
    assert janfs(root, "ls").exit_code == 0
    assert janfs(root, "verify").exit_code == 0
    by_hand(database, "UPDATE events SET actor = 'me' WHERE position = 2", guarded=False)
    refused = janfs(root, "log", "guard")
    assert refused.exit_code == 6
    assert "position 2" in refused.output
    for said in (refused.output, janfs(root, "verify").output):
        assert "`janfs restore`" in said, "it is not said what to do"
    with closing(sqlite3.connect(database)) as connection:
        triggers = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()
    assert triggers == (0,), "a damaged log must not look as if it had been guarded all along"


def test_the_guards_of_an_older_release_are_left_to_the_new_tables(tmp_path: Path) -> None:
    database = RootPaths(tmp_path).database
    database.parent.mkdir()
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript((RELEASED / "0001-lived.sql").read_text())
    refused = janfs(tmp_path, "log", "guard")
    assert (refused.exit_code, "`janfs rebuild`" in refused.output) == (1, True), refused.output
    assert janfs(tmp_path, "rebuild").exit_code == 0
    assert janfs(tmp_path, "log", "guard").output == "The guards are as they should be.\n"


def test_a_log_goes_out_and_comes_in_and_a_backup_goes_back(root: Path, tmp_path: Path) -> None:
    head = janfs(root, "log", "head").output.strip()
    out = tmp_path / "log.jsonl"
    assert janfs(root, "log", "export", str(out)).exit_code == 0
    assert janfs(root, "log", "export").stdout_bytes == out.read_bytes()
    other = tmp_path / "other"
    imported = janfs(other, "log", "import", str(out))
    assert head in imported.output, imported.output
    assert janfs(other, "verify", "--head", head).exit_code == 0
    refused = janfs(other, "log", "import", str(out))
    assert refused.exit_code == 1
    assert "has a log already" in refused.output
    backup = json.loads(janfs(root, "backup", "--json").output)
    assert f"{backup['hash']}@{backup['position']}" == head
    restored = janfs(tmp_path / "third", "restore", backup["file"])
    assert head in restored.output
    assert "kept as" not in restored.output
    assert "kept as" in janfs(other, "restore", backup["file"]).output
    assert janfs(other, "ls").output == janfs(root, "ls").output


@pytest.mark.parametrize("command", [("verify",), ("rebuild",), ("rebuild", "--check"), ("log", "guard")])
def test_of_a_newer_janfs_s_log_nothing_else_is_said(root: Path, command: tuple[str, ...]) -> None:
    database = RootPaths(root).database
    by_hand(database, "UPDATE alembic_version SET version_num = '9999'")
    by_hand(database, "UPDATE projections SET version = version + 1")
    by_hand(database, "DROP TRIGGER events_no_update")  # it may have others
    result = janfs(root, *command)
    assert result.exit_code == 1
    assert "was written by a newer janfs" in result.stderr
    with closing(sqlite3.connect(database)) as connection:
        assert not list(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events_no_update'"))
