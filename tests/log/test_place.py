"""A log that someone moves or removes while it is open takes nothing more, and loses nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from janfs.errors import LogError
from janfs.log.reader import LogReader
from janfs.log.store import EventLog
from janfs.log.verify import verify
from janfs.root import OpenRoot, RootPaths, read_log
from tests.fakes.clock import FakeClock
from tests.log.kit import fill, new


@pytest.fixture
def root(tmp_path: Path) -> Iterator[OpenRoot]:
    with OpenRoot(tmp_path / "jan", FakeClock()) as opened:
        fill(opened.log)
        yield opened


def refused(log: EventLog) -> str:
    with pytest.raises(LogError) as raised:
        log.append([new()])
    return raised.value.detail


def count(log: LogReader) -> int:
    """How many events are in a sound log, which is closed then."""
    verdict = verify(log)
    log.close()
    assert verdict.ok, verdict.complaint
    return verdict.events


def test_a_log_that_was_moved_takes_nothing_until_it_is_back(root: OpenRoot) -> None:
    private = root.paths.private
    with capture_logs() as logs:
        private.rename(private.with_name("aside"))
        assert "moved elsewhere. Put it back" in refused(root.log)
        assert "Put it back" in refused(root.log)
        assert not private.exists(), "it cannot be put back any more"
        private.with_name("aside").rename(private)
        root.log.append([new()])
    assert [each["event"] for each in logs] == ["log-displaced", "log-returned"]
    assert count(read_log(root.paths.root)) == 7


def test_a_log_whose_folder_was_removed_is_there_again_whole(root: OpenRoot) -> None:
    shutil.rmtree(root.paths.private)
    assert f"saved as {root.paths.database}; restart" in refused(root.log)
    assert count(read_log(root.paths.root)) == 6
    assert "restart" in refused(root.log), "the lock is gone, and another janfs may be at work"


def test_a_log_that_was_removed_just_before_the_end_is_there_again(tmp_path: Path) -> None:
    opened = OpenRoot(tmp_path, FakeClock())
    fill(opened.log)
    shutil.rmtree(opened.paths.private)
    opened.close()
    with OpenRoot(tmp_path, FakeClock()) as again:
        assert verify(again.log).events == 6


def test_a_log_that_was_removed_and_another_put_there_is_saved_beside_that(root: OpenRoot) -> None:
    other = root.paths.root / "elsewhere"
    OpenRoot(other, FakeClock()).close()
    shutil.rmtree(root.paths.private)
    RootPaths(other).private.rename(root.paths.private)
    message = refused(root.log)
    [saved] = root.paths.private.glob("log.db.removed-*")
    assert str(saved) in message
    saved.rename(saved.with_name("log.db"))
    assert count(read_log(root.paths.root)) == 6


def test_a_database_removed_beside_its_write_ahead_log_is_there_again_whole(root: OpenRoot) -> None:
    root.paths.database.unlink()
    refused(root.log)
    root.close()
    with OpenRoot(root.paths.root, FakeClock()) as again:
        assert again.warning is None
        assert verify(again.log).events == 6


def test_a_log_that_cannot_be_saved_is_tried_again(root: OpenRoot) -> None:
    private = root.paths.private
    shutil.rmtree(private)
    private.write_text("in the way")
    assert "cannot be written again" in refused(root.log)
    private.unlink()
    assert "saved as" in refused(root.log)
    assert count(read_log(root.paths.root)) == 6
