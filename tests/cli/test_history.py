"""The past at the command line, on a root that is being served and on one that nobody has open."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from janfs.cli import main
from janfs.folder.paths import encode_path
from tests.support.ggufs import tiny_gguf
from tests.support.service import ServiceProcess


def live(root: Path, *options: str) -> ServiceProcess:
    """A service whose model `story` was edited once."""
    service = ServiceProcess(root, *options)
    (root / "models" / "story.gguf").write_bytes(tiny_gguf("Story"))
    service.wait_model("story")
    manifest = root / "models" / "story" / "model.json"
    service.wait(manifest.exists, "its model.json")
    edited = json.loads(manifest.read_text()) | {"name": "Mine"}
    manifest.write_text(json.dumps(edited, indent=2))
    service.wait(lambda: service.models()["story"]["name"] == "Mine", "the edit")
    return service


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("served") / "jan"
    with live(root, "--api-key", "geheim"):
        yield root


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("closed") / "jan"
    with live(root):
        pass
    return root


@pytest.fixture(params=["served", "closed"])
def on(request: pytest.FixtureRequest) -> Callable[..., Result]:
    """Runs a command on the served root, and on the closed one."""
    root: Path = request.getfixturevalue(request.param)
    options = ["--root", str(root), *(["--api-key", "geheim"] if request.param == "served" else [])]
    return lambda *arguments, **given: CliRunner().invoke(
        main, [*arguments, *options], catch_exceptions=False, **given
    )


def test_diff_prints_the_last_change_by_setting(on: Callable[..., Result]) -> None:
    result = on("diff", "story")
    assert result.exit_code == 0, result.output
    assert result.output == '~ name: "Story" -> "Mine"\n'
    assert on("diff", "story", color=True).output.startswith("\x1b[33m~ name")


def test_diff_prints_the_lines_of_the_file(on: Callable[..., Result]) -> None:
    lines = on("diff", "story", "--text").output.splitlines()
    assert '-  "name": "Story",' in lines
    assert '+  "name": "Mine",' in lines


def test_diff_has_colours_on_a_terminal_that_wants_them(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diff(*options: str) -> str:
        runner = CliRunner()  # `color`: as a terminal
        return runner.invoke(main, ["diff", "story", *options, "--root", str(closed)], color=True).output

    for options, line in (((), "\x1b[33m~ name"), (("--text",), "\x1b[32m+")):
        monkeypatch.delenv("NO_COLOR", raising=False)
        assert line in diff(*options)
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b" not in diff(*options)


def test_diff_takes_moments(on: Callable[..., Result]) -> None:
    whole = on("diff", "story", "0", "now").output.splitlines()
    assert '+ name: "Mine"' in whole
    assert on("diff", "story", "now").output == "No setting is different.\n"
    found = json.loads(on("diff", "story", "yesterday 14:00", "--json").output)
    assert found["before"] is None
    refused = on("diff", "story", "soon")
    assert refused.exit_code == 1
    assert "yesterday 14:00" in refused.output


def test_of_a_model_json_that_could_never_be_read_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "models/never").mkdir(parents=True)
    (tmp_path / "models/never/never.gguf").write_bytes(tiny_gguf("Never"))
    (tmp_path / "models/never/model.json").write_text('{"name": }')
    for command, said in (
        ("organise", ""),
        ("diff never", "A value is missing before '}'. What was in force before it stays."),
        ("blame never", "It has no model.json that could be read."),
    ):
        result = CliRunner().invoke(main, [*command.split(), "--root", str(tmp_path)])
        assert result.exit_code == 0, result.output
        assert said in result.output


def test_blame_prints_a_line_for_each_setting(on: Callable[..., Result]) -> None:
    lines = [line.split() for line in on("blame", "story").output.splitlines()]
    (mine,) = [line for line in lines if line[4] == "name"]
    assert mine[3:] == ["folder", "name", "=", '"Mine"']
    assert any(line[3:5] == ["janfs", "engine"] for line in lines)


def test_why_prints_the_chain_in_words(on: Callable[..., Result]) -> None:
    lines = on("why", "models/story/story.gguf").output.splitlines()
    assert lines[0] == "models/story/story.gguf is as it is"
    assert "because janfs moved models/story.gguf to models/story/story.gguf (#" in lines[1]
    assert "because someone put the file models/story.gguf there (#" in lines[-1]
    assert "someone wrote models/story/model.json" in on("why", "story").output


def test_why_takes_a_path_as_a_shell_completes_it(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = closed / "models" / "story" / "story.gguf"
    monkeypatch.chdir(file.parent)
    for spelled in (str(file), "story.gguf", "./story.gguf"):
        result = CliRunner().invoke(main, ["why", spelled, "--root", str(closed)], catch_exceptions=False)
        assert result.output.startswith("models/story/story.gguf is as it is"), result.output


def test_a_line_of_history_has_no_whole_hashes(on: Callable[..., Result]) -> None:
    lines = on("history", "story").output.splitlines()
    assert any(" base=" in line and " sha256=" in line for line in lines)
    assert not [line for line in lines if re.search("[0-9a-f]{20}", line)], "--json has them whole"


def test_ls_and_show_of_a_moment(on: Callable[..., Result]) -> None:
    assert on("ls", "--at", "0").output == "No models then.\n", "it gives advice on the past"
    assert "story" in on("ls", "--at", "now").output
    events = [json.loads(line) for line in on("history", "story", "--json").output.splitlines()]
    position = next(event["position"] for event in events if event["type"] == "json-written")
    shown = json.loads(on("show", "story", "--at", str(position), "--json").output)
    assert (shown["name"], shown["at"]) == ("Story", position)
    assert json.loads(shown["model_json"])["name"] == "Story"
    missing = on("show", "story", "--at", "0")
    assert missing.exit_code == 3
    assert "at position 0" in missing.output


def test_an_unknown_subject_is_said_to_be_unknown(on: Callable[..., Result]) -> None:
    for command in ("diff", "blame", "why"):
        assert on(command, "nope").exit_code == 3


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../models", "x?y", "x#y", "100%", "%2e", "é b", "caf\udce9"]
)
@pytest.mark.parametrize("command", ["show", "history", "diff", "blame", "why", "set"])
def test_no_name_leads_to_something_else(on: Callable[..., Result], command: str, name: str) -> None:
    result = on(command, name, *(["ctx_len=1"] if command == "set" else []))
    assert (result.exit_code, result.stdout) == (3, ""), result.output
    assert f"'{name[:3]}" in result.stderr, "it does not say which"


@pytest.mark.parametrize("name", ["100%.gguf", "x%41?y#z.gguf", "é b.gguf", "caf\udce9.gguf"])
def test_why_takes_a_name_as_it_was_written_also_of_what_lies_there_no_more(
    tmp_path: Path, name: str
) -> None:
    root = tmp_path / "jan"
    (root / "models").mkdir(parents=True)
    (root / "models" / name).write_bytes(tiny_gguf("Story"))
    CliRunner().invoke(main, ["organise", "--root", str(root)], catch_exceptions=False)
    [lies] = (root / "models").glob("*/*.gguf")
    for subject in (f"models/{name}", f"models/{lies.parent.name}/{name}", str(lies)):
        result = CliRunner().invoke(main, ["why", subject, "--root", str(root)], catch_exceptions=False)
        assert f"because janfs moved models/{encode_path(name)} to" in result.output


def test_show_wants_a_model_or_a_fingerprint(on: Callable[..., Result]) -> None:
    assert on("show").exit_code == 2
    assert on("show", "story", "--fingerprint", "fp_0123456789abcdef").exit_code == 2
    missing = on("show", "--fingerprint", "fp_0123456789abcdef")
    assert missing.exit_code == 3
    assert "No engine was ever started" in missing.output


def test_revert_brings_a_text_back_and_can_be_tried_first(on: Callable[..., Result]) -> None:
    events = [json.loads(line) for line in on("history", "story", "--json").output.splitlines()]
    edit = next(event["position"] for event in events if event["type"] == "json-edited")
    tried = on("revert", "story", "--to", str(edit - 1), "--dry-run")
    assert tried.output.splitlines()[-1] == f"story would be what it was at #{edit - 1}."
    assert '+  "name": "Story",' in tried.output.splitlines()
    assert json.loads(on("show", "story", "--json").output)["name"] == "Mine"
    done = on("revert", "story", "--to", str(edit - 1))
    assert done.output.splitlines()[-1] == f"story is what it was at #{edit - 1}."
    assert json.loads(on("show", "story", "--json").output)["name"] == "Story"
    back = json.loads(on("revert", "story", "--to", str(edit), "--json").output)
    assert [change["new"] for change in back["changes"]] == ["Mine"]
    assert json.loads(on("show", "story", "--json").output)["name"] == "Mine"
    refused = on("revert", "story", "--to", "0")
    assert refused.exit_code == 1
    assert "no model.json at #0" in refused.output
