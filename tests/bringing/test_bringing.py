"""Taking models in from other tools' trees, without hurting them."""

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from janfs.bringing import bring as bringing
from janfs.bringing.bring import Brought, Mode, bring
from janfs.bringing.find import Find, find
from janfs.errors import FolderError
from janfs.folder import staging
from tests.support.ggufs import tiny_gguf

CONTENT = tiny_gguf("Story")
COMMIT = "c" * 40


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "jan" / "models").mkdir(parents=True)
    return tmp_path / "jan"


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def hub(tree: Path) -> Path:
    """Hugging Face's cache with one model; the blob."""
    repository = tree / "models--org--story-GGUF"
    blob = put(repository / "blobs" / hashlib.sha256(CONTENT).hexdigest())
    readme = put(repository / "blobs" / ("a" * 40), b"# Story")
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "story.gguf").symlink_to(os.path.relpath(blob, snapshot))
    (snapshot / "README.md").symlink_to(os.path.relpath(readme, snapshot))
    put(repository / "refs" / "main", COMMIT.encode())
    return blob


def names(found: Find) -> list[str]:
    return [piece.name for piece in found.pieces]


def take(root: Path, source: Path, mode: Mode) -> list[Brought]:
    return [brought for each in find(source) for brought in bring(root, each, mode, lambda _: None)]


def tree(root: Path) -> dict[str, bytes]:
    models = root / "models"
    return {str(path.relative_to(models)): path.read_bytes() for path in models.rglob("*") if path.is_file()}


def test_a_single_file_comes_by_itself(tmp_path: Path) -> None:
    [found] = find(put(tmp_path / "a.gguf"))
    assert (found.alone, names(found), found.size) == (True, ["a.gguf"], len(CONTENT))
    assert list(find(put(tmp_path / "a.txt"))) == []
    with pytest.raises(FileNotFoundError):
        list(find(tmp_path / "none"))


def test_every_folder_with_weights_comes_with_what_belongs_to_them(tmp_path: Path) -> None:
    put(tmp_path / "lm/publisher/story/story-Q4_0.gguf")
    put(tmp_path / "lm/publisher/story/LICENSE", b"free")
    put(tmp_path / "lm/publisher/story/holiday.jpg", b"no")
    put(tmp_path / "lm/publisher/story/story.gguf.part")
    put(tmp_path / "lm/publisher/other/deep/er/o.gguf")
    put(tmp_path / "lm/.hidden/h.gguf")
    put(tmp_path / "lm/notes/README.md", b"no model here")
    assert [(each.name, names(each)) for each in find(tmp_path / "lm")] == [
        ("er", ["o.gguf"]),
        ("story", ["LICENSE", "story-Q4_0.gguf"]),
    ] or [(each.name, names(each)) for each in find(tmp_path / "lm")] == [
        ("story", ["LICENSE", "story-Q4_0.gguf"]),
        ("er", ["o.gguf"]),
    ]


def test_a_hubs_cache_gives_the_repositorys_name_and_the_digest(tmp_path: Path) -> None:
    blob = hub(tmp_path)
    [found] = find(tmp_path)
    assert (found.name, sorted(names(found))) == ("story-GGUF", ["README.md", "story.gguf"])
    weights = next(piece for piece in found.pieces if piece.is_binary)
    assert (weights.source, weights.linked, weights.digest) == (blob, True, blob.name)


def test_a_folder_of_the_hubs_tool_gives_the_digest(tmp_path: Path) -> None:
    file = put(tmp_path / "m/m.gguf")
    text = f"{COMMIT}\n{'d' * 64}\n{file.stat().st_mtime}\n"
    put(tmp_path / "m/.cache/huggingface/download/m.gguf.metadata", text.encode())
    [found] = find(tmp_path)
    assert found.pieces[0].digest == "d" * 64


def test_a_model_json_of_jan_leads_to_its_file(tmp_path: Path) -> None:
    weights = put(tmp_path / "elsewhere/w.gguf")
    manifest = {"id": "m", "sources": [{"filename": "w.gguf", "url": str(weights)}]}
    put(tmp_path / "jan-old/models/m/model.json", json.dumps(manifest).encode())
    put(tmp_path / "jan-old/models/broken/model.json", b"{")
    put(tmp_path / "jan-old/models/remote/model.json", b'{"sources": [{"url": "https://x/y.gguf"}, 7]}')
    [found] = find(tmp_path / "jan-old")
    assert (found.name, names(found)) == ("m", ["model.json", "w.gguf"])
    assert found.pieces[1].linked


