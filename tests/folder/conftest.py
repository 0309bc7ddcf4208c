from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "jan"
    for folder in ("models/old", "engines", "outside"):
        (made / folder).mkdir(parents=True)
    (made / "models/old/old.gguf").write_bytes(b"old")
    (made / "models/old/model.json").write_text("{}")
    return made
