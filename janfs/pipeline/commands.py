"""What others may ask of the pipeline."""

from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from msgspec import Struct

from janfs.folder.filesystem import Stamp
from janfs.manifest.patch import Patch
from janfs.pipeline.recorder import Draft


class Look(Struct, frozen=True):
    """Look at everything, and be done with it."""


class Record(Struct, frozen=True):
    """Record events that happened elsewhere, with the texts that they point at."""

    drafts: tuple[Draft, ...]
    documents: dict[str, bytes] = {}


class Delete(Struct, frozen=True):
    """Move a model's folder to the trash."""

    model_id: str
    actor: str


class Pair(Struct, frozen=True):
    """Give a projector or adapter, by its path or its name, to a model."""

    part: str
    model_id: str
    actor: str


class Edit(Struct, frozen=True):
    """Change a model's model.json; with `if_match` only if it is a text with one of those SHA-256."""

    model_id: str
    patch: Patch
    actor: str
    if_match: frozenset[str] | None = None


class Organise(Struct, frozen=True):
    """Organise all there is, this once even where organising is off."""


class Revert(Struct, frozen=True):
    """Bring a model's model.json back to what it was at a position; a deleted model, out of the trash."""

    model_id: str
    to: int
    actor: str


class Compared(Struct, frozen=True):
    """Two files whose contents were read and found the same, as they were then."""

    copy: str
    copy_stamp: Stamp
    original: str
    original_stamp: Stamp


class Dedupe(Struct, frozen=True):
    """Let copies share their originals' content."""

    pairs: tuple[Compared, ...]
    actor: str


Command = Look | Record | Delete | Pair | Edit | Organise | Revert | Dedupe


class Submitted:
    """A command with the future of its answer: the position of the log once it is done."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.done: Future[int] = Future()

    def answer(self, outcome: int | Exception) -> None:
        """Say what became of it, unless that was said before.

        Whoever asked may be gone, and have cancelled the future at this very moment in a thread of theirs.
        """
        with suppress(InvalidStateError):
            if isinstance(outcome, Exception):
                self.done.set_exception(outcome)
            else:
                self.done.set_result(outcome)
