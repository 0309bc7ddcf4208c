"""What `janfs verify` says of the log, and what is said of it elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from janfs.past.secrets import ToldSecrets
    from janfs.pipeline.recorder import Comparison

_GUARD_IT = "`janfs log guard` puts them back."
WAY_OUT = "`janfs restore` puts a backup in its place, and keeps what was there."


def say_parked(found: "Comparison | None") -> None:
    """Name, on stderr, the events that this janfs cannot apply."""
    for parked in found.parked if found is not None else ():
        more = f" and {parked.count - 1:,} more of its stream" if parked.count > 1 else ""
        click.echo(
            f"Event {parked.position} ({parked.type}){more} cannot be applied by this janfs and is left out "
            f"of the catalogue: {parked.reason}",
            err=True,
        )


def say_secrets(found: "ToldSecrets | None") -> None:
    """Say, on stderr, that secrets can be read in the log, and what helps."""
    if found is not None:
        click.echo(
            f"What looks like a secret can be read in {found.texts:,} of the log's texts, which an older "
            f"janfs recorded as they were; last at position {found.position} ({found.path}). Have the key "
            "replaced by whoever gave it out. Touch that file while janfs runs, stop janfs, and `janfs log "
            "compact --before now`: the archive has the secret then, and the log has not.",
            err=True,
        )


def verify_log(root: Path, as_json: bool, noted_head: str | None, archived: tuple[Path, ...] = ()) -> None:
    """Walk the log, compare the catalogue with it, and print what was found.

    Raises `LogCorrupt`, or `LogTooNew` for what only a newer janfs can judge.
    """
    import msgspec

    from janfs.cli import printing
    from janfs.errors import LogCorrupt
    from janfs.log.archives import check_archives
    from janfs.log.migrate import check_known
    from janfs.log.verify import parse_noted, verify
    from janfs.log.wal import find_damage
    from janfs.past.secrets import told_secrets
    from janfs.pipeline.recorder import compare
    from janfs.root import RootPaths, read_log

    noted = None if noted_head is None else parse_noted(noted_head)
    opened = read_log(root)
    try:
        damage = find_damage(RootPaths(root).database)  # before anything is read with SQLite
        check_known(opened, RootPaths(root).database)
        archives = check_archives(opened, archived, noted) if archived else []
        if any(archive.noted for archive in archives):
            noted = None
        verdict = verify(opened, noted)
        if damage is not None:
            reason = f"log.db-wal is damaged at byte {damage.offset}, and SQLite takes it to end there"
            reason += f": {damage.commits} commits are lost to it"
            reason += "" if verdict.ok else f"; of the rest, {verdict.reason}"
            verdict = msgspec.structs.replace(verdict, reason=reason, unguarded=False)
        found = compare(opened) if verdict.ok else None
        secrets = told_secrets(opened) if verdict.ok else None
    finally:
        opened.close()
    if as_json:
        click.echo(
            printing.as_json({**msgspec.structs.asdict(verdict), "catalogue": found, "secrets": secrets})
        )
    if not verdict.ok:
        raise LogCorrupt(f"{verdict.complaint} {_GUARD_IT if verdict.unguarded else WAY_OUT}")
    if found is not None and found.difference is not None:
        raise LogCorrupt(
            f"The log stands; the catalogue is not what it says: {found.difference}. "
            "`janfs rebuild` makes it anew."
        )
    say_parked(found)
    say_secrets(secrets)
    if not as_json:
        for archive in archives:
            click.echo(
                f"{archive.name}: {archive.until - archive.after:,} events stand, and lead to the log."
            )
        click.echo(
            f"{verdict.events:,} events and {verdict.documents:,} documents stand, and the catalogue is what "
            f"they say. Head {verdict.head}@{verdict.after + verdict.events}"
        )
