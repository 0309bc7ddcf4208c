"""The kernel's count of processes that it killed for lack of memory."""

from pathlib import Path

import pytest

from janfs.engines.llama_cpp.oom_kills import count_in, oom_kills


@pytest.mark.parametrize(
    ("vmstat", "count"),
    [
        ("pgfault 7\noom_kill 3\nnuma_hit 9\n", 3),
        ("oom_kill 0", 0),
        ("drop_oom_kill 4\noom_kill_disable 5\n", None),
        ("", None),
    ],
)
def test_the_count_is_read_where_the_kernel_has_one(vmstat: str, count: int | None) -> None:
    assert count_in(vmstat) == count


def test_where_there_is_no_such_file_nothing_is_known(tmp_path: Path) -> None:
    assert oom_kills(tmp_path / "vmstat") is None
