"""Where a compacted log begins: the seam, and the versions that streams had reached there."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GUARDS = (
    """CREATE TRIGGER events_next_position BEFORE INSERT ON events
        WHEN NEW.position IS NOT
            (SELECT coalesce(max(position), (SELECT max(position) FROM seam), 0) + 1 FROM events)
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: wrong next position'); END""",
    """CREATE TRIGGER events_next_version BEFORE INSERT ON events
        WHEN NEW.version IS NOT coalesce(
            (SELECT max(version) FROM events WHERE stream = NEW.stream),
            (SELECT version FROM archived_streams WHERE stream = NEW.stream), 0) + 1
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: wrong next version'); END""",
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


def upgrade() -> None:
    """Add both tables; the guards of `events` go on from the seam."""
    op.create_table(
        "seam",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "archived_streams",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sqlite_strict=True,
    )
    op.execute("DROP TRIGGER events_next_position")
    op.execute("DROP TRIGGER events_next_version")
    for guard in GUARDS:
        op.execute(guard)
