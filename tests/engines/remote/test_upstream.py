"""Which server is asked, and how often. Times are in seconds of the monotonic clock."""

import html
import json
import re
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.remote.model import Key
from janfs.engines.remote.upstream import (
    LONGEST_WAIT,
    MOST_ACTIVE,
    Attempt,
    Attempts,
    Upstream,
    named,
    next_of,
)
from janfs.errors import EngineError, JanfsError, UpstreamError
from janfs.manifest.remote import RemoteEngine, remote_engine


def servers(count: int) -> list[Upstream]:
    engine = remote_engine("x", {"base_urls": [f"http://s{number}/v1" for number in range(count)]})
    return [Upstream(engine, address, "engines/x.json") for address in engine.addresses]


def tried(upstreams: list[Upstream], *failures: UpstreamError | None, again: bool = False) -> list[int]:
    """The numbers of the servers that are asked, while they fail so; None is a success."""
    order: list[int] = []
    waiting = list(failures)
    for attempt in Attempts(upstreams, "m", lambda _upstream, _error: again):
        with attempt as upstream:
            order.append(upstreams.index(upstream))
            failure = waiting.pop(0) if waiting else None
            if failure is None:
                return order
            raise failure
    return order


def fails(attempt: Attempt, error: JanfsError) -> bool:
    """Whether an attempt that ends with an error is followed by another."""
    try:
        with attempt:
            raise error
    except JanfsError:
        return False
    return True


ELSEWHERE = UpstreamError("It is busy.", elsewhere=True)


def test_the_one_with_the_fewest_requests_is_asked() -> None:
    first, second, third = servers(3)
    first.active, second.active, third.active = 2, 1, 2
    assert next_of([first, second, third], "m", 0.0) is second


def test_of_several_alike_the_one_that_was_not_asked_for_the_longest() -> None:
    upstreams = servers(3)
    assert [tried(upstreams)[0] for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_one_that_is_down_is_asked_last_but_asked() -> None:
    upstreams = servers(3)
    upstreams[0].is_down("No connection.")
    upstreams[1].active = 100
    assert tried(upstreams, ELSEWHERE, ELSEWHERE, ELSEWHERE) == [2, 1, 0]


def test_nobody_is_asked_twice_unless_that_is_worth_it() -> None:
    assert tried(servers(2), *[ELSEWHERE] * 9) == [0, 1]
    assert tried(servers(1), *[ELSEWHERE] * 9, again=True) == [0, 0]
    assert sorted(tried(servers(2), *[ELSEWHERE] * 9, again=True)) in ([0, 0, 1], [0, 1, 1])


def test_what_is_the_requests_fault_is_tried_once() -> None:
    with pytest.raises(UpstreamError, match="Too long"):
        tried(servers(3), UpstreamError("Too long.", status=400))


def test_after_the_first_word_nobody_else_is_tried() -> None:
    for attempt in Attempts(servers(3), "m", lambda _upstream, _error: False):
        attempt.no_way_back = True
        assert not fails(attempt, ELSEWHERE), "the failure was kept, and another server would be asked"
        break


def test_other_errors_are_no_failures_of_the_server() -> None:
    upstreams = servers(2)
    failed: list[Upstream] = []

    def note(upstream: Upstream, _: UpstreamError) -> bool:
        failed.append(upstream)
        return False

    attempt = next(iter(Attempts(upstreams, "m", note)))
    assert not fails(attempt, EngineError("A fault of our own."))
    assert not failed
    assert [each.active for each in upstreams] == [0, 0]


def test_one_that_asks_to_be_left_alone_is_with_that_model() -> None:
    upstreams = servers(2)
    now = time.monotonic()
    upstreams[0].wait("m", 30.0, now)
    assert next_of(upstreams, "m", now + 29) is upstreams[1]
    assert next_of(upstreams, "other", now + 29) is upstreams[0]
    assert next_of(upstreams, "m", now + 31) is upstreams[0]
    upstreams[1].wait("m", 1e9, now)
    assert upstreams[1].waits("m", now) == pytest.approx(LONGEST_WAIT)
    attempts = Attempts(upstreams, "m", lambda _upstream, _error: False)
    assert list(attempts) == []
    error = attempts.error()
    assert (error.status, error.kind) == (429, "server_busy")
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 30, "not the sooner of the two"


def test_nobody_gets_more_requests_than_are_good_for_it() -> None:
    upstreams = servers(1)
    upstreams[0].active = MOST_ACTIVE
    attempts = Attempts(upstreams, "m", lambda _upstream, _error: False)
    assert list(attempts) == []
    assert attempts.error().status == 429


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=1, max_size=5))
def test_whoever_is_chosen_is_no_worse_than_any_other(how: list[tuple[int, bool, bool]]) -> None:
    upstreams = servers(len(how))
    for upstream, (active, down, waits) in zip(upstreams, how, strict=True):
        upstream.active = active
        if down:
            upstream.is_down("Down.")
        if waits:
            upstream.wait("m", 10.0, 0.0)
    found = next_of(upstreams, "m", 1.0)
    able = [each for each, (_, _, waits) in zip(upstreams, how, strict=True) if not waits]
    assert (found is None) == (not able)
    if found is not None:
        assert all(
            (found.state == "down", found.active) <= (each.state == "down", each.active) for each in able
        )


def test_an_engine_of_one_server_knows_that_there_is_no_other() -> None:
    assert servers(1)[0].alone
    assert not servers(2)[0].alone
    assert RemoteEngine(id="x", addresses=()).addresses == ()


@pytest.mark.parametrize(
    "spelled",
    [
        str,
        quote,
        quote_plus,
        lambda key: quote(key, safe="-_.!~*'()"),
        lambda key: re.sub("%..", lambda found: found[0].lower(), quote(key, safe="")),
        json.dumps,
        lambda key: json.dumps(json.dumps(key)),
        lambda key: json.dumps(key).replace("/", r"\/"),
        lambda key: json.dumps(key).replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026"),
        html.escape,
        lambda key: html.escape(key).replace("&#x27;", "&#39;"),
    ],
)
def test_a_key_is_hidden_however_it_is_spelled(spelled: Callable[[str], str]) -> None:
    key = "sk-a/B+c==\"d\\e'<f>&g h"
    error = named(servers(1)[0], Key(key), UpstreamError(f"No: {spelled(key)} is bad, sk-a is not"))
    told = error.detail.partition("No: ")[2]
    assert re.fullmatch(r"""["'\\]*\*\*\*["'\\]* is bad, sk-a is not\.""", told), told


def test_what_they_call_an_error_is_passed_on_within_bounds() -> None:
    long = UpstreamError("No", kind="k" * 300 + "sk-1", param="p" * 197 + "sk-1", status=400)
    error = named(servers(1)[0], Key("sk-1"), long)
    assert (error.kind, error.param) == ("k" * 200 + "…", "p" * 197 + "***")
    short = named(servers(1)[0], None, UpstreamError("No", kind="too_long", param="messages"))
    assert (short.kind, short.param) == ("too_long", "messages")


@given(st.integers(0, 2_100))
def test_of_a_key_in_a_long_error_no_part_is_told(before: int) -> None:
    key = "sk-1234567890"
    error = named(servers(1)[0], Key(key), UpstreamError(f"{'x' * before}{key} is bad"))
    assert "sk-1" not in error.detail, "what was cut off is a part of the key"
    assert len(error.detail) <= 2_001
