"""`janfs serve`, with all its options."""

import gc
from collections.abc import Callable
from typing import Any

import click

from janfs.cli.common import TEXT, root_option
from janfs.settings import DEFAULT_HOST, DEFAULT_PORT, parse_size


def _switch(name: str, help: str) -> Callable[[Any], Any]:
    """An option that is on unless it is told `off`, there or in the environment."""
    return click.option(
        f"--{name}",
        envvar=f"JANFS_{name.upper().replace('-', '_')}",
        show_envvar=True,
        type=click.Choice(["on", "off"]),
        default="on",
        show_default=True,
        callback=lambda _, __, value: value == "on",
        help=help,
    )


@click.command()
@root_option
@click.option(
    "--host", envvar="JANFS_HOST", default=DEFAULT_HOST, show_default=True, show_envvar=True, type=TEXT
)
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
    type=TEXT,
    help="Ask for this key on everything but the health checks.",
)
@click.option("--insecure", is_flag=True, help="Listen on an address that others can reach, without a key.")
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME:PORT",
    type=TEXT,
    help="Another name that clients may call us by. May be repeated.",
)
@click.option(
    "--allow-origin",
    "allowed_origins",
    multiple=True,
    metavar="ORIGIN",
    type=TEXT,
    help="A web page's origin that may call us, such as http://localhost:3000. May be repeated.",
)
@click.option("--max-loaded", default=4, show_default=True, type=int, help="Models in memory at once.")
@click.option(
    "--max-queue",
    envvar="JANFS_MAX_QUEUE",
    show_envvar=True,
    default=64,
    show_default=True,
    type=int,
    help="Requests that wait for a model, beyond those that it answers. More get 429.",
)
@click.option(
    "--memory",
    envvar="JANFS_MEMORY",
    show_envvar=True,
    metavar="SIZE",
    callback=lambda _, __, value: None if value is None else parse_size(value),
    help="What they may take together, such as 8G. Default: what is free. off: do not look.",
)
@click.option(
    "--keep-alive",
    envvar="JANFS_KEEP_ALIVE",
    show_envvar=True,
    default=1800.0,
    show_default=True,
    type=float,
    metavar="SECONDS",
    help="Unload a model that nobody used for so long. -1: never.",
)
@click.option(
    "--preload",
    multiple=True,
    metavar="ID",
    type=TEXT,
    help="Load this model at the start, and keep it loaded. May be repeated.",
)
@click.option(
    "--grace", default=5.0, show_default=True, type=float, help="Seconds for running answers at shutdown."
)
@click.option("--polling", is_flag=True, help="Look every 2 s, as on file systems that send no events.")
@_switch("organise", "Off: models are registered where they lie, and nothing is moved.")
@_switch(
    "spare-worker", "Off: no process is kept ready for the next model; 45 MB less, a fifth of a second more."
)
@_switch("hashing", "Off: files are not read from end to end in the background, and duplicates stay unknown.")
@_switch("checkpoints", "Off: the log's write-ahead log is left to Litestream, which must be running.")
@click.option(
    "--download-host",
    "download_hosts",
    multiple=True,
    metavar="NAME",
    type=TEXT,
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
    # Nothing that the start makes is garbage, and looking for some takes a fifth of it.
    gc.disable()
    from janfs import app, logs
    from janfs.settings import Settings

    settings = Settings(**given)
    logs.configure(log_level, as_json=log_json)
    app.run(settings, say=lambda text: click.echo(text, err=True))
