"""Who is let in, from where, and with what."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from janfs.api.context import Limits
from janfs.api.door import allowed_hosts
from tests.api.service import Service, running_service
from tests.support.patience import PATIENCE

KEY = "s3cret-ключ"
ALLOWED = "https://chat.example"


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    limits = Limits(body=1000, headers=20, header_bytes=2000, url_bytes=300, body_seconds=PATIENCE)
    root: Path = tmp_path_factory.mktemp("open") / "root"
    further = ("janfs.local", "proxy.example:8443")
    with running_service(root, limits=limits, allowed_hosts=further, allowed_origins=(ALLOWED,)) as service:
        yield service


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("guarded") / "root", api_key=KEY) as service:
        yield service


def error_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/json", answer.text
    return answer.status_code, answer.json()["error"]["code"]


def test_the_host_must_be_one_that_we_listen_on_with_its_port(open_door: Service) -> None:
    port = open_door.context.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert open_door.client.get("/v1/models", headers={"host": host}).status_code == 200, host
    for host in ("janfs.local", f"janfs.local:{port}", "proxy.example:8443"):
        assert open_door.client.get("/v1/models", headers={"host": host}).status_code == 200, host
    foreign = ("127.0.0.1", "localhost", f"127.0.0.1:{port + 1}", "evil.example", f"evil.example:{port}")
    for host in (*foreign, "proxy.example", f"127.0.0.1:{port}.evil.example", f"x@127.0.0.1:{port}"):
        answer = open_door.client.get("/v1/models", headers={"host": host})
        assert error_of(answer) == (403, "host_not_allowed"), host
    for path in ("/healthz", "/docs", "/nowhere"):
        answer = open_door.client.get(path, headers={"host": "evil.example"})
        assert error_of(answer) == (403, "host_not_allowed"), f"{path} has no door"


@pytest.mark.parametrize(
    ("host", "port", "further", "expected"),
    [
        ("127.0.0.1", 1337, (), {"127.0.0.1:1337", "localhost:1337", "[::1]:1337"}),
        ("192.168.1.2", 9, (), {"127.0.0.1:9", "localhost:9", "[::1]:9", "192.168.1.2:9"}),
        ("0.0.0.0", 9, (), {"127.0.0.1:9", "localhost:9", "[::1]:9"}),
        ("fe80::1", 9, (), {"127.0.0.1:9", "localhost:9", "[::1]:9", "[fe80::1]:9"}),
        ("127.0.0.1", 9, ("A.b",), {"127.0.0.1:9", "localhost:9", "[::1]:9", "a.b", "a.b:9"}),
        (
            "127.0.0.1",
            9,
            ("[fe80::2]",),
            {"127.0.0.1:9", "localhost:9", "[::1]:9", "[fe80::2]", "[fe80::2]:9"},
        ),
    ],
)
def test_which_hosts_mean_us(host: str, port: int, further: tuple[str, ...], expected: set[str]) -> None:
    assert allowed_hosts(host, port, further) == expected


def test_on_port_80_a_host_needs_no_port() -> None:
    assert {"localhost", "localhost:80"} <= allowed_hosts("127.0.0.1", 80, ())


def test_a_request_without_host_is_refused(open_door: Service) -> None:
    raw = b"GET /v1/models HTTP/1.0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", open_door.context.port), timeout=PATIENCE) as connection:
        connection.sendall(raw)
        assert connection.recv(100).split()[1] == b"400"


def test_an_origin_must_be_ours_or_allowed_by_name(open_door: Service) -> None:
    for origin in (open_door.url, ALLOWED):
        answer = open_door.client.get("/v1/models", headers={"origin": origin})
        assert answer.status_code == 200, origin
    for origin in (
        "https://evil.example",
        "null",
        "http://localhost",
        "http://127.0.0.1:1",
        f"{ALLOWED}.evil",
    ):
        for method in ("GET", "DELETE", "OPTIONS"):
            answer = open_door.client.request(method, "/v1/models/x", headers={"origin": origin})
            assert error_of(answer) == (403, "origin_not_allowed"), f"{method} from {origin}"
            assert "access-control-allow-origin" not in answer.headers


def test_only_allowed_origins_get_cors_headers(open_door: Service) -> None:
    assert "access-control-allow-origin" not in open_door.client.get("/v1/models").headers
    ours = open_door.client.get("/v1/models", headers={"origin": open_door.url})
    assert "access-control-allow-origin" not in ours.headers
    for path in ("/v1/models", "/v1/models/none", "/nowhere"):
        answer = open_door.client.get(path, headers={"origin": ALLOWED})
        assert answer.headers["access-control-allow-origin"] == ALLOWED, f"{path}: {answer.status_code}"
        assert answer.headers["vary"] == "origin"


def test_an_allowed_origin_may_ask_before_it_sends(open_door: Service) -> None:
    headers = {
        "origin": ALLOWED,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,authorization",
    }
    answer = open_door.client.options("/v1/chat/completions", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "content-type,authorization"


def post(
    service: Service, content: bytes | Iterator[bytes], type_: str = "application/json"
) -> httpx.Response:
    headers = {"content-type": type_} if type_ else {}
    return service.client.post("/v1/chat/completions", content=content, headers=headers)


def test_a_body_must_say_that_it_is_json(open_door: Service) -> None:
    for type_ in ("text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert error_of(post(open_door, b"{}", type_)) == (415, "unsupported_media_type"), type_
    assert error_of(post(open_door, b"{}")) == (400, "invalid_value"), "JSON gets as far as its content"


def test_a_body_that_is_too_large_is_refused_however_it_comes(open_door: Service) -> None:
    assert error_of(post(open_door, b" " * 1001)) == (413, "request_too_large")
    assert error_of(post(open_door, b" " * 3_000_000)) == (413, "request_too_large")
    assert error_of(post(open_door, iter([b" " * 600] * 5))) == (413, "request_too_large")
    assert error_of(post(open_door, b" " * 1000)) == (400, "invalid_value")


def test_a_large_body_is_refused_by_default_and_brackets_too(guarded: Service) -> None:
    headers = [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json")]
    for content, expected in (
        (b"[" * 100_000, (400, "invalid_value")),
        (b'{"messages":' * 100_000, (400, "invalid_value")),
        (b" " * 17_000_000, (413, "request_too_large")),
    ):
        answer = guarded.client.post("/v1/chat/completions", content=content, headers=headers)
        assert error_of(answer) == expected, content[:12]


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with running_service(tmp_path / "root", limits=Limits(body_seconds=0.3)) as impatient:
        port = impatient.context.port
        lines = (
            "POST /v1/completions HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Content-Type: application/json",
            "Content-Length: 9",
        )
        head = "\r\n".join((*lines, "", ""))
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(head.encode() + b"{")
            assert connection.recv(100).split()[1] == b"408"


def test_headers_and_urls_have_bounds(open_door: Service) -> None:
    many = {f"x-{number}": "1" for number in range(30)}
    assert error_of(open_door.client.get("/v1/models", headers=many)) == (431, "headers_too_large")
    long = {"x-long": "a" * 3000}
    assert error_of(open_door.client.get("/v1/models", headers=long)) == (431, "headers_too_large")
    assert error_of(open_door.client.get(f"/v1/models/{'a' * 400}")) == (414, "url_too_long")


def test_the_key_guards_everything_but_the_health_checks_and_what_is_the_same_everywhere(
    guarded: Service,
) -> None:
    for path in ("/healthz", "/readyz"):
        assert guarded.client.get(path).status_code in (200, 503), path
    for path in ("/", "/docs", "/openapi.json", "/schemas/model.json", "/schemas/engine.json"):
        assert guarded.client.get(path, follow_redirects=True).status_code == 200, path
    for path in ("/v1/models", "/v1/events", "/v1/events/stream", "/metrics", "/models", "/nowhere"):
        answer = guarded.client.get(path)
        assert error_of(answer) == (401, "invalid_api_key"), path
        assert answer.headers["www-authenticate"] == "Bearer"
    anthropics = guarded.client.post("/v1/messages", json={}).json()
    assert (anthropics["type"], anthropics["error"]["type"]) == ("error", "authentication_error")
    for path in ("//healthz", "/healthz/", "/healthz/../v1/models", "/%68ealthz2"):
        answer = guarded.client.send(httpx.Request("GET", f"{guarded.url}{path}"))
        assert answer.status_code in (401, 404), f"{path} is not a health check"


def test_the_key_may_come_in_either_header(guarded: Service) -> None:
    key = KEY.encode()
    right = ((b"authorization", b"Bearer " + key), (b"authorization", b"bearer  " + key), (b"x-api-key", key))
    for header in right:
        assert guarded.client.get("/v1/models", headers=[header]).status_code == 200, header
    wrong = ((b"authorization", b"Bearer"), (b"authorization", b"Basic " + key), (b"x-api-key", key[:-1]))
    for header in wrong:
        assert guarded.client.get("/v1/models", headers=[header]).status_code == 401, header


def test_without_the_key_a_body_is_not_read_but_its_announced_size_is_judged(guarded: Service) -> None:
    assert error_of(post(guarded, b"not json")) == (401, "invalid_api_key")
    assert error_of(post(guarded, b" " * 17_000_000)) == (413, "request_too_large")
