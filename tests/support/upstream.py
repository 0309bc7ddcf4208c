"""A server elsewhere that speaks OpenAI's API, with every vice that a real one can have."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "theirs"
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A message of a stream of theirs; the first kind only says who speaks."""
    delta = (
        {"role": "assistant", "content": ""} if text is None and finish is None else {"content": text or ""}
    )
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "theirs-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "system_fingerprint": "fp_theirs", "choices": [choice], **more,
    }  # fmt: skip


def answer(text: str = "Hello") -> dict[str, Any]:
    """A whole answer of theirs."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "theirs-1", "object": "chat.completion", "created": 1, "model": MODEL,
        "system_fingerprint": "fp_theirs", "usage": USAGE, "theirs": {"kept": True},
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }  # fmt: skip


@dataclass
class Reply:
    """What is answered: a JSON body, or a stream of messages and of seconds or events to wait for.

    With `cut` it breaks off before its end.
    """

    status: int = 200
    body: Any = None
    stream: Sequence[Any] | None = None
    cut: bool = False
    done: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0  # seconds before it answers
    hold: threading.Event | None = None  # that it waits for before it answers


STREAM = Reply(
    stream=[
        chunk(),
        chunk("Hel"),
        chunk("lo"),
        chunk(finish="stop"),
        chunk() | {"choices": [], "usage": USAGE},
    ]
)


class Theirs:
    """The server at `url`: gives `replies` one after another, then `usual`; `asked` is what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.replies: list[Reply] = []
        self.usual = Reply(body=answer())
        self.models: Reply = Reply(body={"object": "list", "data": [{"id": MODEL}]})
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.connections = 0
        self.most_at_once = 0
        self.now = 0
        self.lock = threading.Lock()

    @property
    def bodies(self) -> list[Any]:
        """The bodies of requests for answers."""
        return [body for path, _, body in self.asked if not path.endswith("/models")]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def theirs(port: int = 0) -> Iterator[Theirs]:
    """A server on a port of this machine, any free one if it is 0."""

    open_: list[socket.socket] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or every answer takes 40 ms

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._asked(None)
            self._give(site.models)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with site.lock:
                self._asked(body)
                site.now += 1
                site.most_at_once = max(site.most_at_once, site.now)
                reply = site.replies.pop(0) if site.replies else site.usual
            try:
                time.sleep(reply.pause)
                self._give(reply)
            finally:
                with site.lock:
                    site.now -= 1

        def _asked(self, body: Any) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            site.asked.append((self.path, headers, body))

        def _give(self, reply: Reply) -> None:
            if reply.hold is not None:
                reply.hold.wait()
            if reply.stream is None and reply.cut:
                self._reset()
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.stream is None:
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._send(b": they say something, so that the line stays open\r\n\r\n")
            for each in reply.stream:
                if isinstance(each, float):
                    time.sleep(each)
                    continue
                if isinstance(each, threading.Event):
                    each.wait()
                    continue
                self._send(
                    b"data: " + (each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n\n"
                )
            if reply.cut:
                self._reset()
                return
            if reply.done:
                self._send(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")

        def _send(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()

        def _reset(self) -> None:
            """End as a process does that is killed."""
            self.close_connection = True
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            time.sleep(0.05)  # a reset may overtake what was sent before
            self.connection.shutdown(socket.SHUT_RDWR)

        def handle(self) -> None:
            open_.append(self.connection)
            site.connections += 1
            with contextlib.suppress(OSError):
                super().handle()

    server = _Server(("127.0.0.1", port), Handler)
    site = Theirs(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        for each in open_:  # as those of a process that ends
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        server.server_close()
