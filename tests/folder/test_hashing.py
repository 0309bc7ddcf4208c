"""SHA-256 in steps."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.errors import FolderError
from janfs.folder import hashing
from janfs.folder.filesystem import Stamp
from janfs.folder.hashing import Progress, Sha256, hash_file
from tests.fakes.filesystem import FakeFileSystem

PATH = "models/a.gguf"


class Enough(Exception):
    """The test has seen enough."""


def stamp_of(fs: FakeFileSystem) -> Stamp:
    found = fs.stat(PATH)
    assert found is not None
    assert found.stamp is not None
    return found.stamp


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_the_digest_is_hashlibs_and_can_be_stored_between_any_two_pieces(pieces: list[bytes]) -> None:
    digest, plain = Sha256(), hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        plain.update(piece)
        assert digest.hexdigest() == plain.hexdigest()
        digest = Sha256(digest.state())
    assert digest.hexdigest() == plain.hexdigest()


def test_without_the_library_a_digest_is_right_and_cannot_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_library", lambda: None)
    digest = Sha256()
    digest.update(b"content")
    assert digest.hexdigest() == hashlib.sha256(b"content").hexdigest()
    assert digest.state() is None


def test_hashing_goes_on_where_it_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "STEP", 10)
    fs = FakeFileSystem()
    content = bytes(range(95))
    fs.put(PATH, content)
    kept: list[Progress] = []

    def stop(progress: Progress) -> None:
        kept.append(progress)
        if progress.done == 40:
            raise Enough

    with pytest.raises(Enough):
        hash_file(fs, PATH, stamp_of(fs), stop)
    rest: list[Progress] = []
    digest = hash_file(fs, PATH, stamp_of(fs), rest.append, kept[-1])
    assert digest == hashlib.sha256(content).hexdigest()
    assert [progress.done for progress in rest] == [50, 60, 70, 80, 90, 95], "it began anew"


def test_what_is_known_of_another_content_is_not_gone_on_with() -> None:
    fs = FakeFileSystem()
    fs.put(PATH, b"one")
    kept: list[Progress] = []
    hash_file(fs, PATH, stamp_of(fs), kept.append)
    fs.put(PATH, b"two and more")
    digest = hash_file(fs, PATH, stamp_of(fs), resume=kept[-1])
    assert digest == hashlib.sha256(b"two and more").hexdigest()


def test_a_file_that_changes_meanwhile_has_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "STEP", 10)
    fs = FakeFileSystem()
    fs.put(PATH, bytes(100))
    with pytest.raises(FolderError, match="changed"):
        hash_file(fs, PATH, stamp_of(fs), lambda _: fs.put(PATH, bytes(90)))
    with pytest.raises(FileNotFoundError):
        hash_file(fs, "models/none.gguf", stamp_of(fs))
