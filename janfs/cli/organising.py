"""`janfs organise` and `janfs pair`: what a person decides about the folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from janfs.cli.addresses import of_model, readable
from janfs.cli.common import json_option, key_option, root_option, user
from janfs.terminal import visible


@click.command()
@root_option
@key_option
@json_option
@click.option("--dry-run", is_flag=True, help="Only print what would be done.")
def organise(root: Path, api_key: str | None, as_json: bool, dry_run: bool) -> None:
    """Give every model a folder of its own, even where organising is off."""
    from janfs.cli import printing
    from janfs.cli.source import running

    service = running(root, api_key)
    if service is not None:
        found = service.ask("POST", "/v1/organise", {"dry_run": dry_run}, seconds=None)
    else:
        found = _plan(root) if dry_run else _organise(root)
    click.echo(printing.as_json(found) if as_json else _told(found))


@click.command()
@root_option
@key_option
@click.argument("part")
@click.argument("model")
def pair(root: Path, api_key: str | None, part: str, model: str) -> None:
    """Give a projector or an adapter to a model; PART is its file name, or its path below the root."""
    from janfs.cli.offline import obey
    from janfs.cli.source import running
    from janfs.pipeline.commands import Pair

    part = readable(part)
    service = running(root, api_key)
    if service is not None:
        service.ask("POST", of_model(model, "/pair"), {"part": part})
    else:
        obey(root, Pair(part, model, f"cli:{user()}"))
    click.echo(f"{part} belongs to {model} now.")


def _plan(root: Path) -> dict[str, Any]:
    """What would be done, for a folder that nobody serves; there need not be a log yet."""
    import msgspec

    from janfs.catalogue.catalogue import Catalogue
    from janfs.clock import SystemClock, random_id
    from janfs.errors import RootUnusable
    from janfs.folder.real import RealFileSystem
    from janfs.pipeline import deeds
    from janfs.pipeline.recorder import rebuild
    from janfs.root import RootPaths, read_log

    where = RootPaths(root)
    if not where.models.is_dir():
        raise RootUnusable(f"{where.models} is not there. Say with --root where your models/ folder is.")
    known = Catalogue()
    if where.database.exists():
        log = read_log(root)
        try:
            known = rebuild(log)
        finally:
            log.close()
    found = deeds.of_folder(RealFileSystem(root), known, SystemClock(), random_id)
    return {"deeds": msgspec.to_builtins(found.deeds), "waiting": found.waiting, "dry_run": True}


def _organise(root: Path) -> dict[str, Any]:
    import msgspec

    from janfs.cli.offline import opened
    from janfs.pipeline import deeds
    from janfs.pipeline.commands import Organise, Submitted

    with opened(root) as (pipeline, log, work):
        before = pipeline.catalogue.position
        work()
        pipeline.tick([], [Submitted(Organise())])  # what rests, too
        done = deeds.done(log, before, pipeline.catalogue.position)
        waiting = sorted(pipeline.snapshot.arrivals)
    return {"deeds": msgspec.to_builtins(done), "waiting": waiting, "dry_run": False}


def _told(found: Mapping[str, Any]) -> str:
    lines = [_line(deed) for deed in found["deeds"]]
    lines += [f"{'wait for':<14} {path} (not whole yet)" for path in found["waiting"]]
    return "\n".join(map(visible, lines)) or "Everything is as it should be."


def _line(deed: Mapping[str, Any]) -> str:
    source: str | None = deed.get("source")
    parts: Sequence[str] = [deed["target"]] if source is None else [source, "->", deed["target"]]
    return f"{deed['what']:<14} {' '.join(parts)}"
