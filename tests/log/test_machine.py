"""The log against a plain list: whatever is done to it, in whatever order."""

import hashlib
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from janfs.errors import LogError, WrongExpectedVersion
from janfs.log import lines
from janfs.log.load import load
from janfs.log.store import EventLog
from janfs.log.swap import discard
from janfs.log.verify import Noted, verify
from tests.log.kit import everything, new, open_log

streams = st.sampled_from(["a", "b", "c"])


class Gone(Exception):
    """What a projection may raise."""


class LogMachine(RuleBasedStateMachine):
    """Each entry of the model: (stream, version, data, cause, correlation); its index is position - 1."""

    empty: Path
    log: EventLog

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = Path(shutil.copy(self.empty, self.folder / "log.db"))
        self.log = open_log(self.path)
        self.model: list[tuple[str, int, str, int | None, int]] = []
        self.documents: dict[str, bytes] = {}

    def expected(self, stream: str) -> int:
        return sum(entry[0] == stream for entry in self.model)

    def add(self, stream: str, data: str, cause: int | None) -> None:
        position = len(self.model) + 1
        correlation = position
        step = cause
        while step is not None:  # up the chain to where it began
            correlation, step = step, self.model[step - 1][3]
        self.model.append((stream, self.expected(stream) + 1, data, cause, correlation))

    @rule(data=st.data(), count=st.integers(0, 4))
    def append(self, data: st.DataObject, count: int) -> None:
        batch = []
        for number in range(count):
            stream, text = data.draw(streams), data.draw(st.text(min_size=1, max_size=5))
            positions = len(self.model)
            cause = data.draw(st.none() | st.integers(1, positions)) if positions else None
            checked = data.draw(st.booleans())
            batch.append(
                new(stream, data=text, cause=cause, expected=self.expected(stream) if checked else None)
            )
            self.add(stream, text, cause)
            assert len(batch) == number + 1
        records = self.log.append(batch)
        assert [record.position for record in records] == list(
            range(len(self.model) - count + 1, len(self.model) + 1)
        )

    @rule(content=st.binary(max_size=8))
    def append_with_a_document(self, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        self.log.append([new("a", data=digest)], {digest: content})
        self.add("a", digest, None)
        self.documents[digest] = content

    @rule(stream=streams, wrong=st.integers(-2, 6), content=st.binary(max_size=8))
    def append_with_the_wrong_version(self, stream: str, wrong: int, content: bytes) -> None:
        if wrong != self.expected(stream):
            digest = hashlib.sha256(content).hexdigest()
            with pytest.raises(WrongExpectedVersion):
                self.log.append([new("c"), new(stream, expected=wrong + (stream == "c"))], {digest: content})

    @rule(ahead=st.integers(1, 3))
    def append_caused_by_the_future(self, ahead: int) -> None:
        with pytest.raises(LogError):
            self.log.append([new("b"), new("a", cause=len(self.model) + 1 + ahead)])

    @rule(stream=streams)
    def append_and_fail_in_the_projection(self, stream: str) -> None:
        def within(*_: object) -> None:
            raise Gone

        with suppress(Gone):
            self.log.append([new(stream), new(stream)], {hashlib.sha256(b"!").hexdigest(): b"!"}, within)
            pytest.fail("the projection's error was swallowed")

    @rule()
    def close_and_open_again(self) -> None:
        self.log.close()
        self.log = open_log(self.path)

    @rule()
    def checkpoint(self) -> None:
        self.log.checkpoint()

    @rule()
    def write_out_and_load(self) -> None:
        """What is written out makes the same log again, to the last byte of every row."""
        out, again = self.folder / "log.jsonl", Path(shutil.copy(self.empty, self.folder / "again.db"))
        out.write_bytes(b"".join(lines.write(self.log)))
        load(again, [out])
        kept = ("events", "documents")
        before, after = everything(self.path), everything(again)
        assert [after[table] for table in kept] == [before[table] for table in kept]
        discard(again)

    @rule(position=st.integers(1, 50))
    def note_a_head(self, position: int) -> None:
        if self.model:
            noted = self.log.head_at(position % len(self.model) + 1)
            assert verify(self.log, Noted(noted.hash.hex(), noted.position)).ok

    @invariant()
    def the_log_is_the_list(self) -> None:
        records = list(self.log.read())
        assert [(r.stream, r.version, r.data, r.cause, r.correlation) for r in records] == self.model
        assert [record.position for record in records] == list(range(1, len(self.model) + 1))
        assert self.log.head.position == len(self.model)
        assert dict(self.log.document_digests()) == self.documents

    def teardown(self) -> None:
        if hasattr(self, "log"):
            verdict = verify(self.log)
            assert verdict.ok, verdict.reason
            assert (verdict.events, verdict.documents) == (len(self.model), len(self.documents))
            assert verdict.head == self.log.head.hash.hex()
            self.log.close()
            shutil.rmtree(self.folder)


def test_the_log_behaves_like_a_list(empty_database: Path) -> None:
    class Machine(LogMachine):
        empty = empty_database

    run_state_machine_as_test(
        Machine, settings=settings(max_examples=25, stateful_step_count=20, deadline=None)
    )
