"""Options that many commands have."""

import getpass
import os
from pathlib import Path
from typing import Any

import click
from click.types import StringParamType

from janfs.callers import HEADER, as_name
from janfs.errors import RootUnusable
from janfs.folder import paths
from janfs.settings import DEFAULT_ROOT


def user() -> str:
    """Who runs this command, as the log names people."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # nobody has this number, as in many containers
        name = str(os.getuid())
    return as_name(name)


def headers_of(api_key: str | None) -> dict[bytes, bytes]:
    """What every request of a command says of who asks; a key may have any letters."""
    key = {b"Authorization": f"Bearer {api_key}".encode()} if api_key else {}
    return key | {HEADER.encode(): user().encode()}


class _Text(StringParamType):
    """Words that are sent or written down, unlike a path or a name, which may be any bytes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        try:
            found.encode()
        except UnicodeEncodeError:
            self.fail(f"{os.fsencode(found).decode(errors='replace')!r} is not UTF-8.", param, ctx)
        return found


TEXT = _Text()


def _root(_: click.Context, __: click.Parameter, value: str) -> Path:
    """The root, which need not be there yet. Raises `RootUnusable` for one that cannot be looked into."""
    if not value:
        raise click.BadParameter("The root's name is empty.")
    try:
        root = Path(value).expanduser().absolute()
        (root / paths.PRIVATE / "lock").stat()
    except FileNotFoundError:
        pass
    except RuntimeError as error:
        raise RootUnusable(f"{value} is nowhere: whose home folder that is, is not known.") from error
    except OSError as error:
        raise RootUnusable(
            f"{root} cannot be used: {error.strerror}. Take another --root (or JANFS_ROOT)."
        ) from error
    return root


root_option = click.option(
    "--root",
    envvar="JANFS_ROOT",
    default=DEFAULT_ROOT,
    show_default=True,
    show_envvar=True,
    callback=_root,
    help="The folder that holds models/, engines/ and the log.",
)
key_option = click.option(
    "--api-key",
    envvar="JANFS_API_KEY",
    show_envvar=True,
    type=TEXT,
    help="The API key of the running service.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
at_option = click.option(
    "--at",
    metavar="WHEN",
    type=TEXT,
    help='As it was then: a position of the log, a time, or words such as "yesterday 14:00".',
)
