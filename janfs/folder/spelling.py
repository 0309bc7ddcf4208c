"""Disks that take several spellings for one name: macOS, exFAT, Windows' shares, ext4 if told so."""

from collections.abc import Mapping

from immutables import Map
from msgspec import Struct

from janfs.folder import paths
from janfs.folder.filesystem import FileSystem, Stat


class Taken(Struct, frozen=True):
    """The names in a folder that no new folder can have, whether or not the catalogue knows what lies there.

    A name is taken by what differs from it in case or Unicode form only, and by a file or link of its own;
    not by a folder that is spelled as it is. `spellings` are the names that lie there, by what a disk could
    take for one, and whether each is a folder.
    """

    spellings: Map[str, tuple[tuple[str, bool], ...]] = Map()

    def __contains__(self, name: object) -> bool:
        alike = self.spellings.get(paths.folded(str(name)), ())
        return any(each != name or not is_folder for each, is_folder in alike)

    def seen(self, name: str, stat: Stat | None) -> "Taken":
        """The same after a look at one name."""
        key = paths.folded(name)
        alike = tuple(each for each in self.spellings.get(key, ()) if each[0] != name)
        if stat is not None:
            alike += ((name, _is_folder(stat)),)
        if alike:
            return Taken(self.spellings.set(key, alike))
        return Taken(self.spellings.delete(key)) if key in self.spellings else self


def taken(there: Mapping[str, Stat]) -> Taken:
    """The names that are taken in a folder that holds this."""
    spellings: dict[str, tuple[tuple[str, bool], ...]] = {}
    for name, stat in there.items():
        key = paths.folded(name)
        spellings[key] = (*spellings.get(key, ()), (name, _is_folder(stat)))
    return Taken(Map(spellings))


def _is_folder(stat: Stat) -> bool:
    return stat.is_dir and stat.link is None


def folds_names(fs: FileSystem, folder: str, there: Mapping[str, Stat]) -> bool:
    """Whether the disk finds what is `there` in a folder with small letters for capitals, and the reverse."""
    plain = (each for each in there if each.isascii() and "%" not in each)
    name = next((each for each in plain if each.swapcase() not in there), None)
    try:
        return name is not None and fs.stat(paths.join(folder, name.swapcase())) is not None
    except OSError:
        return False


def as_spelled(fs: FileSystem, path: str) -> str | None:
    """A path below `models/` as the disk spells it, unchanged when it is not there; None if none can see."""
    if path == paths.MODELS or not paths.is_inside(path, paths.MODELS):
        return path
    folder, name = as_spelled(fs, paths.parent(path)), paths.name(path)
    if folder is None:
        return None
    try:
        there = fs.list(folder)
    except (FileNotFoundError, NotADirectoryError):
        return path
    except OSError:
        return None
    alike = [each for each in there if paths.folded(each) == paths.folded(name)]
    return path if not alike else paths.join(folder, name if name in there else alike[0])
