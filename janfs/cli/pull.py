"""`janfs pull`: a model from the net."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from janfs.cli.addresses import of_model
from janfs.cli.common import TEXT, key_option, root_option, user
from janfs.errors import DownloadError

LOOK_EVERY = 0.25  # seconds


@click.command()
@root_option
@key_option
@click.option(
    "--download-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    type=TEXT,
    help="Where no service runs: from this host and its subdomains only.",
)
@click.option(
    "--download-private", "private", is_flag=True, help="Where no service runs: from private addresses too."
)
@click.argument("source", type=TEXT)
def pull(root: Path, api_key: str | None, hosts: tuple[str, ...], private: bool, source: str) -> None:
    """Fetch a model: SOURCE is an address, or hf:org/repo[:file] (also hf.co/…). Ctrl-C keeps what came."""
    from janfs.cli.source import running

    service = running(root, api_key)
    if service is None:
        _pull(root, hosts, private, source)
        return
    name = service.ask("POST", "/v1/pull", {"source": source}, seconds=120.0)["id"]
    path = of_model(name)
    _watch(name, lambda: service.ask("GET", f"{path}/download"))
    _tell(service.ask("GET", path))


def _pull(root: Path, hosts: tuple[str, ...], private: bool, source: str) -> None:
    """Without a service: the same, in this process."""
    import msgspec

    from janfs.cli.offline import opened
    from janfs.downloading import Downloader
    from janfs.downloads.guard import Policy
    from janfs.pipeline.thread import start_thread
    from janfs.views import find_view, stopped

    with opened(root) as (pipeline, _, work):
        work()
        thread = start_thread(pipeline)
        downloader = Downloader(root, pipeline, Policy(hosts, private))
        try:
            name = downloader.pull(source, f"cli:{user()}")
            uid = pipeline.snapshot.catalogue.ids[name]

            def state() -> dict[str, Any]:
                progress = downloader.progress(uid)
                if progress is None:
                    return {"state": "none"}
                return {"state": "running", "done": progress.done, "total": progress.total}

            _watch(name, state)
        finally:
            downloader.close()
            pipeline.stop()
            thread.join()
        view = find_view(pipeline.snapshot, name, stopped)
    _tell(msgspec.to_builtins(view))


def _watch(name: str, look: Callable[[], dict[str, Any]]) -> None:
    """A bar until the download is over."""
    import sys

    found = look()
    with click.progressbar(length=1, label=name, file=sys.stderr, show_pos=False) as bar:
        while found["state"] == "running":
            if found.get("total"):
                bar.length = found["total"]
                bar.update(found["done"] - bar.pos)
            time.sleep(LOOK_EVERY)
            found = look()
        bar.update((bar.length or 1) - bar.pos)


def _tell(model: dict[str, Any]) -> None:
    if model["status"] != "ready":
        raise DownloadError(f"{model['id']} is {model['status']}: {model.get('reason')}")
    click.echo(f"{model['id']} is ready, in {model['folder']}/.")
