"""Engines elsewhere over real connections: servers that hang, that come back, and that are recorded."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec
import pytest

from janfs.engines.remote.engines import RemoteEngines
from janfs.engines.remote.model import Key, RemoteModel
from janfs.engines.remote.pieces import Piece
from janfs.engines.remote.watching import Pace
from janfs.errors import LogError, UpstreamError
from janfs.manifest.remote import remote_engine
from tests.support.patience import PATIENCE
from tests.support.ports import vacant_port
from tests.support.upstream import STREAM, Reply, Theirs, answer, chunk, theirs

QUICK = Pace(first=0.02, longest=0.1, every=0.05, patience=PATIENCE)
# Where somebody hangs; whoever does not answers sooner than this, on a busy machine too.
HASTY = msgspec.structs.replace(QUICK, patience=3.0)
REQUEST = {"messages": [], "stream": True}


def model_of(*sites: Theirs, id_: str = "ours", **said: Any) -> RemoteModel:
    urls = {"base_urls": [f"{site.url}/v1" for site in sites]}
    return RemoteModel(
        id=id_, uid=f"uid-{id_}", name="theirs", engine=remote_engine("there", urls | said),
        file="engines/there.json", fingerprint=f"{id_}-{len(sites)}", defaults={},
    )  # fmt: skip


class Book:
    """What was recorded; it fails as often as `fails` says."""

    def __init__(self, fails: int = 0) -> None:
        self.models: list[str] = []
        self.fails = fails

    async def record(self, model: RemoteModel) -> None:
        if self.fails:
            self.fails -= 1
            raise LogError("The disk is full.")
        self.models.append(model.id)


@asynccontextmanager
async def engines(
    book: Book | None = None, pace: Pace = QUICK, key_of: Callable[[], Key] = lambda: Key("secret")
) -> AsyncGenerator[RemoteEngines]:
    found = RemoteEngines(lambda _engine, _file: key_of(), (book or Book()).record, pace)
    try:
        yield found
    finally:
        await found.aclose()


async def collect(remotes: RemoteEngines, model: RemoteModel) -> list[Piece]:
    async with aclosing(remotes.answer(model, "chat/completions", REQUEST)) as pieces:
        return [piece async for piece in pieces]


async def eventually(check: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < until, what
        await asyncio.sleep(0.01)


def test_one_that_hangs_is_left_for_another_while_it_has_said_nothing() -> None:
    """It is found out by looking at it, since its connections stand."""
    hanging = threading.Event()

    async def run() -> None:
        with theirs() as one, theirs() as two:
            one.usual, two.usual = Reply(stream=[chunk("late")], hold=hanging), STREAM
            one.models = Reply(body={}, hold=hanging)
            try:
                async with engines(pace=HASTY) as remotes:
                    for _ in range(3):
                        pieces = await asyncio.wait_for(collect(remotes, model_of(one, two)), PATIENCE)
                        assert pieces[-1].usage is not None
                    states = {each.url: each for each in remotes.health(model_of(one, two).engine)}
                    assert states[f"{one.url}/v1"].state == "down"
                    assert [each.active for each in states.values()] == [0, 0]
            finally:
                hanging.set()

    asyncio.run(run())


@pytest.mark.parametrize("count", [1, 2])
def test_where_all_hang_the_client_is_told_soon(count: int) -> None:
    hanging = threading.Event()

    async def run() -> None:
        with theirs() as one, theirs() as two:
            sites = (one, two)[:count]
            for site in sites:
                site.usual, site.models = Reply(stream=[chunk("late")], hold=hanging), Reply(hold=hanging)
            try:
                async with engines(pace=msgspec.structs.replace(QUICK, patience=0.5)) as remotes:
                    for _ in range(2):
                        with pytest.raises(UpstreamError, match="does not answer any more") as caught:
                            await asyncio.wait_for(collect(remotes, model_of(*sites)), PATIENCE)
                        assert (caught.value.status, caught.value.kind) == (504, "upstream_timeout")
                    assert max(len(site.bodies) for site in sites) <= 2, "it was tried again at once"
            finally:
                hanging.set()

    asyncio.run(run())


def looks(site: Theirs) -> int:
    """How often it was looked at."""
    return len(site.asked) - len(site.bodies)


def test_the_only_one_may_miss_a_look() -> None:
    hanging, seen = threading.Event(), threading.Event()

    async def run() -> None:
        with theirs() as one:
            listing, one.models = one.models, Reply(body={}, hold=hanging)
            one.usual = Reply(stream=[chunk("a"), chunk(finish="stop")], hold=seen)
            try:
                async with engines(pace=HASTY) as remotes:
                    asking = asyncio.create_task(collect(remotes, model_of(one)))
                    await eventually(lambda: looks(one) == 1, "it was not looked at")
                    one.models = listing
                    await eventually(lambda: looks(one) > 1 or asking.done(), "it was looked at once only")
                    seen.set()
                    assert await asking, "it was given up for a look that it missed"
            finally:
                hanging.set()
                seen.set()

    asyncio.run(run())


def test_one_need_not_be_looked_at_at_all() -> None:
    async def run() -> None:
        with theirs() as one:
            one.usual = Reply(stream=[0.5, chunk("a"), chunk(finish="stop")])
            async with engines() as remotes:
                assert await collect(remotes, model_of(one, health_checks=False))
            assert looks(one) == 0

    asyncio.run(run())


def test_the_first_word_has_a_bound_of_its_own() -> None:
    hanging = threading.Event()

    async def run() -> None:
        with theirs() as one, theirs() as two:
            one.usual = Reply(stream=[chunk(), hanging, chunk("late"), chunk(finish="stop")])
            two.usual = STREAM
            try:
                async with engines() as remotes:
                    with pytest.raises(UpstreamError, match="said nothing for 1 seconds") as caught:
                        await collect(remotes, model_of(one, first_word_timeout=1))
                    assert caught.value.status == 504
                    for _ in range(2):
                        pieces = await collect(remotes, model_of(one, two, first_word_timeout=6))
                        assert pieces[-1].usage is not None, "the other one was not asked"
            finally:
                hanging.set()
            async with engines() as remotes:
                one.usual = Reply(stream=[chunk("a"), 6.5, chunk(finish="stop")])
                assert len(await collect(remotes, model_of(one, first_word_timeout=6))) == 2

    asyncio.run(run())


def test_one_that_has_begun_to_answer_is_not_left_for_being_slow_to_list() -> None:
    hanging, seen = threading.Event(), threading.Event()

    async def run() -> None:
        with theirs() as one, theirs() as two:
            for site in (one, two):
                site.models = Reply(body={}, hold=hanging)
                site.usual = Reply(stream=[chunk("a"), seen, chunk("b"), chunk(finish="stop")])
            model = model_of(one, two)
            try:
                async with engines(pace=HASTY) as remotes:
                    asking = asyncio.create_task(collect(remotes, model))
                    await eventually(
                        lambda: {each.state for each in remotes.health(model.engine)} == {"down"},
                        "nobody missed that they do not list",
                    )
                    seen.set()
                    pieces = await asking
            finally:
                hanging.set()
                seen.set()
            texts = [piece.data["choices"][0]["delta"].get("content") for piece in pieces if piece.data]
            assert texts == ["a", "b", ""]

    asyncio.run(run())


def test_one_that_is_back_is_seen_without_being_asked_for_an_answer() -> None:
    async def run() -> None:
        with theirs() as one, vacant_port() as port:
            with theirs(port) as two:
                model = model_of(one, two)
            one.usual = STREAM
            async with engines() as remotes:
                await collect(remotes, model)

                def state(number: int) -> str:
                    return remotes.health(model.engine)[number].state

                await eventually(lambda: state(1) == "down", "nobody saw that it is gone")
                with theirs(port) as back:
                    await eventually(lambda: state(1) == "up", "nobody saw that it is back")
                    assert not back.bodies

    asyncio.run(run())


def watched() -> set[str]:
    """The servers that somebody looks after."""
    names = {task.get_name() for task in asyncio.all_tasks()}
    return {name.removeprefix("watch ") for name in names if name.startswith("watch ")}


def test_a_lone_one_is_not_looked_at_without_need() -> None:
    async def run() -> None:
        with theirs() as one:
            one.usual = STREAM
            async with engines() as remotes:
                await collect(remotes, model_of(one))
                await eventually(lambda: watched() == set(), "it is watched though nobody asks it anything")

    asyncio.run(run())


def test_a_model_is_recorded_once_it_has_answered_and_again_if_that_failed() -> None:
    async def run() -> None:
        book = Book(fails=1)
        with theirs() as one:
            one.replies, one.usual = [Reply(500, {})], STREAM
            async with engines(book) as remotes:
                with pytest.raises(UpstreamError):
                    await collect(remotes, model_of(one))
                assert book.fails, "it has not answered yet"
                for _ in range(3):
                    await collect(remotes, model_of(one))
                assert book.models == ["ours"], "an answer is not lost because the log is full for a moment"

    asyncio.run(run())


def test_a_client_that_leaves_frees_the_server() -> None:
    async def run() -> None:
        with theirs() as one:
            one.usual = Reply(stream=[chunk("a"), *[0.05, chunk("b")] * 100_000])
            async with engines() as remotes:
                async with aclosing(remotes.answer(model_of(one), "chat/completions", REQUEST)) as pieces:
                    await anext(pieces)
                    assert remotes.state("there").active == 1
                assert remotes.state("there").active == 0
                await eventually(lambda: one.now == 0, "the server goes on writing")

    asyncio.run(run())


def test_a_server_that_is_named_no_more_is_forgotten_and_one_that_stays_is_known() -> None:
    async def run() -> None:
        with theirs() as one, theirs() as two:
            one.usual = two.usual = STREAM
            async with engines() as remotes:
                await collect(remotes, model_of(one, two))
                await collect(remotes, model_of(one, two))
                only = model_of(one)
                await collect(remotes, only)
                await asyncio.sleep(0)
                (left,) = remotes.health(only.engine)
                assert (left.url, left.state) == (f"{one.url}/v1", "up")
                await eventually(lambda: f"{two.url}/v1" not in watched(), "it is still looked at")

    asyncio.run(run())


def test_servers_of_an_engine_that_is_gone_or_elsewhere_by_now_are_left_alone_at_once() -> None:
    async def run() -> None:
        with theirs() as one, theirs() as two, theirs() as three:
            one.usual = two.usual = STREAM
            async with engines() as remotes:
                await collect(remotes, model_of(one, two))
                assert watched() == {f"{one.url}/v1", f"{two.url}/v1"}
                remotes.keep_to({"there": model_of(one, three).engine})
                left = {f"{one.url}/v1"}
                await eventually(lambda: watched() == left, "one that is named no more is looked at")
                assert [each.url for each in remotes.servers()["there"]] == [f"{one.url}/v1"]
                remotes.keep_to({})
                await eventually(lambda: not watched(), "a server of no engine is looked at")
                assert (remotes.servers(), remotes.state("there").state) == ({}, "stopped")

    asyncio.run(run())


@pytest.mark.parametrize("count", [1, 2])
def test_who_waits_where_the_engine_was_before_is_told_when_it_hangs_there(count: int) -> None:
    """The old server is looked at for that, without any key."""
    hanging = threading.Event()

    async def run() -> None:
        with theirs() as one, theirs() as other, theirs() as new:
            sites = (one, other)[:count]
            for site in sites:
                site.usual, site.models = Reply(stream=[chunk("late")], hold=hanging), Reply(hold=hanging)
            new.usual = STREAM
            try:
                async with engines(pace=msgspec.structs.replace(QUICK, patience=0.5)) as remotes:
                    asking = asyncio.create_task(collect(remotes, model_of(*sites)))
                    await eventually(lambda: any(site.bodies for site in sites), "nobody was asked")
                    await collect(remotes, model_of(new))
                    before = [len(site.asked) for site in sites]
                    with pytest.raises(UpstreamError, match="does not answer any more"):
                        await asyncio.wait_for(asking, PATIENCE)
                    late = [
                        headers
                        for site, seen in zip(sites, before, strict=True)
                        for path, headers, _ in site.asked[seen:]
                        if path.endswith("/models")
                    ]
                    assert late, "nobody looked"
                    assert "authorization" not in late[-1]  # an earlier one may have been on its way before
                    old = {f"{site.url}/v1" for site in sites}
                    await eventually(lambda: not watched() & old, "it is looked at though nobody waits there")
            finally:
                hanging.set()

    asyncio.run(run())


def test_checking_asks_all_and_one_that_answers_will_do() -> None:
    async def run() -> None:
        with theirs() as one, vacant_port() as port:
            gone = Theirs(f"http://127.0.0.1:{port}")
            model = model_of(gone, one)
            async with engines() as remotes:
                assert await remotes.check(model) == {"theirs"}
                assert remotes.state("there").state == "running"
                with pytest.raises(UpstreamError, match="no connection"):
                    await remotes.check(model_of(gone, id_="else"))

    asyncio.run(run())


def test_one_that_has_no_list_is_there_all_the_same() -> None:
    async def run() -> None:
        with theirs() as one:
            async with engines() as remotes:
                for reply in (*map(Reply, (404, 405, 429)), Reply(200, b'{"data": [{"id": "caf\xe9"}]}')):
                    one.models = reply
                    assert await remotes.check(model_of(one)) is None
                one.models = Reply(503, {})
                with pytest.raises(UpstreamError, match="503"):
                    await remotes.check(model_of(one))

    asyncio.run(run())


def test_one_whose_list_is_not_for_us_is_there_and_says_so() -> None:
    async def run() -> None:
        with theirs() as one, theirs() as two:
            for site in (one, two):
                site.usual, site.models = STREAM, Reply(403, {"error": {"message": "Missing scopes."}})
            model = model_of(one, two)
            async with engines() as remotes:
                assert await remotes.check(model) is None
                await collect(remotes, model)
                await eventually(lambda: min(map(looks, (one, two))) > 3, "nobody looks any more")
                for each in remotes.health(model.engine):
                    assert (each.state, "list its models" in (each.reason or "")) == ("up", True)
                one.models, two.models = Reply(body={"data": []}), Reply(404, b"")
                await eventually(
                    lambda: not any(each.reason for each in remotes.health(model.engine)), "it lists them now"
                )
                one.models = two.models = Reply(401, {})
                with pytest.raises(UpstreamError, match="api_key"):
                    await remotes.check(model)

    asyncio.run(run())


def test_one_that_lists_its_models_for_any_key_but_answers_with_none_is_down_until_the_key_is_another() -> (
    None
):
    keys = ["wrong"]

    async def run() -> None:
        with theirs() as one, theirs() as two:
            one.usual, two.usual = Reply(401, {"error": {"message": "No such key."}}), STREAM
            model = model_of(one, two)
            async with engines(key_of=lambda: Key(keys[-1])) as remotes:
                await collect(remotes, model)
                await eventually(lambda: looks(one) > 3, "nobody looks any more")
                shut, fine = remotes.health(model.engine)
                assert (shut.state, fine.state) == ("down", "up")
                assert "api_key" in (shut.reason or "")
                await collect(remotes, model)
                assert len(one.bodies) == 1, "it is asked again and again with a key that it refused"
                keys.append("right")
                one.usual = STREAM
                await eventually(lambda: remotes.health(model.engine)[0].state == "up", "the key is another")
                one.usual = Reply(401, {})
                await collect(remotes, model)
                await collect(remotes, model)
                assert remotes.health(model.engine)[0].state == "down"
                await remotes.check(model)
                assert remotes.health(model.engine)[0].state == "up", "a person asked anew"

    asyncio.run(run())


def test_one_that_keeps_a_model_from_us_is_not_down_for_others() -> None:
    async def run() -> None:
        with theirs() as one, theirs() as two:
            model = model_of(one, two)
            other = msgspec.structs.replace(model_of(one, two, id_="other"), name="else")
            async with engines(pace=msgspec.structs.replace(QUICK, every=PATIENCE)) as remotes:
                one.usual = two.usual = STREAM
                for _ in range(2):
                    await collect(remotes, other)
                one.usual = Reply(403, {"error": {"message": "No access to this model."}})
                for _ in range(3):
                    await collect(remotes, model)
                assert len(one.bodies) == 2, "it is asked again and again for what it does not let us have"
                assert [each.state for each in remotes.health(model.engine)] == ["up", "up"]
                one.usual = STREAM
                for _ in range(2):
                    await collect(remotes, other)
                assert len(one.bodies) == 3, "it is not asked for other models"
                await remotes.check(model)
                for _ in range(2):
                    await collect(remotes, model)
                assert len(one.bodies) == 4, "a person asked anew"

    asyncio.run(run())


def test_the_only_one_keeps_a_model_from_us_and_is_up() -> None:
    async def run() -> None:
        with theirs() as one:
            model = model_of(one)
            async with engines() as remotes:
                one.usual = STREAM
                await collect(remotes, model)
                one.usual = Reply(403, {})
                for _ in range(2):
                    with pytest.raises(UpstreamError, match="403"):
                        await collect(remotes, msgspec.structs.replace(model, name="else"))
                assert remotes.state("there").state == "running"

    asyncio.run(run())


def test_a_host_that_cannot_be_one_is_told() -> None:
    """Python finds that out late: some names only as they are written into a request."""

    async def run() -> None:
        with theirs() as one:
            one.usual = Reply(302, {}, headers={"Location": "http://xn--/v1"})
            for model in (model_of(Theirs("http://xn--")), model_of(one)):
                async with engines() as remotes:
                    with pytest.raises(UpstreamError, match="no connection"):
                        await collect(remotes, model)
                    assert remotes.health(model.engine)[0].state == "down"
            async with engines() as remotes:
                with pytest.raises(UpstreamError, match="no connection"):
                    await remotes.check(model_of(Theirs("http://xn--")))

    asyncio.run(run())


def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        with theirs() as one:
            async with engines() as remotes:
                monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:1")
                with pytest.raises(UpstreamError, match="no connection can be made from here"):
                    await collect(remotes, model_of(one))
                monkeypatch.delenv("ALL_PROXY")
                one.usual = STREAM
                assert await collect(remotes, model_of(one))

    asyncio.run(run())


def test_two_models_of_one_name_there_are_both_recorded() -> None:
    async def run() -> None:
        book = Book()
        with theirs() as one:
            one.usual = STREAM
            async with engines(book) as remotes:
                for id_ in ("a", "b", "a"):
                    model = msgspec.structs.replace(model_of(one, id_=id_), fingerprint="same")
                    await collect(remotes, model)
        assert book.models == ["a", "b"]

    asyncio.run(run())


def test_an_answer_that_is_not_streamed_is_one_piece() -> None:
    async def run() -> None:
        with theirs() as one:
            async with engines() as remotes:
                pieces = [each async for each in remotes.answer(model_of(one), "chat/completions", {})]
        assert len(pieces) == 1
        assert pieces[0].data is not None
        assert pieces[0].data["choices"] == answer()["choices"]

    asyncio.run(run())
