"""From a snapshot to what an engine needs to run a model, or to the reason why it cannot. Pure."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from janfs import remotes
from janfs.catalogue.catalogue import Catalogue, GivenIds, files_in, find_model
from janfs.catalogue.entries import File, Model, Status
from janfs.catalogue.groups import Group, group
from janfs.catalogue.status import part_reason
from janfs.configuration import Configuration, asked_for, configure
from janfs.engines.fingerprint import fingerprint
from janfs.engines.protocol import EngineSettings, Lowerable, ModelShape, RunSpec, SpecPart
from janfs.errors import InvalidInput, ModelNotFound, ModelNotRunnable
from janfs.folder import paths
from janfs.manifest.effective import values
from janfs.manifest.schema import Manifest
from janfs.organise.homes import home_of
from janfs.organise.naming import free_id, id_from_folder
from janfs.organise.pairing import claimants
from janfs.pipeline.snapshot import Arrival, Snapshot


class Runnable(Struct, frozen=True):
    """A model that can be run, and how. `model_parameters` hold where a request says nothing else."""

    model: Model
    manifest: Manifest
    spec: RunSpec
    model_parameters: dict[str, Any]


NowStatus = Literal[Status, "root-unavailable"]
"""A model's status, or that nothing in the models folder can be seen now."""


class Availability(Struct, frozen=True):
    """A model's status as of now; `percentage` of the bytes that are here, while it is arriving."""

    status: NowStatus
    reason: str | None = None
    percentage: float | None = None


class Outsider(Struct, frozen=True):
    """A file that has no model: one still arriving, or one that was refused. `id` is the one it would get."""

    id: str
    path: str
    size: int
    availability: Availability


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
    available = availability(catalogue, model, arrivals_by_place(snapshot).get(model.folder))
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


def availability(catalogue: Catalogue, model: Model, arrival: Arrival | None) -> Availability:
    """A model's status, given the file that is arriving at its place, if there is one."""
    if model.remote is not None and model.status == "ready":
        problem = remotes.problem(catalogue, model)
        return Availability("ready", model.reason) if problem is None else Availability("invalid", problem)
    if not catalogue.root.available:
        return Availability("root-unavailable", catalogue.root.reason)
    if arrival is not None and (model.status != "ready" or arrival.path == model.binary):
        return Availability("arriving", arrival.reason, arrival.percentage)
    if model.status == "part":
        part = _first_part(files_in(catalogue, model.folder))
        return Availability("part", model.reason if part is None else _waits_for(catalogue, part))
    return Availability(model.status, model.reason)


def arrivals_by_place(snapshot: Snapshot) -> dict[str, Arrival]:
    """The GGUF files that are arriving, by the folder that they belong to or will belong to."""
    found: dict[str, Arrival] = {}
    for path, arrival in snapshot.arrivals.items():
        if paths.is_binary(path):
            known = snapshot.catalogue.files.get(path)
            owner = snapshot.catalogue.models.get(known.uid) if known is not None else None
            belongs = owner is not None and owner.removed is None and paths.place(path) == path
            found[owner.folder if owner is not None and belongs else paths.place(path)] = arrival
    return found


def outsiders(snapshot: Snapshot) -> list[Outsider]:
    """Every file that has no model, in the order of paths."""
    catalogue = snapshot.catalogue
    found: dict[str, Outsider] = {}
    for place, arrival in sorted(arrivals_by_place(snapshot).items()):
        if place not in catalogue.folders:
            wait = Availability("arriving", arrival.reason, arrival.percentage)
            _add(found, catalogue, arrival.path, arrival.size, wait)
    arriving = {outsider.path for outsider in found.values()}
    for file in files_in(catalogue, paths.MODELS):
        if not (paths.is_binary(file.path) or paths.is_archive(file.path)) or file.path in arriving:
            continue
        owner = catalogue.models.get(file.uid)
        if owner is None or owner.removed is not None or (file.refused and owner.loose != file.path):
            now = _of_a_file_alone(catalogue, file)
            if now is not None:
                _add(found, catalogue, file.path, file.stamp.size, now)
    return list(found.values())


def _of_a_file_alone(catalogue: Catalogue, file: File) -> Availability | None:
    """What is wrong with a file that is no model, or what it waits for."""
    if file.refused is not None:
        return Availability("invalid", f"{paths.shown_name(file.path)}: {file.refused.reason}")
    part = _first_part([file])
    return None if part is None else Availability("part", _waits_for(catalogue, part))


def _first_part(files: Sequence[File]) -> Group | None:
    return next((each for each in group(files) if each.is_part), None)


def _waits_for(catalogue: Catalogue, part: Group) -> str:
    return part_reason(part, [model.id for model in claimants(catalogue, part)])


def find_outsider(snapshot: Snapshot, name: str) -> Outsider | None:
    """The file without a model that is listed under this id."""
    return next((outsider for outsider in outsiders(snapshot) if outsider.id == name), None)


def _add(found: dict[str, Outsider], catalogue: Catalogue, path: str, size: int, now: Availability) -> None:
    place = paths.place(path)
    if place == path:
        wanted = paths.name(home_of(catalogue, paths.name(path)))
    else:
        wanted = free_id(id_from_folder(paths.name(place)), GivenIds(catalogue))
    free = free_id(wanted, found)
    gone = Availability("root-unavailable", catalogue.root.reason)
    found[free] = Outsider(free, path, size, now if catalogue.root.available else gone)


def _not_runnable(name: str, now: Availability) -> ModelNotRunnable:
    progress = f" ({now.percentage}%)" if now.percentage is not None else ""
    reason = f" {now.reason}" if now.reason else ""
    return ModelNotRunnable(f"The model '{name}' is {now.status}{progress}.{reason}", param="model")


def _settings(configuration: Configuration) -> EngineSettings:
    found = values(configuration.engine_parameters)
    fields = {name: found[name] for name in EngineSettings.__struct_fields__ if name in found}
    return msgspec.convert(fields, EngineSettings)
