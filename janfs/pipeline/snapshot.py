"""What everyone else sees: one immutable value, swapped after each commit."""

from collections.abc import Mapping

from msgspec import Struct

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.entries import Plan
from janfs.folder.spelling import Taken


class Arrival(Struct, frozen=True):
    """A file that is not whole yet; `percentage` of the bytes that its header announces, once it is there.

    `since` is when it last changed, in the clock's monotonic seconds.
    """

    path: str
    reason: str
    percentage: float | None
    size: int
    since: float = 0.0


class Unsettled(Struct, frozen=True):
    """A plan whose outcome the disk does not show at present, and what there is to say about that."""

    plan: Plan
    reason: str


class Snapshot(Struct, frozen=True):
    """The catalogue at one position, and what is not in the log: arrivals, the names in `models/` that are
    taken, what is `unsettled`, by the model's uid, whether we keep up, and which folders are `closed`: they
    could not be looked into last, and why.

    `caught_up` once everything on disk has been looked at since the start; `failing` says why the pipeline
    cannot go on at present.
    """

    catalogue: Catalogue = Catalogue()
    arrivals: Mapping[str, Arrival] = {}
    taken: Taken = Taken()
    unsettled: Mapping[str, Unsettled] = {}
    caught_up: bool = False
    failing: str | None = None
    closed: Mapping[str, str] = {}


def of_log(catalogue: Catalogue) -> Snapshot:
    """What there is to see where no janfs runs; what the last one began and did not finish is unsettled."""
    unsettled: dict[str, Unsettled] = {}
    for plan in sorted(catalogue.plans.values(), key=lambda plan: plan.position):
        deed = f"{plan.source} became {plan.target}" if plan.source else f"{plan.target} was written"
        reason = f"janfs ended before it could see whether {deed}. The next start looks, and goes on."
        unsettled.setdefault(plan.uid, Unsettled(plan, reason))
    return Snapshot(catalogue, unsettled=unsettled)
