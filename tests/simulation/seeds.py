"""Many cases from one number each: which are run, and how one is run again."""

import os
from collections.abc import Callable, Iterable

SEED = "JANFS_SEED"


def run_seeds(case: Callable[[int], None], seeds: Iterable[int]) -> None:
    """Run a case for each seed, or for that in the environment alone; a failure says its seed."""
    chosen = os.environ.get(SEED)
    for seed in seeds if chosen is None else [int(chosen)]:
        try:
            case(seed)
        except Exception as error:
            error.add_note(f"To run this case alone: {SEED}={seed} make test ARGS=tests/simulation")
            raise
