"""Bringing a database to today's tables, at start and by itself."""

import sqlite3
from pathlib import Path

from sqlalchemy import Engine

from janfs.errors import LogTooNew


def scripts_folder() -> Path:
    """Where the migrations are: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def newest_revision() -> str:
    """The newest revision that this janfs knows; the scripts are named by their number."""
    return max(script.name.partition("_")[0] for script in (scripts_folder() / "versions").glob("[0-9]*.py"))


def migrate(engine: Engine, path: Path) -> None:
    """Bring the database at `path` to the newest revision, after copying it beside itself.

    Raises `LogTooNew` when a newer janfs has written it.
    """
    current, newest = _current_revision(path), newest_revision()
    if current == newest:
        return
    if current is not None and current > newest:
        raise LogTooNew(
            f"{path} was written by a newer janfs (its tables are at revision {current}, this janfs knows "
            f"{newest}). Use that one; nothing was changed."
        )
    if current is not None:
        copy_database(path, path.with_name(f"{path.name}.before-{newest}"))
    # Alembic takes half a second to import, and most starts need no migration.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy of a database that may be in use (sqlite.org/backup.html)."""
    origin, copy = sqlite3.connect(source), sqlite3.connect(target)
    try:
        origin.backup(copy)
    finally:
        copy.close()
        origin.close()


def _current_revision(path: Path) -> str | None:
    if not path.exists():
        return None
    connection = sqlite3.connect(path)
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:  # no such table: an empty database
        return None
    finally:
        connection.close()
    return None if row is None else str(row[0])
