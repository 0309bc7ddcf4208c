"""Bringing a database to today's tables, at start and by itself."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from janfs.errors import LogCorrupt, LogError, LogTooNew
from janfs.log.reader import LogReader
from janfs.log.swap import copy_whole


def scripts_folder() -> Path:
    """Where the migrations are: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def newest_revision() -> str:
    """The newest revision that this janfs knows; the scripts are named by their number."""
    return max(script.name.partition("_")[0] for script in (scripts_folder() / "versions").glob("[0-9]*.py"))


def migrate(engine: Engine, path: Path, *, keep_copy: bool = True) -> None:
    """Bring the database at `path` to the newest revision, after copying it beside itself.

    Raises `LogTooNew` when a newer janfs has written it, `LogCorrupt` when it is no database, and `LogError`
    when it cannot be opened or changed (locked, disk full); it is then as it was.
    """
    current, newest = _current_revision(path), newest_revision()
    if current == newest:
        return
    _refuse_newer(current, path)
    copy = path.with_name(f"{path.name}.before-{newest}")
    try:
        if current is not None and keep_copy:
            copy_database(path, copy)
        _upgrade(engine)
    except (sqlite3.Error, DBAPIError, OSError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise LogError(
            f"{path} could not be brought to revision {newest}, and is as it was: {reason}. "
            f"A copy was to be made before at {copy}."
        ) from error


def check_known(log: LogReader, path: Path) -> None:
    """Raises `LogTooNew` when a newer janfs has written the log at `path`, which this one cannot judge.

    One that cannot be read is left to who reads it.
    """
    found = None
    with suppress(DBAPIError), log.query() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    _refuse_newer(None if found is None else str(found), path)


def _refuse_newer(revision: str | None, path: Path) -> None:
    newest = newest_revision()
    if revision is not None and revision > newest:
        raise LogTooNew(
            f"{path} was written by a newer janfs (its tables are at revision {revision}, this janfs knows "
            f"{newest}). Use that one; nothing was changed."
        )


def _upgrade(engine: Engine) -> None:
    # Alembic takes half a second to import, and most starts need no migration.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy of a database that may be in use (sqlite.org/backup.html); it appears whole.

    Raises `sqlite3.Error`, `OSError`.
    """

    def back_up(making: Path) -> None:
        with closing(sqlite3.connect(source)) as origin, closing(sqlite3.connect(making)) as copy:
            origin.backup(copy)

    copy_whole(target, back_up)


def _current_revision(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            if not connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
            ).fetchone():
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        raise LogError(f"The event log {path} cannot be opened: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise LogCorrupt(
            f"{path} is not a sound database: {error}. Put a copy of it back in its place."
        ) from error
    return None if row is None else str(row[0])
