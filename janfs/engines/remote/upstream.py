"""The servers of an engine: how each of them is, how much it has to do, and which one is asked next."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from janfs.engines.remote.model import Key
from janfs.errors import UpstreamError
from janfs.manifest.remote import Address, RemoteEngine

MOST_ACTIVE = 512  # requests at a time that one server is given
LONGEST_WAIT = 600.0  # seconds that a server is left alone at most because it asks for it
LONGEST_SHUT = 600.0  # seconds that a key is taken for a wrong one at most, since it was refused
LOST_AFTER = 3  # looks at the only server; some are slow to answer while they compute
_MOST_WORDS = 2000  # characters of an error that are passed on
_MOST_OF_A_NAME = 200  # characters of its code, or of what it says is wrong in a request
_MOST_WAITS = 100  # models of one server that are waited for


class UpstreamState(Struct, frozen=True):
    """How a server of an engine is, for people. `since` is in Unix seconds; `active` requests run there.

    "unknown" is one that has not been asked yet.
    """

    url: str
    state: Literal["unknown", "up", "down"]
    active: int = 0
    since: float | None = None
    reason: str | None = None


class Upstream:
    """A server of an `engine`, whose key is in `file`. It is the same one while its address is.

    It is `dropped` when that is none of the engine's any more; requests may still run there.
    """

    def __init__(self, engine: RemoteEngine, address: Address, file: str) -> None:
        self.engine = engine
        self.address = address
        self.file = file
        self.state: Literal["unknown", "up", "down"] = "unknown"
        self.dropped = False
        self.active = 0
        self.used = 0.0  # when it was asked last, in seconds of the monotonic clock
        self.wanted = 0.0  # when it or another of its engine was
        self.refused: frozenset[str] = frozenset()  # fields of our own accord that it wants otherwise
        self.note: str | None = None  # what is to be known of it while it is up
        self.key: Key | None = None  # that it was asked with last
        self._shut_out: Key | None = None  # the one that it refused an answer
        self._shut_until = 0.0  # in seconds of the monotonic clock
        self._kept: dict[str, tuple[Key | None, float]] = {}  # models: the key, and until when it holds
        self._reason: str | None = None
        self._since: float | None = None
        self._waits: dict[str, float] = {}
        self._looks: set[asyncio.Future[bool]] = set()  # of those who wait for the next one

    @property
    def name(self) -> str:
        """Its host and port."""
        return urlsplit(self.address.base).netloc

    @property
    def alone(self) -> bool:
        """Whether there is no other one to turn to."""
        return len(self.engine.addresses) == 1

    def is_up(self) -> None:
        """It answered."""
        self.looked(answered=True)
        self._shut_until = 0.0
        if self.state != "up":
            self.state, self._reason, self._since = "up", None, time.time()

    def is_down(self, reason: str) -> None:
        """It did not, or does not let us in."""
        if self.state != "down":
            self._since = time.time()
        self.state, self._reason = "down", reason

    def shuts_out(self) -> None:
        """It does not let us in with the key that it was asked with for an answer."""
        self._shut_out, self._shut_until = self.key, time.monotonic() + LONGEST_SHUT

    def keeps(self, model: str) -> None:
        """It does not let us have this model with the key that it was asked with."""
        now = time.monotonic()
        self._kept = {name: kept for name, kept in self._kept.items() if kept[1] > now}
        if len(self._kept) < _MOST_WAITS:
            self._kept[model] = self.key, now + LONGEST_SHUT

    def is_kept(self, model: str, now: float) -> bool:
        """Whether it lately did not let us have this model, with the key that it is asked with now."""
        key, until = self._kept.get(model, (None, 0.0))
        return now < until and _same(key, self.key)

    def forgive(self) -> None:
        """What it thinks of our key may be another by now."""
        self._shut_until = 0.0
        self._kept = {}

    def is_shut_to(self, key: Key | None) -> bool:
        """Whether a list that it gives to this key says nothing: many give theirs to everyone."""
        return time.monotonic() <= self._shut_until and _same(key, self._shut_out)

    def looked(self, *, answered: bool) -> None:
        """Somebody saw whether it answers at all."""
        for look in self._looks:
            if not look.done():
                look.set_result(answered)

    async def lost(self) -> None:
        """Wait until it is seen not to answer: once, or where nobody else can be asked `LOST_AFTER` times in
        a row, unless it was down before.
        """
        enough = LOST_AFTER if self.alone and self.state != "down" else 1
        missed = 0
        while missed < enough:
            look: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._looks.add(look)
            try:
                missed = 0 if await look else missed + 1
            finally:
                self._looks.discard(look)

    def wait(self, model: str, seconds: float, now: float) -> None:
        """It asks to be left alone with a model for so long; `now` is in seconds of the monotonic clock."""
        self._waits = {name: until for name, until in self._waits.items() if until > now}
        if len(self._waits) < _MOST_WAITS:
            self._waits[model] = now + min(seconds, LONGEST_WAIT)

    def waits(self, model: str, now: float) -> float:
        """For how many seconds it still asks to be left alone with a model; 0 if it does not."""
        return max(0.0, self._waits.get(model, 0.0) - now)

    def shown(self) -> UpstreamState:
        """How it is, for people."""
        reason = self.note if self.state == "up" else self._reason
        return UpstreamState(self.address.base, self.state, self.active, self._since, reason)


def next_of(upstreams: Iterable[Upstream], model: str, now: float) -> Upstream | None:
    """The server to ask: one that is not known to be down or to keep the model from us, with the fewest
    requests, the longest not asked. One that is down is better than none: it may be back.
    """
    able = [each for each in upstreams if not each.waits(model, now) and each.active < MOST_ACTIVE]

    def order(each: Upstream) -> tuple[bool, int, float]:
        return each.state == "down" or each.is_kept(model, now), each.active, each.used

    return min(able, key=order, default=None)


OnFailure = Callable[[Upstream, UpstreamError], bool]
"""Takes note of a failure, and says whether the same server is worth another try at once."""


class Attempt:
    """One try at one server, as a context: it holds a place there.

    It lets only those failures out after which no other try is worth it, and with `no_way_back` all.
    """

    def __init__(self, upstream: Upstream, on_failure: OnFailure) -> None:
        self.upstream = upstream
        self.no_way_back = False
        self.failure: UpstreamError | None = None
        self.again = False
        self._on_failure = on_failure

    def __enter__(self) -> Upstream:
        self.upstream.active += 1
        self.upstream.used = time.monotonic()
        return self.upstream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.upstream.active -= 1
        if not isinstance(error, UpstreamError):
            return False
        self.failure = error
        self.again = self._on_failure(self.upstream, error)
        return (error.elsewhere or self.again) and not self.no_way_back


class Attempts:
    """The tries at a request, each at another server, one of them twice if that is worth it.

    Whoever takes them stops when one has gone well; when none is left, `error` says what went wrong last.
    """

    def __init__(self, upstreams: Sequence[Upstream], model: str, on_failure: OnFailure) -> None:
        self._upstreams = upstreams
        self._model = model
        self._on_failure = on_failure
        self._last: UpstreamError | None = None

    def __iter__(self) -> Iterator[Attempt]:
        left, repeated = list(self._upstreams), False
        while (upstream := next_of(left, self._model, time.monotonic())) is not None:
            attempt = Attempt(upstream, self._on_failure)
            yield attempt
            self._last = attempt.failure
            if not attempt.again or repeated:
                left.remove(upstream)
            repeated = repeated or attempt.again

    def error(self) -> UpstreamError:
        """Why nobody has answered."""
        now = time.monotonic()
        wait = min((each.waits(self._model, now) for each in self._upstreams), default=0.0)
        why = "asks to be left alone for a while" if wait else "has as many requests of ours as it gets"
        return self._last or UpstreamError(
            f"Whoever serves '{self._model}' {why}. Try again later.",
            status=429,
            kind="server_busy",
            retry_after=wait or 1.0,
        )


def named(upstream: Upstream, key: Key | None, error: UpstreamError) -> UpstreamError:
    """The same error, saying whose it is, without the key in its words or a part of it where they are cut."""
    hidden = key.hidden if key is not None else str
    whose = f"The engine '{upstream.engine.id}' at {upstream.name}"
    return UpstreamError(
        _bounded(hidden(f"{whose}: {error.detail.rstrip('.')}."), _MOST_WORDS),
        status=error.status,
        kind=_bounded(hidden(error.kind), _MOST_OF_A_NAME),
        param=None if error.param is None else _bounded(hidden(error.param), _MOST_OF_A_NAME),
        retry_after=error.retry_after,
        counts=error.counts,
        elsewhere=error.elsewhere,
        broken=error.broken,
        of_model=error.of_model,
    )


def _same(one: Key | None, other: Key | None) -> bool:
    return one is other if one is None or other is None else one.is_same(other)


def _bounded(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
