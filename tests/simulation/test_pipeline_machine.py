"""A person, a disk and a watcher do whatever they like, and the pipeline keeps up.

hypothesis prints the steps that lead to a failure, smallest first, and `@reproduce_failure` for it.
"""

import errno
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from janfs.catalogue.catalogue import present_models
from janfs.errors import ManifestError
from janfs.folder import paths
from janfs.manifest.edit import edit
from janfs.manifest.leaves import REMOVED, Pointer
from janfs.manifest.patch import Patch
from janfs.pipeline.commands import Edit, Submitted
from tests.fakes.faults import HookedFileSystem, P, T
from tests.fakes.filesystem import FakeFileSystem, Writer
from tests.folder import gguf_bytes as make
from tests.pipeline import invariants
from tests.pipeline.hands import check_only_janfs_moved, photo
from tests.pipeline.world import World, gguf

MODELS = {name: gguf(name) for name in ("first", "second", "third")}
MANIFESTS = {
    "plain": b'{"name": "Mine"}',
    "changed": b'{"name": "Mine", "model_parameters": {"temperature": 0.1}}',
    "commented": b'// a comment\n{"name": "Commented", /* another */ "engine": "llama-cpp",}',
    "to download": b'{"sources": [{"filename": "x.gguf", "url": "https://example.org/x.gguf"}]}',
    "cut off": b'{"name": ',
    "empty": b"",
}
NOT_MODELS = {
    "empty": b"",
    "text": b"This is text.\n" * 9,
    "four bytes": b"GGUF",
    "boastful": make.header(tensor_count=2**60),
    "wrong magic": b"FUGG" + MODELS["first"][4:],
}
FOLDERS = ["alpha", "beta", "Gamma One", "nest/alpha", "nest/deep/beta", "new\nline"]
# Several lead to one id; some lead to the name of a folder above.
FILES = [
    "alpha.gguf",
    "Alpha.GGUF",
    "-alpha-.gguf",
    "beta.Q4_0.gguf",
    "beta.gguf",
    "%FF.gguf",
    'it\'s "it".gguf',
]
OTHERS = ["README.md", "alpha.gguf.part", "notes.txt"]

folders = st.sampled_from([paths.MODELS, *(f"{paths.MODELS}/{name}" for name in FOLDERS)])
binaries = st.builds(paths.join, folders, st.sampled_from(FILES))
anything = st.builds(paths.join, folders, st.sampled_from(FILES + OTHERS))
numbers = st.integers(0, 1000)


