"""`janfs export` and `janfs import`: models that go, and models that come."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from janfs.bringing.bring import Brought, Mode
from janfs.bringing.find import Find
from janfs.cli.addresses import of_model
from janfs.cli.common import json_option, key_option, root_option, user
from janfs.errors import FolderError, InvalidInput, JanfsError, ModelNotFound
from janfs.folder import paths
from janfs.terminal import visible


@click.command()
@root_option
@key_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write, or the folder to put it into; here, if nothing is said.",
)
@click.argument("id")
def export(root: Path, api_key: str | None, output: Path | None, id: str) -> None:
    """Write a model's folder with its history into one file, for another machine."""
    from janfs.cli import printing
    from janfs.cli.source import running

    service = running(root, api_key)
    name = id if service is None else service.model(id)["id"]
    target = _target(output, f"{name}{paths.ARCHIVE_SUFFIX}")
    if service is None:
        size = _export(root, id, target)
    else:
        size = service.save("POST", of_model(name, "/export"), lambda data: _save(target, data))
    click.echo(f"{target} ({printing.size(size)})")
    _say_archived(target)


@click.command("import")
@root_option
@key_option
@json_option
@click.option(
    "--copy", "mode", flag_value="copy", default="copy", help="Leave the originals alone (default)."
)
@click.option("--move", "mode", flag_value="move", help="Take the originals away.")
@click.option("--link", "mode", flag_value="link", help="Leave the weights where they are, and link to them.")
@click.argument("path", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def import_(root: Path, api_key: str | None, as_json: bool, mode: Mode, path: tuple[Path, ...]) -> None:
    """Take in models from elsewhere: files, folders, whole trees of other tools, or exported archives."""
    from janfs.cli import printing

    archives = [each.absolute() for each in path if each.is_file() and paths.is_archive(each.name)]
    others = [each.absolute() for each in path if each.absolute() not in archives]
    report = (
        _bring(root, api_key, others, mode, shown=not as_json) if others else {"taken": [], "skipped": []}
    )
    report["models"], refused = [], []
    for archive in archives:
        try:
            report["models"].append(_import(root, api_key, archive))
            _say_archived(archive)
        except JanfsError as error:
            report["skipped"].append({"source": str(archive), "reason": error.detail})
            refused.append(error)
    if as_json:
        click.echo(printing.as_json(report))
    else:
        for taken in report["taken"]:
            click.echo(visible(f"{taken['how']:<12} {taken['source']} -> {taken['path']}"))
        for skipped in report["skipped"]:
            click.echo(visible(f"{'skipped':<12} {skipped['source']}: {skipped['reason']}"))
        for model in report["models"]:
            click.echo(f"{model['id']} {'is here' if model['new'] else 'was here already'}.")
    if refused:
        raise refused[0]
    if not report["taken"] and not report["models"] and not report["skipped"]:
        raise InvalidInput(f"No GGUF file is at {', '.join(map(str, others))}.", param="path")


def _say_archived(archive: Path) -> None:
    """Say on stderr that the history in an archive begins in the middle, if it does."""
    from janfs.archive.unpack import peek

    contents = peek(archive)
    if contents.archived:
        click.echo(
            f"{archive.name} has the last {contents.events:,} events of {contents.id}; {contents.archived:,} "
            f"before them had been archived by `janfs log compact`, the last in {contents.archived_in}.",
            err=True,
        )


def _target(output: Path | None, name: str) -> Path:
    folder = Path.cwd() if output is None else output
    target = (folder / name if folder.is_dir() else folder).absolute()
    if os.path.lexists(target):
        raise FolderError(f"{target} exists already. Say with -o where the archive is to go.")
    return target


def _save(target: Path, pieces: Iterator[bytes]) -> int:
    """Write a file that shows once it is whole, and overwrites nothing."""
    from janfs.folder.whole import write_new

    try:
        return write_new(target, pieces)
    except OSError as error:
        raise FolderError(f"{target} cannot be written: {error.strerror}.") from error


def _export(root: Path, name: str, target: Path) -> int:
    """Without a service."""
    from janfs.archive.export import Packed
    from janfs.catalogue.catalogue import find_model
    from janfs.cli.offline import opened
    from janfs.folder.real import RealFileSystem
    from janfs.pipeline.commands import Record, Submitted
    from janfs.pipeline.recorder import Draft

    with opened(root, organise=False) as (pipeline, log, work):
        work()
        model = find_model(pipeline.catalogue, name)
        if model is None:
            raise ModelNotFound(name)
        packed = Packed(RealFileSystem(root), log, pipeline.catalogue, model)
        size = _save(target, iter(packed))
        pipeline.tick([], [Submitted(Record((Draft(model.uid, packed.event(), f"cli:{user()}"),)))])
    return size


def _import(root: Path, api_key: str | None, archive: Path) -> dict[str, Any]:
    """Take in one archive."""
    from janfs.archiving import Archives
    from janfs.cli.offline import opened
    from janfs.cli.source import running
    from janfs.pipeline.thread import start_thread

    service = running(root, api_key)
    if service is not None:
        return service.ask("POST", "/v1/import", {"path": str(archive)}, seconds=None)
    with opened(root) as (pipeline, _, work):
        work()
        thread = start_thread(pipeline)
        try:
            found = Archives(root, pipeline).take(archive, None, f"cli:{user()}")
        finally:
            pipeline.stop()
            thread.join()
    return {"id": found.id, "new": found.new, "object": "imported"}


def _bring(
    root: Path, api_key: str | None, sources: list[Path], mode: Mode, *, shown: bool
) -> dict[str, Any]:
    """Take what is worth taking below some paths, and have it organised."""
    from janfs.bringing.bring import bring
    from janfs.bringing.find import find
    from janfs.cli.offline import opened
    from janfs.cli.source import running
    from janfs.folder import staging
    from janfs.root import RootPaths

    models = RootPaths(root).models
    inside = next((each for each in sources if each.resolve().is_relative_to(root.resolve())), None)
    if inside is not None:
        raise InvalidInput(f"{inside} is inside {root} already.", param="path")
    service = running(root, api_key)
    if service is None:
        with opened(root):
            pass  # a new root gets its folders
    if not models.is_dir():
        raise FolderError(f"{models} is not there.")
    staging.sweep(root)
    found = [each for source in sources for each in find(source)]
    known = _known(root)
    skipped = [(each, reason) for each in found if (reason := _why_not(each, known)) is not None]
    wanted = [each for each in found if each not in [skip for skip, _ in skipped]]
    taken: list[Brought] = []
    failed: list[tuple[Find, str]] = []
    with _bar(sum(each.size for each in wanted), shown=shown) as progress:
        for each in wanted:
            try:
                taken += bring(root, each, mode, progress)
            except JanfsError as error:
                failed.append((each, error.detail))
    if service is None and taken:
        with opened(root) as (_, _, work):
            work()
    return {
        "taken": [{"path": b.path, "source": str(b.source), "how": b.how, "size": b.size} for b in taken],
        "skipped": [{"source": str(f.pieces[0].source), "reason": why} for f, why in skipped + failed],
    }


def _known(root: Path) -> dict[tuple[int, str], str]:
    """The files that are here, by size and header."""
    from janfs.pipeline.recorder import rebuild
    from janfs.root import read_log

    log = read_log(root)
    try:
        files = rebuild(log).files.values()
    finally:
        log.close()
    return {(f.stamp.size, f.facts.header_sha256): f.path for f in files if f.facts is not None}


def _why_not(found: Find, known: dict[tuple[int, str], str]) -> str | None:
    """Why something need not be taken: all its weights are here already."""
    here = [_same(piece.source, known) for piece in found.pieces if piece.is_binary]
    return f"it is here already, as {here[0]}." if here and all(here) else None


def _same(source: Path, known: dict[tuple[int, str], str]) -> str | None:
    from janfs.errors import GgufError
    from janfs.folder.gguf import facts, read_header

    try:
        with source.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            found = facts(read_header(lambda at, count: os.pread(file.fileno(), count, at), size))
    except (OSError, GgufError):  # it comes, and is then refused with its reason
        return None
    return known.get((size, found.header_sha256))


@contextlib.contextmanager
def _bar(total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    if not (shown and sys.stderr.isatty()):
        yield lambda _: None
        return
    with click.progressbar(length=total, label="Taking", file=sys.stderr) as bar:
        yield bar.update
