"""Images in chats, responses and messages; the engine is a fake."""

import base64
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.api.images import MAX_IMAGES, dimensions, together
from janfs.engines.protocol import ChatPrompt, Image
from tests.api.service import Service, projector
from tests.engines.tiny_projector import png

PNG = png(255, 0, 0)
IN_BASE64 = base64.b64encode(PNG).decode()
URL = f"data:image/png;base64,{IN_BASE64}"


def chat_body(url: str) -> tuple[str, dict[str, Any], str]:
    """A request with an image between two texts, and where the image stands in it."""
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        {"type": "text", "text": "this?"},
    ]
    return (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": parts}]},
        "messages[0].content[1]",
    )


def response_body(url: str) -> tuple[str, dict[str, Any], str]:
    parts = [
        {"type": "input_text", "text": "What is"},
        {"type": "input_image", "image_url": url, "detail": "auto"},
        {"type": "input_text", "text": "this?"},
    ]
    return "/v1/responses", {"input": [{"role": "user", "content": parts}]}, "input[0].content[1]"


def message_body(url: str) -> tuple[str, dict[str, Any], str]:
    source = {"type": "url", "url": url}
    if url == URL:
        source = {"type": "base64", "media_type": "image/png", "data": IN_BASE64}
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "image", "source": source},
        {"type": "text", "text": "this?"},
    ]
    body = {"max_tokens": 5, "messages": [{"role": "user", "content": parts}]}
    return "/v1/messages", body, "messages[0].content[1]"


BODIES = [chat_body, response_body, message_body]


@pytest.fixture
def seeing(with_model: Service) -> Service:
    """A service with a model that has a projector."""
    with_model.drop("tiny-one/mmproj.gguf", projector())
    return with_model


@pytest.mark.parametrize("body_of", BODIES)
def test_an_image_reaches_the_engine_where_it_stands(seeing: Service, body_of: Any) -> None:
    path, body, place = body_of(URL)
    answer = seeing.client.post(path, json={"model": "tiny-one"} | body)
    assert answer.status_code == 200, answer.text
    prompt = seeing.pool.asked[-1][1].prompt
    assert isinstance(prompt, ChatPrompt)
    [message] = prompt.messages
    assert message.content == "What isthis?", "llama.cpp puts no line end beside an image"
    assert message.images == (Image(len("What is"), PNG, place),)


BIG = PNG[:16] + struct.pack(">II", 100_000, 100_000) + PNG[24:]
REFUSED = [
    ("https://example.org/a.png", "unsupported_parameter", "not fetched"),
    ("HTTP://example.org/a.png", "unsupported_parameter", "not fetched"),
    ("file:///etc/passwd", "invalid_value", "must be data:image"),
    ("/etc/passwd", "invalid_value", "must be data:image"),
    ("data:text/plain;base64,aGk=", "invalid_value", "must be data:image"),
    ("data:image/png;base64,%%%", "invalid_value", "no base64"),
    ("data:image/png;base64,aGVsbG8=", "invalid_value", "no PNG"),
    ("data:image/png;base64," + base64.b64encode(BIG).decode(), "invalid_value", "100000 by 100000 pixels"),
    ("", "invalid_value", "must be data:image"),
    *(
        (
            "data:image/png;base64," + base64.b64encode(head + bytes(20)).decode(),
            "unsupported_parameter",
            f"is {kind}, which is not read",
        )
        for kind, head in (
            ("HEIC", b"\0\0\0 ftypheic"),
            ("SVG", b'<?xml version="1.0"?><svg>'),
        )
    ),
]


@pytest.mark.parametrize("body_of", BODIES)
@pytest.mark.parametrize(("url", "code", "reason"), REFUSED)
def test_what_would_be_fetched_or_is_no_image_is_refused_by_its_place(
    tiny: Service, body_of: Any, url: str, code: str, reason: str
) -> None:
    path, body, place = body_of(url)
    answer = tiny.client.post(path, json={"model": "tiny"} | body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert reason in error["message"]
    assert place in error["message"]
    if path != "/v1/messages":
        assert error["code"] == code
        assert error["param"].startswith(place)
    assert tiny.pool.asked == []


@pytest.mark.parametrize("body_of", BODIES)
def test_an_image_for_a_model_without_a_projector_is_refused_before_anything_is_loaded(
    tiny: Service, body_of: Any
) -> None:
    path, body, place = body_of(URL)
    calls = {path, "/v1/messages/count_tokens" if path == "/v1/messages" else "/v1/apply-template"}
    for call in calls - ({"/v1/apply-template"} if path == "/v1/responses" else set()):
        asked = {name: value for name, value in body.items() if call == path or name != "max_tokens"}
        answer = tiny.client.post(call, json={"model": "tiny"} | asked)
        assert (answer.status_code, "no projector" in answer.text) == (400, True), f"{call}: {answer.text}"
        if "messages" not in path:
            assert answer.json()["error"]["param"] == place
    assert (tiny.pool.asked, tiny.pool.told) == ([], [])


def test_a_message_may_hold_only_so_many(tiny: Service) -> None:
    _, body, _ = chat_body(URL)
    body["messages"][0]["content"] = [body["messages"][0]["content"][1]] * (MAX_IMAGES + 1)
    answer = tiny.client.post("/v1/chat/completions", json={"model": "tiny"} | body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages[0].content[16]")


@pytest.mark.parametrize("head", [b"RIFF\n\n\n\nWEBPVP8L", b"\0\0\0 ftypavif", b"II*\0", b"MM\0*"])
def test_what_pillow_reads_is_handed_to_the_engine_as_it_came(seeing: Service, head: bytes) -> None:
    path, body, _ = chat_body("data:image/webp;base64," + base64.b64encode(head + bytes(20)).decode())
    answer = seeing.client.post(path, json={"model": "tiny-one"} | body)
    assert answer.status_code == 200, answer.text
    prompt = seeing.pool.asked[-1][1].prompt
    assert isinstance(prompt, ChatPrompt)
    assert [image.data for image in prompt.messages[0].images] == [head + bytes(20)]


SIDES = st.integers(1, 2**14)


@given(SIDES, SIDES, st.binary(max_size=40))
def test_headers_tell_how_big_an_image_is(width: int, height: int, rest: bytes) -> None:
    heads = [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height),
        b"GIF89a" + struct.pack("<HH", width, height),
        b"BM" + bytes(16) + struct.pack("<ii", width, -height),
        b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc2\x00\x11\x08" + struct.pack(">HH", height, width),
    ]
    for head in heads:
        assert dimensions(head + rest) == (width, height), head


@given(st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"\xff\xd8"]), st.binary(max_size=60))
def test_no_header_is_too_odd_to_be_read(head: bytes, rest: bytes) -> None:
    size = dimensions(head + rest)
    assert size is None or len(size) == 2


@given(st.lists(st.text(max_size=4) | st.binary(max_size=4), max_size=8))
def test_texts_and_images_keep_their_order(pieces: list[str | bytes]) -> None:
    content, images = together([(piece, str(number)) for number, piece in enumerate(pieces)])
    assert [image.data for image in images] == [piece for piece in pieces if isinstance(piece, bytes)]
    assert content.replace("\n", "") == "".join(p for p in pieces if isinstance(p, str)).replace("\n", "")
    assert [image.at for image in images] == sorted(image.at for image in images)