def test_links_round_in_a_circle_and_into_nothing_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").symlink_to("b.gguf")
    (tmp_path / "b.gguf").symlink_to("a.gguf")
    (tmp_path / "c.gguf").symlink_to("nowhere")
    (tmp_path / "again").symlink_to(".")
    assert list(find(tmp_path)) == []


def test_a_copy_leaves_the_original_as_it_was(root: Path, tmp_path: Path) -> None:
    source = put(tmp_path / "from/story/story.gguf")
    readme = put(tmp_path / "from/story/README.md", b"read me")
    taken = take(root, tmp_path / "from", "copy")
    assert tree(root) == {"story/story.gguf": CONTENT, "story/README.md": b"read me"}
    assert source.read_bytes() == CONTENT
    assert {brought.how for brought in taken if brought.source == source} <= {
        "shared",
        "hard-linked",
        "copied",
    }
    (root / "models/story/README.md").write_bytes(b"mine now")
    assert readme.read_bytes() == b"read me", "an edit here went there"
    assert source.stat().st_mtime_ns == (root / "models/story/story.gguf").stat().st_mtime_ns


def test_a_move_takes_the_original_away_but_not_what_is_behind_a_link(root: Path, tmp_path: Path) -> None:
    source = put(tmp_path / "from/story/story.gguf")
    blob = hub(tmp_path / "hub")
    take(root, tmp_path / "from", "move")
    take(root, tmp_path / "hub", "move")
    assert not source.exists()
    assert blob.read_bytes() == CONTENT
    assert sorted(tree(root)) == [
        "story-2/.cache/huggingface/download/story.gguf.metadata",
        "story-2/README.md",
        "story-2/story.gguf",
        "story/story.gguf",
    ]


@pytest.mark.parametrize("named", [True, False], ids=["named", "in a tree"])
@pytest.mark.parametrize("link", ["folder", "file"])
def test_a_move_takes_nothing_away_from_behind_a_link_to_elsewhere(
    root: Path, tmp_path: Path, named: bool, link: str
) -> None:
    theirs = put(tmp_path / "theirs/story.gguf")
    put(tmp_path / "from/own.gguf")
    at = tmp_path / "from/story.gguf"
    at.symlink_to(theirs if link == "file" else theirs.parent)
    take(root, at if named else tmp_path / "from", "move")
    assert theirs.read_bytes() == CONTENT
    came = "story.gguf" in {path.name for path in (root / "models").rglob("*.gguf")}
    assert came is (named or link == "file"), "a tree is looked through without the folders of others"
    assert (tmp_path / "from/own.gguf").exists() is named


def test_a_move_leaves_no_emptied_folders_but_the_one_that_was_named(root: Path, tmp_path: Path) -> None:
    named = tmp_path / "from"
    put(named / "publisher/story/story.gguf")
    put(named / "publisher/fable/fable.gguf")
    note = put(named / "other/saga/notes.odt")
    put(named / "other/saga/saga.gguf")
    (named / "was empty").mkdir()
    take(root, named, "move")
    assert note.exists()
    assert sorted(path.name for path in named.iterdir()) == ["other", "was empty"]
    put(named / "only.gguf")
    note.unlink()
    take(root, named, "move")
    assert named.is_dir(), "a download folder is gone"


