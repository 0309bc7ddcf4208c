"""Archives: what was packed comes out, and what could do harm does not."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from janfs.archive import contents as form
from janfs.archive import history as past
from janfs.archive.contents import ArchivedFile, Contents, check_name
from janfs.archive.pack import pack
from janfs.archive.unpack import peek, unpack
from janfs.errors import ArchiveError
from janfs.folder import paths
from janfs.folder.filesystem import Stamp
from janfs.log.records import GENESIS, Record, chain_hash
from tests.fakes.filesystem import FakeFileSystem

NAMES = (
    st.lists(
        st.text(
            st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="/\\~.#"),
            min_size=1,
            max_size=8,
        ),
        min_size=1,
        max_size=3,
    )
    .map("/".join)
    .filter(lambda name: not any(map(paths.is_ignored, name.split("/"))))
)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def record(position: int, version: int, **data: Any) -> Record:
    when, text = "2026-01-01T00:00:00.000000Z", json.dumps(data, sort_keys=True)
    return Record(position, "u" * 32, version, "file-dropped", 1, when, "folder", None, position, text)


def chained(*records: Record) -> bytes:
    before, lines = GENESIS, []
    for each in records:
        own = chain_hash(before, each)
        lines.append((each, before, own))
        before = own
    return past.encode(lines)


HISTORY = chained(record(1, 1, path="a"), record(2, 2, path="b"))
DOCUMENT = b'{"name": "Mine"}'


def packed(files: dict[str, bytes]) -> bytes:
    fs = FakeFileSystem()
    sources: dict[str, tuple[str, Stamp]] = {}
    archived = []
    for number, (name, content) in enumerate(sorted(files.items())):
        path = f"models/m/{number}"
        fs.put(path, content)
        stat = fs.stat(path)
        assert stat is not None
        assert stat.stamp is not None
        sources[name] = (path, stat.stamp)
        archived.append(ArchivedFile(name, len(content), digest(content), 1_700_000_000_000_000_000))
    contents = Contents(
        format=form.FORMAT, id="m", uid="u" * 32, files=tuple(archived), events=2, history=digest(HISTORY),
        history_size=len(HISTORY), documents={digest(DOCUMENT): len(DOCUMENT)},
    )  # fmt: skip
    return b"".join(pack(fs, contents, sources, HISTORY, {digest(DOCUMENT): DOCUMENT}))


def opened(raw: bytes, tmp_path: Path) -> tuple[Path, Path]:
    archive, folder = tmp_path / "m.janfs.tar", tmp_path / "out"
    archive.write_bytes(raw)
    folder.mkdir(exist_ok=True)
    return archive, folder


FILES = {"m.gguf": bytes(range(256)) * 50, "README.md": b"read me", "sub/notes.txt": b""}


@given(st.dictionaries(NAMES, st.binary(max_size=2000), max_size=4))
def test_what_was_packed_comes_out(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    names = [name.casefold() for name in files]
    if len(set(names)) < len(names) or any(a != b and a.startswith(b + "/") for a in names for b in names):
        return
    archive, folder = opened(packed(files), tmp_path_factory.mktemp("archive"))
    found = unpack(archive, folder)
    assert {file.name: (folder / file.name).read_bytes() for file in found.contents.files} == files
    assert (found.history, found.documents) == (HISTORY, {digest(DOCUMENT): DOCUMENT})
    assert found.sha256 == digest(archive.read_bytes())


def test_times_are_kept_and_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    raw = packed(FILES)
    assert raw == packed(FILES)
    archive, folder = opened(raw, tmp_path)
    unpack(archive, folder)
    assert (folder / "m.gguf").stat().st_mtime_ns == 1_700_000_000_000_000_000
    assert peek(archive).id == "m"


def test_any_tar_can_read_it(tmp_path: Path) -> None:
    archive, _ = opened(packed(FILES), tmp_path)
    with tarfile.open(archive) as tar:
        assert tar.getnames()[:2] == ["janfs.json", "history.jsonl"]
        assert "files/m.gguf" in tar.getnames()


def refuses(raw: bytes, tmp_path: Path, word: str = ".") -> None:
    archive, folder = opened(raw, tmp_path)
    with pytest.raises(ArchiveError, match=word):
        unpack(archive, folder)
    outside = [
        path for path in tmp_path.rglob("*") if folder not in path.parents and path not in (archive, folder)
    ]
    assert not outside, f"it wrote {outside}"


@given(st.integers(0, len(packed(FILES)) - 1100))
def test_one_that_ends_too_soon_is_refused(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    refuses(packed(FILES)[:length], tmp_path_factory.mktemp("short"))


@given(st.data())
def test_a_byte_that_is_another_is_seen_or_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = bytearray(packed(FILES))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    archive, folder = opened(bytes(raw), tmp_path_factory.mktemp("flipped"))
    try:
        found = unpack(archive, folder)
    except ArchiveError:
        return
    assert {file.name: (folder / file.name).read_bytes() for file in found.contents.files} == FILES
    assert found.documents == {digest(DOCUMENT): DOCUMENT}


def rewritten(change: Callable[[dict[str, Any]], None]) -> bytes:
    """The archive with another first member."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(packed(FILES))) as source,
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for member in source.getmembers():
            file = source.extractfile(member)
            assert file is not None
            body = file.read()
            if member.name == form.CONTENTS:
                head = json.loads(body)
                change(head)
                body = json.dumps(head).encode()
                member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return out.getvalue()


