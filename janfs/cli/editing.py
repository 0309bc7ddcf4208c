"""`janfs set`: what a person says about a model without opening its file."""

import getpass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from janfs.cli.common import key_option, root_option


@click.command(name="set")
@root_option
@key_option
@click.option("--remove", multiple=True, metavar="KEY", help="Take a field out. May be repeated.")
@click.option("--default", multiple=True, metavar="KEY", help="Give a field back to janfs. May be repeated.")
@click.argument("id")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
def set_(
    *,
    root: Path,
    api_key: str | None,
    remove: tuple[str, ...],
    default: tuple[str, ...],
    id: str,
    settings: tuple[str, ...],
) -> None:
    """Change fields of a model's model.json; the rest of the file stays as it is.

    KEY is a path such as metadata.author, or a parameter's name; VALUE is JSON, or else a text.
    """
    from janfs.cli.offline import obey
    from janfs.cli.source import running
    from janfs.manifest.patch import full_path, merge_patch, spelled
    from janfs.pipeline.commands import Edit

    if not (settings or remove or default):
        raise click.UsageError("Say what to change: KEY=VALUE, --remove KEY or --default KEY.")
    body: dict[str, Any] = {}
    for setting in (*settings, *(f"{key}=null" for key in remove)):
        _put(body, setting)
    service = running(root, api_key)
    if service is not None:
        query = "&".join(f"default={quote(spelled(full_path(key)))}" for key in default)
        service.ask("PATCH", f"/v1/models/{quote(id, safe='')}" + (f"?{query}" if query else ""), body)
    else:
        patch = merge_patch(body, [full_path(key) for key in default])
        obey(root, Edit(id, patch, f"cli:{getpass.getuser()}"))
    click.echo(f"{id} is changed.")


def _put(body: dict[str, Any], setting: str) -> None:
    """Raises `UsageError` for what is no setting."""
    import msgspec

    from janfs.manifest.patch import full_path

    key, sign, text = setting.partition("=")
    *way, last = full_path(key)
    if not sign or not last or not all(way):
        raise click.UsageError(f"{setting!r} is not KEY=VALUE.")
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = text
    for name in way:
        body = body.setdefault(name, {})
        if not isinstance(body, dict):
            raise click.UsageError(f"{key} cannot be set beside {name}.")
    body[last] = value
