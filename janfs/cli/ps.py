"""`janfs ps`: the models that are loaded now."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from janfs.cli.common import json_option, key_option, root_option
from janfs.errors import RootUnusable


@click.command()
@root_option
@key_option
@json_option
def ps(root: Path, api_key: str | None, as_json: bool) -> None:
    """Show the models that are loaded, what they do, and what they take."""
    from janfs.cli import printing
    from janfs.cli.source import running

    service = running(root, api_key)
    if service is None:
        raise RootUnusable(f"No janfs serves {root}, so that no model is loaded. `janfs serve` starts one.")
    loaded = [model for engine in service.engines() for model in engine["models"]]
    click.echo(printing.as_json(loaded) if as_json else table(loaded, time.time()))


def table(loaded: Sequence[Mapping[str, Any]], now: float) -> str:
    """Loaded models as aligned columns; `now` is in seconds since 1970."""
    from janfs.cli.printing import aligned

    if not loaded:
        return "No model is loaded. The first request loads its model."
    heads = ("ID", "STATE", "SINCE", "MEMORY", "RUN", "WAIT", "TOKENS/S", "CONTEXT", "USED", "UNLOADS")
    return aligned([heads, *(_row(model, now) for model in loaded)])


def _row(model: Mapping[str, Any], now: float) -> tuple[str, ...]:
    context = "" if model["context"] is None else f"{model['context']:,}"
    fitted = " (lowered to fit)" if "ctx_len" in model["lowered"] else ""
    return (
        model["id"],
        model["state"],
        _span(model["since"], now),
        _memory(model),
        str(model["requests"]),
        str(model["waiting"]),
        f"{model['tokens_per_second']:.1f}",
        context + fitted,
        f"{_span(model['last_used'], now)} ago",
        "pinned" if model["pinned"] else _left(model["unloads_at"], now),
    )


def _memory(model: Mapping[str, Any]) -> str:
    from janfs.cli.printing import size

    thought = f"{size(model['memory'])} estimated"
    return thought if model["resident"] is None else f"{size(model['resident'])} ({thought})"


def _left(unloads_at: float | None, now: float) -> str:
    return "" if unloads_at is None else f"in {_span(now, max(now, unloads_at))}"


def _span(since: float | None, now: float) -> str:
    """How long it is since then: `12 s`, `3 min`, `2 h`, `4 d`."""
    if since is None:
        return ""
    seconds = max(0, round(now - since))
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
