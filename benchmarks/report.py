"""Rows of figures, the machine they were taken on, and the files they are kept in."""

import json
import os
import platform
import sqlite3
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("janfs", "litestar", "uvicorn", "sqlalchemy", "msgspec", "watchdog", "llama-cpp-python")


@dataclass(frozen=True)
class Row:
    """One figure. `target` is what was set out to reach; `higher` says which side of it is the good one."""

    name: str
    value: float
    unit: str
    target: float | None = None
    higher: bool = False
    note: str = ""

    @property
    def reached(self) -> str:
        """Whether the target was reached."""
        if self.target is None:
            return ""
        good = self.value >= self.target if self.higher else self.value <= self.target
        return "yes" if good else "no"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": f"{len(names)} x {names[0].partition(':')[2].strip()}"
        if names
        else platform.processor(),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in _PACKAGES},
    }


def print_table(title: str, rows: Sequence[Row]) -> None:
    """Print rows as a table in Markdown."""
    print(f"\n### {title}\n\n| figure | measured | to reach | reached | note |\n|---|---|---|---|---|")
    for row in rows:
        target = "" if row.target is None else f"{row.target:,g} {row.unit}"
        print(
            f"| {row.name} | {row.value:,.4g} {row.unit} | {target} | {row.reached} | {row.note} |",
            flush=True,
        )


def keep(name: str, rows: Sequence[Row], command: str) -> Path:
    """Write a run's figures with machine, versions and command beside them."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    taken = {"taken": datetime.now(UTC).isoformat(timespec="seconds"), "command": command}
    path.write_text(
        json.dumps({**taken, "machine": machine(), "rows": [asdict(r) for r in rows]}, indent=2) + "\n"
    )
    return path
