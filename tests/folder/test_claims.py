"""Digests that a hub left beside a file."""

import pytest

from janfs.folder.claims import claimed
from tests.fakes.filesystem import FakeFileSystem

DIGEST = "ab" * 32
FILE = "models/m/w.gguf"
METADATA = "models/m/.cache/huggingface/download/w.gguf.metadata"


def claim(fs: FakeFileSystem, path: str = FILE) -> str | None:
    stat = fs.stat(path)
    assert stat is not None
    return claimed(fs, path, stat)


def metadata(fs: FakeFileSystem, etag: str = DIGEST, later: float = 0.0) -> None:
    written = fs.clock.now().timestamp() + later
    fs.put(METADATA, f"{'c' * 40}\n{etag}\n{written}\n".encode())


def test_the_etag_beside_a_file_is_its_digest() -> None:
    fs = FakeFileSystem()
    fs.put(FILE, b"content")
    assert claim(fs) is None
    metadata(fs)
    assert claim(fs) == DIGEST


def test_a_file_younger_than_its_metadata_is_another_one() -> None:
    fs = FakeFileSystem()
    metadata(fs)
    fs.clock.advance(5)
    fs.put(FILE, b"changed since")
    assert claim(fs) is None


@pytest.mark.parametrize("etag", ["abc", "ab" * 20, "AB" * 32, ""])
def test_an_etag_that_is_no_sha256_says_nothing(etag: str) -> None:
    fs = FakeFileSystem()
    fs.put(FILE, b"content")
    metadata(fs, etag)
    assert claim(fs) is None


@pytest.mark.parametrize("text", [b"", b"\n\n\n", b"one line", b"\xff\xfe\n\xff\n\xff", b"a\nb\nnan\n"])
def test_metadata_that_makes_no_sense_says_nothing(text: bytes) -> None:
    fs = FakeFileSystem()
    fs.put(FILE, b"content")
    fs.put(METADATA, text)
    assert claim(fs) is None


@pytest.mark.parametrize(
    "link", [f"../../../hub/blobs/{DIGEST}", f"/home/user/hub/blobs/{DIGEST}", "../snapshots/w.gguf"]
)
def test_a_blob_of_the_cache_is_named_after_its_digest(link: str) -> None:
    fs = FakeFileSystem()
    fs.put(f"/home/user/hub/blobs/{DIGEST}", b"content")
    fs.symlink("models/snapshots/w.gguf", f"/home/user/hub/blobs/{DIGEST}")
    fs.symlink(FILE, link)
    assert claim(fs) == DIGEST


def test_a_link_to_anything_else_says_nothing() -> None:
    fs = FakeFileSystem()
    fs.put("/home/user/other.gguf", b"content")
    fs.symlink(FILE, "/home/user/other.gguf")
    fs.symlink("models/round.gguf", "round.gguf")
    assert claim(fs) is None
    assert claim(fs, "models/round.gguf") is None
