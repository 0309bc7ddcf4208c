"""What the kernel counts of processes that it killed because memory ran out."""

import re
from pathlib import Path

_COUNT = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def oom_kills(vmstat: Path = Path("/proc/vmstat")) -> int | None:
    """How many there were since the machine started; None where the kernel does not say.

    Those of all cgroups, for whose limit it ever was: who looks after a process need not know where it ran.
    """
    try:
        return count_in(vmstat.read_text())
    except OSError:
        return None


def count_in(vmstat: str) -> int | None:
    """The count in the text of /proc/vmstat, if it is there (Linux 4.13)."""
    found = _COUNT.search(vmstat)
    return int(found[1]) if found is not None else None
