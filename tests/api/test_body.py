"""Bounds of a request's body."""

import pytest

from janfs.api.body import check_announced, check_type
from janfs.api.context import Limits
from janfs.api.errors import HttpRefusal


@pytest.mark.parametrize(
    "said", ["application/json", "Application/JSON; charset=utf-8", 'application/json;charset="UTF-8"']
)
def test_json_is_taken_as_json(said: str) -> None:
    check_type({"content-type": said})


@pytest.mark.parametrize(
    "said",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json-seq",
        "application/json; charset=latin-1",
    ],
)
def test_anything_else_is_no_json(said: str) -> None:
    with pytest.raises(HttpRefusal) as caught:
        check_type({"content-type": said})
    assert caught.value.status == 415


def test_a_compressed_body_is_refused_as_what_it_is() -> None:
    json = {"content-type": "application/json"}
    check_type(json | {"content-encoding": "identity"})
    with pytest.raises(HttpRefusal, match="compressed; the Content-Encoding is gzip") as caught:
        check_type(json | {"content-encoding": "gzip"})
    assert (caught.value.status, caught.value.headers) == (415, {"accept-encoding": "identity"})


def test_a_body_is_announced_by_its_length_or_its_encoding() -> None:
    limits = Limits(body=10)
    assert not check_announced({}, limits)
    assert not check_announced({"content-length": "0"}, limits)
    assert check_announced({"content-length": "10"}, limits)
    assert check_announced({"transfer-encoding": "chunked"}, limits)
    for length, status in (("11", 413), ("9" * 100, 413), ("-1", 400), ("ten", 400), ("٣", 400)):
        with pytest.raises(HttpRefusal) as caught:
            check_announced({"content-length": length}, limits)
        assert caught.value.status == status, length
