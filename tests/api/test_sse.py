"""The wire format of server-sent events."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from janfs.api.sse import comment, message


@given(st.text(), st.integers(0), st.sampled_from([None, "file-dropped"]))
def test_a_message_is_one_block_whatever_it_holds(text: str, position: int, event: str | None) -> None:
    data = msgspec.json.encode({"text": text.encode("utf-8", "replace").decode()})
    block = message(data, event=event, id_=str(position)).decode()
    assert block.endswith("\n\n")
    assert block.count("\n\n") == 1, "a reader would see two messages"
    fields = dict(line.split(": ", 1) for line in block.rstrip("\n").split("\n"))
    assert fields["id"] == str(position)
    assert fields.get("event") == event
    assert json.loads(fields["data"]) == json.loads(data)


def test_a_comment_is_skipped_by_readers() -> None:
    assert comment("still here") == b": still here\n\n"
