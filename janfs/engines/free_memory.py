"""How much memory there is for another model, within the limits of our cgroups, and what processes have."""

import ctypes
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_SPARED = 256 << 20  # bytes that are left to everybody else


def free_memory(
    pids: Collection[int], cgroups: Path = _CGROUPS, membership: Path = Path("/proc/self/cgroup")
) -> int:
    """Bytes that a new process can have, if those with these pids keep what they have.

    Weights that are mapped from a file count as free for the kernel, which would read them again at every
    token; here they count as taken.
    """
    found = [int(psutil.virtual_memory().available), *_left_in_cgroups(cgroups, membership)]
    return min(found) - _SPARED - sum(map(_mapped, pids))


def give_back() -> None:
    """Have the C library give the kernel back what this process has freed, where it can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def resident(pid: int) -> int | None:
    """Bytes that a process has in memory; None for one that is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def _mapped(pid: int) -> int:
    """Bytes of files that a process has in memory; 0 for one that is gone."""
    try:
        return int(psutil.Process(pid).memory_info().shared)
    except psutil.Error:
        return 0


def _left_in_cgroups(cgroups: Path, membership: Path) -> Iterator[int]:
    """What the limits of our cgroup, and of those around it, leave; version 2, and 1 of its memory part."""
    if not membership.is_file():
        return
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit, usage = cgroups, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base, limit, usage = cgroups / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = base / path.lstrip("/")
        for each in (group, *group.parents):
            if each == base.parent:
                break
            bound, used = _number(each / limit), _number(each / usage)
            if bound is not None and used is not None:
                yield bound - used + _reclaimable(each / "memory.stat")


def _number(path: Path) -> int | None:
    """The number in a file; None where there is no such file, or no limit."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _reclaimable(stat: Path) -> int:
    """Bytes of files that a cgroup could give back; see memory.stat in the kernel's cgroup-v2.rst."""
    try:
        text = stat.read_text()
    except OSError:
        return 0
    return sum(map(int, re.findall(r"^(?:in)?active_file (\d+)$", text, re.MULTILINE)))
