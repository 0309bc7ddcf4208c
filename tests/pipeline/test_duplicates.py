"""The same content twice: known by full hashes, named, shared when a person says so; never deleted."""

import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from janfs.catalogue import rows
from janfs.clock import SystemClock
from janfs.errors import LogError
from janfs.events import types as e
from janfs.folder import paths
from janfs.listing import ModelList
from janfs.pipeline import hasher
from janfs.pipeline.commands import Dedupe, Pair, Record, Submitted
from janfs.pipeline.hasher import found, possible_duplicates, worklist
from janfs.pipeline.recorder import Draft, rebuild
from janfs.pipeline.thread import start_thread
from janfs.pipeline.verifying import compare, verify
from janfs.views import model_view, stopped
from tests.pipeline.world import World, gguf
from tests.support.patience import PATIENCE


def obey(world: World, command: Record | Dedupe | Pair) -> None:
    submitted = Submitted(command)
    world.pipeline.tick([], [submitted])
    submitted.done.result(0)


def hash_all(world: World) -> None:
    """What the background does, all at once."""
    work = worklist(world.catalogue, set())
    drafts = [Draft(f.uid, found(f, hashlib.sha256(world.fs.read(f.path)).hexdigest())) for f in work]
    obey(world, Record(tuple(drafts)))


def two(world: World) -> None:
    """The models a and b, with the same content."""
    world.fs.put("models/a.gguf", gguf("same"))
    world.tick()
    world.clock.advance(1)
    world.fs.put("models/b.gguf", gguf("same"))
    world.tick()
    hash_all(world)


def shown(world: World, name: str) -> str | None:
    return model_view(world.catalogue, world.model(name)).duplicate_of


def share(world: World) -> None:
    uid = world.model("b").uid
    pairs, drafts = compare(world.fs, world.catalogue, uid)
    obey(world, Record(tuple(drafts)))
    obey(world, Dedupe(tuple(pairs), "user"))


def inodes(world: World) -> list[int]:
    return [world.file(f"models/{name}/{name}.gguf").stamp.inode for name in "ab"]


def test_the_later_of_two_is_a_duplicate_of_the_first_and_stays(world: World) -> None:
    two(world)
    assert world.file("models/b/b.gguf").duplicate_of == "models/a/a.gguf"
    assert world.file("models/a/a.gguf").duplicate_of is None
    assert (shown(world, "a"), shown(world, "b")) == (None, "a")
    assert world.model("b").status == "ready"
    assert len(world.fs.files("models/b")) == 2
    assert world.events().count("duplicate-found") == 1


def test_the_order_of_hashing_makes_no_difference(world: World) -> None:
    for name in "ab":
        world.fs.put(f"models/{name}.gguf", gguf("same"))
        world.tick()
        world.clock.advance(1)
    for name in "ba":
        file = world.file(f"models/{name}/{name}.gguf")
        obey(world, Record((Draft(file.uid, e.FileHashed(file.path, file.stamp, "cd" * 32, "computed")),)))
    assert (shown(world, "a"), shown(world, "b")) == (None, "a")


def test_a_duplicate_of_what_is_gone_is_none(world: World) -> None:
    two(world)
    world.fs.remove_tree("models/a")
    world.tick()
    assert shown(world, "b") is None
    listed = ModelList()
    listed.encode(world.pipeline.snapshot, stopped)
    world.fs.put("models/a/a.gguf", gguf("same"))
    world.tick()
    hash_all(world)
    names = [shown(world, name) for name in "ab"]
    assert names in ([None, "a"], ["b", None]), f"of two copies one is the first: {names}"
    assert b'"duplicate_of"' in listed.encode(world.pipeline.snapshot, stopped), "an old entry was shown"


def test_a_duplicate_follows_its_original_to_another_name(world: World) -> None:
    two(world)
    world.fs.rename_over("models/a", "models/first")
    world.wait(1)
    assert shown(world, "b") == "first"
    assert world.file("models/b/b.gguf").duplicate_of == "models/first/a.gguf"


def test_other_content_and_second_names_are_no_duplicates(world: World) -> None:
    world.fs.put("models/a.gguf", gguf("same"))
    world.tick()
    world.fs.hard_link("models/a/a.gguf", "models/b.gguf")
    world.fs.put("models/c.gguf", gguf("other"))
    world.tick()
    world.fs.symlink("models/d.gguf", "/home/user/jan/models/a/a.gguf")
    world.tick()
    hash_all(world)
    assert [shown(world, name) for name in "abcd"] == [None] * 4


def test_only_what_looks_alike_may_be_a_duplicate(world: World) -> None:
    for name, content in (("a", "same"), ("b", "same"), ("c", "other")):
        world.fs.put(f"models/{name}.gguf", gguf(content))
        world.tick()
    assert [file.path for file in possible_duplicates(world.catalogue)] == [
        "models/a/a.gguf",
        "models/b/b.gguf",
    ]
    assert [file.path for file in worklist(world.catalogue, set())][2] == "models/c/c.gguf"
    file = world.file("models/a/a.gguf")
    rest = worklist(world.catalogue, {(file.path, file.stamp)})
    assert rest[0].path == "models/b/b.gguf"


