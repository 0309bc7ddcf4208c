"""A root is opened by one owner, with all that belongs in it, or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from janfs.errors import LogCorrupt, LogTooNew, RootLocked, RootUnusable
from janfs.log.lock import Owner
from janfs.root import OpenRoot, RootPaths, owner_of, read_log
from tests.fakes.clock import FakeClock
from tests.log.kit import by_hand, new


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "some where" / "jan"


@pytest.fixture
def opened(root: Path) -> Iterator[OpenRoot]:
    with OpenRoot(root, FakeClock()) as opened:
        yield opened


def test_a_new_root_has_its_folders_and_an_empty_log(root: Path, opened: OpenRoot) -> None:
    assert {path.name for path in root.iterdir()} == {"models", "engines", "logs", ".janfs"}
    assert (root / ".janfs" / "trash").is_dir()
    assert opened.log.head.position == 0


def test_what_was_recorded_is_there_at_the_next_opening(root: Path) -> None:
    with OpenRoot(root, FakeClock()) as first:
        first.log.append([new()])
    with OpenRoot(root, FakeClock()) as second:
        assert second.log.head.position == 1


def test_models_is_not_made_again_in_a_root_that_was_used(root: Path) -> None:
    """Its absence may be a disk that is not mounted; made anew, it would look like a mass deletion."""
    OpenRoot(root, FakeClock()).close()
    (root / "models").rmdir()
    (root / "engines").rmdir()
    OpenRoot(root, FakeClock()).close()
    assert not (root / "models").exists()
    assert (root / "engines").is_dir()


def test_an_open_root_has_one_owner(root: Path, opened: OpenRoot) -> None:
    assert owner_of(root) == Owner(pid=os.getpid())
    with pytest.raises(RootLocked, match=str(os.getpid())):
        OpenRoot(root, FakeClock())
    opened.log.append([new()])
    opened.close()
    assert owner_of(root) is None


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", LogTooNew),
        ("DROP TRIGGER events_no_delete", LogCorrupt),
    ],
)
def test_a_root_that_cannot_be_opened_is_let_go(root: Path, sql: str, error: type[Exception]) -> None:
    OpenRoot(root, FakeClock()).close()
    by_hand(RootPaths(root).database, sql)
    for _ in range(2):
        with pytest.raises(error):
            OpenRoot(root, FakeClock())
        assert owner_of(root) is None


def test_a_log_can_be_read_while_it_is_being_written(root: Path, opened: OpenRoot) -> None:
    reader = read_log(root)
    opened.log.append([new(), new()])
    assert [record.position for record in reader.read()] == [1, 2]
    reader.close()


def test_where_there_is_no_log_the_answer_says_how_to_get_one(root: Path) -> None:
    with pytest.raises(RootUnusable, match="janfs serve --root"):
        read_log(root)
    assert not root.exists(), "reading made something"
    assert owner_of(root) is None


def test_a_root_that_cannot_be_made_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RootUnusable, match="--root"):
        OpenRoot(tmp_path / "file", FakeClock())
    with pytest.raises(RootUnusable, match="--root"):
        OpenRoot(tmp_path / "file" / "below", FakeClock())
