"""The `janfs` command; heavy libraries are imported by the commands that need them, to be quick."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from janfs.cli import editing, hashes, history, organising, ps, pull, serving, sharing, verifying
from janfs.cli import log as log_commands
from janfs.cli.common import TEXT, at_option, json_option, key_option, root_option
from janfs.cli.errors import exit_code
from janfs.errors import JanfsError
from janfs.terminal import visible_lines


class _Group(click.Group):
    """Turns a `JanfsError` into its message and exit code, and tells where what is said cannot be written;
    anything else is a defect, with a traceback.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if _can_print():
                raise
            click.echo(f"janfs: Standard output cannot be written: {error.strerror}.", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except JanfsError as error:
            click.echo(visible_lines(f"janfs: {error.detail}"), err=True)
            ctx.exit(exit_code(error))


def _can_print() -> bool:
    """Whether standard output takes what is left to be written; if not, that is dropped."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # it is flushed again at the end
        return False
    return True


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="janfs")
@click.pass_context
def main(context: click.Context) -> None:
    """Drop a model file into a folder; it is organised, remembered and served over the OpenAI API."""
    import structlog

    from janfs import logs

    if os.environ.get("NO_COLOR"):  # https://no-color.org
        context.color = False
    if not structlog.is_configured():  # what is logged would be part of a command's answer
        logs.configure()


@main.command()
@root_option
@key_option
@json_option
@at_option
def ls(root: Path, api_key: str | None, as_json: bool, at: str | None) -> None:
    """List the models."""
    from janfs.cli import printing
    from janfs.cli.source import open_source

    source = open_source(root, api_key)
    models = source.models(at)
    click.echo(printing.as_json(models) if as_json else printing.table(models, past=at is not None))
    for problem in () if as_json or at else printing.problems(source.engines()):
        click.echo(problem)


@main.command()
@root_option
@key_option
@json_option
@at_option
@click.option("--origin", is_flag=True, help="Show the settings that hold, and where each comes from.")
@click.option(
    "--fingerprint",
    metavar="FP",
    type=TEXT,
    help="Show what the system_fingerprint of an answer stands for.",
)
@click.argument("id", required=False)
def show(
    *,
    root: Path,
    api_key: str | None,
    as_json: bool,
    at: str | None,
    origin: bool,
    fingerprint: str | None,
    id: str | None,
) -> None:
    """Show one model, or what gave an answer."""
    from janfs.cli import printing
    from janfs.cli.source import open_source

    if (id is None) == (fingerprint is None):
        raise click.UsageError("Give the ID of a model, or --fingerprint.")
    if fingerprint is not None and (at is not None or origin):
        raise click.UsageError("A fingerprint alone says it all; leave --at and --origin out.")
    if id is None:
        found = history.resolve_fingerprint(root, api_key, fingerprint or "")
    elif origin:
        found = open_source(root, api_key).config(id, at)
    else:
        found = open_source(root, api_key).model(id, at)
    told = printing.origins if origin else printing.details
    click.echo(printing.as_json(found) if as_json else told(found))


@main.command()
@root_option
@json_option
@click.option("--check", is_flag=True, help="Only compare with the one in use, byte for byte.")
def rebuild(root: Path, as_json: bool, check: bool) -> None:
    """Make the catalogue anew from the log."""
    from janfs.cli import printing
    from janfs.clock import SystemClock
    from janfs.errors import LogCorrupt
    from janfs.log.migrate import check_known
    from janfs.pipeline.recorder import compare, restore
    from janfs.root import OpenRoot, RootPaths, read_log

    if not check:
        read_log(root).close()  # a new root has nothing to be made anew
        with OpenRoot(root, SystemClock()) as opened:
            restore(opened.log)
    log = read_log(root)
    try:
        check_known(log, RootPaths(root).database)
        found = compare(log)
    finally:
        log.close()
    verifying.say_parked(found)
    if as_json:
        click.echo(printing.as_json(found))
    elif found.difference is None:
        click.echo(f"{found.rows:,} rows at position {found.position:,} are the same to the byte.")
    if found.difference is not None:
        raise LogCorrupt(f"The catalogue is not what the log says: {found.difference}")


for command in (
    serving.serve,
    history.history,
    history.diff,
    history.blame,
    history.why,
    history.revert,
    organising.organise,
    organising.pair,
    editing.set_,
    hashes.verify,
    hashes.dedupe,
    pull.pull,
    ps.ps,
    sharing.export,
    sharing.import_,
    log_commands.log,
    log_commands.backup,
    log_commands.restore,
):
    main.add_command(command)
