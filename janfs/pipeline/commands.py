"""What others may ask of the pipeline."""

from concurrent.futures import Future

from msgspec import Struct

from janfs.pipeline.recorder import Draft


class Look(Struct, frozen=True):
    """Look at everything, and be done with it."""


class Record(Struct, frozen=True):
    """Record events that happened elsewhere."""

    drafts: tuple[Draft, ...]


class Delete(Struct, frozen=True):
    """Move a model's folder to the trash."""

    model_id: str
    actor: str


Command = Look | Record | Delete


class Submitted:
    """A command with the future of its answer: the position of the log once it is done."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.done: Future[int] = Future()
