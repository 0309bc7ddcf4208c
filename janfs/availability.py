"""Which models are listed, and how each of them is now: the catalogue with what is not in the log. Pure."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from janfs import remotes
from janfs.catalogue.catalogue import Catalogue, GivenIds, files_in
from janfs.catalogue.entries import File, Model, Status
from janfs.catalogue.groups import Group, group
from janfs.catalogue.status import part_reason
from janfs.folder import paths
from janfs.organise.homes import home_of
from janfs.organise.naming import free_id, id_from_folder
from janfs.organise.pairing import claimants
from janfs.pipeline.snapshot import Arrival, Snapshot, Unsettled

_LOST_AND_FOUND = "lost+found"  # the disk's own, at the top of many: nobody but root may look into it

NowStatus = Literal[Status, "root-unavailable"]
"""A model's status, or that nothing in the models folder can be seen now."""


class Availability(Struct, frozen=True):
    """A model's status as of now; `percentage` of the bytes that are here, while it is arriving."""

    status: NowStatus
    reason: str | None = None
    percentage: float | None = None


class Outsider(Struct, frozen=True):
    """A file that has no model: one still arriving, one that was refused, or one that the disk does not show;
    or a folder that cannot be looked into. `id` is the one it would get.
    """

    id: str
    path: str
    size: int
    availability: Availability


def availability_of(snapshot: Snapshot, model: Model) -> Availability:
    """A model's status as of now: with the file that is arriving at its place, and what is unsettled."""
    arrival = arrivals_by_place(snapshot).get(model.folder)
    closed = closed_models(snapshot).get(model.uid)
    return availability(snapshot.catalogue, model, arrival, snapshot.unsettled.get(model.uid), closed)


def availability(
    catalogue: Catalogue,
    model: Model,
    arrival: Arrival | None,
    unsettled: Unsettled | None = None,
    closed: str | None = None,
) -> Availability:
    """A model's status, given what is arriving at its place, what is unsettled, and why a folder of it could
    not be looked into, if anything of that is so.
    """
    now = _status(catalogue, model, arrival)
    if closed is not None and now.status != "root-unavailable":
        now = Availability("invalid", closed)
    if unsettled is None or not catalogue.root.available:
        return now
    return replace(now, reason=f"{now.reason} {unsettled.reason}" if now.reason else unsettled.reason)


def _status(catalogue: Catalogue, model: Model, arrival: Arrival | None) -> Availability:
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


def closed_models(snapshot: Snapshot) -> dict[str, str]:
    """The models with files in a folder that cannot be looked into, by uid, each with the reason in words."""
    catalogue = snapshot.catalogue
    return {
        file.uid: _closed(folder, why)
        for folder, why in sorted(snapshot.closed.items())
        for below in catalogue.children
        if paths.is_inside(below, folder)
        for file in files_in(catalogue, below)
        if paths.is_binary(file.path) or paths.is_manifest(file.path)
    }


def _closed(folder: str, why: str) -> str:
    return (
        f"{folder} cannot be looked into: {why}. Let the user that runs janfs read and enter it; nothing "
        "in it is forgotten meanwhile."
    )


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
    _add_unsettled(found, snapshot)
    _add_closed(found, snapshot)
    return list(found.values())


def _add_unsettled(found: dict[str, Outsider], snapshot: Snapshot) -> None:
    """Add what is yet to become a model, or one again, and the disk does not show."""
    for uid, each in sorted(snapshot.unsettled.items()):
        model, path = snapshot.catalogue.models.get(uid), each.plan.target
        if (model is None or model.removed is not None) and paths.is_inside(path, paths.MODELS):
            _add(found, snapshot.catalogue, path, 0, Availability("missing", each.reason))


def _add_closed(found: dict[str, Outsider], snapshot: Snapshot) -> None:
    """Add the folders of which it cannot be seen what they hold, and of which nothing is known."""
    for folder, why in sorted(snapshot.closed.items()):
        is_known = any(paths.is_inside(each, folder) for each in snapshot.catalogue.children)
        if not is_known and paths.name(folder) != _LOST_AND_FOUND:
            now = Availability("invalid", _closed(folder, why))
            _add(found, snapshot.catalogue, folder, 0, now, folder=folder)


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


def _add(
    found: dict[str, Outsider],
    catalogue: Catalogue,
    path: str,
    size: int,
    now: Availability,
    *,
    folder: str | None = None,
) -> None:
    place, is_file = paths.place(path), paths.is_binary(path) or paths.is_archive(path)
    if place == path and is_file:  # else it is a folder that comes back
        file_name = paths.name(path)
        stem = file_name[: -len(paths.ARCHIVE_SUFFIX)] if paths.is_archive(path) else file_name
        wanted = paths.name(home_of(catalogue, stem))
    else:
        wanted = free_id(id_from_folder(paths.name(folder or place)), GivenIds(catalogue))
    free = free_id(wanted, found)
    gone = Availability("root-unavailable", catalogue.root.reason)
    found[free] = Outsider(free, path, size, now if catalogue.root.available else gone)
