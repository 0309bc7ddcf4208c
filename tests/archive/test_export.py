"""The histories that came with archives."""

import hashlib

import msgspec
import pytest

from janfs.archive import history as past
from janfs.archive.export import earlier_histories
from janfs.errors import ArchiveError
from janfs.events.types import ModelImported
from janfs.log.reader import LogReader
from janfs.log.records import GENESIS, Record, chain_hash

WHEN = "2026-01-01T00:00:00.000000Z"


class Documents(LogReader):
    """A log of which only the documents are asked for, and how often each is."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {}
        self.asked: list[str] = []

    def document(self, digest: str) -> bytes | None:
        self.asked.append(digest)
        return self.texts.get(digest)

    def keep(self, records: list[Record]) -> str:
        """Keep a history; its digest."""
        before, lines = GENESIS, []
        for each in records:
            own = chain_hash(before, each)
            lines.append((each, before, own))
            before = own
        text = past.encode(lines)
        digest = hashlib.sha256(text).hexdigest()
        self.texts[digest] = text
        return digest


def came_with(position: int, history: str) -> Record:
    event = ModelImported("m.janfs.tar", "0" * 64, "u", "m", history, 1)
    return told(position, "model-imported", msgspec.json.encode(event).decode())


def told(position: int, kind: str, data: str) -> Record:
    return Record(position, "u", position, kind, 1, WHEN, "folder", None, position, data)


def test_a_history_that_many_events_name_is_read_once() -> None:
    log = Documents()
    history = log.keep([told(1, "file-dropped", '{"path":"a"}')])
    for _ in range(12):
        history = log.keep([came_with(position, history) for position in (1, 2, 3)])
    found = earlier_histories(log, [came_with(1, history)])
    assert found[0][1].type == "file-dropped"
    assert len(log.asked) == 13


def test_an_event_that_does_not_say_what_it_should_leads_nowhere() -> None:
    log = Documents()
    odd = told(2, "model-imported", "{}")
    history = log.keep([told(1, "file-dropped", "{}"), odd])
    assert [record.position for _, record in earlier_histories(log, [came_with(3, history)])] == [1, 2]


def test_a_damaged_event_is_not_packed() -> None:
    with pytest.raises(ArchiveError, match="event at position 7 is not what was recorded"):
        past.encode([(told(7, "file-dropped", "{}"), GENESIS, bytes(32))])
