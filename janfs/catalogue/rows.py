"""The catalogue as rows of canonical JSON, and back: what its projection stores, byte for byte."""

from collections.abc import Iterable, Iterator

import msgspec

from janfs.catalogue.catalogue import Catalogue, Key, entry
from janfs.catalogue.draft import Draft
from janfs.catalogue.entries import File, Model, Parked, Plan, Root
from janfs.events.codec import canonical

_files = msgspec.json.Decoder(File)
_models = msgspec.json.Decoder(Model)
_plans = msgspec.json.Decoder(Plan)
_parked = msgspec.json.Decoder(Parked)
_roots = msgspec.json.Decoder(Root)


def to_rows(catalogue: Catalogue) -> Iterator[tuple[Key, str]]:
    """Every entry with its key."""
    for path, file in catalogue.files.items():
        yield ("file", path), canonical(file).decode()
    for uid, model in catalogue.models.items():
        yield ("model", uid), canonical(model).decode()
    for op, plan in catalogue.plans.items():
        yield ("plan", op), canonical(plan).decode()
    for path, file in catalogue.engine_files.items():
        yield ("engine", path), canonical(file).decode()
    for uid, parked in catalogue.parked.items():
        yield ("parked", uid), canonical(parked).decode()
    if catalogue.root.position:
        yield ("root", ""), canonical(catalogue.root).decode()


def changed_rows(catalogue: Catalogue, touched: Iterable[Key]) -> dict[Key, str | None]:
    """The rows of the entries that were touched; None for those that are gone."""
    changed: dict[Key, str | None] = {}
    for key in touched:
        value = entry(catalogue, key)
        changed[key] = None if value is None else canonical(value).decode()
    return changed


def from_rows(rows: Iterable[tuple[str, str, str]], position: int) -> Catalogue:
    """The catalogue that was stored. Raises `msgspec.ValidationError` for rows that are none of ours."""
    draft = Draft(Catalogue())
    draft.position = position
    files: list[File] = []
    for kind, _, value in rows:
        if kind == "file":
            files.append(_files.decode(value))
        elif kind == "engine":
            draft.put_file(_files.decode(value))
        elif kind == "model":
            draft.put_model(_models.decode(value))
        elif kind == "plan":
            draft.put_plan(_plans.decode(value))
        elif kind == "parked":
            draft.put_parked(_parked.decode(value))
        else:
            draft.put_root(_roots.decode(value))
    draft.put_stored(files)
    return draft.finish()
