"""What an older janfs recorded with its secrets is found, and got out of the log."""

import hashlib
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from janfs.catalogue.catalogue import find_model
from janfs.cli import main
from janfs.cli.offline import opened
from janfs.clock import SystemClock
from janfs.events import types as e
from janfs.folder.real import RealFileSystem
from janfs.manifest.schema import Manifest
from janfs.past.moments import AsOf
from janfs.pipeline.recorder import Draft, Recorder
from janfs.root import OpenRoot, RootPaths
from tests.support.ggufs import tiny_gguf

SECRET = "sEcReT-0815"
FILE = "models/zephyr/model.json"


def janfs(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root whose log has the text of a model.json as it is on disk, with its secret."""
    root = tmp_path / "jan"
    with opened(root) as (_, _, work):
        (root / "models" / "zephyr.gguf").write_bytes(tiny_gguf("Zephyr"))
        work()
    text = f'{{"engine_parameters": {{"ctx_len": 512}}, "api_key": "{SECRET}"}}'.encode()
    (root / FILE).write_bytes(text)
    stat = RealFileSystem(root).stat(FILE)
    assert stat is not None
    assert stat.stamp is not None
    with OpenRoot(root, SystemClock()) as there:
        recorder = Recorder(there.log)
        model = find_model(recorder.catalogue, "zephyr")
        assert model is not None
        digest = hashlib.sha256(text).hexdigest()
        said = Manifest(engine_parameters={"ctx_len": 512}, extra={"api_key": SECRET})
        edited = e.JsonEdited(FILE, stat.stamp, digest, said, ())
        recorder.record([Draft(model.uid, edited, "folder")], {digest: text})
        AsOf(there.log, there.paths.past).at(there.log.head.position)
    return root


def test_verify_finds_it_and_says_what_helps(root: Path) -> None:
    result = janfs("verify", "--root", str(root))
    assert result.exit_code == 0, "the log is what was written"
    assert f"({FILE})" in result.stderr
    assert "janfs log compact --before now" in result.stderr
    assert SECRET not in result.output


def test_it_leaves_the_log_the_way_that_verify_says(root: Path) -> None:
    assert SECRET.encode() in RootPaths(root).database.read_bytes()
    os.utime(root / FILE)
    with opened(root) as (_, _, work):
        work()
    assert janfs("log", "compact", "--before", "now", "--root", str(root)).exit_code == 0
    assert janfs("verify", "--root", str(root)).stderr == ""
    private = RootPaths(root).private
    holding = [path for path in private.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert {path.parent for path in holding} == {private / "archive"}, "it is where nobody looks for it"
    shown = janfs("show", "zephyr", "--json", "--root", str(root))
    assert '"ctx_len": 512' in shown.stdout
    assert SECRET in (root / FILE).read_text(), "the person's file is theirs"


def test_a_log_that_never_had_one_says_nothing(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with opened(other) as (_, _, work):
        (other / "models" / "zephyr.gguf").write_bytes(tiny_gguf("Zephyr"))
        work()
        (other / FILE).write_text(f'{{"api_key": "{SECRET}", "model_parameters": {{"max_tokens": 5}}}}')
        work()
    assert janfs("verify", "--root", str(other)).stderr == ""
