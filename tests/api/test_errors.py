"""Every error as clients see it."""

from typing import Any

import pytest
from litestar.exceptions import HTTPException
from msgspec import Struct

from janfs import errors
from janfs.api.errors import answer_to, decode_body
from tests.api.service import Service


class Inner(Struct, forbid_unknown_fields=True):
    number: int


class Outer(Struct, forbid_unknown_fields=True):
    inner: list[Inner]


class Loose(Struct):
    anything: Any


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidInput("x", param="y"), 400),
        (errors.ModelNotFound("x"), 404),
        (errors.ModelNotRunnable("x"), 409),
        (errors.Busy("x", retry_after=3), 429),
        (errors.WorkerCrashed("x"), 502),
        (errors.LoadFailed("x"), 503),
        (errors.EngineError("x"), 503),
        (errors.LogError("x"), 503),
        (errors.PipelineFailed(), 503),
        (errors.FolderError("x"), 503),
        (errors.OthersInside("x"), 409),
        (HTTPException("x", status_code=405), 405),
    ],
)
def test_each_error_has_its_status(error: Exception, status: int) -> None:
    answer = answer_to(error)
    assert answer.status == status
    assert answer.detail.message
    assert answer.detail.type == (
        "rate_limit_error" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    )


@pytest.mark.parametrize("kind", [errors.LoadFailed, errors.DoesNotFit])
def test_a_load_that_may_be_tried_again_later_says_when(kind: type[errors.EngineError]) -> None:
    assert answer_to(kind("x", retry_after=2.2)).headers == {"retry-after": "3"}
    assert answer_to(kind("x")).headers == {}


def test_what_a_defect_kept_from_being_done_may_be_tried_when_all_is_looked_at_again() -> None:
    answer = answer_to(errors.PipelineFailed(retry_after=0.5))
    assert (answer.detail.code, answer.headers) == ("pipeline_failed", {"retry-after": "1"})


def test_what_nobody_foresaw_gives_nothing_away() -> None:
    answer = answer_to(KeyError("secret"))
    assert answer.status == 500
    assert "secret" not in answer.detail.message


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"inner": [{"number": "x"}]}', "inner[0].number"),
        (b'{"inner": [{"number": 1, "odd": 2}]}', "inner[0].odd"),
        (b'{"inner": [{}]}', "inner[0].number"),
        (b"{}", "inner"),
        (b'{"inner": [], "odd": 1}', "odd"),
        (b"[]", None),
        (b"{", None),
        (b"\xff", None),
    ],
)
def test_what_is_wrong_in_a_body_is_named_by_its_path(body: bytes, param: str | None) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        decode_body(body, Outer)
    assert caught.value.param == param
    assert caught.value.detail.endswith(".")


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
@pytest.mark.parametrize("closed", [True, False])
def test_a_body_that_is_nested_too_deeply_is_refused(opening: bytes, closed: bool) -> None:
    for start in (b"", b'{"anything": '):
        body = start + opening * 100_000 + (b"1" + b"]" * 100_000) * closed
        with pytest.raises(errors.InvalidInput):
            decode_body(body, Loose)


def test_brackets_in_a_text_are_no_nesting() -> None:
    assert decode_body(b'{"anything": "' + b"[{" * 100_000 + b'"}', Loose).anything == "[{" * 100_000


def test_a_path_that_leads_nowhere_is_an_openai_error(tiny: Service) -> None:
    answer = tiny.client.get("/v1/nothing")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unknown_url"
    assert "/v1/nothing" in answer.json()["error"]["message"]


def test_a_method_that_is_not_meant_is_an_openai_error(tiny: Service) -> None:
    answer = tiny.client.delete("/v1/chat/completions")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]
