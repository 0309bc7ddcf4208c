"""What an older janfs recorded of secrets: it kept the texts of model.json as they were."""

from msgspec import Struct

from janfs.events import types as e
from janfs.log.reader import LogReader
from janfs.manifest.secrets import tells_secrets
from janfs.past.moments import happenings

_OF_A_FILE = (e.JsonEdited, e.JsonRejected, e.WritePlanned, e.JsonWritten, e.JsonReverted)


class ToldSecrets(Struct, frozen=True):
    """So many texts in the log hold what looks like a secret.

    `position` is the last event that names one of them, and `path` its file.
    """

    texts: int
    position: int
    path: str


def told_secrets(log: LogReader) -> ToldSecrets | None:
    """The secrets that can be read in the log; None where there are none."""
    found = {}
    for digest, content in log.document_digests():
        if tells_secrets(content) and (named := _named(log, digest)) is not None:
            found[digest] = named
    if not found:
        return None
    position, path = max(found.values())
    return ToldSecrets(len(found), position, path)


def _named(log: LogReader, digest: str) -> tuple[int, str] | None:
    """The last event that names a text as that of a file."""
    for each in happenings(log.backwards(saying=[digest])):
        if isinstance(each.event, _OF_A_FILE) and each.event.sha256 == digest:
            return each.position, each.event.path
    return None
