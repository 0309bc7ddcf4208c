"""Which stream an event about a path belongs to: its model's, known or to be."""

from janfs.catalogue.catalogue import Catalogue, owner_of, uid_at
from janfs.clock import Ids
from janfs.folder import paths
from janfs.organise.planner import home_of


class Streams:
    """Streams of one look: a place that is new in it gets one identity, however many files it holds."""

    def __init__(self, catalogue: Catalogue, ids: Ids) -> None:
        self._catalogue = catalogue
        self._ids = ids
        self._given: dict[str, str] = {}
        self._left: set[str] = set()

    def of(self, path: str) -> str:
        """The stream of the place that `path` belongs to."""
        place = paths.place(path)
        known = self._given.get(place)
        if known is None and place not in self._left:
            known = uid_at(self._catalogue, place)
        if known is None and place == path and paths.is_binary(path):
            # What is dropped again after it was removed is the model that it was.
            known = self._catalogue.graves.get(home_of(self._catalogue, paths.name(path)))
            if known in self._given.values():
                known = None
        if known is None:
            known = self._ids()
        self._given[place] = known
        return known

    def known(self, place: str) -> str | None:
        """The stream of what is at a place already; what was removed from there does not count."""
        known = self._given.get(place)
        return known if known is not None or place in self._left else owner_of(self._catalogue, place)

    def move(self, origin: str, place: str, uid: str) -> None:
        """Say that the stream of a place went to another; what is new at the old one is something else."""
        self._given[place] = uid
        self._left.add(origin)
