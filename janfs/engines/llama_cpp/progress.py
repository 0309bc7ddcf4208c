"""What a process has done so far, as the kernel counts it: whether one that loads a model gets on.

llama.cpp's own word is not enough. With mapped weights it has the kernel read a whole file in one call, which
takes minutes from a slow disk and in which nobody is called back.
"""

from pathlib import Path

_PROC = Path("/proc")
_COUNTED = (7, 9, 11, 12, 21)  # after the name in proc(5)'s stat: both kinds of faults, both times, memory


def doings(pid: int, proc: Path = _PROC) -> tuple[bytes, ...]:
    """Counts that change when a process computes, reads or takes memory; empty for one that is gone."""
    try:
        stat = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        counts = tuple(stat[field] for field in _COUNTED)
    except (OSError, IndexError):
        return ()
    try:
        return *counts, (proc / str(pid) / "io").read_bytes()
    except OSError:  # not everybody may read that, and the others say as much of most loads
        return counts
