"""Old events in today's shape: pure steps from one schema number of an event type to the next."""

from collections.abc import Callable, Mapping
from typing import Any

from janfs.errors import LogCorrupt, LogTooNew

Step = Callable[[dict[str, Any]], dict[str, Any]]
Steps = Mapping[tuple[str, int], Step]

# (type, schema) -> the step from that schema to the next. A type's schema is 1 plus its number of steps.
STEPS: Steps = {}


def schema_of(type_: str, steps: Steps = STEPS) -> int:
    """The schema number that events of this type are written with today."""
    schema = 1
    while (type_, schema) in steps:
        schema += 1
    return schema


def upcast(type_: str, schema: int, data: dict[str, Any], steps: Steps = STEPS) -> dict[str, Any]:
    """The data of an event written with `schema`, in today's shape.

    Raises `LogTooNew` for a schema number this janfs does not know yet, `LogCorrupt` for one below 1.
    """
    newest = schema_of(type_, steps)
    if schema > newest:
        raise LogTooNew(f"A {type_} event has schema {schema}; this janfs knows {newest}. Use a newer janfs.")
    if schema < 1:
        raise LogCorrupt(f"A {type_} event has schema {schema}; schemas count from 1.")
    for number in range(schema, newest):
        data = steps[type_, number](data)
    return data
