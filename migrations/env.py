"""Alembic's entry: run the migrations over the connection that we are given."""

from alembic import context
from sqlalchemy import Connection, create_engine

from janfs.log.schema import metadata


def run(connection: Connection) -> None:
    """Run in one transaction; a migration that fails half way leaves nothing behind."""
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    database = context.get_x_argument(as_dictionary=True)["database"]
    with create_engine(f"sqlite:///{database}").begin() as own:
        run(own)
