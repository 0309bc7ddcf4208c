"""The document that an event was recorded with: without it, the event cannot be told or taken back."""

import msgspec

from janfs.log.records import Record

_TEXTS = ("json-edited", "json-rejected", "write-planned", "json-written", "json-reverted")
_FIELDS = {**dict.fromkeys(_TEXTS, "sha256"), "model-imported": "history", "log-compacted": "state"}


def document_of(record: Record) -> str | None:
    """The SHA-256 of the document that a log with this event must have, if there is one."""
    field = _FIELDS.get(record.type)
    if field is None:
        return None
    try:
        said = msgspec.json.decode(record.data)
    except msgspec.MsgspecError:  # what it says is for whoever applies it
        return None
    digest = said.get(field) if isinstance(said, dict) else None
    return digest if isinstance(digest, str) else None
