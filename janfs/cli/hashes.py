"""`janfs verify` and `janfs dedupe`: what full hashes are for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from janfs.cli.addresses import of_model, readable
from janfs.cli.common import json_option, key_option, root_option, user
from janfs.cli.verifying import verify_log
from janfs.errors import FilesCorrupt
from janfs.terminal import visible


@click.command()
@root_option
@key_option
@json_option
@click.option("--files", is_flag=True, help="Read the models' files from end to end, not the log.")
@click.option("--head", metavar="HASH[@POSITION]", help="What `janfs log head` printed before.")
@click.option(
    "--archive",
    "archives",
    multiple=True,
    type=click.Path(path_type=Path),
    help="An archive of a compacted log, to be verified too. May be repeated.",
)
@click.argument("id", required=False)
def verify(
    *,
    root: Path,
    api_key: str | None,
    as_json: bool,
    files: bool,
    head: str | None,
    archives: tuple[Path, ...],
    id: str | None,
) -> None:
    """Check that the log is what was written, or with --files that the models are (ID: only this one)."""
    if files and (head is not None or archives):
        raise click.UsageError("--head and --archive go without --files.")
    if files:
        _verify_files(root, api_key, as_json, id)
    elif id is not None:
        raise click.UsageError("An ID goes with --files.")
    else:
        verify_log(root, as_json, head, archives)


@click.command()
@root_option
@key_option
@json_option
@click.option("--dry-run", is_flag=True, help="Only print what would be done.")
@click.argument("id", required=False)
def dedupe(root: Path, api_key: str | None, as_json: bool, dry_run: bool, id: str | None) -> None:
    """Let files with the same content share it on disk (ID: only the copies in this model)."""
    from janfs.cli import printing
    from janfs.cli.source import running

    service = running(root, api_key)
    if service is not None:
        found = service.ask(
            "POST", "/v1/dedupe", {"model": id and readable(id), "dry_run": dry_run}, seconds=None
        )
    else:
        found = _dedupe(root, id, dry_run=dry_run)
    if as_json:
        click.echo(printing.as_json(found))
        return
    for each in found["files"]:
        click.echo(visible(f"{each['path']} = {each['original']}  {printing.size(each['size'])}"))
    for each in found["kept"]:
        click.echo(visible(each["reason"]))
    would = "would be" if dry_run else "are"
    some = found["files"] or found["kept"]
    click.echo(f"{printing.size(found['freed'])} {would} free now." if some else "No duplicates.")


def _verify_files(root: Path, api_key: str | None, as_json: bool, id: str | None) -> None:
    from janfs.cli import printing

    checked: list[dict[str, Any]] = []
    with _verifier(root, api_key, id) as (models, check):
        for model in _with_bar(models, shown=not as_json):
            checked += check(model["id"])
    bad = [each for each in checked if each["result"] in ("corrupted", "unreadable")]
    if as_json:
        click.echo(printing.as_json(checked))
    else:
        for each in bad:
            click.echo(visible(f"{each['path']}: {each['result']}. {each['reason']}"))
        new = sum(each["result"] == "new" for each in checked)
        total = printing.size(sum(each["size"] for each in checked))
        sound = len(checked) - len(bad)
        click.echo(f"{sound} of {len(checked)} files are sound ({total}; {new} read for the first time).")
    if bad:
        raise FilesCorrupt(f"{len(bad)} of {len(checked)} files are not what they were, or cannot be read.")


Check = Callable[[str], list[dict[str, Any]]]


@contextmanager
def _verifier(
    root: Path, api_key: str | None, id: str | None
) -> Iterator[tuple[list[dict[str, Any]], Check]]:
    """The models to be read, and what reads one: the service, or we ourselves where none runs."""
    import msgspec

    from janfs.cli.offline import opened
    from janfs.cli.source import running
    from janfs.folder.real import RealFileSystem
    from janfs.listing import ModelList
    from janfs.pipeline.commands import Record, Submitted
    from janfs.pipeline.snapshot import Snapshot
    from janfs.pipeline.verifying import verify as read_again
    from janfs.views import stopped, stream_of

    service = running(root, api_key)
    if service is not None:
        models = service.models() if id is None else [service.model(id)]
        yield (
            [model for model in models if model["created"]],  # files without a model have no time
            lambda name: service.ask("POST", of_model(name, "/verify"), seconds=None)["files"],
        )
        return
    with opened(root, organise=False) as (pipeline, _, work):
        work()
        listed = msgspec.json.decode(ModelList().encode(Snapshot(pipeline.catalogue), stopped))["data"]
        wanted = None if id is None else stream_of(pipeline.catalogue, id)
        uids = {model["id"]: pipeline.catalogue.ids.get(model["id"]) for model in listed}

        def check(name: str) -> list[dict[str, Any]]:
            found, drafts = read_again(RealFileSystem(root), pipeline.catalogue, uids[name] or "")
            submitted = Submitted(Record(tuple(drafts)))
            pipeline.tick([], [submitted])
            submitted.done.result(0)
            files: list[dict[str, Any]] = msgspec.to_builtins(found)
            return files

        yield [m for m in listed if uids[m["id"]] is not None and wanted in (None, uids[m["id"]])], check


def _dedupe(root: Path, id: str | None, *, dry_run: bool) -> dict[str, Any]:
    """Without a service: the same steps, by ourselves."""
    import msgspec

    from janfs.catalogue.catalogue import present_models
    from janfs.cli.offline import opened
    from janfs.folder.real import RealFileSystem
    from janfs.pipeline import deeds
    from janfs.pipeline.commands import Dedupe, Record, Submitted
    from janfs.pipeline.verifying import compare, hash_alike
    from janfs.views import stream_of

    with opened(root, organise=False) as (pipeline, log, work):
        work()
        fs = RealFileSystem(root)
        pipeline.tick([], [Submitted(Record(tuple(hash_alike(fs, pipeline.catalogue))))])
        before = pipeline.catalogue.position
        wanted = None if id is None else stream_of(pipeline.catalogue, id)
        uids = sorted(model.uid for model in present_models(pipeline.catalogue))
        uids = [uid for uid in uids if wanted in (None, uid)]
        kept: list[deeds.Kept] = []
        if dry_run:
            done = [freed for uid in uids for freed in deeds.would_free(pipeline.catalogue, uid)]
        else:
            for uid in uids:
                pairs, drafts = compare(fs, pipeline.catalogue, uid)
                shared = Dedupe(tuple(pairs), f"cli:{user()}")
                for submitted in (Submitted(Record(tuple(drafts))), Submitted(shared)):
                    pipeline.tick([], [submitted])
                    submitted.done.result(0)
            done = deeds.freed(log, before, pipeline.catalogue.position)
            kept = deeds.kept(log, before, pipeline.catalogue.position)
    files, refused = msgspec.to_builtins(done), msgspec.to_builtins(kept)
    return {"files": files, "freed": sum(each.size for each in done), "dry_run": dry_run, "kept": refused}


def _with_bar(models: Sequence[Mapping[str, Any]], *, shown: bool) -> Iterable[Mapping[str, Any]]:
    """Each model in turn; at a terminal with a bar that grows with the bytes that were read."""
    import sys

    if not (shown and sys.stderr.isatty()):
        yield from models
        return
    total = sum(model["size"] for model in models)
    with click.progressbar(length=total, label="Reading", file=sys.stderr) as bar:
        for model in models:
            yield model
            bar.update(model["size"])
