"""What servers say of files, and that they did not answer as they should."""

from msgspec import Struct


class Unreliable(Exception):
    """It did not work this time, and may the next; `after` is what the server asks for, in seconds."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Remote(Struct, frozen=True):
    """A file as its server describes it. `validator` tells one content from another, for `If-Range`."""

    size: int | None
    ranges: bool
    validator: str | None
    sha256: str | None
