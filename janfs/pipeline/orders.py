"""What others ask of the pipeline, done: one command at a time, in its own thread."""

from collections.abc import Callable, Iterable, Sequence

from janfs.catalogue.catalogue import Catalogue
from janfs.clock import Ids
from janfs.errors import (
    CannotRevert,
    EventDamaged,
    FolderError,
    InvalidInput,
    ManifestError,
    ManifestUntouched,
    NotFound,
    PreconditionFailed,
)
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.log.store import EventLog
from janfs.past.reverts import model_of
from janfs.pipeline import editing, reverting, trash
from janfs.pipeline.actor import Actor
from janfs.pipeline.commands import Command, Dedupe, Delete, Edit, Organise, Pair, Record, Revert, Submitted
from janfs.pipeline.manifests import Manifests
from janfs.pipeline.organiser import Organiser
from janfs.pipeline.plans import Plans
from janfs.pipeline.recorder import Recorder

REFUSALS = (
    NotFound,
    InvalidInput,
    ManifestError,
    FolderError,
    CannotRevert,
    PreconditionFailed,
    EventDamaged,
)


class Orders:
    """Does what is asked for; `look` records what is different at a path, `arriving` gives the paths of files
    that are not whole yet.
    """

    def __init__(
        self,
        *,
        fs: FileSystem,
        log: EventLog,
        ids: Ids,
        recorder: Recorder,
        actor: Actor,
        plans: Plans,
        organiser: Organiser,
        look: Callable[[str], object],
        arriving: Callable[[], Iterable[str]],
    ) -> None:
        self._fs = fs
        self._log = log
        self._ids = ids
        self._recorder = recorder
        self._actor = actor
        self._plans = plans
        self._organiser = organiser
        self._look = look
        self._arriving = arriving
        self._manifests = Manifests(log, ids)

    @property
    def _catalogue(self) -> Catalogue:
        return self._recorder.catalogue

    def obey(self, commands: Sequence[Submitted]) -> None:
        """Do what was asked; all that is only to be recorded goes into one commit."""
        records = [item.command for item in commands if isinstance(item.command, Record)]
        documents = {digest: text for command in records for digest, text in command.documents.items()}
        self._recorder.record([draft for command in records for draft in command.drafts], documents)
        for item in commands:
            try:
                self._check_known(item.command)
                self._obey_one(item.command)
                self._check_known(item.command)
            except REFUSALS as error:
                item.answer(error)

    def _check_known(self, command: Command) -> None:
        """Raises `FolderError` for a model of which something could not be applied, just now or before, or of
        which it cannot be seen what became of it on disk.
        """
        name = getattr(command, "model_id", None)
        uid = None if name is None else self._catalogue.ids.get(name)
        model = self._catalogue.models.get(uid or name or "")
        if model is not None and model.uid in self._catalogue.parked:
            raise FolderError(f"'{model.id}' is left as it is. {model.reason}")
        if model is not None and any(plan.uid == model.uid for plan in self._catalogue.plans.values()):
            told = self._plans.unsettled.get(model.uid)
            begun = f"What was begun with '{model.id}' goes on once the disk can be looked at."
            raise FolderError(begun if told is None else told.reason)

    def _obey_one(self, command: Command) -> None:
        if isinstance(command, Delete):
            self._delete(command)
        elif isinstance(command, Edit):
            self._edit(command)
        elif isinstance(command, Pair):
            self._recorder.record(self._actor.pair(self._catalogue, command))
        elif isinstance(command, Organise):
            self._organiser.work_once()
        elif isinstance(command, Revert):
            self._revert(command)
        elif isinstance(command, Dedupe):
            self._recorder.record(self._actor.plan_dedupe(self._catalogue, command))
            self._plans.finish()

    def _delete(self, command: Delete) -> None:
        self._check_available("deleted")
        planned = trash.plan_delete(self._fs, self._ids, self._catalogue, command, self._arriving())
        self._recorder.record(planned)
        for event in self._plans.finish():
            if isinstance(event, e.MoveFailed) and event.reason == "delete":
                raise FolderError(event.error)
            if isinstance(event, e.MoveCompleted) and event.reason == "delete":
                self._look(event.source)  # folders below it went along

    def _edit(self, command: Edit) -> None:
        self._check_available("changed")
        self._look(editing.manifest_path(self._catalogue, command.model_id))  # it may be newer than is known
        drafts, documents = editing.plan(self._manifests, self._catalogue, command)
        self._recorder.record(drafts, documents)
        for event in self._plans.finish():
            if isinstance(event, e.WriteFailed):
                raise ManifestUntouched(event.error)

    def _revert(self, command: Revert) -> None:
        self._check_available("reverted")
        self._look(
            model_of(self._catalogue, command.model_id).folder
        )  # so that what someone has just written is in the log, and can be brought back
        drafts, documents = reverting.plan(self._fs, self._log, self._ids, self._catalogue, command)
        self._recorder.record(drafts, documents)
        for event in self._plans.finish():
            if isinstance(event, e.MoveFailed | e.WriteFailed):
                raise FolderError(event.error)
            if isinstance(event, e.MoveCompleted) and event.reason == "restore":
                self._look(event.target)
            elif isinstance(event, e.JsonReverted):
                self._look(paths.parent(event.path))

    def _check_available(self, done: str) -> None:
        root = self._catalogue.root
        if not root.available:
            raise FolderError(f"Nothing can be {done} now: {root.reason}")
