"""How many threads computing is worth, and how long they wait for each other awake."""

import math
import os
from collections.abc import Mapping
from pathlib import Path

_SPINS = "3000"


def waiting_policy(environ: Mapping[str, str]) -> dict[str, str]:
    """Environment for a process that computes: how GCC's OpenMP threads wait at the end of each operation.

    They meet some 500 times a token. By default they turn in circles for a millisecond first, and where
    another process is on one of the cores they turn instead of those that are waited for: two threads on two
    cores with two busy processes beside them gave 1 token a second, one thread 55. Asleep at once they give
    65, but half as much as awake on an idle machine. Awake for some ten microseconds they give as much there
    as by default, and 47 here (docs/decisions/0024). What the user has set stays.
    """
    return {} if {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(environ) else {"GOMP_SPINCOUNT": _SPINS}


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
