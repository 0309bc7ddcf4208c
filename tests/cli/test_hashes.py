"""`janfs verify --files` and `janfs dedupe`, with a service and without."""

import errno
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from janfs.cli import main
from tests.support.ggufs import tiny_gguf
from tests.support.service import ServiceProcess


def janfs(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def binary(root: Path, name: str) -> Path:
    return root / "models" / name / f"{name}.gguf"


def put(root: Path, *names: str) -> None:
    """Whole models of the same content, dropped one after another."""
    (root / "models").mkdir(parents=True, exist_ok=True)
    for name in names:
        waiting = root / "waiting"
        waiting.write_bytes(tiny_gguf("Same"))
        waiting.replace(root / "models" / f"{name}.gguf")


def flip_a_bit(path: Path) -> None:
    """What a failing disk does: other content, the same size and time."""
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=times)


def test_two_of_the_same_content_share_it_when_asked(tmp_path: Path) -> None:
    put(tmp_path, "one", "two")
    root = ("--root", str(tmp_path))
    janfs("organise", *root)
    would = json.loads(janfs("dedupe", "--dry-run", "--json", *root).output)
    size = binary(tmp_path, "one").stat().st_size
    assert (would["freed"], len(would["files"]), would["dry_run"]) == (size, 1, True)
    assert binary(tmp_path, "one").stat().st_ino != binary(tmp_path, "two").stat().st_ino
    models = json.loads(janfs("ls", "--json", *root).output)
    of = {model["id"]: model.get("duplicate_of") for model in models}
    assert of in ({"one": None, "two": "one"}, {"one": "two", "two": None})
    assert "The same content as" in janfs("ls", *root).output
    done = janfs("dedupe", *root)
    assert done.exit_code == 0, done.output
    assert "are free now" in done.output
    assert binary(tmp_path, "one").stat().st_ino == binary(tmp_path, "two").stat().st_ino
    assert binary(tmp_path, "two").read_bytes() == tiny_gguf("Same")
    assert janfs("dedupe", *root).output == "No duplicates.\n"
    assert janfs("dedupe", "none", *root).exit_code == 3


def test_what_cannot_share_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "one", "two")
    root = ("--root", str(tmp_path))
    janfs("organise", *root)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    told = janfs("dedupe", *root).output
    assert "stays a copy: its disk gives no file a second name.\n0 B are free now." in told
    [kept] = json.loads(janfs("dedupe", "--json", *root).output)["kept"]
    assert kept["path"] in ("models/one/one.gguf", "models/two/two.gguf")


def test_a_flipped_bit_is_found_and_the_model_is_invalid(tmp_path: Path) -> None:
    put(tmp_path, "one", "two")
    root = ("--root", str(tmp_path))
    janfs("organise", *root)
    assert "2 read for the first time" in janfs("verify", "--files", *root).output
    flip_a_bit(binary(tmp_path, "one"))
    found = janfs("verify", "--files", *root)
    assert found.exit_code == 6, found.output
    assert "one.gguf: corrupted" in found.output
    assert json.loads(janfs("show", "one", "--json", *root).output)["status"] == "invalid"
    assert janfs("verify", "--files", "two", *root).exit_code == 0
    assert janfs("verify", "--files", "none", *root).exit_code == 3
    assert janfs("verify", "one", *root).exit_code == 2, "an ID without --files means nothing"
    assert janfs("verify", *root).exit_code == 0, "the log is as sound as before"


def test_a_service_hashes_by_itself_and_checks_and_shares_for_the_commands(tmp_path: Path) -> None:
    root = ("--root", str(tmp_path))
    with ServiceProcess(tmp_path, "--polling") as service:
        put(tmp_path, "one", "two")
        service.wait_model("one")
        service.wait_model("two")
        service.wait(lambda: "duplicate-found" in janfs("history", *root).output, "the copy to be found out")
        assert json.loads(janfs("dedupe", "--json", *root).output)["freed"] > 0
        assert binary(tmp_path, "one").stat().st_ino == binary(tmp_path, "two").stat().st_ino
        assert janfs("verify", "--files", *root).exit_code == 0
        flip_a_bit(binary(tmp_path, "one"))  # and so of both
        found = janfs("verify", "--files", *root)
        assert (found.exit_code, found.output.count("corrupted")) == (6, 2), found.output
        assert janfs("dedupe", "none", *root).exit_code == 3


def test_without_hashing_nothing_is_read_from_end_to_end(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path, "--hashing", "off") as service:
        put(tmp_path, "one", "two")
        service.wait_model("one")
        service.wait_model("two")
        assert "file-hashed" not in janfs("history", "--root", str(tmp_path)).output
        assert json.loads(janfs("dedupe", "--json", "--root", str(tmp_path)).output)["freed"] > 0
