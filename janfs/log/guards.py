"""The triggers that keep the log append-only against any SQL, and whether they still stand."""

from sqlalchemy import Connection

# BEFORE INSERT guards too: `INSERT OR REPLACE` deletes past a DELETE trigger unless `recursive_triggers`
# is on, and that pragma belongs to a connection, while a trigger belongs to the file.
_TEXTS = (
    """CREATE TRIGGER events_no_update BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: no UPDATE'); END""",
    """CREATE TRIGGER events_no_delete BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: no DELETE'); END""",
    """CREATE TRIGGER events_next_position BEFORE INSERT ON events
        WHEN NEW.position IS NOT
            (SELECT coalesce(max(position), (SELECT max(position) FROM seam), 0) + 1 FROM events)
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: wrong next position'); END""",
    """CREATE TRIGGER events_next_version BEFORE INSERT ON events
        WHEN NEW.version IS NOT coalesce(
            (SELECT max(version) FROM events WHERE stream = NEW.stream),
            (SELECT version FROM archived_streams WHERE stream = NEW.stream), 0) + 1
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: wrong next version'); END""",
    """CREATE TRIGGER documents_no_update BEFORE UPDATE ON documents
        BEGIN SELECT RAISE(ABORT, 'documents are append-only: no UPDATE'); END""",
    """CREATE TRIGGER documents_no_delete BEFORE DELETE ON documents
        BEGIN SELECT RAISE(ABORT, 'documents are append-only: no DELETE'); END""",
    """CREATE TRIGGER documents_no_replace BEFORE INSERT ON documents
        WHEN EXISTS (SELECT 1 FROM documents WHERE sha256 = NEW.sha256)
        BEGIN SELECT RAISE(ABORT, 'documents are append-only: no REPLACE'); END""",
    """CREATE TRIGGER seam_no_update BEFORE UPDATE ON seam
        BEGIN SELECT RAISE(ABORT, 'the seam is append-only: no UPDATE'); END""",
    """CREATE TRIGGER seam_no_delete BEFORE DELETE ON seam
        BEGIN SELECT RAISE(ABORT, 'the seam is append-only: no DELETE'); END""",
    """CREATE TRIGGER seam_before_events BEFORE INSERT ON seam
        WHEN EXISTS (SELECT 1 FROM seam) OR EXISTS (SELECT 1 FROM events)
        BEGIN SELECT RAISE(ABORT, 'the seam is append-only: it comes before all events'); END""",
    """CREATE TRIGGER archived_streams_no_update BEFORE UPDATE ON archived_streams
        BEGIN SELECT RAISE(ABORT, 'archived streams are append-only: no UPDATE'); END""",
    """CREATE TRIGGER archived_streams_no_delete BEFORE DELETE ON archived_streams
        BEGIN SELECT RAISE(ABORT, 'archived streams are append-only: no DELETE'); END""",
    """CREATE TRIGGER archived_streams_before_events BEFORE INSERT ON archived_streams
        WHEN EXISTS (SELECT 1 FROM archived_streams WHERE stream = NEW.stream)
            OR EXISTS (SELECT 1 FROM events)
        BEGIN SELECT RAISE(ABORT, 'archived streams are append-only: they come before all events'); END""",
)
GUARDS = {text.split()[2]: text for text in _TEXTS}
"""Each trigger's text as the migrations leave it, by name."""


def wrong_guards(connection: Connection) -> list[str]:
    """What is wrong with the guards of a database, in words; empty when they are as they should be.

    They are compared by their text: a trigger of the right name that refuses nothing is no guard, and one
    that is not ours could keep events out.
    """
    rows = connection.exec_driver_sql(
        "SELECT CAST(name AS BLOB), CAST(sql AS BLOB) FROM sqlite_master WHERE type = 'trigger'"
    )
    found = {bytes(row[0]).decode(errors="replace"): bytes(row[1]).decode(errors="replace") for row in rows}
    wrong = [f"{name} is gone" for name in sorted(GUARDS.keys() - found.keys())]
    wrong += [f"{name} is not ours" for name in sorted(found.keys() - GUARDS.keys())]
    wrong += [f"{name} was changed" for name, text in GUARDS.items() if found.get(name, text) != text]
    return wrong


def renew_guards(connection: Connection) -> None:
    """Put the guards back as they should be, in the caller's transaction; other triggers are dropped."""
    for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all():
        quoted = str(row[0]).replace('"', '""')
        connection.exec_driver_sql(f'DROP TRIGGER "{quoted}"')
    for text in GUARDS.values():
        connection.exec_driver_sql(text)
