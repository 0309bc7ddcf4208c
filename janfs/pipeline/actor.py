"""From a step to an intent, from an intent to a deed, from a deed to its outcome."""

from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from typing import TypeVar

from janfs.catalogue.catalogue import Catalogue, files_in, find_model
from janfs.catalogue.duplicates import original_of
from janfs.catalogue.entries import Plan
from janfs.catalogue.groups import is_part
from janfs.clock import Ids
from janfs.errors import FolderError, InvalidInput, ManifestError, ModelNotFound, NotFound, Unseen
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stamp
from janfs.log.store import EventLog
from janfs.manifest.engine_file import read_file
from janfs.organise import copier, executor, replacing, sharing, swapping
from janfs.organise.disk import aside_of, stay_inside, temporary_of
from janfs.organise.steps import Copy, Generate, Move
from janfs.pipeline import trash
from janfs.pipeline.commands import Dedupe, Pair
from janfs.pipeline.manifests import Manifests
from janfs.pipeline.recorder import Draft

T = TypeVar("T")


class Actor:
    """Does on disk what was planned, and says what became of it."""

    def __init__(self, fs: FileSystem, log: EventLog, ids: Ids) -> None:
        self._fs = fs
        self._log = log
        self._ids = ids
        self._manifests = Manifests(log, ids)

    def intent(
        self, step: Move | Copy | Generate, catalogue: Catalogue, documents: dict[str, bytes]
    ) -> list[Draft]:
        """What is about to be done, if anything is; texts of model.json are added to `documents`."""
        if isinstance(step, Move):
            planned = e.MovePlanned(self._ids(), step.source, step.target, "organise", step.stamp)
            return [Draft(step.uid, planned, cause=step.cause)]
        if isinstance(step, Copy):
            copied = e.CopyPlanned(self._ids(), step.source, step.target, step.how, "organise", step.stamp)
            return [Draft(step.uid, copied, cause=step.cause)]
        return self._manifests.generated(step, catalogue, documents)

    def is_in_vain(
        self, catalogue: Catalogue, step: Move | Copy | Generate, arriving: Container[str]
    ) -> bool:
        """Whether what failed once would fail again: its file is being written, or is to be changed and has
        another name too, or something arrives or lies in its place, maybe under a name that the disk takes
        for the same.
        """
        if not isinstance(step, Generate) and (step.source in arriving or step.target in arriving):
            return True
        with suppress(OSError):
            if isinstance(step, Generate):
                changes = step.anew and catalogue.files[step.path].made_from != step.made_from
                return changes and replacing.is_shared(self._fs.stat(step.path))
            there = self._fs.stat(step.target)
            return isinstance(step, Move) and there is not None and not _is_alike(there.stamp, step.stamp)
        return False

    def pair(self, catalogue: Catalogue, command: Pair) -> list[Draft]:
        """A person says whose a projector or adapter is. Raises `NotFound` or `InvalidInput`."""
        model = find_model(catalogue, command.model_id)
        if model is None:
            raise ModelNotFound(command.model_id)
        named = [
            file
            for file in catalogue.files.values()
            if is_part(file) and command.part in (file.path, paths.shown_name(file.path))
        ]
        if not named:
            raise NotFound(
                f"No projector or adapter is called {command.part}. Give its file's name, or its path "
                "below the root.",
                param="part",
            )
        if len(named) > 1:
            where = ", ".join(file.path for file in named)
            raise InvalidInput(f"{command.part} could be {where}. Give the whole path.", param="part")
        if named[0].uid == model.uid:
            return []
        event = e.PartPaired(named[0].path, "user")
        return [Draft(model.uid, event, command.actor, named[0].position)]

    def plan_dedupe(self, catalogue: Catalogue, command: Dedupe) -> list[Draft]:
        """The intents to let copies share their originals; what is not as it was compared is left out."""
        planned = []
        for pair in command.pairs:
            copy, original = catalogue.files.get(pair.copy), catalogue.files.get(pair.original)
            if copy is None or original is None or original_of(catalogue, copy) != original:
                continue
            if (copy.stamp, original.stamp) == (pair.copy_stamp, pair.original_stamp):
                event = e.CopyPlanned(
                    self._ids(), original.path, copy.path, "hard-link", "dedupe", original.stamp
                )
                planned.append(Draft(copy.uid, event, command.actor, copy.position))
        return planned

    def carry_out(self, catalogue: Catalogue, plan: Plan, *, begun: bool) -> list[Draft]:
        """Do it, and say what became of it; `begun` is what an earlier try may have done.

        Raises `Unseen` where that cannot be said: it is to be tried again until the disk can be looked at.
        """
        if plan.reason == "write":
            return self._write(plan, begun)
        source = plan.source or ""
        if plan.how != "move":
            event = self._copy(catalogue, plan, source, plan.how, begun)
            return [Draft(plan.uid, event, cause=plan.position)]
        try:
            moved, target = _settled(lambda failed: self._move(plan, failed), begun)
        except FolderError as error:
            failed = e.MoveFailed(plan.op, source, plan.target, _move_reason(plan), error.detail)
            return [Draft(plan.uid, failed, cause=plan.position)]
        reason = _move_reason(plan)
        completed = e.MoveCompleted(plan.op, source, target, reason, moved.stamp, moved.link)
        return [Draft(plan.uid, completed, cause=plan.position)]

    def sweep(self, temporaries: Iterable[str], plans: Iterable[Plan]) -> None:
        """Clear up what earlier writes left behind, but for that of `plans` without an outcome."""
        kept = {paths.name(path) for plan in plans for path in (temporary_of(plan), aside_of(plan))}
        for path in temporaries:
            if paths.name(path) in kept:
                continue
            home = paths.home_of(path)
            with suppress(OSError, FolderError):  # the next look finds it again
                stay_inside(self._fs, path)
                if home is None:
                    self._fs.unlink(path)
                else:
                    swapping.put_back(self._fs, path, home)

    def _move(self, plan: Plan, failed: FolderError | None) -> tuple[executor.Moved, str]:
        """Move, and where it went."""
        if plan.reason == "delete":
            return trash.delete(self._fs, plan, failed)
        return executor.move(self._fs, plan, failed), plan.target

    def _copy(
        self, catalogue: Catalogue, plan: Plan, source: str, how: e.CopyHow, begun: bool
    ) -> e.CopyCompleted | e.CopyFailed:
        reason: e.CopyReason = "dedupe" if plan.reason == "dedupe" else "organise"
        try:
            if reason == "dedupe":
                copy = catalogue.files.get(plan.target)
                expected = copy.stamp if copy is not None else None
                stamp = _settled(lambda failed: sharing.share(self._fs, plan, expected, failed), begun)
                return e.CopyCompleted(plan.op, source, plan.target, how, reason, stamp, None)
            is_first = _is_first(catalogue, plan)
            copied = _settled(lambda failed: copier.copy(self._fs, plan, failed, is_first=is_first), begun)
        except FolderError as error:
            return e.CopyFailed(plan.op, source, plan.target, how, reason, error.detail)
        return e.CopyCompleted(plan.op, source, plan.target, how, reason, copied.stamp, copied.link)

    def _write(self, plan: Plan, begun: bool) -> list[Draft]:
        wanted = plan.write
        content = None if wanted is None else self._log.document(wanted.sha256)
        was = None if wanted is None or wanted.replaces is None else self._log.document(wanted.replaces)
        if wanted is None or content is None or (wanted.replaces is not None and was is None):
            lost = e.WriteFailed(plan.op, plan.target, "The text that was to be written is not in the log.")
            return [Draft(plan.uid, lost, cause=plan.position)]
        try:
            manifest, notes, _ = read_file(plan.target, content)
            if was is not None:
                content, was = _settled(
                    lambda _: replacing.texts_on_disk(self._fs, plan, content, was), begun
                )
            stamp = _settled(
                lambda failed: (
                    executor.write(self._fs, plan, content, failed)
                    if was is None
                    else replacing.replace(self._fs, plan, content, was, failed)
                ),
                begun,
            )
        except (FolderError, ManifestError) as error:  # the latter before anything is done
            failed = e.WriteFailed(plan.op, plan.target, error.detail)
            return [Draft(plan.uid, failed, cause=plan.position)]
        origin = (wanted.base, wanted.made_from, wanted.owned)
        done: e.Event = e.JsonWritten(plan.op, plan.target, stamp, wanted.sha256, manifest, *origin, notes)
        if wanted.to is not None:
            base = wanted.base or ""
            done = e.JsonReverted(
                plan.op, plan.target, stamp, wanted.sha256, manifest, wanted.to, base, *origin[1:], notes
            )
        record, _ = next(self._log.read_hashed(plan.position - 1, page=1))  # though its data be damaged
        planned_by = record.actor
        actor = "janfs" if was is None and wanted.to is None else planned_by
        outcome = Draft(plan.uid, done, actor, plan.position)
        return [outcome, *(Draft(plan.uid, each, cause=plan.position) for each in wanted.conflicts)]


