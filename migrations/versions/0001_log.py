"""The event log, its documents and guards, and the projections."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# BEFORE INSERT guards too: `INSERT OR REPLACE` deletes past a DELETE trigger unless `recursive_triggers`
# is on, and that pragma belongs to a connection, while a trigger belongs to the file.
GUARDS = (
    """CREATE TRIGGER events_no_update BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: no UPDATE'); END""",
    """CREATE TRIGGER events_no_delete BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: no DELETE'); END""",
    """CREATE TRIGGER events_next_position BEFORE INSERT ON events
        WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: wrong next position'); END""",
    """CREATE TRIGGER events_next_version BEFORE INSERT ON events
        WHEN NEW.version IS NOT (SELECT coalesce(max(version), 0) + 1 FROM events WHERE stream = NEW.stream)
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: wrong next version'); END""",
    """CREATE TRIGGER documents_no_update BEFORE UPDATE ON documents
        BEGIN SELECT RAISE(ABORT, 'documents are append-only: no UPDATE'); END""",
    """CREATE TRIGGER documents_no_delete BEFORE DELETE ON documents
        BEGIN SELECT RAISE(ABORT, 'documents are append-only: no DELETE'); END""",
    """CREATE TRIGGER documents_no_replace BEFORE INSERT ON documents
        WHEN EXISTS (SELECT 1 FROM documents WHERE sha256 = NEW.sha256)
        BEGIN SELECT RAISE(ABORT, 'documents are append-only: no REPLACE'); END""",
)


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "events",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("schema", sa.Integer, nullable=False),
        sa.Column("recorded_at", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("cause", sa.Integer),
        sa.Column("correlation", sa.Integer, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("stream", "version"),
        sqlite_strict=True,
    )
    op.create_table(
        "documents",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "projections",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "projected",
        sa.Column("projection", sa.Text, sa.ForeignKey("projections.name"), primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    for guard in GUARDS:
        op.execute(guard)
