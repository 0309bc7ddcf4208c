"""The schemas for editors, as the service gives them."""

from pathlib import Path

import pytest

from janfs.manifest.json_schema import schemas
from tests.api.service import Service, running_service


@pytest.mark.parametrize("name", schemas())
def test_they_are_given_to_whoever_asks(tmp_path: Path, name: str) -> None:
    with running_service(tmp_path / "jan", api_key="geheim") as service:
        answer = service.client.get(f"/schemas/{name}")
        assert answer.headers["content-type"] == "application/schema+json"
        assert answer.json() == schemas()[name]
        assert service.client.get("/v1/models").status_code == 401, "the rest asks for the key"


def test_another_name_is_told_which_there_are(service: Service) -> None:
    answer = service.client.get("/schemas/other.json")
    assert answer.status_code == 404
    assert "model.json, engine.json" in answer.json()["error"]["message"]


def test_the_root_has_copies_that_are_kept_up_to_date(tmp_path: Path) -> None:
    root = tmp_path / "jan"
    with running_service(root) as service:
        kept = service.root / ".janfs/schemas/model.json"
        assert '"$defs"' in kept.read_text()
        kept.write_text("of an older janfs")
    with running_service(root):
        assert '"$defs"' in kept.read_text()
