"""`janfs log …`, and what `janfs verify` says of the log."""

from pathlib import Path

import click

from janfs.cli.common import json_option, root_option


@click.group()
def log() -> None:
    """The event log itself: its head, its guards."""


@log.command()
@root_option
@json_option
def head(root: Path, as_json: bool) -> None:
    """Print the hash and position where the log ends now, to be noted elsewhere.

    `janfs verify --head` proves later that nothing up to there was rewritten.
    """
    from janfs.cli import printing
    from janfs.root import read_log

    opened = read_log(root)
    try:
        last = opened.last()
    finally:
        opened.close()
    shown = {"position": last.position, "hash": last.hash.hex()}
    click.echo(printing.as_json(shown) if as_json else f"{last.hash.hex()}@{last.position}")


@log.command()
@root_option
def guard(root: Path) -> None:
    """Put the guards back that keep the log append-only, if its content is what was written."""
    from janfs.errors import LogCorrupt
    from janfs.log.connection import writer_engine
    from janfs.log.guards import renew_guards, wrong_guards
    from janfs.log.lock import RootLock
    from janfs.log.verify import verify
    from janfs.root import RootPaths, read_log

    paths = RootPaths(root)
    opened = read_log(root)
    lock = RootLock(paths.lock)
    writer = writer_engine(paths.database)
    try:
        verdict = verify(opened, guarded=False)
        if not verdict.ok:
            raise LogCorrupt(f"The guards were left as they are: {verdict.complaint}")
        with writer.begin() as connection:
            wrong = wrong_guards(connection)
            if wrong:
                renew_guards(connection)
    finally:
        opened.close()
        writer.dispose()
        lock.release()
    click.echo(f"Put back: {', '.join(wrong)}." if wrong else "The guards are as they should be.")


def verify_log(root: Path, as_json: bool, noted_head: str | None) -> None:
    """Walk the log, compare the catalogue with it, and print what was found. Raises `LogCorrupt`."""
    import msgspec

    from janfs.cli import printing
    from janfs.errors import LogCorrupt
    from janfs.log.verify import parse_noted, verify
    from janfs.pipeline.recorder import compare
    from janfs.root import read_log

    noted = None if noted_head is None else parse_noted(noted_head)
    opened = read_log(root)
    try:
        verdict = verify(opened, noted)
        found = compare(opened) if verdict.ok else None
    finally:
        opened.close()
    if as_json:
        click.echo(printing.as_json({**msgspec.structs.asdict(verdict), "catalogue": found}))
    if not verdict.ok:
        raise LogCorrupt(verdict.complaint)
    if found is not None and found.difference is not None:
        raise LogCorrupt(
            f"The log stands; the catalogue is not what it says: {found.difference}. "
            "`janfs rebuild` makes it anew."
        )
    if not as_json:
        click.echo(
            f"{verdict.events:,} events and {verdict.documents:,} documents stand, and the catalogue is what "
            f"they say. Head {verdict.head}@{verdict.after + verdict.events}"
        )
