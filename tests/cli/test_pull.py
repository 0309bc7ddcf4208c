"""`janfs pull`, with a service and without."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from janfs.cli import main
from tests.support.ggufs import tiny_gguf
from tests.support.service import ServiceProcess
from tests.support.web import Site, web

CONTENT = tiny_gguf("Pulled") + bytes(200_000)


@pytest.fixture
def site() -> Iterator[Site]:
    with web() as found:
        yield found


def janfs(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def description(root: Path) -> str:
    found: str = json.loads((root / "models/m/model.json").read_text())["description"]
    return found


def test_pull_without_a_service_does_it_all(tmp_path: Path, site: Site) -> None:
    url = site.put("m.gguf", CONTENT, cuts=1)
    done = janfs("pull", "--download-private", "--root", str(tmp_path), url)
    assert done.exit_code == 0, done.output
    assert "m is ready, in models/m/." in done.output
    assert (tmp_path / "models/m/m.gguf").read_bytes() == CONTENT
    assert "llama architecture" in description(tmp_path)
    assert "download-completed" in janfs("history", "m", "--root", str(tmp_path)).output
    again = janfs("pull", "--download-private", "--root", str(tmp_path), url)
    assert (again.exit_code, again.output.splitlines()[-1]) == (0, "m is ready, in models/m/.")


def test_pull_with_a_service_asks_it(tmp_path: Path, site: Site) -> None:
    with ServiceProcess(tmp_path, "--download-private", "--hashing", "off") as service:
        done = janfs("pull", "--root", str(tmp_path), site.put("m.gguf", CONTENT))
        assert done.exit_code == 0, done.output
        service.wait_model("m")
        assert "llama architecture" in description(tmp_path)


def test_what_cannot_be_pulled_is_told(tmp_path: Path, site: Site) -> None:
    root = ("--root", str(tmp_path))
    refused = janfs("pull", *root, site.put("m.gguf", CONTENT))
    assert (refused.exit_code, "--download-private" in refused.output) == (1, True)
    missing = janfs("pull", "--download-private", *root, site.url + "/none.gguf")
    assert (missing.exit_code, "not there" in missing.output) == (1, True), missing.output
    assert janfs("pull", *root, "nonsense").exit_code == 1
    limited = janfs(
        "pull", "--download-private", "--download-host", "example.org", *root, site.url + "/m.gguf"
    )
    assert (limited.exit_code, "limited to example.org" in limited.output) == (1, True)
