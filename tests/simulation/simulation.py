"""The whole pipeline, a person, a disk, a watcher and a clock, in one thread, out of one seed."""

from collections.abc import Callable
from pathlib import Path
from random import Random

from janfs.catalogue.catalogue import present_models
from janfs.errors import FolderError
from janfs.folder import paths
from janfs.pipeline.commands import Dedupe, Record, Submitted
from janfs.pipeline.verifying import compare, hash_alike
from tests.fakes.faults import Crash, HookedFileSystem
from tests.fakes.filesystem import Writer
from tests.pipeline import invariants
from tests.pipeline.hands import check_only_janfs_moved, photo
from tests.pipeline.world import World
from tests.simulation.archives import Archives
from tests.simulation.contents import MODELS
from tests.simulation.person import FILES, Person
from tests.simulation.weather import Weather

FAT, NFS = 2 * 10**9, 10**7  # steps of time stamps, in ns; NFS with a server that has a clock of 100 Hz
AWAY = "/away"
OUT = "/home/user/out"


class Simulation:
    """One life of a folder. Every choice is drawn from the seed, so that a second run is the same."""

    def __init__(self, seed: int, database: Path) -> None:
        self.random = Random(seed)
        holder: list[Weather] = []
        self.world = World(
            database,
            port=lambda fs: HookedFileSystem(fs, holder.append(Weather(self.random, fs.clock)) or holder[0]),
            prepare=lambda engine: holder[0].prepare(engine),
            reuse_inodes=self.random.random() < 0.5,
            granularity_ns=self.random.choice((1, 1, NFS, FAT)),
            folds=self.random.random() < 0.25,
            exchanges=seed % 3 != 2,
        )
        self.weather = holder[0]
        self.fs = self.world.fs
        self.fs.knows_writers = self.random.random() < 0.8
        self.person = Person(self.fs, self.random)
        self.archives = Archives(self.world, database.parent, self._janfs)
        self.writers: list[tuple[Writer, bytes]] = []
        self.deleting = False
        self.steps: tuple[tuple[int, Callable[[], None]], ...] = (
            (6, self.person.drop),
            (8, self.person.act),
            (3, self._begin_copy),
            (4, self._go_on_copying),
            (2, self._take_out),
            (2, self._bring_back),
            (1, self._restore_from_trash),
            (1, self._pull_root_away),
            (2, self._drop_archive),
            (2, self._take_archives_in),
            (9, self._tell),
            (6, self._wait),
            (2, self._change_weather),
            (2, self._crash_soon),
            (2, self._restart),
            (1, self._delete_model),
            (1, self._hash_and_dedupe),
            (1, self._jump_clock),
        )

    def live(self, steps: int) -> None:
        """So many things happen, and then there is peace; all must be well in the end."""
        weights = [weight for weight, _ in self.steps]
        for _, step in self.random.choices(self.steps, weights, k=steps):
            step()
        self.come_to_rest()

    def come_to_rest(self) -> None:
        """Nothing more goes wrong, nobody does anything, and time passes."""
        self.weather.clear()
        self._put_root_back()
        for writer, _ in self.writers:
            writer.close()
        self._janfs(self.world.restart)
        self._janfs(self.world.come_to_rest)
        self.deleting = False
        invariants.check_at_rest(self.world)

    def _janfs(self, act: Callable[[], object]) -> None:
        """Let janfs act, see to it that it kept to what is its own, and start it again if it died."""
        since, before = self.world.log.head.position, photo(self.fs)
        died = False
        try:
            act()
        except Crash:
            died = True
        check_only_janfs_moved(self.world, since, before, photo(self.fs), deleting=self.deleting)
        failing = self.world.pipeline.snapshot.failing
        assert failing is None, failing
        if died:
            if self.random.random() < 0.3:
                self.fs.power_cut()
                self.writers.clear()
            self._start_anew()

    # The person.

    def _begin_copy(self) -> None:
        if self._is_away:
            return
        content = self.random.choice(MODELS)
        path = paths.join(paths.MODELS, self.random.choice(FILES))
        stat = self.fs.stat(path)
        if stat is not None and (stat.is_dir or stat.stamp is None):
            return
        size = len(content) if self.random.random() < 0.3 else None
        self.writers.append((self.fs.start_write(path, size), content))

    def _go_on_copying(self) -> None:
        if not self.writers:
            return
        writer, content = self.random.choice(self.writers)
        left = content[writer.offset :]
        writer.write(left[: self.random.choice((50, 200, len(left)))])
        if writer.offset == len(content):
            writer.close()
            self.writers.remove((writer, content))

    def _take_out(self) -> None:
        found = [] if self._is_away else self.person.folders() + self.person.files()
        if found:
            path = self.random.choice(found)
            self.fs.rename_over(path, f"{OUT}/{self.random.randrange(10**6)}/{paths.name(path)}")

    def _bring_back(self) -> None:
        if self._is_away or self.fs.stat(OUT) is None:
            return
        for number in sorted(self.fs.list(OUT))[:1]:
            for name in self.fs.list(f"{OUT}/{number}"):
                if self.fs.stat(paths.join(paths.MODELS, name)) is None:
                    self.fs.rename_over(f"{OUT}/{number}/{name}", paths.join(paths.MODELS, name))
            if not self.fs.list(f"{OUT}/{number}"):
                self.fs.remove_tree(f"{OUT}/{number}")

    def _restore_from_trash(self) -> None:
        if self._is_away or self.fs.stat(paths.TRASH) is None:
            return
        for name in sorted(self.fs.list(paths.TRASH))[:1]:
            target = paths.join(paths.MODELS, name.rpartition("-")[0] or name)
            if self.fs.stat(target) is None:
                self.fs.rename_over(paths.join(paths.TRASH, name), target)

    def _pull_root_away(self) -> None:
        """Pulled, or put back if it was."""
        if self._is_away:
            self._put_root_back()
            return
        self.fs.rename_over(paths.MODELS, AWAY)
        if self.random.random() < 0.5:
            self.fs.mkdir(paths.MODELS)

    def _put_root_back(self) -> None:
        if self._is_away:
            if self.fs.stat(paths.MODELS) is not None:
                self.fs.remove_tree(paths.MODELS)
            self.fs.rename_over(AWAY, paths.MODELS)

    @property
    def _is_away(self) -> bool:
        return self.fs.stat(AWAY) is not None

    def _drop_archive(self) -> None:
        """One that `janfs export` made of a model, whole or cut, or something that only has such a name."""
        models = sorted(present_models(self.world.catalogue), key=lambda model: model.id)
        if self._is_away:
            return
        packed = self.archives.export(self.random.choice(models)) if models else None
        content = packed if packed is not None and self.random.random() < 0.7 else b"packed"
        if self.random.random() < 0.2:
            content = content[: int(self.random.random() * len(content))]
        self.fs.put(f"{paths.MODELS}/packed{paths.ARCHIVE_SUFFIX}", content)

    def _take_archives_in(self) -> None:
        """As the thread beside the pipeline does."""
        if not self._is_away:
            self.archives.take_all(lambda: self.random.random() < 0.2)

    # The watcher and the clock.

    def _tell(self) -> None:
        """What changed is told: all, or some of it, in any order, twice, never, or that it was too much."""
        hints, how = self.world.hints.copy(), self.random.random()
        if how < 0.1:
            hints = [""]
        elif how < 0.4:
            hints = [hint for hint in hints if self.random.random() < 0.7] * self.random.choice((1, 2))
            self.random.shuffle(hints)
        self.world.hints.clear()
        self._janfs(lambda: self.world.pipeline.tick(hints))

    def _wait(self) -> None:
        self.world.clock.advance(self.random.choice((0.05, 0.5, 3.0, 6.0, 61.0, 4000.0)))
        self._janfs(self.world.pipeline.tick)

    def _jump_clock(self) -> None:
        self.world.clock.jump(self.random.choice((-3600.0, 3600.0)))

    # Bad luck, and what is asked of janfs.

    def _change_weather(self) -> None:
        self.weather.change()

    def _crash_soon(self) -> None:
        self.weather.crash_soon()

    def _restart(self) -> None:
        self._start_anew()
        self._janfs(self.world.pipeline.tick)

    def _start_anew(self) -> None:
        """A new process; that it dies before it has begun is not told from its never having been started."""
        self.weather.spare()
        self.world.stop()
        self.world.hints.clear()
        self.world.start()

    def _delete_model(self) -> None:
        ids = sorted(model.id for model in present_models(self.world.catalogue))
        if ids:
            chosen = self.random.choice(ids)
            self.deleting = True
            self._janfs(lambda: self.world.delete(chosen))

    def _hash_and_dedupe(self) -> None:
        """As the hasher and `janfs dedupe` do, from beside the pipeline."""
        drafts = hash_alike(self.fs, self.world.catalogue)
        self._janfs(lambda: self.world.pipeline.tick([], [Submitted(Record(tuple(drafts)))]))
        for uid in sorted(model.uid for model in present_models(self.world.catalogue)):
            try:
                pairs, more = compare(self.fs, self.world.catalogue, uid)
            except FolderError:
                continue
            asked = [Submitted(Record(tuple(more))), Submitted(Dedupe(tuple(pairs), "cli"))]
            if pairs:
                self._janfs(lambda asked=asked: self.world.pipeline.tick([], asked))
