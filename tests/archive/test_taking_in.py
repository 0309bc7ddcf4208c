"""Taking archives in, when something comes between."""

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from janfs import archiving
from janfs.archive.export import earlier_histories
from janfs.archiving import Archives
from janfs.catalogue.catalogue import find_model
from janfs.errors import PipelineFailed
from janfs.log.reader import LogReader
from janfs.pipeline.commands import Look
from janfs.pipeline.loop import Pipeline
from tests.crash.running import ARCHIVE, archive, living
from tests.fakes.faults import Crash
from tests.support.ggufs import tiny_gguf
from tests.support.patience import PATIENCE


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A root in which the archive's id belongs to another model."""
    models = tmp_path / "jan/models"
    models.mkdir(parents=True)
    (models / "story.gguf").write_bytes(tiny_gguf("Another"))
    return tmp_path


@pytest.fixture
def pipeline(base: Path) -> Iterator[Pipeline]:
    with living(base) as found:
        yield found


def folders(base: Path) -> list[str]:
    return sorted(path.name for path in (base / "jan/models").iterdir() if path.is_dir())


def test_an_archive_gets_no_folder_that_lies_there_in_another_spelling(
    base: Path, pipeline: Pipeline
) -> None:
    given = base / ARCHIVE
    given.write_bytes(archive())
    (base / "jan/models/STORY-2").mkdir()
    assert Archives(base / "jan", pipeline).take(given).id == "story-3"
    assert folders(base) == ["STORY-2", "story", "story-3"]


def test_what_a_crash_kept_from_being_recorded_is_recorded_by_the_next_try(
    base: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = base / ARCHIVE
    given.write_bytes(archive())
    archives = Archives(base / "jan", pipeline)

    def die(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(archives, "_tell", die)
        with pytest.raises(Crash):
            archives.take(given)
    assert folders(base) == ["story", "story-2"]
    again = archives.take(given)
    assert (again.id, again.new) == ("story-2", False)
    assert folders(base) == ["story", "story-2"], "it came twice"
    log: LogReader = archiving.read_log(base / "jan")
    uid = pipeline.snapshot.catalogue.ids["story-2"]
    told = [record for record in log.read(stream=uid) if record.type == "model-imported"]
    assert earlier_histories(log, told), "its history is lost"
    archives.take(given)
    assert len([each for each in log.read(stream=uid) if each.type == "model-imported"]) == 1
    log.close()


@pytest.mark.parametrize("full", ["before", "meanwhile"])
def test_an_archive_that_finds_no_room_is_tried_again(
    base: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    (base / "jan/models" / ARCHIVE).write_bytes(archive())
    pipeline.submit(archiving.Look()).result()

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if full == "before":
            patch.setattr(shutil, "disk_usage", lambda _: Usage(100, 99, 1))
        else:
            patch.setattr(archiving, "unpack", refuse)
        Archives(base / "jan", pipeline).take_all()
    refused = pipeline.snapshot.catalogue.files[f"models/{ARCHIVE}"].refused
    assert refused is not None
    assert "space" in refused.reason or "Make room" in refused.reason
    Archives(base / "jan", pipeline).take_all()
    file = pipeline.snapshot.catalogue.files[f"models/{ARCHIVE}"]
    assert (file.refused, file.taken is not None) == (None, True)
    assert find_model(pipeline.snapshot.catalogue, "story-2") is not None
    assert folders(base) == ["story", "story-2"]


def test_a_defect_of_the_pipeline_puts_archives_off_to_the_next_change(
    base: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives, failed, again = Archives(base / "jan", pipeline), threading.Event(), threading.Event()

    def take_all() -> None:
        if failed.is_set():
            again.set()
            return
        failed.set()
        raise PipelineFailed

    monkeypatch.setattr(archives, "take_all", take_all)
    archives.start()
    assert failed.wait(PATIENCE)
    (base / "jan/models/more.gguf").write_bytes(tiny_gguf("More"))
    pipeline.submit(Look()).result(PATIENCE)
    assert again.wait(PATIENCE), "nothing looks for archives any more"
    archives.close()
