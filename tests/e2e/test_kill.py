"""`kill -9` at any moment: the next start ends where it would have ended without."""

import random
import time
from collections.abc import Callable

import pytest

from janfs.cli import main
from tests.support.ggufs import tiny_gguf
from tests.support.service import ServiceProcess

pytestmark = pytest.mark.timeout(170)

CYCLES = 6
DROPS = 12  # a cycle


def test_nothing_is_lost_or_left_half_done_however_often_it_is_killed(
    start: Callable[..., ServiceProcess], run: Callable[..., str]
) -> None:
    chance = random.Random(7)
    contents: dict[str, bytes] = {}
    for cycle in range(CYCLES):
        service = start()
        for number in range(DROPS):
            name = f"model-{cycle}-{number}"
            contents[name] = tiny_gguf(name)
            (service.root / "models" / f"{name}.gguf").write_bytes(contents[name])
        time.sleep(chance.uniform(0, 0.6))
        service.kill()
    service = start()
    service.wait_ready()
    models = service.models()
    assert {name for name in models if models[name]["status"] == "ready"} == set(contents)
    for name, content in contents.items():
        home = service.root / "models" / name
        assert sorted(file.name for file in home.iterdir()) == [f"{name}.gguf", "model.json"]
        assert (home / f"{name}.gguf").read_bytes() == content
    left = [path.name for path in (service.root / "models").iterdir() if path.name not in contents]
    assert left == [".janfs-root"], f"left lying about: {left}"
    assert "stand" in run("verify", service)
    assert "same to the byte" in run("rebuild", service, "--check")
    outcomes = [event["type"] for event in _events(service)]
    assert outcomes.count("move-planned") == outcomes.count("move-completed") + outcomes.count("move-failed")


def _events(service: ServiceProcess) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    after: int | None = 0
    while after is not None:
        page = service.get(f"/v1/events?after={after}&limit=1000")
        found += page["data"]
        after = page["next"]
    return found


@pytest.fixture
def run() -> Callable[..., str]:
    """Runs a command on a service's root."""
    from click.testing import CliRunner

    def run(command: str, service: ServiceProcess, *options: str) -> str:
        result = CliRunner().invoke(main, [command, "--root", str(service.root), *options])
        assert result.exit_code == 0, result.output
        return result.output

    return run
