"""What was known of a model's model.json before it went away."""

from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.entries import File
from janfs.catalogue.fold import Recorded, fold
from janfs.events import types as e
from janfs.log.reader import LogReader
from janfs.past.moments import happenings

_OF_JSON = e.JsonEdited | e.JsonWritten | e.JsonReverted | e.JsonKept
_GONE = e.JsonRemoved | e.ModelRemoved | e.ModelDeleted


def former(log: LogReader, uid: str, path: str) -> File | None:
    """The model.json as it was when it was there last, as if that had been at `path`; None if it never was.

    What is known of one that was there before another is past with that one. Where an event of the model is
    damaged, nothing is: it may be the one that says so.
    """
    known: list[Recorded] = []
    is_gone = False
    records = list(log.told(uid))
    told = list(happenings(records))
    if len(told) < len(records):
        return None
    for each in told:
        if isinstance(each.event, _GONE):
            is_gone = True
        elif isinstance(each.event, _OF_JSON):
            known = [] if is_gone else known
            is_gone = False
            event = replace(each.event, path=path)
            known.append(Recorded(each.position, each.stream, each.recorded_at, event))
    return fold(Catalogue(), known)[0].files.get(path)
