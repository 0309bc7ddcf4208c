"""Catalogues of the past on disk, so that a long log is not folded from its beginning for every question.

They may be lost or removed at any time: they are made anew by whoever asks next.
"""

import re
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from janfs.catalogue import rows
from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.fold import VERSION

SPACING = 100_000  # events between two of them, doubled until there are no more than `MOST`
MOST = 16

_NAME = re.compile(r"(\d+)-(\d+)-([0-9a-f]{16})\.z")
_log = structlog.get_logger()
_rows = msgspec.json.Decoder(list[tuple[str, str, str]])


class Checkpoints:
    """The catalogues that are kept in a folder.

    `hash_at` gives the log's hash at a position, or nothing where it has none: a catalogue of another log, as
    after a backup was put back, does not count, and neither does one of another version of the fold.
    """

    def __init__(self, folder: Path, hash_at: Callable[[int], str | None]) -> None:
        self._folder = folder
        self._hash_at = hash_at

    def nearest(self, position: int) -> Catalogue:
        """The last catalogue that is kept of this position or of one before; else the empty one."""
        for kept in sorted((each for each in self._positions() if each <= position), reverse=True):
            try:
                packed = (self._folder / self._name(kept)).read_bytes()
                return rows.from_rows(_rows.decode(zlib.decompress(packed)), kept)
            except (OSError, zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
                _log.info("checkpoint-unusable", position=kept, reason=str(error))
        return Catalogue()

    def due(self, after: int, until: int) -> list[int]:
        """The positions on the way whose catalogues should be kept."""
        spacing = _spacing(until)
        return list(range(after - after % spacing + spacing, until + 1, spacing))

    def keep(self, catalogue: Catalogue) -> None:
        """Keep a catalogue; those that would be too many go. A disk that does not take it is left alone.

        One with parked events is not kept: a later janfs may be able to apply them.
        """
        if catalogue.parked:
            return
        listed = [(kind, key, value) for (kind, key), value in rows.to_rows(catalogue)]
        packed = zlib.compress(msgspec.json.encode(listed), 1)
        try:
            self._folder.mkdir(exist_ok=True)
            target = self._folder / self._name(catalogue.position)
            temporary = target.with_suffix(".tmp")
            temporary.write_bytes(packed)
            temporary.replace(target)
            spacing = _spacing(max(self._positions(), default=0))
            for path in self._folder.iterdir():
                name = _NAME.fullmatch(path.name)
                if name is None or int(name[2]) % spacing or path.name != self._name(int(name[2])):
                    path.unlink(missing_ok=True)
        except OSError as error:
            _log.info("checkpoint-not-kept", position=catalogue.position, reason=str(error))

    def _positions(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
        return [int(name[2]) for name in names if name is not None and name[0] == self._name(int(name[2]))]

    def _name(self, position: int) -> str:
        return f"{VERSION}-{position}-{(self._hash_at(position) or '')[:16]}.z"


def _spacing(last: int) -> int:
    spacing = SPACING
    while last // spacing > MOST:
        spacing *= 2
    return spacing
