"""The sample goes into an empty models folder, and not into what an unmounted disk leaves of one."""

from pathlib import Path

import pytest

from janfs import sample
from janfs.folder import paths
from janfs.root import RootPaths
from tests.support.ggufs import tiny_gguf

KNOWN = ["models/mine/mine.gguf"]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder, and a package with a sample."""
    package = tmp_path / "package" / "sample.gguf"
    package.parent.mkdir()
    package.write_bytes(tiny_gguf("sample"))
    monkeypatch.setattr(sample, "sample_file", lambda: package)
    where = RootPaths(tmp_path / "jan")
    where.models.mkdir(parents=True)
    return where.models


def names(models: Path) -> list[str]:
    return sorted(path.name for path in models.iterdir() if path.name != ".janfs-root")


def test_an_empty_folder_gets_the_sample(models: Path) -> None:
    assert sample.put_sample(models.parent)
    assert names(models) == ["sample.gguf"]


def test_a_folder_with_a_model_gets_none(models: Path) -> None:
    (models / "nested").mkdir()
    (models / "nested" / "mine.gguf").write_bytes(tiny_gguf("mine"))
    assert not sample.put_sample(models.parent)
    assert names(models) == ["nested"]


def test_the_folder_of_a_disk_that_is_not_mounted_stays_empty(models: Path) -> None:
    assert not sample.put_sample(models.parent, KNOWN)
    assert list(models.iterdir()) == []


def test_a_folder_that_was_emptied_on_purpose_gets_the_sample(models: Path) -> None:
    (models.parent / paths.MODELS / ".janfs-root").touch()
    assert sample.put_sample(models.parent, KNOWN)
    assert names(models) == ["sample.gguf"]


def test_a_root_without_a_models_folder_gets_none(models: Path) -> None:
    models.rmdir()
    assert not sample.put_sample(models.parent, KNOWN)
    assert not models.exists()
