"""A model on another machine, and asking it."""

import json
from typing import Any

from tests.api.service import Service, eventually
from tests.support.upstream import Theirs

KEY = "sk-sEcReT-0815-value"
HI = [{"role": "user", "content": "Hi"}]
CHAT = "/v1/chat/completions"


def connect(service: Service, *sites: Theirs, model: dict[str, Any] | None = None, **said: Any) -> None:
    """Write the file of the engine `there` and the model `ours`, and wait until it can be asked."""
    engines = service.root / "engines"
    engines.mkdir(exist_ok=True)
    said = {"base_urls": [f"{site.url}/v1" for site in sites], "api_key": KEY, **said}
    (engines / "there.json").write_text(json.dumps(said))
    manifest = {"format": "api", "engine": "there", "id": "theirs", **(model or {})}
    service.drop("ours/model.json", json.dumps(manifest).encode())
    eventually(lambda: service.look() or shown(service)["status"] == "ready", "the model is not ready")


def shown(service: Service) -> dict[str, Any]:
    found = [each for each in service.get("/v1/models")["data"] if each["id"] == "ours"]
    return dict(found[0]) if found else {"status": None}


def ask(service: Service, status: int = 200, path: str = CHAT, **more: Any) -> Any:
    given = service.client.post(path, json={"model": "ours", "messages": HI, **more})
    assert given.status_code == status, f"{given.status_code}: {given.text}"
    return given.json()


def stream(service: Service, **more: Any) -> list[Any]:
    """The messages of a stream, and what is no JSON as text."""
    given = service.client.post(CHAT, json={"model": "ours", "messages": HI, "stream": True, **more})
    assert given.status_code == 200, f"{given.status_code}: {given.text}"
    found = [part.removeprefix("data: ") for part in given.text.split("\n\n") if part]
    return [json.loads(part) if part.startswith("{") else part for part in found]


def text_of(messages: list[Any]) -> str:
    choices = [each["choices"] for each in messages if isinstance(each, dict)]
    return "".join(choice["delta"].get("content", "") for part in choices for choice in part)
