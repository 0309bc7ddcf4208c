"""`janfs export` and `janfs import`, with a service and without."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from janfs.archive.unpack import peek
from janfs.cli import main
from janfs.log.guards import GUARDS
from tests.log.kit import by_hand
from tests.support.ggufs import tiny_gguf
from tests.support.service import ServiceProcess


def janfs(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def at(root: Path) -> tuple[str, str]:
    return ("--root", str(root))


def binaries(root: Path) -> dict[str, bytes]:
    models = root / "models"
    return {str(path.relative_to(models)): path.read_bytes() for path in models.rglob("*.gguf")}


def put(path: Path, name: str = "Story") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tiny_gguf(name))
    return path


def test_a_model_goes_from_one_root_to_another_without_a_service(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    put(here / "models/story.gguf")
    janfs("organise", *at(here))
    done = janfs("export", "story", "-o", str(tmp_path), *at(here))
    assert done.exit_code == 0, done.output
    archive = tmp_path / "story.janfs.tar"
    assert archive.is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "story.janfs.tar"]
    assert "model-exported" in janfs("history", "story", *at(here)).output
    assert janfs("export", "story", "-o", str(tmp_path), *at(here)).exit_code == 1, "it was overwritten"
    assert janfs("export", "none", *at(here)).exit_code == 3
    came = janfs("import", str(archive), *at(there))
    assert (came.exit_code, came.output) == (0, "story is here.\n")
    assert janfs("import", str(archive), *at(there)).output == "story was here already.\n"
    assert binaries(there) == binaries(here)
    history = janfs("history", "story", *at(there)).output
    assert "[story.janfs.tar]" in history
    assert history.index("model-registered") < history.index("model-imported")
    assert janfs("verify", *at(there)).exit_code == 0


def test_a_model_goes_without_a_text_that_is_damaged_in_the_log(tmp_path: Path) -> None:
    here, there, archive = tmp_path / "here", tmp_path / "there", tmp_path / "story.janfs.tar"
    put(here / "models/story.gguf")
    janfs("organise", *at(here))
    for name in ("First", "Second"):
        (here / "models/story/model.json").write_text(f'{{"name": "{name}"}}')
        janfs("organise", *at(here))
    change = "UPDATE documents SET content = CAST(replace(CAST(content AS TEXT), 'First', 'Fjrst') AS BLOB)"
    guard = "documents_no_update"
    by_hand(here / ".janfs/log.db", f"DROP TRIGGER {guard}", change, GUARDS[guard])
    assert janfs("verify", *at(here)).exit_code == 6, "nothing is damaged"
    assert janfs("export", "story", "-o", str(tmp_path), *at(here)).exit_code == 0
    came = janfs("import", str(archive), *at(there))
    assert (came.exit_code, came.output) == (0, "story is here.\n")
    assert "json-edited" in janfs("history", "story", *at(there)).output


def test_a_model_goes_with_a_model_json_that_cannot_be_read(tmp_path: Path) -> None:
    here, there, elsewhere = tmp_path / "here", tmp_path / "there", tmp_path / "elsewhere"
    put(here / "models/story.gguf")
    janfs("organise", *at(here))
    (here / "models/story/model.json").write_text('{"name": "half')
    (here / "models/remote").mkdir()
    (here / "models/remote/model.json").write_text('{"format": "api", "engine": "open')
    for name in ("story", "remote"):
        done = janfs("export", name, "-o", str(tmp_path), *at(here))
        assert done.exit_code == 0, done.output
        came = janfs("import", str(tmp_path / f"{name}.janfs.tar"), *at(there))
        assert came.stdout.splitlines()[-1] == f"{name} is here."
        assert f"[{name}.janfs.tar]" in janfs("history", name, *at(there)).output, "its history is lost"
    with ServiceProcess(elsewhere) as service:
        shutil.copy(tmp_path / "story.janfs.tar", elsewhere / "models")
        service.wait(lambda: "model-imported" in janfs("history", *at(elsewhere)).output, "the archive")
        assert service.models().keys() == {"story"}


def test_what_is_wrong_with_a_model_json_is_said_without_a_service(tmp_path: Path) -> None:
    put(tmp_path / "models/story.gguf")
    janfs("organise", *at(tmp_path))
    (tmp_path / "models/story/model.json").write_text('{"name": "half')
    refused = janfs("set", "story", "name=x", *at(tmp_path))
    assert refused.exit_code == 1
    assert "a double quote is missing" in refused.stderr


def test_an_archive_of_a_compacted_log_says_that_its_history_begins_in_the_middle(tmp_path: Path) -> None:
    here, there, archive = tmp_path / "here", tmp_path / "there", tmp_path / "story.janfs.tar"
    put(here / "models/story.gguf")
    janfs("organise", *at(here))
    whole = janfs("export", "story", "-o", str(tmp_path / "whole.janfs.tar"), *at(here))
    assert whole.stderr == ""
    events = peek(tmp_path / "whole.janfs.tar").events + 1  # that it was exported, too
    assert janfs("log", "compact", "--before", "now", *at(here)).exit_code == 0
    done = janfs("export", "story", "-o", str(archive), *at(here))
    contents = peek(archive)
    assert (contents.events, contents.archived) == (0, events)
    assert contents.archived_in in [path.name for path in (here / ".janfs/archive").iterdir()]
    for each in (done, janfs("import", str(archive), *at(there))):
        assert each.exit_code == 0, each.output
        assert f"{events} before them had been archived" in each.stderr
    assert binaries(there) == binaries(here)


@pytest.mark.parametrize("ending", ["}", ""], ids=["sound", "unreadable"])
def test_a_secret_does_not_go_along(tmp_path: Path, ending: str) -> None:
    put(tmp_path / "here/models/story/story.gguf")
    text = '{"name": "Mine", // to the letter\n "api_key": "%s"' + ending
    (tmp_path / "here/models/story/model.json").write_text(text % "geheim")
    janfs("organise", *at(tmp_path / "here"))
    archive = tmp_path / "story.janfs.tar"
    assert janfs("export", "story", "-o", str(archive), *at(tmp_path / "here")).exit_code == 0
    assert b"geheim" not in archive.read_bytes()
    if ending:
        assert janfs("import", str(archive), *at(tmp_path / "there")).exit_code == 0
        assert (tmp_path / "there/models/story/model.json").read_text() == text % "***"


def test_and_with_one(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    with ServiceProcess(here) as one, ServiceProcess(there) as other:
        put(here / "models/story.gguf")
        one.wait_model("story")
        done = janfs("export", "story", "-o", str(tmp_path / "s.janfs.tar"), *at(here))
        assert done.exit_code == 0, done.output
        assert janfs("import", str(tmp_path / "s.janfs.tar"), *at(there)).exit_code == 0
        other.wait_model("story")
        assert "[s.janfs.tar]" in janfs("history", "story", *at(there)).output
        assert janfs("export", "none", *at(here)).exit_code == 3


@pytest.mark.parametrize("mode", ["--copy", "--move", "--link"])
def test_a_tree_is_taken_in_and_organised(tmp_path: Path, mode: str) -> None:
    root, tree = tmp_path / "jan", tmp_path / "lm"
    source = put(tree / "publisher/story/story-Q4_0.gguf")
    put(tree / "publisher/other/other.gguf", "Other")
    said = json.loads(janfs("import", mode, "--json", str(tree), *at(root)).output)
    assert len(said["taken"]) == 2
    listed = {model["id"]: model["status"] for model in json.loads(janfs("ls", "--json", *at(root)).output)}
    assert set(listed.values()) == {"ready"}
    assert len(listed) == 2
    assert sorted(binaries(root).values()) == sorted([tiny_gguf("Story"), tiny_gguf("Other")])
    assert source.exists() == (mode != "--move")
    again = janfs("import", mode, str(tree), *at(root))
    assert again.exit_code == (1 if mode == "--move" else 0)
    assert len(binaries(root)) == 2, "it came twice"
    assert mode == "--move" or "it is here already" in again.output


@pytest.mark.parametrize("command", [("import", "TREE"), ("organise",)])
def test_nothing_but_the_answer_is_printed(tmp_path: Path, command: tuple[str, ...]) -> None:
    put(tmp_path / "lm/publisher/story/story-Q4_0.gguf")
    put(tmp_path / "jan/models/other.gguf", "Other")
    given = [str(tmp_path / "lm") if word == "TREE" else word for word in command]
    done = subprocess.run(
        [sys.executable, "-m", "janfs", *given, "--json", *at(tmp_path / "jan")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert isinstance(json.loads(done.stdout), dict)
    assert done.stderr == ""


def test_a_running_service_organises_what_is_imported(tmp_path: Path) -> None:
    source = put(tmp_path / "a story.gguf")
    with ServiceProcess(tmp_path / "jan") as service:
        done = janfs("import", str(source), *at(tmp_path / "jan"))
        assert done.exit_code == 0, done.output
        service.wait_model("a-story")


def test_what_cannot_be_imported_is_told(tmp_path: Path) -> None:
    root = tmp_path / "jan"
    put(root / "models/story.gguf")
    (tmp_path / "notes.txt").write_text("no model")
    nothing = janfs("import", str(tmp_path / "notes.txt"), *at(root))
    assert (nothing.exit_code, "No GGUF file" in nothing.output) == (1, True)
    inside = janfs("import", str(root / "models"), *at(root))
    assert (inside.exit_code, "already" in inside.output) == (1, True)
    assert janfs("import", str(tmp_path / "none"), *at(root)).exit_code == 2
    broken = tmp_path / "x.janfs.tar"
    broken.write_text("no archive")
    janfs("organise", *at(root))
    janfs("export", "story", "-o", str(tmp_path / "story.janfs.tar"), *at(root))
    both = janfs("import", str(broken), str(tmp_path / "story.janfs.tar"), *at(root))
    assert both.exit_code == 1
    assert f"skipped      {broken}: It is no archive" in both.output
    assert "story was here already." in both.output, "one that is no good kept the other out"


def test_an_import_that_is_killed_leaves_no_orphan_and_can_be_done_again(tmp_path: Path) -> None:
    root, tree = tmp_path / "jan", tmp_path / "tree"
    for number in range(40):
        put(tree / f"model-{number}/model-{number}.gguf", f"Model {number}")
    janfs("organise", *at(root))
    command = [sys.executable, "-m", "janfs", "import", "--copy", str(tree), "--root", str(root)]
    for wait in (0.5, 0.7, 0.9, 1.1):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = janfs("import", "--copy", str(tree), *at(root))
    assert done.exit_code == 0, done.output
    janfs("organise", *at(root))
    assert len(set(binaries(root).values())) == 40
    hidden = [path.name for path in (root / "models").iterdir() if path.name.startswith(".janfs-staging")]
    assert not hidden, f"left behind: {hidden}"
