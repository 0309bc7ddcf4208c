"""How many threads computing is worth."""

import math
import os
from pathlib import Path


def fair_part(cores: int, engines: int) -> int:
    """Threads for one of so many engines that compute at once: more would only wait for each other.

    Two engines with two threads each on two busy cores wrote 12 tokens a second together, with one each 20.
    """
    return max(1, cores // max(1, engines))


def available_cores(
    topology: Path = Path("/sys/devices/system/cpu"), quota: Path = Path("/sys/fs/cgroup/cpu.max")
) -> int:
    """Physical cores that this process may use, at least 1.

    Two hardware threads of one core share its arithmetic units, so a thread for each only adds waiting.
    The affinity mask and a container's quota ("<microseconds> <period>", cgroup v2) count too.
    """
    siblings = [topology / f"cpu{cpu}/topology/core_cpus_list" for cpu in os.sched_getaffinity(0)]
    cores = len({path.read_text() if path.is_file() else path for path in siblings})
    if quota.is_file():
        allowed, period = quota.read_text().split()
        if allowed != "max":
            cores = min(cores, math.ceil(int(allowed) / int(period)))
    return max(1, cores)
