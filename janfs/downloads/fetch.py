"""One file, from the net into its folder: in pieces, gone on with after a cut, checked, whole."""

import asyncio
import errno
import os
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from janfs.downloads.answers import Remote, Unreliable
from janfs.downloads.part import Part
from janfs.downloads.sources import Wanted
from janfs.errors import DownloadError, GgufError, GgufTruncated
from janfs.folder import paths
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import read_header
from janfs.folder.hashing import hash_file
from janfs.folder.real import RealFileSystem

if TYPE_CHECKING:
    from janfs.downloads.web import Answer, Web

AT_ONCE = 4  # requests for pieces of one file
SAVE_EVERY = 2.0  # seconds that a power cut may cost
TRIES = 6  # in a row that bring nothing, before it is given up
LONGEST_WAIT = 60.0  # seconds between two tries
LONGEST_ASKED = 900.0  # seconds that a server may ask for
_CLOSED = "the connection was closed before the end"

_log = structlog.get_logger()


class Fetched(Struct, frozen=True):
    """A file that came whole; `expected` is what its SHA-256 was said to be, where that was said."""

    path: str
    stamp: Stamp
    sha256: str
    expected: str | None


class Changed(Exception):
    """The file on the server is not what it was when we began."""


async def fetch(
    web: "Web", wanted: Wanted, root: Path, folder: str, part: Part, *, wait: float = 1.0
) -> Fetched:
    """Fetch a file into `folder`, a path below `root`; it gets its name once it is whole and checked.

    `wait` is the first pause between tries, in seconds. Raises `DownloadError`; what came is kept, unless it
    is wrong. When cancelled, what came is kept too.
    """
    failed, best = 0, -1
    while True:
        try:
            remote = await web.describe(wanted.url)
            expected = wanted.sha256 or remote.sha256
            with closing(part):
                part.open(remote)
                try:
                    await _transfer(web, wanted, part, remote)
                finally:
                    await asyncio.to_thread(part.save)
            return await asyncio.to_thread(_finish, root, folder, part, expected, wanted.size)
        except Changed:
            part.remove()
            failed += 1
        except Unreliable as error:
            failed = 0 if part.done > best else failed + 1
            best = max(best, part.done)
            if failed >= TRIES:
                raise DownloadError(f"{wanted.url}: {error.reason}, {TRIES} times in a row.") from error
            pause = max(min(error.after or 0.0, LONGEST_ASKED), min(wait * 2**failed, LONGEST_WAIT))
            _log.info("download-interrupted", url=wanted.url, reason=error.reason, seconds=pause)
            await asyncio.sleep(pause)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            what = "the disk is full: make room" if full else (error.strerror or str(error))
            raise DownloadError(f"{wanted.file_name} cannot be written: {what}.") from error
        if failed >= TRIES:
            raise DownloadError(f"{wanted.url} changes again and again while it is fetched.")


async def _transfer(web: "Web", wanted: Wanted, part: Part, remote: Remote) -> None:
    """Fetch what is not here yet."""
    todo = [n for n in range(len(part.pieces)) if remote.size is None or _rest(part, n) > 0]
    workers = [
        asyncio.create_task(_work(web, wanted, part, remote, todo)) for _ in range(min(AT_ONCE, len(todo)))
    ]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _work(web: "Web", wanted: Wanted, part: Part, remote: Remote, todo: list[int]) -> None:
    while todo:
        await _piece(web, wanted, part, remote, todo.pop(0))


async def _piece(web: "Web", wanted: Wanted, part: Part, remote: Remote, number: int) -> None:
    start, end = part.bounds(number)
    begin = start + part.pieces[number]
    headers = {}
    if remote.ranges:
        headers = {"Range": f"bytes={begin}-{end - 1}"}
        if remote.validator is not None:
            headers["If-Range"] = remote.validator
    else:
        part.restart(number)
    async with web.get(wanted.url, headers) as (answer, _):
        if remote.ranges:
            _check_range(wanted.url, answer, begin, remote.size)
        if answer.encoding is not None:
            raise DownloadError(f"{wanted.url} comes encoded ({answer.encoding}).")
        saved = time.monotonic()
        async for data in answer.pieces():
            most = len(data) if remote.size is None else max(0, _rest(part, number))
            part.write(number, data[:most])
            if len(data) > most:
                raise DownloadError(f"{wanted.url} sends more than the {remote.size:,} bytes it announced.")
            if time.monotonic() - saved >= SAVE_EVERY:
                await asyncio.to_thread(part.save)
                saved = time.monotonic()
    if remote.size is not None and _rest(part, number) > 0:
        raise Unreliable(_CLOSED)


def _check_range(url: str, answer: "Answer", begin: int, size: int | None) -> None:
    """Whether an answer is the part of the file that was asked for, and of the same file."""
    part, _, total = answer.headers.get("content-range", "").partition("/")
    if answer.status_code != 206 or total != str(size):
        raise Changed
    if not part.startswith(f"bytes {begin}-"):
        raise DownloadError(f"{url} gives another part of the file than was asked for ({part}).")


def _rest(part: Part, number: int) -> int:
    start, end = part.bounds(number)
    return end - start - part.pieces[number]


def _finish(root: Path, folder: str, part: Part, expected: str | None, size: int | None) -> Fetched:
    """Check what came and give it its name."""
    fs = RealFileSystem(root)
    source = paths.join(folder, paths.encode_name(os.fsencode(part.data.name)))
    target = paths.join(folder, paths.encode_name(os.fsencode(part.file_name)))
    found = fs.stat(source)
    if found is None or found.stamp is None:
        raise Unreliable("what came is gone")
    if size is not None and found.stamp.size != size:
        part.remove()
        raise DownloadError(
            f"{part.url} is {found.stamp.size:,} bytes long, where {size:,} were said. It was thrown away."
        )
    if paths.is_binary(target):
        _check_header(fs, source, found.stamp.size, part)
    digest = hash_file(fs, source, found.stamp)
    if expected is not None and digest != expected:
        part.remove()
        raise DownloadError(
            f"{part.url} has SHA-256 {digest[:12]}… instead of {expected[:12]}…. It was thrown away."
        )
    try:
        fs.rename(source, target)
    except FileExistsError as error:
        raise DownloadError(f"{target} exists already; it stays, and what came is in {source}.") from error
    fs.sync_folder(folder)
    part.remove()
    return Fetched(target, found.stamp, digest, expected)


def _check_header(fs: RealFileSystem, source: str, size: int, part: Part) -> None:
    """An error page that is called a model is not one, and neither is a model without its end."""
    with fs.open(source) as file:
        try:
            end = read_header(file.read_at, size).data_end
        except GgufError as error:
            if part.size is None and isinstance(error, GgufTruncated):
                raise Unreliable(_CLOSED) from error
            begins = file.read_at(0, 60)
            part.remove()
            raise DownloadError(
                f"{part.url} gives no GGUF file: {error.detail} It begins with {begins!r}."
            ) from error
    if end > size and part.size is None:
        raise Unreliable(_CLOSED)
    if end > size:
        part.remove()
        raise DownloadError(
            f"{part.url} is {size:,} bytes long, and by its header should be {end:,}. It was thrown away."
        )
