"""What organising would do: every deed is taken for done, and its outcome folded in. Pure."""

import hashlib
from collections.abc import Iterable

from msgspec import Struct

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.fold import Recorded, fold
from janfs.catalogue.groups import is_part
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import Stamp
from janfs.manifest.schema import Manifest
from janfs.organise.planner import next_step
from janfs.organise.steps import Copy, Decide, Generate, Move, Policy, is_pairing

_MOST_STEPS = 100  # of one place; what ends at all ends far sooner


class Deed(Struct, frozen=True):
    """A deed on disk; `what` is "move", "copy", "hard-link", "symbolic-link" or "write"."""

    what: str
    target: str
    source: str | None = None


def rehearse(catalogue: Catalogue, policy: Policy) -> tuple[Catalogue, list[Deed]]:
    """The catalogue once all is organised, and the deeds that lead there, in order."""
    deeds: list[Deed] = []
    dirty = _places(catalogue)
    late = {paths.place(path) for path, file in catalogue.files.items() if is_part(file)}
    for _ in range(_MOST_STEPS):
        last = not dirty
        if last:
            dirty, late = late, set()
        if not dirty:
            break
        touched: set[str] = set()
        for place in sorted(dirty):
            for _ in range(_MOST_STEPS):
                step = next_step(catalogue, place, policy)
                if step is None:
                    break
                if isinstance(step, Decide) and is_pairing(step) and not last:
                    late.add(place)  # when all models are known
                    break
                if not isinstance(step, Decide):
                    deeds.append(_deed(step))
                catalogue, changed = fold(catalogue, _outcomes(step, catalogue.position))
                touched |= _places_of(catalogue, changed)
        dirty = touched
    return catalogue, deeds


def _places(catalogue: Catalogue) -> set[str]:
    places = {paths.place(path) for path in catalogue.files}
    return places | {model.folder for model in catalogue.models.values() if model.removed is None}


def _places_of(catalogue: Catalogue, changed: Iterable[tuple[str, str]]) -> set[str]:
    places = {paths.place(name) for kind, name in changed if kind == "file"}
    return places | {catalogue.models[name].folder for kind, name in changed if kind == "model"}


def _deed(step: Move | Copy | Generate) -> Deed:
    if isinstance(step, Generate):
        return Deed("write", step.path)
    return Deed("move" if isinstance(step, Move) else step.how, step.target, step.source)


def _outcomes(step: Decide | Move | Copy | Generate, position: int) -> list[Recorded]:
    """The events that would follow."""
    said: list[tuple[str, e.Event]]
    match step:
        case Decide():
            said = list(step.events)
        case Move():
            done = e.MoveCompleted("-", step.source, step.target, "organise", step.stamp)
            said = [(step.uid, done)]
        case Copy():
            link = step.source if step.how == "symbolic-link" else None
            stamp = step.stamp or Stamp(0, 0, 0)
            copied = e.CopyCompleted("-", step.source, step.target, step.how, "organise", stamp, link)
            said = [(step.uid, copied)]
        case Generate(anew=True):
            # What becomes of a person's text is seen when it is done; here it need only be over.
            said = [(step.uid, e.JsonKept(step.path, "-", step.made_from))]
        case Generate():
            digest = hashlib.sha256(step.path.encode()).hexdigest()
            written = e.JsonWritten(
                "-", step.path, Stamp(0, 0, 0), digest, Manifest(), made_from=step.made_from
            )
            said = [(step.uid, written)]
    return [Recorded(position + n, uid, "", event) for n, (uid, event) in enumerate(said, 1)]