def _is_first(catalogue: Catalogue, plan: Plan) -> bool:
    """Whether a copy comes to a folder of which nothing is its model's yet."""
    folder = paths.parent(plan.target)
    return catalogue.folders.get(folder) is None and not any(
        file.uid == plan.uid for file in files_in(catalogue, folder)
    )


def _move_reason(plan: Plan) -> e.MoveReason:
    return plan.reason if plan.reason in ("delete", "restore") else "organise"


def _settled(act: Callable[[FolderError | None], T], begun: bool) -> T:
    """Do something, at once again where it fails, and then see whether it is done all the same: an error may
    come after the deed.

    Raises `FolderError` where it is not, `Unseen` where that cannot be seen and it may have `begun`.
    """
    try:
        return act(None)
    except FolderError as error:
        first, begun = error, True
    except Unseen as error:
        if begun:
            raise
        first = FolderError(error.detail)
    try:
        return act(None)
    except Unseen as error:
        raise (Unseen if begun else FolderError)(first.detail) from error
    except FolderError:
        return act(first)


def _is_alike(there: Stamp | None, stamp: Stamp) -> bool:
    """Whether a file may be what a move that was broken off has left of one."""
    return there is not None and (there.size, there.mtime_ns) == (stamp.size, stamp.mtime_ns)