class Moods:
    """Calls that fail from now on, wherever they go, until mended."""

    def __init__(self) -> None:
        self.failing: dict[str, int] = {}

    def __call__(self, name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if name in self.failing:
            raise OSError(self.failing[name], os.strerror(self.failing[name]), *args[:1])
        return perform(*args, **kwargs)


class PipelineMachine(RuleBasedStateMachine):
    """Between rules only the person acts; each tick must leave to the person what is the person's."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.moods = Moods()
        self.writers: list[tuple[Writer, bytes]] = []
        self.deleting = False

    @initialize()
    def begin(self) -> None:
        database = self.folder / "log.db"
        for path in self.folder.iterdir():
            path.unlink()
        self.world = World(database, port=lambda fs: HookedFileSystem(fs, self.moods))
        self.janfs(self.world.tick)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.come_to_rest()
            finally:
                self.world.stop()

    @property
    def fs(self) -> FakeFileSystem:
        return self.world.fs

    def janfs(self, act: Callable[[], object]) -> None:
        """Let janfs act, and see to it that it kept its hands off what is not its own."""
        since, before = self.world.log.head.position, photo(self.fs)
        act()
        check_only_janfs_moved(self.world, since, before, photo(self.fs), deleting=self.deleting)
        failing = self.world.pipeline.snapshot.failing
        assert failing is None, failing

    def person(self, act: Callable[[], object]) -> None:
        """Let the person act, where the disk lets them, a moment after what was before."""
        self.world.clock.advance(0.005)
        try:
            act()
        except OSError as error:
            expected = (
                errno.ENOENT,
                errno.ENOTDIR,
                errno.EISDIR,
                errno.EINVAL,
                errno.ENOTEMPTY,
                errno.EEXIST,
            )
            assert error.errno in expected, f"the fake disk refused: {error}"  # noqa: PT017

    def some_file(self, number: int) -> str | None:
        files = [path for path in self.fs.files(paths.MODELS) if not paths.is_ignored(paths.name(path))]
        return files[number % len(files)] if files else None

    def some_folder(self, number: int) -> str | None:
        found, todo = [], [paths.MODELS]
        while todo:
            folder = todo.pop()
            for name, stat in self.fs.list(folder).items():
                if stat.is_dir and stat.link is None:
                    found.append(paths.join(folder, name))
                    todo.append(paths.join(folder, name))
        return sorted(found)[number % len(found)] if found else None

    @property
    def away(self) -> bool:
        return self.fs.stat("/away") is not None

    # --- the person ---

    @precondition(lambda self: not self.away)
    @rule(path=binaries, model=st.sampled_from(sorted(MODELS)))
    def drop_model(self, path: str, model: str) -> None:
        self.person(lambda: self.fs.put(path, MODELS[model]))

    @precondition(lambda self: not self.away)
    @rule(path=anything, kind=st.sampled_from(sorted(NOT_MODELS)))
    def drop_something_else(self, path: str, kind: str) -> None:
        self.person(lambda: self.fs.put(path, NOT_MODELS[kind]))

    @precondition(lambda self: not self.away)
    @rule(path=binaries, model=st.sampled_from(sorted(MODELS)), share=st.floats(0, 0.99))
    def drop_half(self, path: str, model: str, share: float) -> None:
        content = MODELS[model]
        self.person(lambda: self.fs.put(path, content[: int(share * len(content))]))

    @precondition(lambda self: not self.away)
    @rule(path=binaries, model=st.sampled_from(sorted(MODELS)), preallocated=st.booleans())
    def begin_copy(self, path: str, model: str, preallocated: bool) -> None:
        content = MODELS[model]

        def begin() -> None:
            writer = self.fs.start_write(path, len(content) if preallocated else None)
            writer.write(content[: len(content) // 2])
            self.writers.append((writer, content))

        self.person(begin)

    @precondition(lambda self: self.writers)
    @rule(number=numbers, whole=st.booleans())
    def end_copy(self, number: int, whole: bool) -> None:
        writer, content = self.writers.pop(number % len(self.writers))

        def end() -> None:
            if whole:
                writer.write(content[writer.offset :])
            writer.close()

        self.person(end)

    @precondition(lambda self: not self.away)
    @rule(number=numbers, path=anything)
    def move_file(self, number: int, path: str) -> None:
        source = self.some_file(number)
        if source is not None:
            self.person(lambda: self.fs.rename_over(source, path))

    @precondition(lambda self: not self.away)
    @rule(number=numbers, path=binaries)
    def copy_file(self, number: int, path: str) -> None:
        source = self.some_file(number)
        if source is not None:
            self.person(lambda: self.fs.copy(source, path))

    @precondition(lambda self: not self.away)
    @rule(number=numbers, path=binaries, symbolic=st.booleans())
    def link_file(self, number: int, path: str, symbolic: bool) -> None:
        source = self.some_file(number)
        if source is None:
            return
        if symbolic:
            up = "../" * (path.count("/"))
            self.person(lambda: self.fs.symlink(path, up + source))
        else:
            self.person(lambda: self.fs.hard_link(source, path))

    @precondition(lambda self: not self.away)
    @rule(number=numbers)
    def touch_file(self, number: int) -> None:
        path = self.some_file(number)
        if path is not None:
            self.person(lambda: self.fs.touch(path))

    @precondition(lambda self: not self.away)
    @rule(number=numbers)
    def remove_file(self, number: int) -> None:
        path = self.some_file(number)
        if path is not None:
            self.person(lambda: self.fs.remove(path))

    @precondition(lambda self: not self.away)
    @rule(number=numbers, path=folders)
    def move_folder(self, number: int, path: str) -> None:
        source = self.some_folder(number)
        if source is not None:
            self.person(lambda: self.fs.rename_over(source, path))

    @precondition(lambda self: not self.away)
    @rule(number=numbers)
    def remove_folder(self, number: int) -> None:
        folder = self.some_folder(number)
        if folder is not None:
            self.person(lambda: self.fs.remove_tree(folder))

    @precondition(lambda self: not self.away)
    @rule(number=numbers, kind=st.sampled_from(sorted(MANIFESTS)), at_once=st.booleans())
    def edit_manifest(self, number: int, kind: str, at_once: bool) -> None:
        folder = self.some_folder(number)
        if folder is None:
            return
        path, text = paths.join(folder, paths.MANIFEST), MANIFESTS[kind]
        if at_once:  # as editors save: a new file over the old
            self.person(lambda: self.fs.put(path + "~", text))
            self.person(lambda: self.fs.rename_over(path + "~", path))
        else:
            self.person(lambda: self.fs.put(path, text))

    @precondition(lambda self: not self.away)
    @rule(
        number=numbers,
        field=st.sampled_from(
            [("name",), ("metadata", "tags"), ("model_parameters", "top_p"), ("metadata",)]
        ),
        value=st.sampled_from(["mine", 0.5, REMOVED]),
    )
    def edit_a_field(self, number: int, field: Pointer, value: Any) -> None:
        written = [path for path in self.fs.files(paths.MODELS) if paths.is_manifest(path)]
        if not written:
            return
        path = written[number % len(written)]
        try:
            text = edit(self.fs.read(path), {field: value})
        except ManifestError:
            return
        self.person(lambda: self.fs.put(path, text))

    # --- what happens to the disk ---

    @precondition(lambda self: not self.away)
    @rule(mount_point=st.booleans())
    def unmount(self, mount_point: bool) -> None:
        self.person(lambda: self.fs.rename_over(paths.MODELS, "/away"))
        if mount_point:
            self.person(lambda: self.fs.mkdir(paths.MODELS))

    @precondition(lambda self: self.away)
    @rule()
    def mount(self) -> None:
        if self.fs.stat(paths.MODELS) is not None:
            self.person(lambda: self.fs.remove_tree(paths.MODELS))
        self.person(lambda: self.fs.rename_over("/away", paths.MODELS))

    @rule(
        call=st.sampled_from(["create", "make_folder", "make_link", "rename", "unlink", "sync_folder"]),
        code=st.sampled_from([errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EIO]),
    )
    def refuse_writing(self, call: str, code: int) -> None:
        self.moods.failing[call] = code

    @rule(
        call=st.sampled_from(["list", "stat", "open", "read_at", "being_written", "has_holes"]),
        code=st.sampled_from([errno.EACCES, errno.EIO]),
    )
    def refuse_reading(self, call: str, code: int) -> None:
        self.moods.failing[call] = code

    @precondition(lambda self: self.moods.failing)
    @rule()
    def mend(self) -> None:
        self.moods.failing.clear()

    # --- the watcher and the clock ---

    @rule()
    def tell_all(self) -> None:
        self.janfs(self.world.tick)

    @precondition(lambda self: self.world.hints)
    @rule(data=st.data())
    def tell_some(self, data: st.DataObject) -> None:
        """In any order, some twice, some never."""
        told = data.draw(st.lists(st.sampled_from(sorted(set(self.world.hints))), max_size=4), "told")
        self.world.hints.clear()
        self.janfs(lambda: self.world.pipeline.tick(told))

    @rule(seconds=st.sampled_from([0.05, 0.5, 3, 6, 61, 4000]))
    def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.janfs(partial(self.world.pipeline.tick))

    # --- janfs ---

    @precondition(lambda self: any(present_models(self.world.catalogue)))
    @rule(number=numbers)
    def delete_model(self, number: int) -> None:
        ids = sorted(model.id for model in present_models(self.world.catalogue))
        self.deleting = True
        self.janfs(lambda: self.world.delete(ids[number % len(ids)]))

    @precondition(lambda self: any(present_models(self.world.catalogue)))
    @rule(
        number=numbers,
        values=st.dictionaries(
            st.sampled_from([("name",), ("metadata", "tags"), ("model_parameters", "top_p")]),
            st.sampled_from(["ours", 0.25, REMOVED]),
            max_size=2,
        ),
        given_back=st.sampled_from([(), (("metadata",),), (("description",),)]),
    )
    def set_fields(self, number: int, values: dict[Pointer, Any], given_back: tuple[Pointer, ...]) -> None:
        """Ask for fields to be changed; what cannot be is refused, and changes nothing."""
        ids = sorted(model.id for model in present_models(self.world.catalogue))
        asked = Submitted(Edit(ids[number % len(ids)], Patch(values, given_back), "api:test"))
        self.janfs(lambda: self.world.pipeline.tick([], [asked]))
        assert asked.done.done(), "nobody answered"

    @rule()
    def restart(self) -> None:
        self.janfs(self.world.restart)

    @rule()
    def come_to_rest(self) -> None:
        self.moods.failing.clear()
        self.janfs(self.world.come_to_rest)
        self.deleting = False
        invariants.check_at_rest(self.world)


def run(examples: int, steps: int) -> None:
    with tempfile.TemporaryDirectory() as name:

        class Machine(PipelineMachine):
            folder = Path(name)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                print_blob=True,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_the_pipeline_keeps_up_and_keeps_its_hands_off() -> None:
    run(examples=100, steps=25)


@pytest.mark.long
def test_the_pipeline_keeps_up_for_long() -> None:
    run(examples=5000, steps=60)