def test_sharing_makes_one_file_of_two_and_says_so(world: World) -> None:
    two(world)
    before = world.fs.files("models")
    share(world)
    assert len(set(inodes(world))) == 1
    assert world.fs.files("models") == before, "a file is not what it was"
    assert (shown(world, "b"), world.model("b").status) == (None, "ready")
    assert world.events()[-2:] == ["copy-planned", "copy-completed"]
    world.come_to_rest()
    assert world.events()[-1] == "copy-completed", "it was looked at as if it were new"


def test_what_changed_since_it_was_compared_is_not_shared(world: World) -> None:
    two(world)
    pairs, _ = compare(world.fs, world.catalogue, world.model("b").uid)
    world.clock.advance(1)
    world.fs.put("models/b/b.gguf", gguf("mine"))
    obey(world, Dedupe(tuple(pairs), "user"))
    world.wait(3)
    assert world.fs.read("models/b/b.gguf") == gguf("mine")
    assert len(set(inodes(world))) == 2


def test_a_flipped_bit_is_no_duplicate_and_is_told(world: World) -> None:
    two(world)
    flip(world, "models/b/b.gguf")
    pairs, drafts = compare(world.fs, world.catalogue, world.model("b").uid)
    obey(world, Record(tuple(drafts)))
    assert pairs == []
    assert world.model("b").status == "invalid"
    assert "disk may be failing" in (world.model("b").reason or "")
    assert shown(world, "b") is None


def flip(world: World, path: str) -> None:
    """Damage on the disk: other content, with all that a look shows as it was."""
    inode: Any = world.fs._disk.file(path)
    content = inode.read_at(0, inode.size)
    times = inode.mtime_ns, inode.ctime_ns
    inode.write_at(len(content) - 1, bytes([content[-1] ^ 1]))
    inode.mtime_ns, inode.ctime_ns = times


def test_damage_stays_known_until_a_good_copy_comes_or_it_reads_well_again(world: World) -> None:
    two(world)
    path = "models/a/a.gguf"
    flip(world, path)
    files, drafts = verify(world.fs, world.catalogue, world.model("a").uid)
    obey(world, Record(tuple(drafts)))
    assert [each.result for each in files] == ["corrupted"]
    assert world.model("a").status == "invalid"
    world.restart()
    world.fs.chmod_like(path)
    world.wait(3)
    assert world.model("a").status == "invalid", "a look at the header made it good"
    flip(world, path)
    files, drafts = verify(world.fs, world.catalogue, world.model("a").uid)
    obey(world, Record(tuple(drafts)))
    assert ([each.result for each in files], world.model("a").status) == (["ok"], "ready")


def test_a_hubs_word_is_taken_at_once_and_checked_later(world: World) -> None:
    content = gguf("hub")
    digest = hashlib.sha256(content).hexdigest()
    for name, claim in (("a", digest), ("b", "0" * 64)):
        folder = f"models/{name}"
        written = world.clock.now().timestamp()
        lines = f"{'c' * 40}\n{claim}\n{written}\n".encode()
        world.fs.put(f"{folder}/.cache/huggingface/download/{name}.gguf.metadata", lines)
        world.fs.put(f"{folder}/{name}.gguf", content)
    world.wait(4)
    assert (world.file("models/a/a.gguf").sha256, world.file("models/a/a.gguf").hashed_by) == (digest, "hub")
    hash_all(world)
    assert world.file("models/a/a.gguf").hashed_by == "computed"
    assert world.model("a").status == "ready"
    assert world.model("b").status == "invalid", "what is not what the hub says was taken for good"


def test_a_catalogue_made_anew_has_the_same_duplicates(world: World) -> None:
    two(world)
    share(world)
    world.fs.rename_over("models/a", "models/first")
    world.wait(1)
    assert dict(rows.to_rows(rebuild(world.log))) == dict(rows.to_rows(world.catalogue))


def test_nothing_of_it_is_left_lying_about(world: World, tmp_path: Path) -> None:
    two(world)
    share(world)
    assert not [name for name in world.fs.list("models/b") if name.startswith(paths.TEMP_PREFIX)]


@pytest.mark.parametrize("error", [LogError("The disk is full."), ValueError("a defect")])
def test_what_the_log_cannot_take_is_not_read_again_until_it_can(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    path, reads, refused = world.model("a").binary, 0, threading.Event()
    append, allowed = world.log.append, threading.Event()

    def read(*_: Any) -> str:
        nonlocal reads
        reads += 1
        return "0" * 64

    def take(*args: Any) -> Any:
        if allowed.is_set():
            return append(*args)
        refused.set()
        raise error

    monkeypatch.setattr(hasher, "hash_file", read)
    monkeypatch.setattr(hasher, "QUIET", 0.01)
    monkeypatch.setattr(world.log, "append", take)
    thread = start_thread(world.pipeline)
    (tmp_path / "hashing.json").write_bytes(b'{"path": "\xe9"}')  # damaged, which is as good as none
    background = hasher.Hasher(world.fs, world.pipeline, tmp_path / "hashing.json", SystemClock())
    background.start()
    for _ in range(3):
        assert refused.wait(PATIENCE), "nothing was to be recorded"
        refused.clear()
    allowed.set()
    until = time.monotonic() + PATIENCE
    while world.pipeline.snapshot.catalogue.files[path or ""].sha256 is None:
        assert time.monotonic() < until, "it was never recorded"
        time.sleep(0.01)
    background.close()
    world.pipeline.stop()
    thread.join(PATIENCE)
    assert reads == 1, "a whole file was read for nothing"
