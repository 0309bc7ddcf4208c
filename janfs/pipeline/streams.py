"""Which stream an event about a path belongs to: its model's, known or to be, or its engine's."""

from janfs.catalogue.catalogue import Catalogue, files_in, is_leaving, owner_of
from janfs.catalogue.entries import File, Plan
from janfs.clock import Ids
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from janfs.manifest import engine_file
from janfs.organise.homes import home_of
from janfs.pipeline.buried import is_another

MOST_SHARDS = 1000  # of one set that are looked for one by one


class Streams:
    """Streams of one look: a place that is new in it gets one identity, however many files it holds."""

    def __init__(self, fs: FileSystem, catalogue: Catalogue, ids: Ids) -> None:
        self._fs = fs
        self._catalogue = catalogue
        self._ids = ids
        self._given: dict[str, str] = {}
        self._left: set[str] = set()
        self._moved: set[str] = set()

    def of(self, path: str) -> str:
        """The stream of the engine or place that `path` belongs to; loose shards of a set have one place."""
        if paths.is_engine_file(path):
            return engine_file.stream_of(path)
        place = paths.place(path)
        shard = paths.shard(path) if place == path else None
        if shard is not None:
            return self._of_shard(path, shard)
        leaving = self._of_leaving(path, place) if place not in (path, *self._moved) else None
        if leaving is not None:
            return leaving  # it lies among files of other models, and stays its own model's
        found = self.known(place) or self._awaiting(place) or self._returning(path, place) or self._ids()
        self._given[place] = found
        return found

    def _awaiting(self, place: str) -> str | None:
        """The model to whose folder a file of its own is moved right now; it may be there, or come yet."""
        uid = self._catalogue.folders.get(place)
        plans = self._catalogue.plans.values() if uid is not None else ()
        return next((plan.uid for plan in plans if plan.uid == uid and _comes_to(plan, place)), None)

    def _of_leaving(self, path: str, place: str) -> str | None:
        """The present model that a file in a folder is of already; a new shard is of its set's, and so is a
        new model.json where one set alone waits.
        """
        known, new = self._catalogue.files.get(path), paths.shard(path)
        if known is None and new is not None:
            leaving = (file for file in files_in(self._catalogue, place) if is_leaving(self._catalogue, file))
            same = (file for file in leaving if paths.is_same_set(file.path, path))
            known = next((file for file in same if self._lacks(file.uid, path)), None)
        if known is None and paths.is_manifest(path):
            known = self._waiting_alone(place, path)
        model = self._catalogue.models.get(known.uid) if known is not None else None
        return model.uid if model is not None and model.removed is None else None

    def _waiting_alone(self, place: str, manifest: str) -> File | None:
        """A shard of the one set that waits in a folder, if that lacks a model.json and all else is of it."""
        files = [file for file in files_in(self._catalogue, place) if paths.is_binary(file.path)]
        if len({file.uid for file in files}) != 1 or not is_leaving(self._catalogue, files[0]):
            return None
        lacks = self._lacks(files[0].uid, manifest)
        return next((file for file in files if lacks and paths.shard(file.path) is not None), None)

    def _returning(self, path: str, place: str) -> str | None:
        """What is dropped again after it was removed is the model that it was; once.

        While a deleted model's weights are in the trash, others of its name are another model.
        """
        loose = place == path and paths.is_binary(path)
        grave = home_of(self._catalogue, paths.name(path), returns=True) if loose else place
        uid = None if place in self._left else self._catalogue.graves.get(grave)
        if uid is None or uid in self._given.values():
            return None
        return None if is_another(self._fs, self._catalogue.models[uid], place) else uid

    def _of_shard(self, path: str, shard: paths.Shard) -> str:
        unit = f"{shard.stem}-of-{shard.count}"
        found, given = self.known(path), self._given.get(unit)
        if found is None and given is not None and self._lacks(given, path):
            found = given
        found = found or self._set_of(path, shard)
        found = found or self._returning(path, path) or self._ids()
        self._given[unit] = self._given[path] = found
        return found

    def _set_of(self, path: str, shard: paths.Shard) -> str | None:
        """The stream of a set that lacks this shard, lying loose or in a folder."""
        for number in range(1, min(shard.count, MOST_SHARDS) + 1):
            sibling = f"{paths.MODELS}/{shard.stem}-{number:05d}-of-{shard.count:05d}.gguf"
            known = self._catalogue.files.get(sibling)
            if known is not None and self._lacks(known.uid, path):
                return known.uid
        for model in self._catalogue.models.values():
            if model.removed is None and model.status == "incomplete" and self._lacks(model.uid, path):
                owned = self._catalogue.owned.get(model.uid) or ()
                if any(paths.is_same_set(each, path) for each in owned):
                    return model.uid
        return None

    def _lacks(self, uid: str, path: str) -> bool:
        """Whether a model has no other file of that name yet, which would keep this one out for good."""
        owned = self._catalogue.owned.get(uid) or ()
        return all(paths.name(each) != paths.name(path) or each == path for each in owned)

    def known(self, place: str) -> str | None:
        """The stream of what is at a place already; what was removed from there does not count."""
        if place in self._given or place in self._left:
            return self._given.get(place)
        uid = owner_of(self._catalogue, place)
        model = self._catalogue.models.get(uid or "")
        if model is None or model.removed is not None or place not in self._catalogue.files:
            return uid
        # A file that lay here refused while its model came back elsewhere is another model's by now.
        return uid if model.loose == place or self._catalogue.files[place].refused is None else None

    def move(self, origin: str, place: str, uid: str) -> None:
        """Say that the stream of a place went to another; what is new at the old one is something else."""
        self._given[place] = uid
        self._left.add(origin)
        self._moved.add(place)


def _comes_to(plan: Plan, place: str) -> bool:
    """Whether a plan moves a file into a folder."""
    moves = plan.how == "move" and plan.reason == "organise" and plan.source is not None
    return moves and paths.parent(plan.target) == place
