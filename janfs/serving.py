"""From a snapshot to what an engine needs to run a model, or to the reason why it cannot. Pure."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from janfs.availability import Availability, availability_of, find_outsider
from janfs.catalogue.catalogue import find_model
from janfs.catalogue.entries import File, Model
from janfs.configuration import Configuration, asked_for, configure
from janfs.engines.fingerprint import fingerprint
from janfs.engines.protocol import EngineSettings, Lowerable, ModelShape, RunSpec, SpecPart
from janfs.errors import InvalidInput, ModelNotFound, ModelNotRunnable
from janfs.folder import paths
from janfs.manifest.effective import values
from janfs.manifest.schema import Manifest
from janfs.pipeline.snapshot import Snapshot


class Runnable(Struct, frozen=True):
    """A model that can be run, and how. `model_parameters` hold where a request says nothing else."""

    model: Model
    manifest: Manifest
    spec: RunSpec
    model_parameters: dict[str, Any]


def resolve(snapshot: Snapshot, root: Path, name: str) -> Runnable:
    """How to run the model with this id or alias.

    Raises `ModelNotFound`, or `ModelNotRunnable` with the reason.
    """
    catalogue = snapshot.catalogue
    model = find_model(catalogue, name)
    if model is None:
        outsider = find_outsider(snapshot, name)
        if outsider is None:
            raise ModelNotFound(name)
        raise _not_runnable(name, outsider.availability)
    if model.remote is not None:
        raise ModelNotRunnable(
            f"The model '{name}' is served by the engine '{model.remote}' on another machine, and this can "
            "only be asked of a model here.",
            param="model",
        )
    if not catalogue.root.available:
        raise ModelNotRunnable(f"The models folder is not available: {catalogue.root.reason}", param="model")
    available = availability_of(snapshot, model)
    if available.status != "ready" or model.binary is None:
        raise _not_runnable(name, available)
    try:
        found = configure(catalogue, model)
        settings = _settings(found)
    except (InvalidInput, msgspec.ValidationError) as error:
        raise ModelNotRunnable(f"The settings of '{name}' cannot be used: {error}", param="model") from error
    files = [*found.parts, *found.adapters, *([found.projector] if found.projector is not None else [])]
    parts = tuple(map(_spec_part, files))
    return Runnable(
        model=model,
        manifest=found.manifest,
        spec=RunSpec(
            model_id=model.id,
            uid=model.uid,
            engine=found.engine,
            path=_absolute(root, model.binary),
            settings=settings,
            fingerprint=fingerprint(parts, found.engine, settings),
            parts=parts,
            adapters=tuple(_absolute(root, file.path) for file in found.adapters),
            projector=_absolute(root, found.projector.path) if found.projector is not None else None,
            shape=shape(files),
            lowerable=_lowerable(found),
            pinned=bool(found.engine_parameters["pinned"].value),
            keep_alive=found.engine_parameters["keep_alive"].value,
        ),
        model_parameters=values(found.model_parameters),
    )


def shape(files: Sequence[File]) -> ModelShape:
    """What a model's memory depends on; the first of its files has the header that counts."""
    facts = files[0].facts
    weights = sum(file.stamp.size for file in files)
    if facts is None:
        return ModelShape(weights=weights)
    layers = facts.block_count or 0
    kv_heads = facts.kv_heads_total
    if kv_heads is None:
        kv_heads = (facts.head_count_kv or 0) * layers
    return ModelShape(
        weights=weights,
        block_bytes=sum(file.facts.block_bytes or 0 for file in files if file.facts is not None),
        layers=layers,
        kv_elements=kv_heads * ((facts.key_length or 0) + (facts.value_length or 0)),
        state_elements=(facts.state_elements or 0) * layers,
        width=facts.embedding_length or 0,
        feed_forward=facts.feed_forward_length or 0,
        heads=facts.head_count or 0,
        vocabulary=facts.vocab_size or 0,
        trained_context=facts.context_length or 0,
    )


def _lowerable(found: Configuration) -> frozenset[Lowerable]:
    """The settings that nobody has asked for."""
    names: tuple[Lowerable, ...] = ("ctx_len", "ngl")
    return frozenset(name for name in names if not asked_for(found, name))


def _absolute(root: Path, path: str) -> str:
    return os.fspath(root / os.fsdecode(paths.decode_path(path)))


def _spec_part(file: File) -> SpecPart:
    header = file.facts.header_sha256 if file.facts is not None else None
    stamp = file.stamp
    return SpecPart(file.path, stamp.size, stamp.mtime_ns, stamp.inode, header, file.sha256)


def _not_runnable(name: str, now: Availability) -> ModelNotRunnable:
    progress = f" ({now.percentage}%)" if now.percentage is not None else ""
    reason = f" {now.reason}" if now.reason else ""
    return ModelNotRunnable(f"The model '{name}' is {now.status}{progress}.{reason}", param="model")


def _settings(configuration: Configuration) -> EngineSettings:
    found = values(configuration.engine_parameters)
    fields = {name: found[name] for name in EngineSettings.__struct_fields__ if name in found}
    return msgspec.convert(fields, EngineSettings)
