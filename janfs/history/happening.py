"""An event with the parts of its record that tell a story: when, by whom, and after what."""

from msgspec import Struct

from janfs.events.types import Event


class Happening(Struct, frozen=True):
    """One event of the log; `cause` is the position that led to it."""

    position: int
    stream: str
    recorded_at: str
    actor: str
    cause: int | None
    event: Event
