"""JSON Patch (RFC 6902): operations on a document, one after the other, all or none.

Unlike a merge patch it tells "no value" from null, reaches into lists, and can test before it changes.
"""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from msgspec import Struct

from janfs.errors import InvalidInput, PreconditionFailed
from janfs.manifest.jsonc import MAX_DEPTH, MAX_SIZE
from janfs.manifest.leaves import REMOVED, Pointer, fits, from_text, leaves, same

_NO_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")


class Operation(Struct, frozen=True):
    """One step. `source` is where `move` and `copy` take the value from."""

    op: str
    path: Pointer
    value: Any = REMOVED
    source: Pointer = ()


def read_operations(body: Any) -> tuple[Operation, ...]:
    """The operations of a JSON patch. Raises `InvalidInput`, naming what is wrong."""
    if not isinstance(body, list):
        raise InvalidInput("A JSON patch is a list of operations, [{...}].")
    return tuple(_operation(number, each) for number, each in enumerate(body))


def _operation(number: int, said: Any) -> Operation:
    where = f"[{number}]"
    if not isinstance(said, dict):
        raise InvalidInput(f"{where} must be an object such as {{'op': 'add', 'path': ...}}.", param=where)
    op = said.get("op")
    if op not in _OPERATIONS:
        raise InvalidInput(f"{where}.op must be one of {', '.join(_OPERATIONS)}.", param=f"{where}.op")
    if op in ("add", "replace", "test") and "value" not in said:
        raise InvalidInput(f"{where}.value is missing.", param=f"{where}.value")
    source = _pointer(said, "from", where) if op in ("move", "copy") else ()
    path = _pointer(said, "path", where)
    if op == "move" and path[: len(source)] == source and path != source:
        raise InvalidInput(f"{where} moves a value into itself.", param=f"{where}.path")
    return Operation(op, path, said.get("value", REMOVED), source)


def _pointer(said: Mapping[str, Any], key: str, where: str) -> Pointer:
    text = said.get(key)
    if not isinstance(text, str) or not text.startswith("/"):
        raise InvalidInput(
            f"{where}.{key} must be a path such as /engine_parameters/ngl.", param=f"{where}.{key}"
        )
    if _NO_ESCAPE.search(text):
        raise InvalidInput(f"{where}.{key}: ~ stands for nothing but in ~0 and ~1.", param=f"{where}.{key}")
    return from_text(text)


def changes(document: dict[str, Any], operations: Sequence[Operation]) -> dict[Pointer, Any]:
    """What the operations make of a document, by leaf: new values, `REMOVED` for none.

    What they name is among them though it stays as it is; a list is one leaf. Raises `InvalidInput`, naming
    the path, for a place that is not there, and `PreconditionFailed` where a test fails.
    """
    after = copy.deepcopy(document)
    named: list[Pointer] = []
    copied = 0  # characters: copies of copies double with each operation
    for operation in operations:
        if operation.op == "copy":
            copied += len(json.dumps(_find(after, operation.source), default=str))
            if copied > MAX_SIZE:
                path = _shown(operation.path)
                raise InvalidInput(f"{path}: more is copied than a model.json may hold.", param=path)
        _apply(after, operation)
        if operation.op == "move":
            named.append(_leaf(document, after, operation.source))
        if operation.op != "test":
            named.append(_leaf(document, after, operation.path))
    found: dict[Pointer, Any] = {}
    for pointer in dict.fromkeys(named):
        then = _within(document, pointer)
        now = _within(after, pointer)
        found |= dict.fromkeys(_gone(pointer, then, now), REMOVED) | now
    return found


def _leaf(before: Any, after: Any, pointer: Pointer) -> Pointer:
    """The path as far as the first list on it, which is one leaf."""
    for length in range(1, len(pointer)):
        if any(isinstance(_find(each, pointer[:length]), list) for each in (before, after)):
            return pointer[:length]
    return pointer


def _within(document: Any, pointer: Pointer) -> dict[Pointer, Any]:
    """The leaves at and below a place; of an object without any that itself."""
    value = _find(document, pointer)
    if value is REMOVED:
        return {}
    return {(*pointer, *leaf): each for leaf, each in leaves(value).items()} or {pointer: value}


def _gone(pointer: Pointer, then: Mapping[Pointer, Any], now: Mapping[Pointer, Any]) -> list[Pointer]:
    """What is there no longer: the whole place, or leaves of it."""
    return [leaf for leaf in then if leaf not in now and leaf != pointer] if now else [pointer]


def _apply(document: dict[str, Any], operation: Operation) -> None:
    path = operation.path
    match operation.op:
        case "test":
            if not same(_find(document, path), operation.value):
                raise PreconditionFailed(f"{_shown(path)} is not what the patch expects.")
        case "remove":
            _take(document, path)
        case "replace":
            _take(document, path)
            _put(document, path, operation.value)
        case "move":
            _put(document, path, _take(document, operation.source))
        case "copy":
            value = _find(document, operation.source)
            if value is REMOVED:
                _missing(operation.source)
            _put(document, path, value)
        case _:
            _put(document, path, operation.value)


def _find(document: Any, pointer: Pointer) -> Any:
    for key in pointer:
        if isinstance(document, list):
            if not _INDEX.fullmatch(key) or int(key) >= len(document):
                return REMOVED
            document = document[int(key)]
        elif isinstance(document, dict) and key in document:
            document = document[key]
        else:
            return REMOVED
    return document


def _take(document: Any, pointer: Pointer) -> Any:
    value = _find(document, pointer)
    if value is REMOVED:
        _missing(pointer)
    holder = _find(document, pointer[:-1])
    return holder.pop(int(pointer[-1]) if isinstance(holder, list) else pointer[-1])


def _put(document: Any, pointer: Pointer, value: Any) -> None:
    if not fits(value, MAX_DEPTH - len(pointer)):
        path = _shown(pointer)
        raise InvalidInput(f"{path} would be nested too deeply; {MAX_DEPTH} levels are allowed.", param=path)
    value = copy.deepcopy(value)
    holder, key = _find(document, pointer[:-1]), pointer[-1]
    if isinstance(holder, dict):
        holder[key] = value
    elif isinstance(holder, list) and key == "-":
        holder.append(value)
    elif isinstance(holder, list) and _INDEX.fullmatch(key) and int(key) <= len(holder):
        holder.insert(int(key), value)
    else:
        _missing(pointer)


def _missing(pointer: Pointer) -> NoReturn:
    raise InvalidInput(f"{_shown(pointer)} is not there.", param=_shown(pointer))


def _shown(pointer: Pointer) -> str:
    return ".".join(pointer)
