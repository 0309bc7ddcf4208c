"""GET /v1/models/{id}/config: what holds, what a request makes of it, and where each value comes from."""

import json
from typing import Any

import pytest

from tests.api.service import Service


def config(service: Service, **request: Any) -> Any:
    query = {"request": json.dumps(request)} if request else {}
    return service.client.get("/v1/models/tiny/config", params=query)


def test_a_request_goes_before_all_files_under_its_own_name(tiny: Service) -> None:
    before = config(tiny).json()["model_parameters"]
    asked = {"temperature": 0, "top_p": None, "typical_p": 0.5, "max_completion_tokens": 7, "stream": False}
    after = config(tiny, **asked, messages=[{"role": "user", "content": "Hello."}]).json()["model_parameters"]
    assert after["temperature"] == {"value": 0, "origin": {"kind": "request", "key": "temperature"}}
    assert after["typ_p"] == {"value": 0.5, "origin": {"kind": "request", "key": "typical_p"}}
    assert after["max_tokens"] == {"value": 7, "origin": {"kind": "request", "key": "max_completion_tokens"}}
    assert after["stream"]["value"] is False
    others = before.keys() - {"temperature", "typ_p", "max_tokens", "stream"}
    assert {name: after[name] for name in others} == {name: before[name] for name in others}
    assert config(tiny).json()["model_parameters"] == before, "it was for that request alone"


@pytest.mark.parametrize(
    ("request_", "param"),
    [({"temperature": 9}, "temperature"), ({"temperture": 1}, "temperture"), ({"top_k": "x"}, None)],
)
def test_a_request_that_would_be_refused_is_refused_here(
    tiny: Service, request_: dict[str, Any], param: str | None
) -> None:
    answer = config(tiny, **request_)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] in (param, "top_k")


@pytest.mark.parametrize("said", ["[]", "5", "{", "null"])
def test_what_is_no_request_is_refused(tiny: Service, said: str) -> None:
    answer = tiny.client.get("/v1/models/tiny/config", params={"request": said})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "request")
