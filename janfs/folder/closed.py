"""Folders that cannot be looked into, as far as that was seen."""

from janfs.folder import paths
from janfs.folder.scan import Scan


class Closed:
    """The folders below `models/` that could not be looked into when there was a look at them last."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}  # replaced, never changed: others may have it

    def seen(self, place: str, found: Scan) -> None:
        """Keep up with a look at a place; what could not be seen itself is as it was."""
        if place in found.unreadable.keys() - found.closed.keys() or not (self.reasons or found.closed):
            return
        kept = {folder: why for folder, why in self.reasons.items() if not paths.is_inside(folder, place)}
        self.reasons = kept | {folder: why for folder, why in found.closed.items() if folder != paths.MODELS}
