import os
from pathlib import Path

import pytest

from janfs.engines.llama_cpp.cores import available_cores, fair_part


@pytest.fixture
def four_threads_on_two_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    for cpu in range(4):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "core_cpus_list").write_text("0,2\n" if cpu % 2 == 0 else "1,3\n")
    return tmp_path


def test_threads_of_one_core_count_once(four_threads_on_two_cores: Path) -> None:
    assert available_cores(four_threads_on_two_cores, Path("/nowhere")) == 2


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 2), ("150000 100000", 2), ("50000 100000", 1)])
def test_a_containers_quota_counts(four_threads_on_two_cores: Path, quota: str, cores: int) -> None:
    file = four_threads_on_two_cores / "cpu.max"
    file.write_text(quota)
    assert available_cores(four_threads_on_two_cores, file) == cores


def test_without_a_topology_every_thread_is_a_core(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5})
    assert available_cores(tmp_path, tmp_path / "none") == 2


@pytest.mark.parametrize(
    ("cores", "engines", "threads"), [(8, 1, 8), (8, 3, 2), (2, 2, 1), (1, 4, 1), (4, 0, 4)]
)
def test_engines_share_the_cores_and_each_has_one(cores: int, engines: int, threads: int) -> None:
    assert fair_part(cores, engines) == threads
