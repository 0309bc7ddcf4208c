"""What is seen on disk becomes events: whole files only, each difference once."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from janfs.folder import paths
from janfs.pipeline.root import MARKER
from tests.fakes.faults import HookedFileSystem, P, T
from tests.folder import gguf_bytes as make
from tests.pipeline.world import World, gguf

WHOLE = gguf("whole")
LOOSE = "models/whole.gguf"
HOME = "models/whole/whole.gguf"


def arrival_of(world: World, path: str) -> tuple[str, float | None]:
    arrivals = world.pipeline.snapshot.arrivals
    assert path in arrivals, f"{path!r} is not arriving; these are: {sorted(arrivals)}"
    return arrivals[path].reason, arrivals[path].percentage


class TestHalfCopies:
    def test_a_growing_file_is_taken_when_it_is_whole_and_closed(self, world: World) -> None:
        writer = world.fs.start_write(LOOSE)
        for offset in range(0, len(WHOLE), 50):
            writer.write(WHOLE[offset : offset + 50])
            world.wait(3)
            assert not world.events(), f"taken with {writer.offset} of {len(WHOLE)} bytes"
        writer.close()
        world.tick()
        assert world.file(HOME).facts is not None
        assert not world.pipeline.snapshot.arrivals

    def test_a_copy_that_stopped_half_way_is_known_by_its_header(self, world: World) -> None:
        world.fs.put(LOOSE, WHOLE[: len(WHOLE) - 64])
        world.wait(3600)
        assert not world.events()
        reason, percentage = arrival_of(world, LOOSE)
        assert reason == f"{len(WHOLE) - 64} of {len(WHOLE)} bytes are here."
        assert percentage == round(100 * (len(WHOLE) - 64) / len(WHOLE), 1)
        resumed = world.fs.start_write(LOOSE, truncate=False)
        resumed.offset = len(WHOLE) - 64
        resumed.write(WHOLE[-64:])
        resumed.close()
        world.tick()
        assert world.model("whole").status == "ready"

    def test_a_preallocated_file_is_not_taken_for_its_size(self, world: World) -> None:
        big = make.header({"general.architecture": make.text("llama")}, [make.Tensor("t", (1 << 20,))])
        size = len(big) + -len(big) % 32 + 4 * (1 << 20)
        writer = world.fs.start_write(LOOSE, size=size)
        writer.write(big)
        world.wait(60)
        assert not world.events()
        assert arrival_of(world, LOOSE)[0] == "Being written."
        writer.write(b"first tensor")
        writer.close()
        world.wait(1)
        assert not world.events(), "it has holes: somebody may go on"
        world.wait(3)
        assert world.model("whole").status == "ready", "nobody went on; holes may be meant"

    def test_what_aria2_is_not_done_with_is_left_to_it_over_any_pause(self, world: World) -> None:
        world.fs.put(f"{LOOSE}.aria2", b"which pieces are here")
        world.fs.put(LOOSE, WHOLE)  # as large as it will be, from its first byte on
        world.wait(3600)
        assert not world.events()
        assert "whole.gguf.aria2" in arrival_of(world, LOOSE)[0]
        world.fs.remove(f"{LOOSE}.aria2")
        world.wait(2)
        assert world.model("whole").status == "ready"

    def test_where_writers_cannot_be_known_a_file_must_rest(self, world: World) -> None:
        world.fs.knows_writers = False
        writer = world.fs.start_write(LOOSE, size=len(WHOLE))
        for offset in range(0, len(WHOLE), 50):
            writer.write(WHOLE[offset : offset + 50])
            world.wait(1.2)
            assert not world.events(), f"taken with {writer.offset} of {len(WHOLE)} bytes"
        world.wait(1.5)
        assert world.model("whole").status == "ready"

    def test_a_header_that_is_still_coming_is_waited_for(self, world: World) -> None:
        world.fs.put(LOOSE, WHOLE[:100])
        world.wait(4)
        assert not world.events()
        assert arrival_of(world, LOOSE) == ("Its header is not here yet.", None)
        world.fs.put(LOOSE, WHOLE)
        world.tick()
        assert world.model("whole").status == "ready"

    @pytest.mark.parametrize("suffix", [".part", ".crdownload", ".incomplete", ".aria2"])
    def test_a_download_counts_once_it_is_renamed(self, world: World, suffix: str) -> None:
        world.fs.put(LOOSE + suffix, WHOLE)
        world.wait(10)
        assert not world.events()
        assert not world.pipeline.snapshot.arrivals
        world.fs.rename_over(LOOSE + suffix, LOOSE)
        world.tick()
        assert world.model("whole").status == "ready"

    def test_an_arrival_that_is_given_up_is_forgotten(self, world: World) -> None:
        world.fs.put(LOOSE, WHOLE[:-1])
        world.tick()
        assert world.pipeline.snapshot.arrivals
        world.fs.remove(LOOSE)
        world.tick()
        assert not world.pipeline.snapshot.arrivals
        assert not world.events()

    def test_an_arrival_in_the_place_of_a_file_ends_when_that_is_put_back(self, world: World) -> None:
        world.fs.put(LOOSE, WHOLE)
        world.tick()
        world.fs.rename_over(HOME, "/elsewhere/whole.gguf")
        world.fs.put(HOME, gguf("another")[:50])
        world.tick()
        arrival_of(world, HOME)
        world.fs.rename_over("/elsewhere/whole.gguf", HOME)
        world.tick()
        assert not world.pipeline.snapshot.arrivals
        assert world.model("whole").status == "ready"

    def test_an_arrival_ends_when_a_link_or_a_folder_takes_its_place(self, world: World) -> None:
        for path in ("models/a/half.gguf", "models/half.gguf"):
            world.fs.put(path, WHOLE[:50])
        world.tick()
        assert set(world.pipeline.snapshot.arrivals) == {"models/a/half.gguf", "models/half.gguf"}
        world.fs.rename_over("models/a", "/elsewhere/a")
        world.fs.symlink("models/a", "/elsewhere/a")
        world.fs.remove("models/half.gguf")
        world.fs.mkdir("models/half.gguf")
        world.wait(6)
        assert not world.pipeline.snapshot.arrivals

    def test_what_a_linked_folder_leads_to_is_not_looked_at(self, world: World) -> None:
        world.fs.put("/elsewhere/a/whole.gguf", WHOLE)
        world.fs.symlink("models/a", "/elsewhere/a")
        world.tick("models/a/whole.gguf")
        assert not world.events()

    def test_a_file_moved_over_an_arrival_ends_it(self, world: World) -> None:
        world.fs.put("models/a/a.gguf", WHOLE)
        world.tick()
        world.fs.put("models/a/b.gguf", WHOLE[:-1])
        world.tick()
        arrival_of(world, "models/a/b.gguf")
        world.fs.rename_over("models/a/a.gguf", "models/a/b.gguf")
        world.wait(5)
        assert not world.pipeline.snapshot.arrivals
        assert world.model("a").binary == "models/a/b.gguf"


class TestRefusals:
    @pytest.mark.parametrize(
        ("content", "code", "words"),
        [
            (b"", "gguf_truncated", "is empty"),
            (b"This is text.", "gguf_invalid", "Not a GGUF file"),
            (WHOLE[:60], "gguf_truncated", "ends at byte 60"),
            (b"FUGG" + WHOLE[4:], "gguf_invalid", "starts with b'FUGG'"),
            (make.header(version=99), "gguf_invalid", "version"),
            (b"GGUF" + b"\0\0\0\3" + bytes(16), "gguf_invalid", "big-endian"),
            (make.header(tensor_count=2**60), "gguf_invalid", "tensors"),
        ],
        ids=["empty", "text", "cut in the header", "magic", "version", "big-endian", "boastful"],
    )
    def test_what_is_no_model_is_left_where_it_is_and_the_reason_stands(
        self, world: World, content: bytes, code: str, words: str
    ) -> None:
        world.fs.put(LOOSE, content)
        world.wait(6)
        refused = world.file(LOOSE).refused
        assert refused is not None
        assert refused.code == code, refused.reason
        assert words in refused.reason
        assert world.events() == ["file-refused"], "once, and nothing else"
        assert world.fs.read(LOOSE) == content

    def test_a_refused_file_that_is_mended_becomes_a_model(self, world: World) -> None:
        world.fs.put(LOOSE, b"text")
        world.wait(6)
        world.fs.put(LOOSE, WHOLE)
        world.tick()
        assert world.model("whole").status == "ready"

    def test_what_is_neither_file_nor_link_to_one_is_refused(self, world: World) -> None:
        world.fs.fifo("models/pipe.gguf")
        world.fs.symlink("models/dangling.gguf", "/nowhere/x.gguf")
        world.wait(1)
        for path, words in (
            ("models/pipe.gguf", "no regular file"),
            ("models/dangling.gguf", "/nowhere/x.gguf"),
        ):
            refused = world.file(path).refused
            assert refused is not None
            assert refused.code == "not_a_file"
            assert words in refused.reason

    def test_a_file_that_may_be_read_again_is_looked_at_again(self, tmp_path: Path) -> None:
        """Rights may change without a trace at the file: on a folder above, in an ACL, by another user."""
        closed = {"models/a/a.gguf"}

        def on_call(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
            if name == "open" and args[0] in closed:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), *args)
            return perform(*args, **kwargs)

        world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, on_call))
        world.fs.put("models/a/a.gguf", WHOLE)
        world.tick()
        refused = world.file("models/a/a.gguf").refused
        assert refused is not None
        assert (refused.code, refused.reason) == ("unreadable", "Permission denied.")
        world.restart()
        assert world.events().count("file-refused") == 1, "the same refusal is no news"
        closed.clear()
        world.wait(61)
        assert world.model("a").status == "ready"
        world.stop()


class TestDifferences:
    def test_each_change_is_one_event_however_often_and_in_whatever_order_it_is_told(
        self, world: World
    ) -> None:
        world.fs.put("models/a/a.gguf", WHOLE)
        world.fs.put("models/b/notes.txt", b"notes")
        for _ in range(3):
            world.tick("models/b/notes.txt", "models/a/a.gguf", "models/a", "models/b", "", "models/c")
        assert world.events() == ["file-dropped"] * 2 + ["model-registered", "write-planned", "json-written"]

    def test_what_no_hint_told_is_found_within_a_minute(self, world: World) -> None:
        world.fs.put(LOOSE, WHOLE)
        world.hints.clear()
        world.wait(61)
        assert world.model("whole").status == "ready"

    def test_a_touched_model_json_is_no_event(self, world: World) -> None:
        world.fs.put(LOOSE, WHOLE)
        world.tick()
        position = world.log.head.position
        world.clock.advance(1)
        world.fs.touch("models/whole/model.json")
        world.tick()
        world.restart()
        assert not world.events(position)

    def test_a_touched_binary_is_one_event_as_its_content_may_be_new(self, world: World) -> None:
        world.fs.put(LOOSE, WHOLE)
        world.tick()
        position = world.log.head.position
        world.clock.advance(1)
        world.fs.touch(HOME)
        world.tick()
        world.restart()
        assert world.events(position) == ["file-changed"]

    def test_what_was_ours_to_write_is_not_seen_as_an_edit(self, world: World) -> None:
        world.fs.put(LOOSE, WHOLE)
        world.wait(61)
        assert "json-edited" not in world.events()

    @pytest.mark.parametrize(
        "raw",
        [
            b'it\'s "quoted" $(x).gguf',
            b"new\nline.gguf",
            b"\xff\xfe.gguf",
            b" . .gguf",
            b"x" * 250 + b".gguf",
        ],
        ids=["quotes", "newline", "not UTF-8", "dots", "255 bytes"],
    )
    def test_every_name_that_a_disk_can_hold_is_handled(self, world: World, raw: bytes) -> None:
        name = paths.encode_name(raw)
        world.fs.put(f"models/{name}", WHOLE)
        world.tick()
        (model,) = world.catalogue.models.values()
        assert (model.status, model.reason) == ("ready", None)
        assert model.binary == f"{model.folder}/{name}"
        assert world.fs.read(model.binary) == WHOLE
        world.restart()
        assert [model] == list(world.catalogue.models.values())

    def test_what_is_behind_a_linked_folder_is_not_ours(self, world: World) -> None:
        world.fs.put("/home/user/hub/a.gguf", WHOLE)
        world.fs.symlink("models/hub", "/home/user/hub")
        world.fs.symlink("models/loop", ".")
        world.tick("", "models/hub", "models/loop")
        assert not world.events()
        assert set(world.fs.list("/home/user/hub")) == {"a.gguf"}

    def test_a_folder_that_cannot_be_read_takes_nothing_away(self, tmp_path: Path) -> None:
        failing: dict[str, int] = {}

        def on_call(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
            if name in failing and args[0] not in (paths.MODELS, MARKER):
                raise OSError(failing[name], os.strerror(failing[name]), *args[:1])
            return perform(*args, **kwargs)

        world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, on_call))
        world.fs.put("models/a/a.gguf", WHOLE)
        world.tick()
        position = world.log.head.position
        for call in ("list", "stat", "open", "read_at", "being_written", "has_holes"):
            for code in (errno.EIO, errno.EACCES):
                failing[call] = code
                world.tick("models/a", "models/a/a.gguf", "models/a/model.json")
                world.tick("")
                assert world.pipeline.snapshot.failing is None, f"{call}: {world.pipeline.snapshot.failing}"
                failing.clear()
        world.wait(61)
        assert not world.events(position)
        world.stop()

    def test_a_file_that_cannot_be_read_is_tried_ever_more_rarely_and_at_once_on_a_hint(
        self, tmp_path: Path
    ) -> None:
        broken, tried = True, []

        def on_call(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
            if broken and name == "open" and args[0] == LOOSE:
                tried.append(world.clock.monotonic())
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return perform(*args, **kwargs)

        world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, on_call))
        world.fs.put(LOOSE, WHOLE)
        world.wait(10)
        assert len(tried) >= 2, "at first soon"
        world.wait(600)
        assert len(tried) <= 20, f"a disk that fails for good is asked all the time: {tried}"
        broken = False
        world.tick(LOOSE)
        assert world.model("whole").status == "ready"
        world.stop()


class TestManifests:
    PATH = "models/whole/model.json"

    def edit(self, world: World, text: bytes) -> None:
        world.clock.advance(1)
        world.fs.put(self.PATH, text)
        world.wait(1)

    def test_an_edit_is_recorded_with_its_text_obeyed_and_left_alone(self, world: World) -> None:
        world.fs.put(LOOSE, WHOLE)
        world.tick()
        text = b'// mine\n{"name": "Mine", "model_parameters": {"temperature": 0.1},}\n'
        self.edit(world, text)
        file = world.file(self.PATH)
        assert file.manifest is not None
        assert (file.manifest.name, file.manifest.model_parameters) == ("Mine", {"temperature": 0.1})
        assert file.document is not None
        assert world.log.document(file.document) == text
        world.wait(120)
        assert world.fs.read(self.PATH) == text

    @pytest.mark.parametrize("broken", [b'{"name": ', b"", b"[]", b'{"model_parameters": 7}', b"\xff"])
    def test_a_broken_one_keeps_the_last_good_in_force_and_is_left_alone(
        self, world: World, broken: bytes
    ) -> None:
        world.fs.put(LOOSE, WHOLE)
        world.tick()
        self.edit(world, b'{"name": "Good"}')
        self.edit(world, broken)
        model, file = world.model("whole"), world.file(self.PATH)
        assert file.manifest is not None
        assert file.manifest.name == "Good"
        assert model.status == "ready"
        assert model.reason is not None
        assert "last good model.json stays in force" in model.reason
        assert world.fs.read(self.PATH) == broken
        world.restart()
        assert world.model("whole") == model
        self.edit(world, b'{"name": "Good"}')
        assert world.model("whole").reason is None, "mended"
        assert world.events().count("json-rejected") == 1

    def test_a_broken_one_without_a_good_one_before_makes_the_model_invalid(self, world: World) -> None:
        world.fs.put("models/a/a.gguf", WHOLE)
        world.fs.put("models/a/model.json", b'{\n  "name": oops\n}')
        world.wait(1)
        model = world.model("a")
        assert model.status == "invalid"
        assert model.reason is not None
        assert model.reason.startswith("model.json, line 2, column 11: ")

    def test_an_edit_in_progress_is_no_error(self, world: World) -> None:
        world.fs.put(LOOSE, WHOLE)
        world.tick()
        position = world.log.head.position
        world.clock.advance(1)
        world.fs.put(self.PATH, b'{"name": ')
        world.tick()
        world.clock.advance(0.1)
        world.fs.put(self.PATH, b'{"name": "Done"}')
        world.wait(2)
        assert world.events(position) == ["json-edited"]

    def test_a_removed_one_is_written_anew(self, world: World) -> None:
        world.fs.put(LOOSE, WHOLE)
        world.tick()
        position = world.log.head.position
        world.fs.remove(self.PATH)
        world.tick()
        assert world.events(position) == ["json-removed", "write-planned", "json-written"]


@pytest.mark.parametrize("folder", [paths.ENGINES, "models/whole", paths.MODELS])
def test_what_one_wrong_listing_leaves_out_is_not_concluded_to_be_gone(tmp_path: Path, folder: str) -> None:
    wrong: list[str] = []

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if name == "list" and wrong == [*args]:
            wrong.clear()
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return perform(*args, **kwargs)

    world = World(tmp_path / "other.db", port=lambda fs: HookedFileSystem(fs, hook))
    world.engine_files = {"engines/llama-cpp.json": b"{}"}
    world.restart()
    world.fs.put(LOOSE, WHOLE)
    world.come_to_rest()
    position = world.log.head.position
    wrong.append(folder)
    world.tick("")
    assert not wrong, "it was not listed"
    world.tick("")
    assert not world.events(position)
    world.stop()
