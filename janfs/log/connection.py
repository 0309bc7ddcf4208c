"""Connections to the log: one that writes, and any number that only read."""

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool, StaticPool

_PATIENT = "PRAGMA busy_timeout=5000"  # milliseconds
_COMMON = (
    "PRAGMA foreign_keys=ON",
    _PATIENT,
    "PRAGMA trusted_schema=OFF",
)
# FULL: a commit that was acknowledged survives a power cut (sqlite.org/pragma.html#pragma_synchronous).
_WRITER = (
    *_COMMON,
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA recursive_triggers=ON",
)
# Only the writer checkpoints: SQLite before 3.51.3 can corrupt a WAL that two connections reset at once.
_READER = (*_COMMON, "PRAGMA query_only=ON", "PRAGMA wal_autocheckpoint=0")


def writer_engine(path: Path, *, checkpoints: bool = True) -> Engine:
    """An engine with the one connection that may write; every transaction takes the write lock at once.

    With `checkpoints` off another program moves the write-ahead log into the database, as Litestream does.
    """
    address = URL.create("sqlite", database=str(path))  # as text, a `?` or a `%` would end the path
    engine = create_engine(address, poolclass=StaticPool, connect_args={"check_same_thread": False})
    _prepare(engine, _WRITER if checkpoints else (*_WRITER, "PRAGMA wal_autocheckpoint=0"))
    event.listen(engine, "begin", _begin_immediate)
    return engine


def reader_engine(path: Path) -> Engine:
    """An engine whose connections cannot write, not even by clearing the write-ahead log when they close."""
    address = f"file:{quote(os.fsencode(path))}?mode=ro"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False),
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=8,
    )
    _prepare(engine, _READER)
    event.listen(engine, "begin", _begin)
    return engine


def checkpoint(writer: Connection) -> bool:
    """Move the write-ahead log into the database, outside transactions; whether that is empty now.

    Waits for nobody who reads: what could be moved is in both then. Raises `sqlite3.Error`.
    """
    cursor = writer.connection.cursor()  # SQLAlchemy's own would begin a transaction
    cursor.execute("PRAGMA busy_timeout=0")
    try:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy, *_ = cursor.fetchall()[0]
        return bool(busy == 0)
    finally:
        cursor.execute(_PATIENT)
        cursor.close()


def _prepare(engine: Engine, pragmas: tuple[str, ...]) -> None:
    def connected(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, so that DDL is transactional too
        for pragma in pragmas:
            connection.execute(pragma)

    event.listen(engine, "connect", connected)


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
