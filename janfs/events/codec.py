"""Events to and from their canonical text.

Canonical: UTF-8 JSON, keys sorted, no blanks, every field present. The hash chain covers this text as it
is stored, so it is never made again from a decoded event.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from janfs.errors import LogCorrupt, LogTooNew
from janfs.events import upcast
from janfs.events.types import EVENT_TYPES, Event, type_name

_encoder = msgspec.json.Encoder(order="sorted")
_names: dict[type[Event], str] = {kind: type_name(kind) for kind in EVENT_TYPES}
_types: dict[str, type[Event]] = {name: kind for kind, name in _names.items()}
_schemas: dict[str, int] = {name: upcast.schema_of(name) for name in _types}
_decoders: dict[str, Callable[[str], Event]] = {
    name: msgspec.json.Decoder(kind).decode for name, kind in _types.items()
}


class Encoded(msgspec.Struct, frozen=True):
    """An event as the log stores it."""

    type: str
    schema: int
    data: str


def encode(event: Event) -> Encoded:
    """An event in its canonical text."""
    name = _names[type(event)]
    return Encoded(type=name, schema=_schemas[name], data=canonical(event).decode())


def decode(type_: str, schema: int, data: str) -> Event:
    """The event that was stored, whatever schema it was written with.

    Raises `LogTooNew` for a type or schema of a newer janfs, `LogCorrupt` for data that does not fit.
    """
    decoder = _decoders.get(type_)
    if decoder is None:
        raise LogTooNew(
            f"The log holds a '{type_}' event, which this janfs does not know. Use a newer janfs."
        )
    try:
        if schema == _schemas[type_]:
            return decoder(data)
        raw = msgspec.json.decode(data, type=dict[str, Any])
        return msgspec.convert(upcast.upcast(type_, schema, raw), _types[type_])
    except msgspec.MsgspecError as error:
        raise LogCorrupt(f"The data of a {type_} event does not fit its type: {error}") from error


def canonical(value: object) -> bytes:
    """Any msgspec value in canonical JSON."""
    return _encoder.encode(value)
