"""A model with a projector, dropped as a folder, and asked about images by the official client."""

import base64
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.engines.tiny_model import write_tiny_model
from tests.engines.tiny_projector import png, write_tiny_projector
from tests.support.service import ServiceProcess


def asked(data: bytes) -> Any:
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": parts}]


def test_a_dropped_projector_lets_a_model_see(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "jan") as service:
        service.wait_ready()
        for name in ("seeing", "blind"):
            folder = tmp_path / name
            folder.mkdir()
            write_tiny_model(folder / f"{name}.gguf")
            if name == "seeing":
                write_tiny_projector(folder / "mmproj-seeing.gguf")
            folder.rename(tmp_path / "jan" / "models" / name)
            service.wait_model(name)
        with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
            common: Any = {"model": "seeing", "max_tokens": 4, "temperature": 0}
            whole = client.chat.completions.create(messages=asked(png(255, 0, 0)), **common)
            plain = client.chat.completions.create(
                messages=[{"role": "user", "content": "What is this?"}], **common
            )
            assert whole.usage is not None
            assert plain.usage is not None
            assert whole.usage.prompt_tokens > plain.usage.prompt_tokens
            with pytest.raises(openai.BadRequestError) as broken:
                client.chat.completions.create(messages=asked(png(255, 0, 0)[:50]), **common)
            assert broken.value.param == "messages[0].content[1]"
            with pytest.raises(openai.BadRequestError, match="no projector") as blind:
                client.chat.completions.create(messages=asked(png(0, 0, 255)), **common | {"model": "blind"})
            assert blind.value.param == "messages[0].content[1]"
