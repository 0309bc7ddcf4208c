"""A web server for downloads, with every vice that a real one can have."""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class File:
    """A file, and how it is served. `cuts` connections break off after half of what they should give."""

    content: bytes
    ranges: bool = True
    stuck: bool = False  # every range that is asked for begins at 0
    etag: str | None = '"one"'
    cuts: int = 0
    status: list[int] = field(default_factory=list)  # answered first, one by one
    headers: dict[str, str] = field(default_factory=dict)
    redirect: str | None = None
    length: bool = True
    pace: float = 0.0  # seconds between pieces of 64 kB


class Site:
    """What is served at `url`, and what was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, File] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.closing = threading.Event()

    def put(self, name: str, content: bytes, **how: Any) -> str:
        """Serve a file; its address."""
        self.files["/" + name] = File(content, **how)
        return f"{self.url}/{name}"


@contextlib.contextmanager
def web() -> Iterator[Site]:
    """A server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or every answer takes 40 ms

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            site.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
            file = site.files.get(self.path.partition("?")[0])
            if file is None:
                self._answer(404, b"nothing here")
            elif file.status:
                self._answer(file.status.pop(0), b"not now", file.headers)
            elif file.redirect is not None:
                self._answer(302, b"", {"Location": file.redirect, **file.headers})
            else:
                self._serve(file)

        def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _serve(self, file: File) -> None:
            begin, end, status = 0, len(file.content), 200
            asked = self.headers.get("Range")
            fresh = self.headers.get("If-Range") in (None, file.etag)
            if asked and file.ranges and fresh and file.content:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                begin, status = int(first), 206
                end = min(end, int(last) + 1) if last else end
                begin, end = (0, end - begin) if file.stuck else (begin, end)
            body = file.content[begin:end]
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(file.content)}")
            if file.etag:
                self.send_header("ETag", file.etag)
            for key, value in file.headers.items():
                self.send_header(key, value)
            if file.length:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            if file.cuts > 0 and len(body) > 1:
                file.cuts -= 1
                body = body[: len(body) // 2]
                self.close_connection = True
            for start in range(0, len(body), 65536):
                self.wfile.write(body[start : start + 65536])
                if file.pace and site.closing.wait(file.pace):
                    return

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().handle()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> Any:
            connected = super().get_request()
            site.connections += 1
            return connected

        def handle_error(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    site = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        site.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def sha256(content: bytes) -> str:
    """The SHA-256 of a content."""
    return hashlib.sha256(content).hexdigest()
