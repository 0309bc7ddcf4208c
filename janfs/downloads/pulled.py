"""The model.json of a model that was pulled: before its files are here, and after. Pure."""

from collections.abc import Sequence
from typing import Any

from janfs.downloads.sources import Wanted
from janfs.folder import paths
from janfs.folder.gguf import GgufFacts
from janfs.manifest.generate import encode, generate
from janfs.manifest.json_schema import MODEL, reference


def first(model_id: str, wanted: Sequence[Wanted]) -> bytes:
    """What can be said before anything has come: where from, and what is what."""
    models = [each.file_name for each in wanted if not is_projector(each)]
    projector = _projector(wanted)
    engine: dict[str, Any] = {"llama_model_path": models[0]} if len(wanted) > 1 and models else {}
    if projector is not None:
        engine["mmproj"] = projector
    return encode(
        {
            "$schema": _schema(model_id),
            "object": "model",
            "sources": _sources(wanted),
            "id": model_id,
            "name": model_id,
            "owned_by": "you",
            "version": "1",
            "format": "gguf",
            "engine": "llama-cpp",
            "engine_parameters": engine,
            "model_parameters": {},
            "metadata": {"sha256": wanted[0].sha256} if len(wanted) == 1 and wanted[0].sha256 else {},
        }
    )


def completed(model_id: str, wanted: Sequence[Wanted], facts: GgufFacts, *, size: int, created: int) -> bytes:
    """What a file dropped by hand would have got, and where it came from."""
    made = generate(
        model_id=model_id,
        file_names=[each.file_name for each in wanted if not is_projector(each)],
        size=size,
        created=created,
        facts=facts,
        mmproj=_projector(wanted),
        schema=_schema(model_id),
    )
    return encode(made | {"sources": _sources(wanted)})


def is_projector(wanted: Wanted) -> bool:
    """Whether a file's name says that it is a projector, as the hub's names do."""
    return "mmproj" in wanted.file_name.lower()


def _schema(model_id: str) -> str:
    return reference(paths.join(paths.MODELS, model_id, paths.MANIFEST), MODEL)


def _projector(wanted: Sequence[Wanted]) -> str | None:
    return next((each.file_name for each in wanted if is_projector(each)), None)


def _sources(wanted: Sequence[Wanted]) -> list[dict[str, str]]:
    return [{"filename": each.file_name, "url": each.url} for each in wanted]
