"""The worker's end of the socket to the host."""

import os
import socket
import threading
from collections.abc import Sequence

from janfs.engines.llama_cpp import wire


class Channel:
    """The socket to the host, blocking. Sending is for any thread, receiving for one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def receive(self) -> bytes | None:
        """The next frame; None when the host is gone or has closed."""
        header = self._exactly(wire.HEADER.size)
        return self._exactly(wire.HEADER.unpack(header)[0]) if header else None

    def send(self, events: Sequence[wire.Event]) -> None:
        """Send events together. A host that is gone ends the process."""
        if not events:
            return
        try:
            with self._lock:
                self._connection.sendall(wire.encode_events(events))
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)

    def _exactly(self, size: int) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            try:
                part = self._connection.recv(min(size - len(data), 2**20))
            except ConnectionResetError:
                return None
            if not part:
                return None
            data += part
        return bytes(data)
