"""Exit codes, assigned in this one place: 1 for what janfs says no to, 2 for wrong usage, more below."""

from janfs.errors import (
    FilesCorrupt,
    JanfsError,
    LogCorrupt,
    NotFound,
    RootLocked,
    RootUnusable,
    SettingsError,
)

_EXIT_CODES: tuple[tuple[type[JanfsError], int], ...] = (
    (SettingsError, 2),
    (NotFound, 3),
    (RootLocked, 4),
    (RootUnusable, 5),
    (LogCorrupt, 6),
    (FilesCorrupt, 6),
)


def exit_code(error: JanfsError) -> int:
    """The exit code that tells a script what kind of error it was."""
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 1)
