import os
from pathlib import Path

import psutil

from janfs.engines.free_memory import free_memory

MEBI = 1 << 20


def cgroup(root: Path, path: str, limit: str, current: int, file: int = 0) -> None:
    folder = root / path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{current}\n")
    (folder / "memory.stat").write_text(f"anon {current - file}\ninactive_file {file}\nactive_file 0\n")


def membership(tmp_path: Path, line: str) -> Path:
    found = tmp_path / "cgroup"
    found.write_text(f"{line}\n")
    return found


def test_without_a_limit_it_is_what_the_machine_has_less_what_is_spared(tmp_path: Path) -> None:
    free = free_memory([], tmp_path, tmp_path / "none")
    assert 0 < free < psutil.virtual_memory().total


def test_the_lowest_limit_around_counts_and_its_page_cache_is_free(tmp_path: Path) -> None:
    cgroup(tmp_path, "", "max", 0)
    cgroup(tmp_path, "service", str(1000 * MEBI), 500 * MEBI, file=100 * MEBI)
    cgroup(tmp_path, "service/part", str(900 * MEBI), 100 * MEBI)
    free = free_memory([], tmp_path, membership(tmp_path, "0::/service/part"))
    assert free == (1000 - 500 + 100 - 256) * MEBI


def test_the_older_cgroups_count_too(tmp_path: Path) -> None:
    folder = tmp_path / "memory/box"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(str(800 * MEBI))
    (folder / "memory.usage_in_bytes").write_text(str(300 * MEBI))
    free = free_memory([], tmp_path, membership(tmp_path, "4:cpu,memory:/box"))
    assert free == (800 - 300 - 256) * MEBI


def test_files_that_our_processes_have_mapped_are_taken(tmp_path: Path) -> None:
    cgroup(tmp_path, "", str(1000 * MEBI), 0)
    joined = membership(tmp_path, "0::/")
    alone, gone = free_memory([], tmp_path, joined), 2**22 + 1
    shared = psutil.Process(os.getpid()).memory_info().shared
    with_us = free_memory([os.getpid(), gone], tmp_path, joined)
    assert abs(alone - with_us - shared) < MEBI
