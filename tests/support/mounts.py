"""File systems of their own for tests: mounted by root, skipped with a reason where that is not to be had."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(where: Path, *options: str) -> Iterator[Callable[[], None]]:
    """Mount at `where` as `mount OPTIONS WHERE` does; gives what takes it away before the end."""
    where.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(where)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mount {' '.join(options)} is not possible here: {done.stderr.strip()}")
    taken: list[Path] = []

    def take_away() -> None:
        if not taken:
            taken.append(where)
            subprocess.run(["umount", "--lazy", str(where)], check=True, capture_output=True)

    try:
        yield take_away
    finally:
        take_away()


def ext4_image(path: Path, megabytes: int, *features: str) -> Path:
    """A file with an empty ext4 file system; mount it with `-o loop`. Skips where it cannot be made."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed here")
    with path.open("wb") as file:
        file.truncate(megabytes << 20)
    wanted = ["-O", ",".join(features)] if features else []
    subprocess.run(["mkfs.ext4", "-q", *wanted, str(path)], check=True, capture_output=True)
    return path
