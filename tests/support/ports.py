"""Ports of this machine that tests come back to."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def vacant_port() -> Iterator[int]:
    """A port on which nobody listens but who is told of it: it is held, so that nobody else is given it."""
    with socket.socket() as held:
        held.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # a listener that says so, too, may share it
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
