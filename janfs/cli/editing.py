"""`janfs set`: what a person says about a model without opening its file."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from janfs.cli.addresses import of_model
from janfs.cli.common import TEXT, key_option, root_option, user


@click.command(name="set")
@root_option
@key_option
@click.option("--remove", multiple=True, metavar="KEY", type=TEXT, help="Take a field out. May be repeated.")
@click.option(
    "--default", multiple=True, metavar="KEY", type=TEXT, help="Give a field back to janfs. May be repeated."
)
@click.argument("id")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...", type=TEXT)
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

    KEY is a path such as metadata.author, or a parameter's name; VALUE is JSON, or else a text. An object
    changes what it names, and leaves what stands beside that. null is a value: of a parameter it means "as
    built in", whatever engines/<engine>.json says.
    """
    from janfs.cli.offline import obey
    from janfs.cli.source import running
    from janfs.manifest.json_patch import read_operations
    from janfs.manifest.patch import Patch, full_path, merge_patch, spelled
    from janfs.pipeline.commands import Edit

    if not (settings or remove or default):
        raise click.UsageError("Say what to change: KEY=VALUE, --remove KEY or --default KEY.")
    values = [leaf for setting in settings for leaf in _read(setting)]
    removed = [path for key in remove for path, _ in _read(f"{key}=null")]
    given_back = tuple(full_path(key) for key in default)
    # Only a JSON patch can tell null from nothing; it asks for more than a merge patch does.
    exact = any(value is None for _, value in values)
    body = _operations(values, removed) if exact else _merge(values, removed)
    service = running(root, api_key)
    if service is not None:
        query = "&".join(f"default={quote(spelled(path))}" for path in given_back)
        path = of_model(id, f"?{query}" if query else "")
        kind = "application/json-patch+json" if exact else "application/merge-patch+json"
        service.ask("PATCH", path, body, kind=kind)
    else:
        patch = (
            Patch(given_back=given_back, operations=read_operations(body))
            if exact
            else merge_patch(body, given_back)
        )
        obey(root, Edit(id, patch, f"cli:{user()}"))
    click.echo(f"{id} is changed.")


def _read(setting: str) -> list[tuple[tuple[str, ...], Any]]:
    """The paths and values of a setting: of an object each of its own, so that what it leaves out stays.

    Raises `UsageError` for what is none.
    """
    import msgspec

    from janfs.manifest.leaves import leaves
    from janfs.manifest.patch import full_path

    key, sign, text = setting.partition("=")
    path = full_path(key)
    if not sign or not all(path):
        raise click.UsageError(f"{setting!r} is not KEY=VALUE.")
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = text
    except RecursionError as error:
        raise click.UsageError(f"What {key} is to be is nested too deeply.") from error
    return [((*path, *below), leaf) for below, leaf in leaves(value).items()]


def _merge(values: list[tuple[tuple[str, ...], Any]], removed: list[tuple[str, ...]]) -> dict[str, Any]:
    """The merge patch. Raises `UsageError` for what cannot stand beside another."""
    body: dict[str, Any] = {}
    for path, value in (*values, *((path, None) for path in removed)):
        holder: Any = body
        for name in path[:-1]:
            holder = holder.setdefault(name, {})
            if not isinstance(holder, dict):
                raise click.UsageError(f"{'.'.join(path)} cannot be set beside {name}.")
        holder[path[-1]] = value
    return body


def _operations(
    values: list[tuple[tuple[str, ...], Any]], removed: list[tuple[str, ...]]
) -> list[dict[str, Any]]:
    """The JSON patch; what is not there may be removed too."""
    from janfs.manifest.leaves import to_text

    put = [{"op": "add", "path": to_text(path), "value": value} for path, value in values]
    out = [
        step
        for path in removed
        for step in (
            {"op": "add", "path": to_text(path), "value": None},
            {"op": "remove", "path": to_text(path)},
        )
    ]
    return put + out
