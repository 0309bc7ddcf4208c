"""The planner's world without disk or database."""

from janfs.catalogue.catalogue import Catalogue, find_model, uid_at
from janfs.catalogue.entries import Model
from janfs.catalogue.fold import Recorded, fold
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts
from janfs.manifest.schema import Manifest
from janfs.organise.planner import next_step
from janfs.organise.steps import Copy, Decide, Generate, Move, Policy, Step
from tests.catalogue.strategies import facts

MODEL = facts()


class World:
    """A folder and its log, without disk or database: files appear, and every step is carried out."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self.fails = False
        self.policy = Policy()
        self._inode = 0

    def say(self, uid: str, *events: e.Event) -> None:
        for event in events:
            position = self.catalogue.position + 1
            item = Recorded(position, uid, f"2026-01-01T00:00:00.{position:06}Z", event)
            self.catalogue, _ = fold(self.catalogue, [item])

    def drop(self, path: str, said: GgufFacts | None = MODEL, *, uid: str | None = None) -> str:
        """A file is seen, in the stream that its place has already, or a new one."""
        self._inode += 1
        stream = uid or uid_at(self.catalogue, paths.place(path)) or f"u{self._inode}"
        stamp = Stamp(100 + self._inode, 1, self._inode)
        if paths.is_manifest(path):
            self.say(stream, e.JsonEdited(path, stamp, "ab", Manifest()))
        else:
            self.say(stream, e.FileDropped(path, stamp, facts=said))
        return stream

    def edit(self, path: str, manifest: Manifest) -> None:
        """Someone writes a model.json."""
        self._inode += 1
        stream = uid_at(self.catalogue, paths.place(path)) or f"u{self._inode}"
        self.say(
            stream, e.JsonEdited(path, Stamp(2, 3, self._inode), "cd", manifest, (), ("/engine_parameters",))
        )

    def present(self) -> list[Model]:
        return [model for model in self.catalogue.models.values() if model.removed is None]

    def model(self, model_id: str) -> Model:
        found = find_model(self.catalogue, model_id)
        assert found is not None, f"there is no {model_id}, but {[model.id for model in self.present()]}"
        return found

    def remove(self, path: str) -> None:
        self.say(self.catalogue.files[path].uid, e.FileRemoved(path))

    def places(self) -> list[str]:
        models = [model.folder for model in self.catalogue.models.values()]
        return sorted({*map(paths.place, self.catalogue.files), *models})

    def step(self, place: str, *, retry: bool = False) -> Step | None:
        return next_step(self.catalogue, place, self.policy, retry=retry)

    def carry_out(self, step: Step) -> None:
        self._inode += 1
        op = f"op{self._inode}"
        match step:
            case Decide(events):
                for uid, event in events:
                    self.say(uid, event)
            case Copy(uid, source, target, how, stamp):
                self.say(uid, e.CopyPlanned(op, source, target, how, "organise", stamp))
                if self.fails:
                    error = "The disk is full."
                    self.say(uid, e.CopyFailed(op, source, target, how, "organise", error))
                else:
                    link = source if how == "symbolic-link" else None
                    there = stamp or Stamp(100 + self._inode, 1, self._inode)
                    self.say(uid, e.CopyCompleted(op, source, target, how, "organise", there, link))
            case Move(uid, source, target, stamp):
                self.say(uid, e.MovePlanned(op, source, target, "organise", stamp))
                taken = target in self.catalogue.files
                if self.fails or taken:
                    error = "Something of that name exists already." if taken else "The disk is full."
                    self.say(uid, e.MoveFailed(op, source, target, "organise", error))
                else:
                    self.say(uid, e.MoveCompleted(op, source, target, "organise", stamp))
            case Generate(uid, path):
                self.say(uid, e.WritePlanned(op, path, "ab"))
                made = Stamp(2, 2, self._inode)
                if self.fails:
                    self.say(uid, e.WriteFailed(op, path, "The disk is full."))
                else:
                    made_from = step.made_from
                    self.say(uid, e.JsonWritten(op, path, made, "ab", Manifest(), made_from=made_from))

    def settle(self, *, retry: bool = False) -> list[Step]:
        """Do all there is to do; the steps taken."""
        taken: list[Step] = []
        while True:
            steps = [step for p in self.places() if (step := self.step(p, retry=retry)) is not None]
            if not steps:
                return taken
            for place in self.places():
                step = self.step(place, retry=retry)
                if step is not None:
                    taken.append(step)
                    self.carry_out(step)
            assert len(taken) < 200, f"it does not end: {taken[-3:]}"

    def folders(self) -> dict[str, set[str]]:
        """Names of files by folder."""
        found: dict[str, set[str]] = {}
        for path in self.catalogue.files:
            found.setdefault(paths.parent(path), set()).add(paths.name(path))
        return found
