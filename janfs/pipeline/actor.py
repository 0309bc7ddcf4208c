"""From a step to an intent, from an intent to a deed, from a deed to its outcome."""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

import msgspec

from janfs.catalogue.catalogue import Catalogue, find_model
from janfs.catalogue.entries import Plan
from janfs.clock import Ids
from janfs.errors import FolderError, ModelNotFound
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.log.store import EventLog
from janfs.manifest.generate import encode, generate
from janfs.manifest.spellings import canonical
from janfs.organise import executor, planner
from janfs.pipeline.commands import Delete
from janfs.pipeline.recorder import Draft

T = TypeVar("T")


class Actor:
    """Does on disk what was planned, and says what became of it."""

    def __init__(self, fs: FileSystem, log: EventLog, ids: Ids) -> None:
        self._fs = fs
        self._log = log
        self._ids = ids

    def intent(
        self, step: planner.Move | planner.Generate, catalogue: Catalogue, documents: dict[str, bytes]
    ) -> Draft:
        """What is about to be done; the text of a model.json is added to `documents`."""
        if isinstance(step, planner.Move):
            planned = e.MovePlanned(self._ids(), step.source, step.target, "organise", step.stamp)
            return Draft(step.uid, planned, cause=step.cause)
        content = encode(
            generate(
                model_id=catalogue.models[step.uid].id,
                file_names=step.file_names,
                size=step.size,
                created=step.stamp.mtime_ns // 1_000_000_000,
                facts=step.facts,
            )
        )
        digest = hashlib.sha256(content).hexdigest()
        documents[digest] = content
        return Draft(step.uid, e.WritePlanned(self._ids(), step.path, digest), cause=step.cause)

    def plan_delete(self, catalogue: Catalogue, command: Delete) -> list[Draft]:
        """The intent to move a model to the trash. Raises `ModelNotFound` or `FolderError`."""
        model = find_model(catalogue, command.model_id)
        if model is None:
            raise ModelNotFound(command.model_id)
        op = self._ids()
        trash = paths.join(paths.TRASH, f"{model.id}-{op[:12]}")
        inside = [name for name in catalogue.folders if name.startswith(model.folder + "/")]
        if model.loose is not None:
            file = catalogue.files[model.loose]
            planned = e.MovePlanned(
                op, file.path, paths.join(trash, paths.name(file.path)), "delete", file.stamp
            )
        elif inside:
            raise FolderError(f"Other models are inside {model.folder}: {', '.join(sorted(inside))}.")
        elif model.folder in catalogue.children:
            planned = e.MovePlanned(op, model.folder, trash, "delete")
        else:
            raise ModelNotFound(command.model_id)
        return [Draft(model.uid, planned, command.actor, model.position)]

    def carry_out(self, catalogue: Catalogue, plan: Plan) -> list[Draft]:
        """Do it, and say what became of it."""
        if plan.reason == "write":
            return [Draft(plan.uid, self._write(plan), cause=plan.position)]
        source = plan.source or ""
        try:
            moved = _at_least_once(lambda: executor.move(self._fs, plan))
        except FolderError as error:
            failed = e.MoveFailed(plan.op, source, plan.target, plan.reason, error.detail)
            return [Draft(plan.uid, failed, cause=plan.position)]
        completed = e.MoveCompleted(plan.op, source, plan.target, plan.reason, moved.stamp, moved.link)
        drafts = [Draft(plan.uid, completed, cause=plan.position)]
        if plan.reason == "delete":
            deleted = e.ModelDeleted(catalogue.models[plan.uid].id, plan.target)
            drafts.append(Draft(plan.uid, deleted, cause=plan.position))
        return drafts

    def sweep(self, temporaries: Iterable[str]) -> None:
        """Remove what earlier writes left behind; every plan has its outcome when this is called."""
        for path in temporaries:
            with suppress(OSError):  # the next look finds it again
                self._fs.unlink(path)

    def _write(self, plan: Plan) -> e.JsonWritten | e.WriteFailed:
        content = self._log.document(plan.document or "")
        if content is None or plan.document is None:
            return e.WriteFailed(plan.op, plan.target, "The text that was to be written is not in the log.")
        try:
            stamp = _at_least_once(lambda: executor.write(self._fs, plan, content))
        except FolderError as error:
            return e.WriteFailed(plan.op, plan.target, error.detail)
        return e.JsonWritten(
            plan.op, plan.target, stamp, plan.document, canonical(msgspec.json.decode(content))[0]
        )


def _at_least_once(act: Callable[[], T]) -> T:
    """Try again what failed: an error may come after the deed, and the second try sees what is done."""
    try:
        return act()
    except FolderError as error:
        try:
            return act()
        except FolderError:
            raise error from None
