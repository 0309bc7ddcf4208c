"""Many cases from one number each: which are run, and how one is run again."""

import os
from collections.abc import Callable, Iterable

SEED = "JANFS_SEED"


def parts(seeds: range, size: int) -> list[range]:
    """So many seeds for each of several tests; for one test where the environment says which is run."""
    if SEED in os.environ:
        return [seeds]
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


def run_seeds(case: Callable[[int], None], seeds: Iterable[int]) -> None:
    """Run a case for each seed, or for that in the environment alone; a failure says its seed."""
    chosen = os.environ.get(SEED)
    for seed in seeds if chosen is None else [int(chosen)]:
        try:
            case(seed)
        except Exception as error:
            error.add_note(f"To run this case alone: {SEED}={seed} make test ARGS=tests/simulation")
            raise
