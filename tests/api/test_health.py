"""What a watchman sees."""

import shutil

import pytest

from tests.api.service import Service


def test_the_process_is_alive(tiny: Service) -> None:
    assert tiny.get("/healthz") == {"status": "alive"}


def test_it_is_ready_once_the_folder_was_looked_at(tiny: Service) -> None:
    tiny.look()
    answer = tiny.get("/readyz")
    assert answer["status"] == "ready"
    assert answer["position"] > 0


def test_it_is_not_ready_without_its_models_folder_and_says_why(service: Service) -> None:
    service.drop("tiny.gguf")
    shutil.rmtree(service.root / "models")
    service.look()
    answer = service.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "not ready"
    assert "models" in answer.json()["reason"]
    assert service.get("/healthz") == {"status": "alive"}, "that is no reason to be restarted"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/models"])
def test_who_asks_for_the_head_alone_gets_no_body(tiny: Service, path: str) -> None:
    tiny.look()
    whole, head = tiny.client.get(path), tiny.client.head(path)
    assert (head.status_code, head.headers["content-type"]) == (200, whole.headers["content-type"])
    assert head.content == b""
    assert tiny.client.get(path).status_code == 200, "the connection goes on"