def test_a_rewritten_one_is_still_good(tmp_path: Path) -> None:
    archive, folder = opened(rewritten(lambda head: None), tmp_path)
    assert unpack(archive, folder).contents.id == "m"


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "another format": lambda head: head.update(format=2),
    "no format": lambda head: head.pop("format"),
    "no id": lambda head: head.pop("id"),
    "an id that leads up": lambda head: head.update(id="../m"),
    "an empty id": lambda head: head.update(id=""),
    "an id with a slash": lambda head: head.update(id="a/b"),
    "a hidden id": lambda head: head.update(id=".m"),
    "a name that leads up": lambda head: head["files"][0].update(name="../evil"),
    "an absolute name": lambda head: head["files"][0].update(name="/tmp/evil"),
    "a hidden name": lambda head: head["files"][0].update(name=".bashrc"),
    "a name twice": lambda head: head["files"].append(head["files"][0]),
    "a name in another case": lambda head: head["files"].append(head["files"][0] | {"name": "readme.MD"}),
    "a file as a folder": lambda head: head["files"].append(head["files"][0] | {"name": "m.gguf/x"}),
    "another digest": lambda head: head["files"][0].update(sha256="0" * 64),
    "no digest": lambda head: head["files"][0].update(sha256="x"),
    "a huge size": lambda head: head["files"][0].update(size=2**62),
    "a size below nothing": lambda head: head["files"][0].update(size=-1),
    "a huge history": lambda head: head.update(history_size=2**40),
    "archived events below nothing": lambda head: head.update(archived=-1),
    "fewer events": lambda head: head.update(events=1),
    "a missing file": lambda head: head["files"].pop(),
    "a file too many": lambda head: head["files"].append(head["files"][0] | {"name": "more"}),
    "a time that cannot be": lambda head: head["files"][0].update(mtime_ns=2**70),
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_that_lies_about_itself_is_refused(change: str, tmp_path: Path) -> None:
    refuses(rewritten(CHANGES[change]), tmp_path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, b"L", b"S"]
)
def test_links_devices_and_folders_are_refused(kind: bytes, tmp_path: Path) -> None:
    info = tarfile.TarInfo("files/m.gguf")
    info.type, info.linkname = kind, "/etc/passwd"
    raw = packed(FILES)
    at = raw.index(b"files/README.md")
    refuses(raw[:at] + info.tobuf(tarfile.PAX_FORMAT) + raw[at + 512 :], tmp_path)


def test_a_header_that_would_be_read_into_memory_whole_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 8 * 1024**3 - 1
    refuses(info.tobuf(tarfile.USTAR_FORMAT) + packed(FILES), tmp_path, "does not belong")


@pytest.mark.parametrize("raw", [b"", b"no tar", bytes(10_240), b"GGUF" + bytes(600)])
def test_what_is_no_archive_is_refused(raw: bytes, tmp_path: Path) -> None:
    refuses(raw, tmp_path)


TOO_MANY = {f"{number:064}": 2**24 for number in range(65)}


@pytest.mark.parametrize(("texts", "word"), [(TOO_MANY, "sizes"), ({"1" * 64: 2**20}, "announces")])
def test_texts_that_would_fill_the_memory_are_refused(
    texts: dict[str, int], word: str, tmp_path: Path
) -> None:
    refuses(rewritten(lambda head: head.update(documents=texts)), tmp_path, word)


@pytest.mark.parametrize("name", ["readme.MD", "sub", "SUB", "sub/NOTES.txt", "m.gguf/x", "m.gguf/x/y"])
def test_a_name_that_another_file_stands_in_the_way_of_is_refused(name: str, tmp_path: Path) -> None:
    refuses(
        rewritten(lambda head: head["files"].append(head["files"][0] | {"name": name})), tmp_path, "twice"
    )


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"format":1,"x":' + b"[" * 100_000])
def test_one_that_is_nested_without_end_is_refused(deep: bytes, tmp_path: Path) -> None:
    info = tarfile.TarInfo(form.CONTENTS)
    info.size = len(deep)
    refuses(info.tobuf(tarfile.PAX_FORMAT) + deep + bytes(-len(deep) % 512), tmp_path, "no JSON")


@pytest.mark.parametrize("data", ["", "1", "[]", "{", '{"a":' + "[" * 100_000])
def test_a_history_of_events_that_say_nothing_is_refused(data: str) -> None:
    with pytest.raises(ArchiveError, match="makes no sense"):
        past.decode(chained(replace(record(1, 1), data=data)))


def test_a_history_that_was_changed_is_refused() -> None:
    assert [each.position for each in past.decode(HISTORY)] == [1, 2]
    lines = HISTORY.splitlines(keepends=True)
    changed = HISTORY.replace(b"folder", b"nobody")
    left_out = chained(record(1, 1, path="a"), record(2, 3, path="b"))
    for raw in (changed, left_out, lines[1] + lines[0], b"x\n", b"{}\n"):
        with pytest.raises(ArchiveError):
            past.decode(raw)


@pytest.mark.parametrize("name", ["a", "a/b", "ä ö.txt", "x" * 255])
def test_an_honest_name_is_taken(name: str) -> None:
    check_name(name)


@given(st.text())
def test_no_name_leads_out(name: str) -> None:
    try:
        check_name(name)
    except ArchiveError:
        return
    assert not name.startswith("/")
    assert not set(name.split("/")) & {"", ".", ".."}
