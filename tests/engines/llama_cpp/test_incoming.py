import asyncio

from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp import wire
from janfs.engines.llama_cpp.incoming import Incoming
from janfs.engines.protocol import TextDelta

said = st.lists(st.lists(st.builds(wire.Answer, st.text(), st.builds(TextDelta, st.text())), max_size=3))


@given(said, st.data())
def test_every_event_is_heard_once_and_in_order_however_the_bytes_are_cut(
    frames: list[list[wire.Answer]], data: st.DataObject
) -> None:
    stream = b"".join(map(wire.encode_events, frames))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    heard: list[wire.Event] = []

    async def scenario() -> None:
        incoming = Incoming()
        incoming.listen(heard.append)
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            incoming.data_received(stream[start:end])

    asyncio.run(scenario())
    assert heard == [event for frame in frames for event in frame]


def test_the_first_event_is_waited_for_and_not_told_to_who_listens_later() -> None:
    async def scenario() -> None:
        incoming, heard = Incoming(), list[wire.Event]()
        first = asyncio.ensure_future(incoming.first())
        incoming.data_received(wire.encode_events([wire.Pong()]))
        assert await first == wire.Pong()
        incoming.listen(heard.append)
        incoming.data_received(wire.encode_events([wire.Rendered("1", "a")]))
        assert heard == [wire.Rendered("1", "a")]

    asyncio.run(scenario())


def test_a_socket_that_closes_before_the_first_event_ends_the_wait_for_it() -> None:
    async def scenario() -> None:
        incoming = Incoming()
        first = asyncio.ensure_future(incoming.first())
        await asyncio.sleep(0)
        incoming.connection_lost(None)
        assert await first is None
        await incoming.closed.wait()

    asyncio.run(scenario())


def test_nobody_need_wait_any_more_when_the_first_event_comes() -> None:
    async def scenario() -> None:
        incoming = Incoming()
        first = asyncio.ensure_future(incoming.first())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        incoming.data_received(wire.encode_events([wire.Pong()]))
        incoming.connection_lost(None)
        assert incoming.closed.is_set()

    asyncio.run(scenario())
