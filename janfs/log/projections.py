"""Where a projection of the log is kept: rows of text, moved on in the transaction that appends."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from sqlalchemy import Connection, Row, delete, select

from janfs.log.schema import projected, projections

Key = tuple[str, str]  # kind, key


class Checkpoint(Struct, frozen=True):
    """How far a projection has come, and with which version of its code."""

    version: int
    position: int


def checkpoint(connection: Connection, name: str) -> Checkpoint | None:
    """The checkpoint of a projection; None if it was never saved."""
    row = connection.execute(select(projections).where(projections.c.name == name)).first()
    return None if row is None else Checkpoint(version=row.version, position=row.position)


def rows(connection: Connection, name: str) -> Sequence[Row[str, str, str]]:
    """Every row (kind, key, value) of a projection, ordered by kind and key."""
    query = "SELECT kind, key, value FROM projected WHERE projection = ? ORDER BY kind, key"
    return connection.exec_driver_sql(query, (name,)).all()


def save(connection: Connection, name: str, at: Checkpoint, changed: Mapping[Key, str | None]) -> None:
    """Move a projection on: rows changed (None: gone), and its checkpoint."""
    connection.exec_driver_sql(
        "INSERT INTO projections (name, version, position) VALUES (?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET version = excluded.version, position = excluded.position",
        (name, at.version, at.position),
    )
    gone = [(name, *key) for key, value in changed.items() if value is None]
    kept = [(name, *key, value) for key, value in changed.items() if value is not None]
    if gone:
        connection.exec_driver_sql(
            "DELETE FROM projected WHERE projection = ? AND kind = ? AND key = ?", gone
        )
    if kept:
        connection.exec_driver_sql(
            "INSERT INTO projected (projection, kind, key, value) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (projection, kind, key) DO UPDATE SET value = excluded.value",
            kept,
        )


def replace(connection: Connection, name: str, at: Checkpoint, every: Mapping[Key, str]) -> None:
    """Put a projection's rows in place of all that it had."""
    connection.execute(delete(projected).where(projected.c.projection == name))
    save(connection, name, at, every)