def test_an_original_that_changed_after_it_was_copied_stays(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = put(tmp_path / "from/story/story.gguf")

    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    def written_meanwhile(*arguments: Any) -> Any:
        source.write_bytes(CONTENT + b"more")
        return publish(*arguments)

    publish = bringing._publish
    monkeypatch.setattr(bringing.os, "link", no_links)
    monkeypatch.setattr(bringing, "_publish", written_meanwhile)
    take(root, tmp_path / "from", "move")
    assert source.read_bytes() == CONTENT + b"more", "what was written meanwhile is lost"
    assert (root / "models/story/story.gguf").read_bytes() == CONTENT


def test_a_link_leads_to_the_weights_where_they_are(root: Path, tmp_path: Path) -> None:
    blob = hub(tmp_path / "hub")
    take(root, tmp_path / "hub", "link")
    link = root / "models/story/story.gguf"
    assert link.is_symlink()
    assert link.resolve() == blob
    assert not (root / "models/story-GGUF/README.md").is_symlink(), "only weights are worth a link"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["Qwen-Q8_0.gguf"], "qwen-q8_0"),
        (["Qwen-Q8_0.gguf", "mmproj-Qwen-f16.gguf", "LICENSE"], "qwen-q8_0"),
        (["Qwen-Q8_0-00001-of-00002.gguf", "Qwen-Q8_0-00002-of-00002.gguf"], "qwen-q8_0"),
        (["model.gguf", "model.yml"], "qwen-gguf"),
        (["Qwen-Q8_0.gguf", "Qwen-Q4_0.gguf"], "Qwen-GGUF"),
        (["Qwen-Q8_0.gguf", "model.json"], "Qwen-GGUF"),
        (["mmproj-f16.gguf"], "Qwen-GGUF"),
    ],
)
def test_an_only_model_has_its_own_name_and_several_that_of_their_folder(
    root: Path, tmp_path: Path, files: list[str], expected: str
) -> None:
    for name in files:
        put(tmp_path / "publisher" / "Qwen-GGUF" / name)
    take(root, tmp_path / "publisher", "copy")
    assert [path.name for path in (root / "models").iterdir() if path.is_dir()] == [expected]


def test_nothing_is_overwritten(root: Path, tmp_path: Path) -> None:
    put(root / "models/story/mine.txt", b"mine")
    put(root / "models/a.gguf", b"mine too")
    take(root, put(tmp_path / "from/story/story.gguf").parent, "copy")
    take(root, put(tmp_path / "a.gguf"), "copy")
    assert tree(root) == {
        "story/mine.txt": b"mine",
        "a.gguf": b"mine too",
        "story-2/story.gguf": CONTENT,
        "a-2.gguf": CONTENT,
    }


def test_what_is_brought_gets_no_name_that_lies_there_in_another_spelling(root: Path, tmp_path: Path) -> None:
    put(root / "models/STORY/mine.txt", b"mine")
    take(root, put(tmp_path / "from/story/story.gguf").parent, "copy")
    assert tree(root) == {"STORY/mine.txt": b"mine", "story-2/story.gguf": CONTENT}


def other_disk() -> Path | None:
    here, there = Path.cwd(), Path("/dev/shm")
    return there if there.is_dir() and there.stat().st_dev != here.stat().st_dev else None


@pytest.mark.skipif(other_disk() is None, reason="there is only one disk")
@pytest.mark.parametrize("mode", ["copy", "move"])
def test_from_another_disk_it_is_copied(root: Path, mode: Mode) -> None:
    disk = other_disk()
    assert disk is not None
    folder = disk / f"janfs-{os.getpid()}"
    source = put(folder / "story/story.gguf")
    try:
        [brought] = take(root, folder, mode)
        assert brought.how == ("copied" if mode == "copy" else "moved")
        assert source.exists() == (mode == "copy")
        assert tree(root) == {"story/story.gguf": CONTENT}
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(other_disk() is None, reason="there is only one disk")
def test_without_room_nothing_is_begun(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = other_disk()
    assert disk is not None
    monkeypatch.setattr(bringing, "RESERVE", 10**18)
    source = put(disk / f"janfs-{os.getpid()}.gguf")
    try:
        with pytest.raises(FolderError, match="Make room"):
            take(root, source, "copy")
    finally:
        source.unlink()
    assert list((root / "models").iterdir()) == []


def test_what_fails_on_the_way_leaves_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "from/story/a.gguf")
    put(tmp_path / "from/story/b.gguf")
    [found] = find(tmp_path / "from")
    (tmp_path / "from/story/b.gguf").unlink()
    with pytest.raises(FolderError):
        bring(root, found, "move", lambda _: None)
    assert list((root / "models").iterdir()) == []
    assert (tmp_path / "from/story/a.gguf").exists(), "the original is gone, and nothing came of it"


def test_what_a_dead_process_left_is_swept_and_what_a_living_one_makes_is_not(root: Path) -> None:
    put(root / "models" / f"{staging.PREFIX}{'0' * 32}" / "half.gguf")
    with staging.Staging(root) as place:
        staging.sweep(root)
        assert [path.name for path in (root / "models").iterdir()] == [place.name]
    assert list((root / "models").iterdir()) == []
