"""Disks that take several spellings for one name: macOS, exFAT, Windows' shares, ext4 if told so."""

from janfs.folder import paths
from janfs.folder.filesystem import FileSystem


def folds_names(fs: FileSystem, there: str) -> bool:
    """Whether the disk finds `there`, a file that exists, in capitals too."""
    try:
        found = fs.stat(there)
        other = paths.join(paths.parent(there), paths.name(there).upper())
        return found is not None and fs.stat(other) == found
    except OSError:
        return False


def as_spelled(fs: FileSystem, path: str) -> str:
    """A path below `models/` as the disk spells it; unchanged when it is not there or cannot be seen."""
    if path == paths.MODELS or not paths.is_inside(path, paths.MODELS):
        return path
    folder, name = as_spelled(fs, paths.parent(path)), paths.name(path)
    try:
        there = fs.list(folder)
    except OSError:
        return path
    alike = [each for each in there if paths.folded(each) == paths.folded(name)]
    return path if not alike else paths.join(folder, name if name in there else alike[0])
