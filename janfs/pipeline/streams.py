"""Which stream an event about a path belongs to: its model's, known or to be."""

from janfs.catalogue.catalogue import Catalogue, owner_of
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
        found = self.known(place) or self._returning(path, place) or self._ids()
        self._given[place] = found
        return found

    def _returning(self, path: str, place: str) -> str | None:
        """What is dropped again after it was removed is the model that it was; once."""
        loose = place == path and paths.is_binary(path)
        grave = home_of(self._catalogue, paths.name(path)) if loose else place
        uid = None if place in self._left else self._catalogue.graves.get(grave)
        return None if uid is None or uid in self._given.values() else uid

    def known(self, place: str) -> str | None:
        """The stream of what is at a place already; what was removed from there does not count."""
        if place in self._given or place in self._left:
            return self._given.get(place)
        uid = owner_of(self._catalogue, place)
        model = self._catalogue.models.get(uid or "")
        if model is None or model.removed is not None or place not in self._catalogue.files:
            return uid
        # A file that lay here refused while its model came back elsewhere is another model's by now.
        return uid if model.loose == place else None

    def move(self, origin: str, place: str, uid: str) -> None:
        """Say that the stream of a place went to another; what is new at the old one is something else."""
        self._given[place] = uid
        self._left.add(origin)
