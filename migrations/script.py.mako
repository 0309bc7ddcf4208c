"""${message}."""

import sqlalchemy as sa
from alembic import op

revision = "${up_revision}"
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Never rebuild `events` with batch mode: a copied table loses its guards."""
    ${upgrades if upgrades else "raise RuntimeError('an empty migration')"}
