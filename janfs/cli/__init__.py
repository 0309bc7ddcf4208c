"""The `janfs` command; heavy libraries are imported by the commands that need them, to be quick."""

from pathlib import Path
from typing import Any

import click

from janfs.cli import editing, hashes, history, organising, pull, sharing
from janfs.cli import log as log_commands
from janfs.cli.common import at_option, json_option, key_option, root_option
from janfs.cli.errors import exit_code
from janfs.errors import JanfsError
from janfs.settings import DEFAULT_HOST, DEFAULT_PORT


class _Group(click.Group):
    """Turns a `JanfsError` into its message and exit code; anything else is a defect, with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except JanfsError as error:
            click.echo(f"janfs: {error.detail}", err=True)
            ctx.exit(exit_code(error))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="janfs")
def main() -> None:
    """Drop a model file into a folder; it is organised, remembered and served over the OpenAI API."""


@main.command()
@root_option
@click.option("--host", envvar="JANFS_HOST", default=DEFAULT_HOST, show_default=True, show_envvar=True)
@click.option(
    "--port",
    envvar="JANFS_PORT",
    default=DEFAULT_PORT,
    show_default=True,
    show_envvar=True,
    type=int,
    help="0 takes any free one.",
)
@click.option(
    "--api-key",
    envvar="JANFS_API_KEY",
    show_envvar=True,
    help="Ask for this key on everything but the health checks.",
)
@click.option("--insecure", is_flag=True, help="Listen on an address that others can reach, without a key.")
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME:PORT",
    help="Another name that clients may call us by. May be repeated.",
)
@click.option(
    "--allow-origin",
    "allowed_origins",
    multiple=True,
    metavar="ORIGIN",
    help="A web page's origin that may call us, such as http://localhost:3000. May be repeated.",
)
@click.option("--max-loaded", default=2, show_default=True, type=int, help="Models in memory at once.")
@click.option(
    "--grace", default=5.0, show_default=True, type=float, help="Seconds for running answers at shutdown."
)
@click.option("--polling", is_flag=True, help="Look every 2 s, as on file systems that send no events.")
@click.option(
    "--organise",
    envvar="JANFS_ORGANISE",
    show_envvar=True,
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    callback=lambda _, __, value: value == "on",
    help="Off: models are registered where they lie, and nothing is moved.",
)
@click.option(
    "--spare-worker",
    envvar="JANFS_SPARE_WORKER",
    show_envvar=True,
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    callback=lambda _, __, value: value == "on",
    help="Off: no process is kept ready for the next model; 45 MB less, a third of a second more.",
)
@click.option(
    "--hashing",
    envvar="JANFS_HASHING",
    show_envvar=True,
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    callback=lambda _, __, value: value == "on",
    help="Off: files are not read from end to end in the background, and duplicates stay unknown.",
)
@click.option(
    "--checkpoints",
    envvar="JANFS_CHECKPOINTS",
    show_envvar=True,
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    callback=lambda _, __, value: value == "on",
    help="Off: the log's write-ahead log is left to Litestream, which must be running.",
)
@click.option(
    "--download-host",
    "download_hosts",
    multiple=True,
    metavar="NAME",
    help="Download from this host and its subdomains only. May be repeated.",
)
@click.option("--download-private", is_flag=True, help="Download from private addresses too.")
@click.option("--sample", is_flag=True, help="Put a small model into an empty models folder first.")
@click.option(
    "--log-level",
    envvar="JANFS_LOG_LEVEL",
    show_envvar=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
)
@click.option("--log-json", is_flag=True, envvar="JANFS_LOG_JSON", show_envvar=True, help="Log as JSON.")
def serve(log_level: Any, log_json: bool, **given: Any) -> None:
    """Watch the folder and serve the API."""
    from janfs import app, logs
    from janfs.settings import Settings

    settings = Settings(**given)
    logs.configure(log_level, as_json=log_json)
    app.run(settings, say=lambda text: click.echo(text, err=True))


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
    click.echo(printing.as_json(models) if as_json else printing.table(models))
    for problem in () if as_json or at else printing.problems(source.engines()):
        click.echo(problem)


@main.command()
@root_option
@key_option
@json_option
@at_option
@click.option("--origin", is_flag=True, help="Show the settings that hold, and where each comes from.")
@click.option("--fingerprint", metavar="FP", help="Show what the system_fingerprint of an answer stands for.")
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
    from janfs.pipeline.recorder import compare, restore
    from janfs.root import OpenRoot, read_log

    if not check:
        with OpenRoot(root, SystemClock()) as opened:
            restore(opened.log)
    log = read_log(root)
    try:
        found = compare(log)
    finally:
        log.close()
    log_commands.say_parked(found)
    if as_json:
        click.echo(printing.as_json(found))
    elif found.difference is None:
        click.echo(f"{found.rows:,} rows at position {found.position:,} are the same to the byte.")
    if found.difference is not None:
        raise LogCorrupt(f"The catalogue is not what the log says: {found.difference}")


for command in (
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
    sharing.export,
    sharing.import_,
    log_commands.log,
    log_commands.backup,
    log_commands.restore,
):
    main.add_command(command)
