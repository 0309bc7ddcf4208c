"""`python -m benchmarks [NAME ...]`: run, print, and keep the figures in benchmarks/results."""

import argparse
import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import appends, caches, folder, replay, service, serving, startup, tools
from benchmarks.report import Row, keep, machine, print_table
from janfs import logs

ONLY_BY_NAME = {"serving"}  # compiles llama-server the first time


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help="which ones; when none is named, all but those that compile first"
    )
    parser.add_argument(
        "--dir", type=Path, help="a folder on the disk to measure; the system's temporary one"
    )
    parser.add_argument(
        "--events", type=int, default=1_000_000, help="events of the replay and startup benchmarks"
    )
    parser.add_argument("--rounds", type=int, default=serving.ROUNDS, help="rounds of the serving benchmark")
    given = parser.parse_args()
    runs: Mapping[str, Callable[[], list[Row]]] = {
        "appends": functools.partial(appends.run, given.dir),
        "replay": functools.partial(replay.run, given.events, given.dir),
        "startup": functools.partial(startup.run, given.events, given.dir),
        "drops": functools.partial(service.drops, given.dir),
        "many": functools.partial(service.many, given.dir),
        "flood": functools.partial(folder.flood, given.dir),
        "walk": functools.partial(folder.walk, given.dir),
        "large": functools.partial(folder.large, given.dir),
        "tools": functools.partial(tools.run, given.dir),
        "caches": caches.run,
        "serving": functools.partial(serving.run, given.dir, given.rounds),
    }
    unknown = set(given.names) - set(runs)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(runs)}")
    logs.configure("warning")
    # Every start but the first after an installation finds bytecode, whatever this shell has set.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    for name in given.names or [name for name in runs if name not in ONLY_BY_NAME]:
        rows = runs[name]()
        print_table(name, rows)
        keep(name, rows, f"python -m benchmarks {name}")


if __name__ == "__main__":
    main()
