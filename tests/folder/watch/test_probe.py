"""Whether a disk tells of changes, and of what kind it is."""

from pathlib import Path

import pytest

from janfs.folder import paths
from janfs.folder.watch import probe as probing
from janfs.folder.watch.probe import file_system_type, probe
from tests.support.patience import PATIENCE


def test_a_local_disk_sends_events(root: Path) -> None:
    assert probe(root, "models", timeout=PATIENCE)
    assert {p.name for p in (root / "models").iterdir()} == {"old"}, "the probe must clean up"


def test_a_probe_that_crashed_before_does_not_mislead(root: Path) -> None:
    (root / "models" / f"{paths.TEMP_PREFIX}probe").touch()
    assert probe(root, "models", timeout=PATIENCE)
    assert {p.name for p in (root / "models").iterdir()} == {"old"}


def test_a_disk_that_sends_no_events_is_found_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing._Seen, "on_event", lambda self, event: None)
    assert not probe(root, "models", timeout=0.05)
    assert {p.name for p in (root / "models").iterdir()} == {"old"}


MOUNTS = """\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 0:5 / /mnt/share rw,relatime shared:3 - nfs4 server:/models rw
3 2 8:2 / /mnt/share/local rw - xfs /dev/sdb1 rw
4 1 8:3 / /mnt/with\\040space rw - vfat /dev/sdc1 rw
5 1 8:4 / /mnt/over rw - ext4 /dev/sdd1 rw
6 5 0:9 / /mnt/over rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/u/jan/models", "ext4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/jan/models", "nfs4"),
        ("/mnt/shared/models", "ext4"),
        ("/mnt/share/local/models", "xfs"),
        ("/mnt/with space/models", "vfat"),
        ("/mnt/over/models", "tmpfs"),
    ],
)
def test_the_deepest_and_last_mount_tells_the_type(path: str, kind: str) -> None:
    assert file_system_type(MOUNTS, Path(path)) == kind


def test_a_path_on_no_mount_has_no_type() -> None:
    assert file_system_type("", Path("/models")) == ""
