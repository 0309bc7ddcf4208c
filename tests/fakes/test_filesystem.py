"""The fake disk does to order what a real one does by chance."""

import errno
from collections.abc import Callable

import pytest

from janfs.folder.filesystem import FileSystem, Stamp
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Crash, Fault, Faults, HookedFileSystem
from tests.fakes.filesystem import FakeFileSystem


def stamp(fs: FakeFileSystem, path: str) -> Stamp:
    found = fs.stat(path)
    assert found is not None, f"nothing at {path!r}"
    assert found.stamp is not None, f"{path!r} has no stamp"
    return found.stamp


# Time and inodes.


def test_two_changes_within_one_step_of_time_look_the_same() -> None:
    clock = FakeClock()
    fs = FakeFileSystem(clock, granularity_ns=2_000_000_000)
    fs.put("models/a", b"one")
    before = stamp(fs, "models/a")
    clock.advance(1.5)
    fs.put("models/a", b"two")
    assert stamp(fs, "models/a") == before
    clock.advance(1)
    fs.touch("models/a")
    assert stamp(fs, "models/a") != before


@pytest.mark.parametrize("reuse", [True, False])
def test_a_freed_inode_number_is_given_again_only_if_asked(reuse: bool) -> None:
    fs = FakeFileSystem(reuse_inodes=reuse)
    fs.put("models/a", b"x")
    before = stamp(fs, "models/a").inode
    fs.remove("models/a")
    fs.put("models/b", b"x")
    assert (stamp(fs, "models/b").inode == before) is reuse


def test_an_open_file_keeps_its_number_to_itself() -> None:
    fs = FakeFileSystem(reuse_inodes=True)
    fs.put("models/a", b"x")
    with fs.open("models/a") as file:
        fs.remove("models/a")
        fs.put("models/b", b"x")
        assert stamp(fs, "models/b").inode != file.stamp().inode


def test_a_copy_has_its_own_time_and_inode_and_a_move_keeps_both() -> None:
    fs = FakeFileSystem()
    fs.put("models/a", b"x")
    before = stamp(fs, "models/a")
    fs.clock.advance(1)
    fs.copy("models/a", "models/b")
    fs.rename_over("models/a", "models/c")
    assert stamp(fs, "models/c") == before
    assert stamp(fs, "models/b").inode != before.inode
    assert stamp(fs, "models/b").mtime_ns == before.mtime_ns + 1_000_000_000


# The person's hands.


def test_a_big_file_costs_only_what_is_written() -> None:
    fs = FakeFileSystem()
    writer = fs.start_write("models/big.gguf", size=200 << 30)
    writer.offset = 100 << 30
    writer.write(b"middle")
    assert fs.being_written("models/big.gguf") is True
    writer.close()
    assert fs.being_written("models/big.gguf") is False
    assert fs.has_holes("models/big.gguf")
    assert stamp(fs, "models/big.gguf").size == 200 << 30
    with fs.open("models/big.gguf") as file:
        assert file.read_at((100 << 30) - 2, 10) == b"\0\0middle\0\0"


def test_a_disk_may_not_know_its_writers() -> None:
    fs = FakeFileSystem()
    fs.knows_writers = False
    fs.start_write("models/a")
    assert fs.being_written("models/a") is None


def test_a_disk_that_is_read_only_refuses_every_change() -> None:
    fs = FakeFileSystem()
    fs.put("models/x/a", b"x")
    fs.mkdir("models/y")
    fs.read_only = True
    before = fs.files()
    changes: list[Callable[[], None]] = [
        lambda: fs.create("models/b", b""),
        lambda: fs.make_folder("models/z"),
        lambda: fs.make_link("models/l", "x"),
        lambda: fs.rename("models/x", "models/z"),
        lambda: fs.unlink("models/x/a"),
        lambda: fs.remove_folder("models/y"),
    ]
    for change in changes:
        with pytest.raises(OSError, match="Read-only") as failed:
            change()
        assert failed.value.errno == errno.EROFS
    assert fs.files() == before


def test_the_disk_goes_on_outside_the_root() -> None:
    fs = FakeFileSystem()
    fs.put("/home/user/.cache/hub/blobs/1", b"blob")
    fs.symlink("models/absolute.gguf", "/home/user/.cache/hub/blobs/1")
    fs.symlink("models/x/relative.gguf", "../../../.cache/hub/blobs/1")
    assert fs.read("models/absolute.gguf") == fs.read("models/x/relative.gguf") == b"blob"
    assert fs.files() == {}, "what lies behind a link is not below the root"
    fs.rename_over(fs.root, "/elsewhere")
    assert fs.stat("models") is None, "the root is gone with its folder"
    fs.rename_over("/elsewhere", fs.root)
    assert set(fs.list("models")) == {"absolute.gguf", "x"}


