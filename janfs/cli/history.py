"""`janfs history`, `diff`, `blame` and `why`: what happened, and what the log says about it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from janfs.cli.addresses import of_model, readable
from janfs.cli.common import TEXT, json_option, key_option, root_option, user
from janfs.cli.log import say_seam
from janfs.terminal import visible

if TYPE_CHECKING:
    from janfs.catalogue.catalogue import Catalogue
    from janfs.log.store import EventLog

_SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


@click.command()
@root_option
@key_option
@json_option
@click.argument("id", required=False)
def history(root: Path, api_key: str | None, as_json: bool, id: str | None) -> None:
    """Print what happened: to one model, or to everything."""
    from janfs.cli import printing
    from janfs.cli.source import open_source

    source = open_source(root, api_key)
    say_seam(root)
    for earlier in source.earlier(id) if id is not None else ():
        line = printing.event_line(earlier["event"])
        click.echo(printing.as_json_line(earlier) if as_json else f"[{earlier['archive']}] {line}")
    for event in source.history(id):
        click.echo(printing.as_json_line(event) if as_json else printing.event_line(event))


@click.command()
@root_option
@key_option
@json_option
@click.option("--text", "as_text", is_flag=True, help="The lines of the file, as `diff -u` has them.")
@click.argument("id")
@click.argument("start", metavar="[FROM]", required=False, type=TEXT)
@click.argument("end", metavar="[TO]", required=False, type=TEXT)
def diff(
    *,
    root: Path,
    api_key: str | None,
    as_json: bool,
    as_text: bool,
    id: str,
    start: str | None,
    end: str | None,
) -> None:
    """Print what changed in a model.json; the last change, or since FROM, or from FROM to TO.

    Both are a position of the log, a time, or words such as "yesterday 14:00".
    """
    from janfs.cli import printing

    def offline(log: "EventLog", catalogue: "Catalogue") -> object:
        from janfs.past import texts

        first, last = (None if when is None else _position(log, when) for when in (start, end))
        return texts.diff(log, catalogue, id, first, last)

    found = _ask(root, api_key, of_model(id, "/diff"), offline, {"from": start, "to": end})
    if as_json:
        click.echo(printing.as_json(found))
    elif as_text:
        _print_lines(found["text"])
    else:
        _print_changes(found)


@click.command()
@root_option
@key_option
@json_option
@click.argument("id")
def blame(root: Path, api_key: str | None, as_json: bool, id: str) -> None:
    """Print who set each leaf of a model.json, and when."""
    from janfs.cli import printing
    from janfs.history.diff import spelled

    def offline(log: "EventLog", catalogue: "Catalogue") -> object:
        from janfs.past import texts

        return texts.blame_of(log, catalogue, id)

    found = _ask(root, api_key, of_model(id, "/blame"), offline)
    if as_json:
        click.echo(printing.as_json(found))
        return
    if not found["leaves"]:
        click.echo("It has no model.json that could be read.")
    for leaf in found["leaves"]:
        when = leaf["recorded_at"][:19].replace("T", " ")
        value = f"{spelled(leaf['path'])} = {printing.as_json_line(leaf['value'])}"
        source = f"  (header: {leaf['header']})" if "header" in leaf else ""
        click.echo(f"{leaf['position']:>6}  {when}  {leaf['actor']:<8}  {value}{source}")


@click.command()
@root_option
@key_option
@json_option
@click.argument("subject", metavar="PATH|ID")
def why(root: Path, api_key: str | None, as_json: bool, subject: str) -> None:
    """Print why a file or a model is as it is: the chain of causes, in words."""
    from janfs.cli import printing

    path = _below(root, subject)

    def offline(log: "EventLog", catalogue: "Catalogue") -> object:
        from janfs.past import reasons
        from janfs.pipeline.snapshot import of_log

        return reasons.why(log, of_log(catalogue), path)

    found = _ask(root, api_key, "/v1/why", offline, {"subject": path})
    click.echo(printing.as_json(found) if as_json else printing.reasons(found))


@click.command()
@root_option
@key_option
@json_option
@click.option(
    "--to", "to", required=True, metavar="WHEN", type=TEXT, help="A position of the log, a time, or words."
)
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@click.argument("id")
def revert(*, root: Path, api_key: str | None, as_json: bool, to: str, dry_run: bool, id: str) -> None:
    """Bring a model.json back to what it was; a deleted model, out of the trash."""
    from janfs.cli import printing
    from janfs.cli.source import running

    service = running(root, api_key)
    if service is not None:
        body = {"to": to, "dry_run": dry_run}
        found = service.ask("POST", of_model(id, "/revert"), body)
    else:
        found = _revert(root, id, to, dry_run=dry_run)
    if as_json:
        click.echo(printing.as_json(found))
        return
    _print_lines(found["text"])
    done = "would be" if dry_run else "is"
    click.echo(f"{found['id']} {done} what it was at #{found['to']}.")


def _revert(root: Path, id: str, to: str, *, dry_run: bool) -> dict[str, Any]:
    """The same on a root that nobody serves."""
    import msgspec

    from janfs.cli.offline import opened
    from janfs.cli.source import Offline
    from janfs.past.reverts import preview
    from janfs.pipeline.commands import Revert, Submitted

    if dry_run:
        found = Offline(root).look(lambda log, now: preview(log, now, id, _position(log, to)))
    else:
        with opened(root, organise=False) as (pipeline, log, work):
            target = _position(log, to)
            work()  # what was written meanwhile is in the log from now on
            found = preview(log, pipeline.catalogue, id, target)
            asked = Submitted(Revert(id, target, f"cli:{user()}"))
            pipeline.tick([], [asked])
            asked.done.result(0)
    told = {"id": found.id, "to": found.end, "changes": found.changes, "text": found.text}
    return dict(msgspec.to_builtins(told | {"dry_run": dry_run}))


def resolve_fingerprint(root: Path, api_key: str | None, said: str) -> dict[str, Any]:
    """What the fingerprint of an answer stands for. Raises `NotFound`."""

    def offline(log: "EventLog", catalogue: "Catalogue") -> object:
        from janfs.past.fingerprints import find_fingerprint
        from janfs.past.moments import AsOf
        from janfs.root import RootPaths

        return find_fingerprint(log, catalogue, AsOf(log, RootPaths(root).past).at, said)

    return _ask(root, api_key, f"/v1/fingerprints/{quote(said, safe='')}", offline)


def _ask(
    root: Path,
    api_key: str | None,
    path: str,
    offline: "Callable[[EventLog, Catalogue], object]",
    query: Mapping[str, str | None] | None = None,
) -> dict[str, Any]:
    """The answer of the service that has the root open, else of its log itself."""
    import msgspec

    from janfs.cli.source import Offline, running

    service = running(root, api_key)
    if service is not None:
        return service.ask("GET", path, query=query)
    found: dict[str, Any] = msgspec.to_builtins(Offline(root).look(offline))
    return found


def _position(log: "EventLog", when: str) -> int:
    from janfs.clock import SystemClock
    from janfs.past.moments import position_at

    return position_at(log, log.head.position, when, SystemClock().now())


def _print_changes(found: Mapping[str, Any]) -> None:
    from janfs.cli import printing
    from janfs.history.diff import spelled

    for change in found["changes"]:
        sign, colour = _SIGNS[change["kind"]]
        values = " -> ".join(printing.as_json_line(change[side]) for side in ("old", "new") if side in change)
        click.secho(f"{sign} {spelled(change['path'])}: {values}", fg=colour)
    problem = (found["after"] or {}).get("problem")
    if problem is not None:
        click.echo(f"The file cannot be read: {problem['reason']} What was in force before it stays.")
    elif not found["changes"]:
        click.echo(
            "No setting is different." if not found["text"] else "Only the text is different (--text)."
        )


def _print_lines(text: str) -> None:
    for line in text.splitlines():
        click.secho(visible(line), fg={"+": "green", "-": "red", "@": "cyan"}.get(line[:1]))


def _below(root: Path, subject: str) -> str:
    """A path as the log spells it: below the root. What is no path of a file there is left as it is."""
    import os

    from janfs.folder.paths import encode_path

    path = Path(os.path.abspath(subject))  # noqa: PTH100 - a link is the file that is asked about
    if not path.is_relative_to(root) or (not Path(subject).is_absolute() and not os.path.lexists(path)):
        return subject if readable(subject) == subject else encode_path(subject)
    return encode_path(str(path.relative_to(root)))
