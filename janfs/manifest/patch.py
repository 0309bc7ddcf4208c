"""What someone asks to be changed in a model.json: fields by their canonical paths, checked first."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from janfs.errors import InvalidInput
from janfs.manifest import json_patch
from janfs.manifest.json_patch import Operation
from janfs.manifest.leaves import REMOVED, Changes, Pointer, applied, covers, find, leaves
from janfs.manifest.parameters import ENGINE_PARAMETERS, MODEL_PARAMETERS
from janfs.manifest.places import ENGINE, MODEL, Places
from janfs.manifest.schema import Manifest

_PARAMETERS = {ENGINE: ENGINE_PARAMETERS, MODEL: MODEL_PARAMETERS}
_FIELDS = tuple(name for name in Manifest.__struct_fields__ if name != "extra")


class Patch(Struct, frozen=True):
    """New values by canonical path, `REMOVED` for none; and what is to be as janfs generates it again.

    What `operations` come to depends on the file that they are applied to, see `resolved`.
    """

    values: Changes = {}
    given_back: tuple[Pointer, ...] = ()
    operations: tuple[Operation, ...] = ()


def merge_patch(body: Any, given_back: Iterable[Pointer] = ()) -> Patch:
    """A JSON merge patch (RFC 7396), where null takes a field out. Raises `InvalidInput`."""
    if not isinstance(body, dict):
        raise InvalidInput("A merge patch is an object, {...}, with the fields that are to change.")
    values = {pointer: REMOVED if value is None else value for pointer, value in leaves(body).items()}
    _check_apart(values, given_back)
    return Patch(values, tuple(given_back))


def _check_apart(values: Changes, given_back: Iterable[Pointer]) -> None:
    both = next((pointer for pointer in given_back if covers(set(values), pointer)), None)
    if both is not None:
        raise InvalidInput("A field cannot be set and given back at once.", param=spelled(both))


def resolved(patch: Patch, places: Places) -> Patch:
    """The patch with what its operations make of a file. Raises `InvalidInput`, `PreconditionFailed`."""
    if not patch.operations:
        return patch
    document = applied(
        {ENGINE: {}, MODEL: {}, "metadata": {}}, {pointer: places.value(pointer) for pointer in places}
    )
    found = json_patch.changes(document, patch.operations)
    _check_apart(found, patch.given_back)
    return replace(patch, values={**patch.values, **found}, operations=())


def full_path(key: str) -> Pointer:
    """The path that a person means: `model_parameters.top_p`, or the mere name of a parameter."""
    block = next((block for block, known in _PARAMETERS.items() if key in known), None)
    return tuple(key.split(".")) if block is None else (block, key)


def spelled(pointer: Pointer) -> str:
    """A path as people write it: `engine_parameters.ctx_len`."""
    return ".".join(pointer)


def check_names(patch: Patch, places: Places) -> None:
    """Raises `InvalidInput`, naming the path, for a field that is neither known nor in the file already."""
    for pointer in (*patch.values, *patch.given_back):
        if pointer[0] == "id":
            text = "A model's id is the name of its folder: rename that, and the id in model.json follows."
            raise InvalidInput(text, param="id")
        name, names = pointer[0], list(_FIELDS)
        if name in _PARAMETERS and len(pointer) > 1:
            name, names = pointer[1], list(_PARAMETERS[name])
        if name not in names and places.value(pointer) is REMOVED:
            near = difflib.get_close_matches(name, names, 1)
            hint = f" Do you mean {near[0]}?" if near else ""
            path = spelled(pointer)
            raise InvalidInput(f"{path} is not a field of model.json.{hint}", param=path)


def located(patch: Patch, base: Mapping[str, Any] | None, places: Places) -> dict[Pointer, Any]:
    """The changes by the file's own paths; `base` is what was generated last.

    Raises `InvalidInput` for what is to be given back in a file that was never generated.
    """
    wanted = dict(patch.values)
    for pointer in patch.given_back:
        if base is None:
            text = "This model.json was not made by janfs, so there is nothing to give back to it."
            raise InvalidInput(text, param=spelled(pointer))
        inside = {leaf: value for leaf, value in leaves(base).items() if covers({pointer}, leaf)}
        wanted |= inside or {pointer: find(base, pointer)}
    changes: dict[Pointer, Any] = {}
    for pointer, value in wanted.items():
        place = places.of(pointer)
        if pointer == ("sources",) and place != pointer and not isinstance(places.value(pointer), list):
            changes[place] = REMOVED  # `source_url` is a text and can hold no list
            place = pointer
        changes[place] = value
    return changes


def owners(patch: Patch, base: Mapping[str, Any] | None, owned: Iterable[Pointer]) -> frozenset[Pointer]:
    """What is the person's once the patch is applied, of a file that was generated."""
    found = set(owned)
    for given in patch.given_back:
        for own in [own for own in found if covers({own}, given)]:  # an object may be theirs as a whole
            found.remove(own)
            found |= {leaf for leaf in leaves(base) if covers({own}, leaf) and own != given}
        found = {own for own in found if not covers({given}, own)}
    return frozenset(found | set(patch.values))
