"""The engines elsewhere that are in use: which of their servers is asked, and what comes back."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import structlog

from janfs.engines.protocol import EngineState
from janfs.engines.remote.asking import asked, of_our_own_accord, streams, wants_usage, without
from janfs.engines.remote.model import Key, RemoteModel
from janfs.engines.remote.pieces import Piece, Rewriter
from janfs.engines.remote.upstream import Attempts, Upstream, UpstreamState
from janfs.engines.remote.watching import DEFAULT_PACE, Pace, Watch, unless_gone
from janfs.errors import JanfsError, UpstreamError
from janfs.manifest.remote import Address, RemoteEngine

if TYPE_CHECKING:
    from janfs.engines.remote.wire import Wire

_MOST_HELD = 64  # messages of a stream that say nothing yet and are held back
_log = structlog.get_logger()
KeyOf = Callable[[RemoteEngine, str], Key | None]
"""The key to an engine, in its file at a path below the root. Raises `ModelNotRunnable` or `EngineError`."""


class RemoteEngines:
    """Asks the servers of engines elsewhere. Belongs to one event loop.

    `record` is told of each model when it answers for the first time.
    """

    def __init__(
        self,
        key_of: KeyOf,
        record: Callable[[RemoteModel], Awaitable[None]],
        pace: Pace = DEFAULT_PACE,
    ) -> None:
        self._key_of = key_of
        self._record = record
        self._made: Wire | None = None
        self._patience = pace.patience
        self._upstreams: dict[str, dict[Address, Upstream]] = {}
        self._watch = Watch(self._look, pace)
        self._recorded: set[tuple[str, str]] = set()

    async def aclose(self) -> None:
        """End what runs in the background, and close every connection."""
        await self._watch.aclose()
        if self._made is not None:
            await self._made.aclose()

    async def answer(
        self, model: RemoteModel, operation: str, request: Mapping[str, Any], *, translated: bool = False
    ) -> AsyncGenerator[Piece]:
        """The messages of a stream, or the one answer to a request that is not streamed.

        Close it (`aclosing`) to cancel the request. The first one comes when there is something of the
        answer; until then another server is asked if one fails, from then on `UpstreamError` ends it.
        Raises `UpstreamError` or `ModelNotRunnable` before that. A request may have been `translated` into
        these words.
        """
        body = asked(model, operation, request)
        optional = of_our_own_accord(operation, request, body, translated=translated)
        usage = not streams(operation, request) or wants_usage(request)
        rewriter = Rewriter(model.id, model.system_fingerprint, usage=usage)
        tries = self._attempts(model, optional)
        for attempt in tries:
            with attempt as upstream:
                self._look_after(upstream)  # one that was dropped meanwhile is left alone otherwise
                key = upstream.key = self._key_of(model.engine, model.file)
                said = without(body, request, upstream.refused & optional)
                held: list[Piece] = []
                answer = self._wire().answer(upstream, key, operation, said, rewriter)
                patience = model.engine.first_word_timeout if streams(operation, said) else None
                async with aclosing(unless_gone(upstream, key, answer, patience)) as pieces:
                    async for piece in pieces:
                        held.append(piece)
                        if not attempt.no_way_back:
                            if not piece.told and len(held) < _MOST_HELD:
                                continue
                            await self._answered(model, upstream)
                            attempt.no_way_back = True
                        for each in held:
                            yield each
                        held.clear()
                if not attempt.no_way_back:  # an answer that says nothing is one, too
                    await self._answered(model, upstream)
                for each in held:
                    yield each
                return
        raise tries.error()

    async def check(self, model: RemoteModel) -> frozenset[str] | None:
        """Ask every server of a model whether it is there; the models they list, None if they do not say.

        Raises `UpstreamError` if none answers, `ModelNotRunnable` if there is no key.
        """
        self._key_of(model.engine, model.file)
        upstreams = self._of(model.engine, model.file)
        for each in upstreams:
            each.forgive()
        found = await asyncio.gather(*(self._look(each) for each in upstreams))
        failed = [each for each in found if isinstance(each, UpstreamError)]
        if len(failed) == len(found):
            raise failed[0]
        listed = [each for each in found if isinstance(each, frozenset)]
        return frozenset().union(*listed) if listed else None

    def keep_to(self, engines: Mapping[str, RemoteEngine]) -> None:
        """Forget servers that are none of these engines', by id, any more; the others go by what they say."""
        for name, known in list(self._upstreams.items()):
            engine = engines.get(name)
            for address, upstream in list(known.items()):
                if engine is not None and address in engine.addresses:
                    upstream.engine = engine
                else:
                    self._watch.forget(known.pop(address))
            if not known:
                del self._upstreams[name]

    def health(self, engine: RemoteEngine) -> tuple[UpstreamState, ...]:
        """How the servers of an engine are, as far as that is known."""
        known = self._upstreams.get(engine.id, {})
        return tuple(
            known[address].shown() if address in known else UpstreamState(address.base, "unknown")
            for address in engine.addresses
        )

    def state(self, engine: str) -> EngineState:
        """What the models of an engine are doing, in the words for models that are loaded here."""
        health = [each.shown() for each in self._upstreams.get(engine, {}).values()]
        active = sum(each.active for each in health)
        if any(each.state == "up" for each in health):
            return EngineState(state="running", active=active)
        if health and all(each.state == "down" for each in health):
            return EngineState(state="failed", reason=health[0].reason, since=health[0].since)
        return EngineState(state="stopped", active=active)

    def servers(self) -> dict[str, list[UpstreamState]]:
        """How the servers are of every engine that has been asked, by its id."""
        return {
            engine: [each.shown() for each in known.values()] for engine, known in self._upstreams.items()
        }

    @property
    def in_use(self) -> bool:
        """Whether any engine has been asked since the start."""
        return bool(self._upstreams)

    def _attempts(self, model: RemoteModel, optional: frozenset[str]) -> Attempts:
        upstreams = self._of(model.engine, model.file)
        for each in upstreams:
            self._look_after(each)

        def on_failure(upstream: Upstream, error: UpstreamError) -> bool:
            # Not in their words, which may repeat a prompt.
            _log.info("upstream-failed", engine=upstream.engine.id, server=upstream.name, status=error.status)
            if error.retry_after is not None:
                upstream.wait(model.name, error.retry_after, time.monotonic())
            shut = error.kind == "upstream_unauthorized" and not error.of_model
            if error.of_model:
                upstream.keeps(model.name)
            if shut:
                upstream.shuts_out()
            if error.broken or shut:
                upstream.is_down(error.detail)
                self._watch.over(upstream)
            refused = {each for each in optional - upstream.refused if each in error.detail}
            if error.status in (400, 422) and refused:
                upstream.refused |= refused
                return True
            return error.broken and error.elsewhere and upstream.alone

        return Attempts(upstreams, model.name, on_failure)

    def _look_after(self, upstream: Upstream) -> None:
        if upstream.engine.health_checks:
            self._watch.over(upstream)

    def _of(self, engine: RemoteEngine, file: str) -> list[Upstream]:
        """The servers of an engine as its file has them now; what is known of them stays known."""
        known = self._upstreams.get(engine.id, {})
        now = {each: known.get(each) or Upstream(engine, each, file) for each in engine.addresses}
        for address, upstream in known.items():
            if address not in now:
                self._watch.forget(upstream)
        for upstream in now.values():
            upstream.engine, upstream.file, upstream.wanted = engine, file, time.monotonic()
        self._upstreams[engine.id] = now
        return list(now.values())

    def _wire(self) -> "Wire":
        """Made when it is first needed: importing httpx takes a while, and many have no engines elsewhere."""
        if self._made is None:
            from janfs.engines.remote.wire import Wire

            self._made = Wire()
        return self._made

    async def _look(self, upstream: Upstream) -> frozenset[str] | UpstreamError | None:
        """See how a server is; what models it lists. One that was dropped gets no key."""
        try:
            key = None if upstream.dropped else self._key_of(upstream.engine, upstream.file)
            found = await self._wire().models(upstream, key, self._patience)
        except UpstreamError as error:
            upstream.is_down(error.detail)
            upstream.looked(answered=not error.broken)
            return error
        except JanfsError as error:  # without a key nothing can be said of it
            upstream.is_down(error.detail)
            return None
        if upstream.is_shut_to(key):
            upstream.looked(answered=True)
        else:
            upstream.is_up()
        return found

    async def _answered(self, model: RemoteModel, upstream: Upstream) -> None:
        upstream.is_up()
        known = (model.uid, model.fingerprint)
        if known in self._recorded:
            return
        self._recorded.add(known)
        try:
            await self._record(model)
        except JanfsError as error:
            self._recorded.discard(known)
            _log.warning("start-not-recorded", model=model.id, reason=error.detail)
