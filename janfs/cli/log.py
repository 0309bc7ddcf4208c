"""`janfs log …`, `janfs backup` and `janfs restore`."""

from pathlib import Path

import click

from janfs.cli.common import TEXT, json_option, root_option
from janfs.cli.verifying import WAY_OUT


@click.group()
def log() -> None:
    """The event log itself: its head, its guards, writing it out and reading it in."""


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
    from janfs.errors import LogCorrupt, LogError
    from janfs.log.connection import writer_engine
    from janfs.log.guards import renew_guards, wrong_guards
    from janfs.log.lock import RootLock
    from janfs.log.migrate import check_known
    from janfs.log.seam import has_seam
    from janfs.log.verify import verify
    from janfs.root import RootPaths, read_log

    paths = RootPaths(root)
    opened = read_log(root)
    lock = RootLock(paths.lock)
    writer = writer_engine(paths.database)
    try:
        check_known(opened, paths.database)
        verdict = verify(opened, guarded=False)
        if not verdict.ok:
            raise LogCorrupt(f"The guards were left as they are: {verdict.complaint} {WAY_OUT}")
        with writer.begin() as connection:
            if not has_seam(connection):
                raise LogError(
                    "The log has an older janfs's tables and guards; `janfs rebuild` brings both to today's."
                )
            wrong = wrong_guards(connection)
            if wrong:
                renew_guards(connection)
    finally:
        opened.close()
        writer.dispose()
        lock.release()
    click.echo(f"Put back: {', '.join(wrong)}." if wrong else "The guards are as they should be.")


@log.command()
@root_option
@click.argument("file", required=False, type=click.Path(path_type=Path))
def export(root: Path, file: Path | None) -> None:
    """Write the log as JSON lines, with its hashes and documents, into a new FILE or to standard output."""
    from janfs.cli import printing
    from janfs.log import lines
    from janfs.root import read_log
    from janfs.safekeeping import write_out

    if file is not None:
        click.echo(f"{file}: {printing.size(write_out(root, file))}.")
        return
    opened = read_log(root)
    try:
        for line in lines.write(opened):
            click.echo(line, nl=False)
    finally:
        opened.close()


@log.command("import")
@root_option
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
def import_(root: Path, files: tuple[Path, ...]) -> None:
    """Make the log of an empty root out of what `janfs log export` wrote; archives of it come first."""
    from janfs.clock import SystemClock
    from janfs.safekeeping import read_in

    end = read_in(root, files, SystemClock())
    click.echo(f"The log ends at position {end.position:,}. Head {end.hash.hex()}@{end.position}")


@log.command()
@root_option
@json_option
@click.option(
    "--before",
    required=True,
    metavar="WHEN",
    type=TEXT,
    help='Archive what comes before it: a position of the log, a time, or words ("yesterday 14:00").',
)
@click.option("--dry-run", is_flag=True, help="Only say what would be archived.")
def compact(root: Path, as_json: bool, before: str, dry_run: bool) -> None:
    """Archive the events before a moment; every model keeps its state. No janfs may run on the root."""
    from janfs.cli import printing
    from janfs.clock import SystemClock
    from janfs.compacting import compact as archive
    from janfs.past.moments import position_before

    clock = SystemClock()
    done = archive(root, lambda log: position_before(log, before, clock.now()), clock, dry_run=dry_run)
    if as_json:
        click.echo(printing.as_json(done))
    else:
        would = "would be" if dry_run else "are"
        click.echo(f"{done.events:,} events, up to position {done.position:,}, {would} in {done.archive}.")


@click.command()
@root_option
@json_option
@click.argument("file", required=False, type=click.Path(path_type=Path))
def backup(root: Path, as_json: bool, file: Path | None) -> None:
    """Copy the log into one verified file, also while janfs runs; by default into .janfs/backups."""
    from janfs.cli import printing
    from janfs.safekeeping import back_up

    path, verdict = back_up(root, file)
    position = verdict.after + verdict.events
    if as_json:
        click.echo(printing.as_json({"file": str(path), "position": position, "hash": verdict.head}))
    else:
        click.echo(f"{path}: {printing.size(path.stat().st_size)}. Head {verdict.head}@{position}")


@click.command()
@root_option
@click.argument("file", type=click.Path(path_type=Path))
def restore(root: Path, file: Path) -> None:
    """Put a backup in the place of the log; the old log is kept beside it. No janfs may run on the root."""
    from janfs.clock import SystemClock
    from janfs.safekeeping import restore as put_back

    end, kept = put_back(root, file, SystemClock())
    click.echo(f"The log ends at position {end.position:,}. Head {end.hash.hex()}@{end.position}")
    if kept is not None:
        click.echo(f"The log that was there is kept as {kept}.")


def say_seam(root: Path) -> None:
    """Say on stderr where older events are, if the log was compacted. Raises `RootUnusable`."""
    from janfs.root import read_log

    opened = read_log(root)
    try:
        seam = opened.seam
    finally:
        opened.close()
    if seam is not None:
        click.echo(f"What happened up to position {seam.position:,} is archived in {seam.archive}.", err=True)
