"""A person with a folder: what lies in it at first, and what they do to it next, all by one random source."""

import errno
from collections.abc import Callable
from contextlib import suppress
from random import Random

from janfs.folder import paths
from tests.fakes.filesystem import FakeFileSystem
from tests.simulation.contents import (
    BROKEN,
    MANIFESTS,
    MODELS,
    NAMES,
    PAPERS,
    PARTS,
    adapter,
    model,
    projector,
    shard,
)

FOLDERS = ("alpha", "beta", "Gamma One", "org/alpha", "org/beta", "a/deep/er/one", "ALPHA", "new\nline")
ELSEWHERE = "/home/user/elsewhere"  # a folder that links may lead to, and nothing else
FILES = ("alpha.gguf", "Alpha.GGUF", "-alpha-.gguf", "beta.gguf", "beta.Q4_0.gguf", "model.gguf", "%FF.gguf")


class Person:
    """Makes trees, and changes them; where the disk says no, nothing happens."""

    def __init__(self, fs: FakeFileSystem, random: Random) -> None:
        self.fs = fs
        self.random = random
        self._hubs = 0
        self.drops: tuple[Callable[[], None], ...] = (
            self._drop_loose,
            self._drop_folder,
            self._drop_quantisations,
            self._drop_shards,
            self._drop_part,
            self._drop_hub,
            self._drop_manifest,
            self._drop_broken,
        )
        self.acts: tuple[Callable[[], None], ...] = (
            self._move_file,
            self._copy_file,
            self._link_file,
            self._remove_file,
            self._touch_file,
            self._replace_file,
            self._cut_file,
            self._edit_manifest,
            self._move_folder,
            self._copy_folder,
            self._remove_folder,
            self.drop,
        )

    def drop(self) -> None:
        """Something new comes."""
        self._try(self.random.choice(self.drops))

    def act(self) -> None:
        """Something happens to what is there, or comes."""
        self._try(self.random.choice(self.acts))

    def files(self) -> list[str]:
        """Every file and link below `models/` that a person would touch."""
        return [path for path, is_dir in self._walk() if not is_dir]

    def folders(self) -> list[str]:
        """Every folder below `models/`."""
        return [path for path, is_dir in self._walk() if is_dir]

    def _walk(self, folder: str = paths.MODELS) -> list[tuple[str, bool]]:
        found = []
        for name, stat in self.fs.list(folder).items():
            path = paths.join(folder, name)
            if name.startswith("."):
                continue
            is_dir = stat.is_dir and stat.link is None
            found.append((path, is_dir))
            if is_dir:
                found += self._walk(path)
        return found

    def _try(self, act: Callable[[], None]) -> None:
        self.fs.clock.advance(0.005)
        refused = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ENOTEMPTY, errno.EEXIST)
        try:
            act()
        except OSError as error:
            if error.errno not in (*refused, errno.ELOOP):
                raise

    def _place(self) -> str:
        """A folder, `models/` itself among them."""
        name = self.random.choice((None, *FOLDERS))
        return paths.MODELS if name is None else paths.join(paths.MODELS, name)

    def _name(self) -> str:
        return self.random.choice(FILES)

    def _some(self, found: list[str]) -> str:
        if not found:
            raise FileNotFoundError(errno.ENOENT, "nothing is there")
        return self.random.choice(found)

    def _papers(self, folder: str) -> None:
        for name, text in PAPERS.items():
            if self.random.random() < 0.3:
                self.fs.put(paths.join(folder, name), text)

    # What comes.

    def _drop_loose(self) -> None:
        self.fs.put(paths.join(paths.MODELS, self._name()), self.random.choice(MODELS))

    def _drop_folder(self) -> None:
        folder = self._place()
        self.fs.put(paths.join(folder, self._name()), self.random.choice(MODELS))
        self._papers(folder)
        if self.random.random() < 0.4 and folder != paths.MODELS:
            self.fs.put(paths.join(folder, paths.MANIFEST), self.random.choice(MANIFESTS))

    def _drop_quantisations(self) -> None:
        folder, name = self._place(), self.random.choice(NAMES)
        for variant in self.random.sample(("Q4_0", "Q8_0", "F16"), 2):
            self.fs.put(paths.join(folder, f"{name}-{variant}.gguf"), model(name, variant))
        if self.random.random() < 0.4:
            self.fs.put(paths.join(folder, "mmproj-F16.gguf"), projector(name))
        self._papers(folder)

    def _drop_shards(self) -> None:
        folder, name = self._place(), self.random.choice(NAMES)
        count = self.random.choice((2, 3))
        for number in range(1, count + 1):
            if self.random.random() < 0.85:
                path = paths.join(folder, f"big-{number:05d}-of-{count:05d}.gguf")
                self.fs.put(path, shard(name, number, count))

    def _drop_part(self) -> None:
        make, name = self.random.choice((projector, adapter)), self.random.choice(NAMES)
        kind = "mmproj-F16" if make is projector else "lora"
        self.fs.put(paths.join(self._place(), f"{kind}.gguf"), make(name))

    def _drop_hub(self) -> None:
        self._hubs += 1
        hub = f"{paths.MODELS}/hub/models--org--r{self._hubs % 2}"
        for revision in self.random.sample(("aaa", "bbb"), self.random.choice((1, 2))):
            content = self.random.choice(MODELS)
            blob = f"{self._hubs % 3:064x}"
            self.fs.put(f"{hub}/blobs/{blob}", content)
            self.fs.symlink(f"{hub}/snapshots/{revision}/{self._name()}", f"../../blobs/{blob}")

    def _drop_manifest(self) -> None:
        path = paths.join(paths.MODELS, self.random.choice(FOLDERS), paths.MANIFEST)
        self.fs.put(path, self.random.choice(MANIFESTS))

    def _drop_broken(self) -> None:
        self.fs.put(paths.join(self._place(), self._name()), self.random.choice(BROKEN))

    # What happens to what is there.

    def _move_file(self) -> None:
        source = self._some(self.files())
        name = self.random.choice((paths.name(source), self._name()))
        self.fs.rename_over(source, paths.join(self._place(), name))

    def _copy_file(self) -> None:
        self.fs.copy(self._some(self.files()), paths.join(self._place(), self._name()))

    def _link_file(self) -> None:
        source, path = self._some(self.files()), paths.join(self._place(), self._name())
        if self.random.random() < 0.5:
            self.fs.hard_link(source, path)
        else:
            self.fs.symlink(path, "../" * path.count("/") + source)

    def _remove_file(self) -> None:
        self.fs.remove(self._some(self.files()))

    def _touch_file(self) -> None:
        self.fs.touch(self._some(self.files()))

    def _replace_file(self) -> None:
        """As a tool that saves safely does: a new file, renamed over the old."""
        path = self._some([path for path in self.files() if paths.is_binary(path)])
        self.fs.put(path + ".part", self.random.choice(MODELS + PARTS))
        self.fs.rename_over(path + ".part", path)

    def _cut_file(self) -> None:
        path = self._some([path for path in self.files() if paths.is_binary(path)])
        content = self.fs.read(path)
        self.fs.put(path, content[: int(self.random.random() * len(content))])

    def _edit_manifest(self) -> None:
        path = paths.join(self._some(self.folders()), paths.MANIFEST)
        self.fs.put(path + "~", self.random.choice(MANIFESTS))
        self.fs.rename_over(path + "~", path)

    def _move_folder(self) -> None:
        self.fs.rename_over(self._some(self.folders()), self._place())

    def _copy_folder(self) -> None:
        source, target = self._some(self.folders()), self._place()
        if paths.is_inside(target, source) or target == paths.MODELS:
            return
        for path in self.files():
            if paths.is_inside(path, source):
                with suppress(FileNotFoundError):  # a link that leads nowhere
                    self.fs.copy(path, target + path.removeprefix(source))

    def _remove_folder(self) -> None:
        self.fs.remove_tree(self._some(self.folders()))


class Rearranger(Person):
    """Also has folders change their names with each other, and puts a link in the place of one."""

    def __init__(self, fs: FakeFileSystem, random: Random) -> None:
        super().__init__(fs, random)
        self.drops = (*self.drops, self._link_folder)
        self.acts = (*self.acts, self._rotate_folders, self._rotate_folders)

    def _link_folder(self) -> None:
        self.fs.symlink(self._place(), ELSEWHERE)

    def _rotate_folders(self) -> None:
        """Two change names, or three in a ring."""
        tops = [path for path in self.folders() if paths.parent(path) == paths.MODELS]
        ring = self.random.sample(tops, min(len(tops), self.random.choice((2, 3))))
        for number, path in enumerate(ring):
            self.fs.rename_over(path, f"/tmp/{number}")
        for number, path in enumerate((*ring[1:], *ring[:1])):
            self.fs.rename_over(f"/tmp/{number}", path)