def test_every_change_of_a_name_and_every_closed_writer_is_told() -> None:
    fs = FakeFileSystem()
    told: list[str] = []
    fs.on_change = told.append
    fs.put("models/a", b"x")
    fs.rename("models/a", "models/b")
    fs.remove_tree("models")
    fs.put("/outside", b"x")
    assert told == ["models", "models/a", "models/a", "models/a", "models/b", "models/b", "models"]


# Faults.


def three_calls(fs: FileSystem) -> None:
    fs.make_folder("models/x")
    fs.create("models/x/a", b"0123456789")
    fs.rename("models/x/a", "models/x/b")


def after_three_calls(plan: dict[int, Fault]) -> tuple[FakeFileSystem, Faults]:
    fake, faults = FakeFileSystem(), Faults(plan)
    fake.mkdir("models")
    with pytest.raises((Crash, OSError)):
        three_calls(HookedFileSystem(fake, faults))
    return fake, faults


def test_without_a_plan_calls_are_only_counted() -> None:
    fake, faults = FakeFileSystem(), Faults()
    fake.mkdir("models")
    three_calls(HookedFileSystem(fake, faults))
    assert [name for name, _ in faults.calls] == ["make_folder", "create", "rename"]
    assert fake.files() == {"models/x/b": b"0123456789"}


@pytest.mark.parametrize(
    ("call", "when", "left"),
    [
        (1, "before", {}),
        (1, "during", {"models/x/a": b"01234"}),
        (1, "after", {"models/x/a": b"0123456789"}),
        (2, "before", {"models/x/a": b"0123456789"}),
        (2, "during", {"models/x/a": b"0123456789"}),
        (2, "after", {"models/x/b": b"0123456789"}),
    ],
)
@pytest.mark.parametrize("code", [None, errno.EIO])
def test_a_fault_strikes_at_its_call(call: int, when: str, left: dict[str, bytes], code: int | None) -> None:
    fake, faults = after_three_calls({call: Fault(code, when)})  # type: ignore[arg-type]
    assert fake.files() == left
    assert len(faults.calls) == call + 1


def test_a_crash_is_nothing_that_product_code_may_catch() -> None:
    assert not issubclass(Crash, Exception)


def test_reads_of_an_open_file_can_fail_too() -> None:
    fake, faults = FakeFileSystem(), Faults({1: Fault(errno.EIO)})
    fake.put("models/a", b"x")
    with (
        HookedFileSystem(fake, faults).open("models/a") as file,
        pytest.raises(OSError, match="Input/output") as failed,
    ):
        file.read_at(0, 1)
    assert failed.value.errno == errno.EIO
    assert [name for name, _ in faults.calls] == ["open", "read_at"]


# Power cuts.


def test_what_was_not_synced_is_lost() -> None:
    fs = FakeFileSystem()
    fs.put("models/a.gguf", b"x")
    fs.make_folder("models/a")
    fs.rename("models/a.gguf", "models/a/a.gguf")
    fs.create("models/a/model.json", b"{}")
    fs.power_cut()
    assert fs.files() == {"models/a.gguf": b"x"}
    assert set(fs.list("models")) == {"a.gguf"}


def test_what_was_synced_stays_and_a_move_is_never_half_done() -> None:
    fs = FakeFileSystem()
    fs.put("models/a.gguf", b"x")
    fs.make_folder("models/a")
    fs.rename("models/a.gguf", "models/a/a.gguf")
    fs.create("models/a/model.json", b"{}")
    fs.sync_folder("models")
    fs.power_cut()
    assert fs.files() == {"models/a/a.gguf": b"x"}, "the move touched both folders, the new file only one"


def test_syncing_a_folder_keeps_what_was_done_before() -> None:
    fs = FakeFileSystem()
    fs.mkdir("models")
    fs.make_folder("models/a")
    fs.create("models/a/model.json", b"{}")
    fs.sync_folder("models/a")
    fs.power_cut()
    assert fs.files() == {"models/a/model.json": b"{}"}


def test_removals_that_were_not_synced_come_back() -> None:
    fs = FakeFileSystem(reuse_inodes=True)
    fs.put("models/a", b"x")
    fs.put("models/b", b"y")
    before = stamp(fs, "models/a")
    fs.unlink("models/a")
    fs.create("models/c", b"z")
    fs.power_cut()
    assert fs.files() == {"models/a": b"x", "models/b": b"y"}
    found = fs.stat("models/a")
    assert found is not None
    assert (found.stamp, found.nlink) == (before, 1)


def test_a_power_cut_ends_every_writer() -> None:
    fs = FakeFileSystem()
    writer = fs.start_write("models/a")
    writer.write(b"half")
    fs.power_cut()
    assert fs.being_written("models/a") is False
    writer.close()
    assert fs.files() == {"models/a": b"half"}
