"""The history of a model whose older events are archived: from the seam on it is whole."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from janfs.catalogue.catalogue import Catalogue
from janfs.cli.offline import obey, opened
from janfs.clock import SystemClock
from janfs.compacting import compact
from janfs.errors import EventsArchived, NotFound
from janfs.log.reader import LogReader
from janfs.past import fingerprints, reasons, reverts, texts
from janfs.pipeline.commands import Delete, Revert
from janfs.pipeline.recorder import rebuild
from janfs.pipeline.snapshot import Snapshot
from janfs.root import read_log
from tests.support.ggufs import tiny_gguf

FILE = "models/zephyr/model.json"


def write(root: Path, text: str) -> None:
    (root / FILE).write_text(text)
    with opened(root) as (_, _, work):
        work()


@contextmanager
def read(root: Path) -> Iterator[tuple[LogReader, Catalogue]]:
    with closing(read_log(root)) as log:
        yield log, rebuild(log)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a model, of which everything is archived."""
    root = tmp_path / "jan"
    with opened(root) as (_, _, work):
        (root / "models" / "zephyr.gguf").write_bytes(tiny_gguf("Zephyr"))
        work()
    write(root, '{"name": "First"}')
    write(root, '{"name": "Second"} // mine')
    compact(root, lambda log: log.last().position, SystemClock())
    return root


def test_what_was_set_before_is_the_archives_word(root: Path) -> None:
    with read(root) as (log, catalogue):
        [leaf] = texts.blame_of(log, catalogue, "zephyr").leaves
        assert (leaf.path, leaf.value, leaf.actor) == (("name",), "Second", "archive")
        found = texts.diff(log, catalogue, "zephyr")
        assert (found.changes, found.text) == ([], ""), "nothing has changed since"
    write(root, '{"name": "Second", "version": "3"}')
    with read(root) as (log, catalogue):
        actors = {leaf.path[0]: leaf.actor for leaf in texts.blame_of(log, catalogue, "zephyr").leaves}
        assert actors == {"name": "archive", "version": "folder"}
        [change] = texts.diff(log, catalogue, "zephyr", log.start.position).changes
        assert (change.path, change.kind) == (("version",), "added")
        assert "// mine" in texts.diff(log, catalogue, "zephyr").text


def test_the_text_of_the_seam_can_be_brought_back(root: Path) -> None:
    with read(root) as (log, _):
        seam = log.start.position
    write(root, '{"name": "Third"}')
    obey(root, Revert("zephyr", seam, "cli"))
    assert (root / FILE).read_text() == '{"name": "Second"} // mine'
    with pytest.raises(EventsArchived, match="log-1-"):
        obey(root, Revert("zephyr", seam - 1, "cli"))


def test_a_deleted_model_of_an_archived_moment_is_refused_and_comes_back_as_it_lies(root: Path) -> None:
    obey(root, Delete("zephyr", "cli"))
    compact(root, lambda log: log.last().position, SystemClock())
    with read(root) as (log, catalogue):
        seam = log.start.position
        with pytest.raises(EventsArchived, match=rf"log-\d+-{seam}-.* --to {seam}` brings it back"):
            reverts.preview(log, catalogue, "zephyr", seam - 1)
    with pytest.raises(EventsArchived, match=rf"log-\d+-{seam}-"):
        obey(root, Revert("zephyr", seam - 1, "cli"))
    assert not (root / FILE).exists()
    obey(root, Revert("zephyr", seam, "cli"))
    assert (root / FILE).read_text() == '{"name": "Second"} // mine'


def test_what_is_archived_is_never_said_not_to_have_been(root: Path) -> None:
    with read(root) as (log, catalogue):
        name = log.seam.archive if log.seam else "none"
        for start, end in ((1, None), (1, 2), (log.start.position, 3)):
            with pytest.raises(EventsArchived, match=name):
                texts.diff(log, catalogue, "zephyr", start, end)
        for subject in ("zephyr", FILE, "models/zephyr/zephyr.gguf"):
            told = reasons.why(log, Snapshot(catalogue), subject).reasons
            assert name in told[-1].words, f"{subject} is as it is for no reason at all"
        with pytest.raises(NotFound, match=name):
            reasons.why(log, Snapshot(catalogue), "models/gone.gguf")
        with pytest.raises(NotFound, match=name):
            fingerprints.find_fingerprint(log, catalogue, lambda _: catalogue, "fp_0123456789abcdef")


def test_a_chain_of_causes_that_leads_into_the_archive_ends_there(root: Path) -> None:
    write(root, '{"name": "Third"}')
    with read(root) as (log, catalogue):
        assert [reason.type for reason in reasons.why(log, Snapshot(catalogue), FILE).reasons] == [
            "json-edited"
        ]
        seam = log.start.position
    obey(root, Revert("zephyr", seam, "cli"))
    with read(root) as (log, catalogue):
        told = reasons.why(log, Snapshot(catalogue), FILE).reasons
        assert [reason.type for reason in told] == ["json-reverted", "log-compacted"]
        assert told[0].actor == "cli"
