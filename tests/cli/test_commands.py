"""The `janfs` command, on a root that nobody has open and on one that is being served."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from janfs.cli import main
from tests.support.ggufs import tiny_gguf
from tests.support.service import ServiceProcess


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("cli") / "jan"
    with ServiceProcess(root, "--api-key", "geheim") as service:
        (root / "models" / "Some Model.gguf").write_bytes(tiny_gguf("Some Model"))
        (root / "models" / "broken.gguf").write_text("no model at all")
        service.wait_model("some-model")
        service.wait_model("broken", "invalid")
        yield service


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a history that nobody has open now."""
    root = tmp_path_factory.mktemp("closed") / "jan"
    with ServiceProcess(root) as service:
        (root / "models" / "some-model.gguf").write_bytes(tiny_gguf("Some Model"))
        service.wait_model("some-model")
    return root


def janfs(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


@pytest.fixture(params=["served", "closed"])
def on(request: pytest.FixtureRequest) -> Callable[..., Result]:
    """Runs a command on the served root, and on the closed one."""
    if request.param == "closed":
        root: Path = request.getfixturevalue("closed")
        return lambda *arguments: janfs(*arguments, "--root", str(root))
    service: ServiceProcess = request.getfixturevalue("served")
    return lambda *arguments: janfs(
        *arguments, "--root", str(service.root), *(["--api-key", "geheim"] if needs_key(arguments) else [])
    )


def needs_key(arguments: tuple[str, ...]) -> bool:
    return arguments[0] in ("ls", "show", "history")


UNREADABLE = "\udcff"  # a byte that is not UTF-8, as Python has it among the arguments
A_WORD_THAT_IS_NONE = [
    ("ls", "--at", UNREADABLE),
    ("ps", "--api-key", UNREADABLE),
    ("show", "some-model", "--origin", "--at", UNREADABLE),
    ("show", "--fingerprint", UNREADABLE),
    ("diff", "some-model", UNREADABLE),
    ("diff", "some-model", "1", UNREADABLE),
    ("revert", "some-model", "--to", UNREADABLE),
    ("set", "some-model", f"metadata.author={UNREADABLE}"),
    ("set", "some-model", f"{UNREADABLE}=1", "ngl=null"),
    ("set", "some-model", "--remove", UNREADABLE),
    ("set", "some-model", "--default", UNREADABLE),
    ("pull", UNREADABLE),
    ("pull", f"http://{UNREADABLE}/some.gguf"),
    ("log", "compact", "--before", UNREADABLE),
    ("serve", "--api-key", UNREADABLE),
    ("serve", "--host", UNREADABLE),
]


@pytest.mark.parametrize("arguments", A_WORD_THAT_IS_NONE)
def test_words_must_be_utf8(on: Callable[..., Result], arguments: tuple[str, ...]) -> None:
    result = on(*arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith("is not UTF-8.")
    assert "�" in result.stderr


def test_a_key_may_have_any_letters(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "jan", env={"JANFS_API_KEY": "schlüssel"}) as service:
        assert janfs("ls", "--root", str(service.root), "--api-key", "schlüssel").exit_code == 0
        assert "asks for a key" in janfs("ls", "--root", str(service.root), "--api-key", "").stderr


def test_ls_lists_models_with_their_status(on: Callable[..., Result]) -> None:
    result = on("ls")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].split() == ["ID", "STATUS", "STATE", "SIZE"]
    assert any(line.split()[:3] == ["some-model", "ready", "stopped"] for line in lines), result.output


def test_ls_says_what_is_wrong(served: ServiceProcess) -> None:
    result = janfs("ls", "--root", str(served.root), "--api-key", "geheim")
    (line,) = [line for line in result.output.splitlines() if line.startswith("broken")]
    assert "invalid" in line
    assert "Not a GGUF file" in line


def test_ls_prints_json_as_the_api_has_it(on: Callable[..., Result]) -> None:
    models = {model["id"]: model for model in json.loads(on("ls", "--json").output)}
    assert models["some-model"]["object"] == "model"


def test_show_prints_one_model(on: Callable[..., Result]) -> None:
    assert "status: ready" in on("show", "some-model").output
    assert json.loads(on("show", "some-model", "--json").output)["id"] == "some-model"


def test_show_origin_says_where_each_setting_comes_from(on: Callable[..., Result]) -> None:
    lines = on("show", "some-model", "--origin").output.splitlines()
    assert lines[1].split() == ["SETTING", "VALUE", "FROM"]
    by_name = {line.split()[0]: line for line in lines[2:]}
    assert by_name["ngl"].split(maxsplit=2)[1:] == ["100", "engine (engines/llama-cpp.json, line 3)"]
    assert "generated (models/some-model/model.json, line " in by_name["temperature"]
    assert by_name["top_k"].split()[1:] == ["40", "built-in"]
    config = json.loads(on("show", "some-model", "--origin", "--json").output)
    assert config["model_parameters"]["top_k"] == {"value": 40, "origin": {"kind": "built-in"}}


def test_history_tells_what_happened_in_order(on: Callable[..., Result]) -> None:
    events = [json.loads(line) for line in on("history", "some-model", "--json").output.splitlines()]
    events = [event for event in events if event["type"] != "file-hashed"]  # that comes at its own time
    assert [event["type"] for event in events] == [
        "file-dropped",
        "model-registered",
        "move-planned",
        "move-completed",
        "write-planned",
        "json-written",
    ]
    assert [event["cause"] for event in events] == [None, *(event["position"] for event in events[:-1])]
    lines = on("history", "some-model").output.splitlines()
    assert "file-dropped" in lines[0]
    assert "folder" in lines[0], "who did it is missing"


def test_the_whole_history_has_every_position(on: Callable[..., Result]) -> None:
    events = [json.loads(line) for line in on("history", "--json").output.splitlines()]
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))


def test_verify_and_rebuild_check_find_all_in_order(on: Callable[..., Result]) -> None:
    verdict = json.loads(on("verify", "--json").output)
    assert verdict["reason"] is None
    assert verdict["events"] >= 6
    compared = json.loads(on("rebuild", "--check", "--json").output)
    assert compared["difference"] is None
    assert compared["rows"] > 0


def test_an_unknown_model_is_said_to_be_unknown(on: Callable[..., Result]) -> None:
    for command in ("show", "history"):
        result = on(command, "nope")
        assert result.exit_code == 3, f"{command}: {result.output}"
        assert "'nope' does not exist" in result.output


def test_a_wrong_key_is_refused(served: ServiceProcess) -> None:
    result = janfs("ls", "--root", str(served.root), "--api-key", "wrong")
    assert result.exit_code == 1
    assert "--api-key" in result.output


def test_a_root_without_a_log_says_how_to_make_one(tmp_path: Path) -> None:
    for command in (("ls",), ("show", "x"), ("history",), ("verify",), ("rebuild", "--check")):
        result = janfs(*command, "--root", str(tmp_path / "none"))
        assert result.exit_code == 5, f"{command}: {result.output}"
        assert "janfs serve --root" in result.output
    assert not (tmp_path / "none").exists(), "asking about a root made one"


def test_verify_names_the_first_position_that_does_not_stand(closed: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "jan"
    (damaged / ".janfs").mkdir(parents=True)
    source = sqlite3.connect(closed / ".janfs" / "log.db")
    target = sqlite3.connect(damaged / ".janfs" / "log.db")
    source.backup(target)
    source.close()
    target.execute("DROP TRIGGER events_no_update")
    target.execute("UPDATE events SET actor = 'nobody' WHERE position = 3")
    target.commit()
    target.close()
    result = janfs("verify", "--root", str(damaged))
    assert result.exit_code == 6
    assert "at position 3" in result.output


def test_verify_finds_a_damaged_write_ahead_log_before_sqlite_clears_it_away(
    closed: Path, tmp_path: Path
) -> None:
    database = closed / ".janfs" / "log.db"
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    for table in ("_litestream_seq", "_litestream_lock"):  # somebody else's, and nothing of the log's
        writer.execute(f"CREATE TABLE {table} (id INTEGER)")
    wal = database.with_name("log.db-wal").read_bytes()
    for name, content in (("as-killed", wal), ("damaged", wal[:100] + bytes([wal[100] ^ 1]) + wal[101:])):
        private = tmp_path / name / ".janfs"
        private.mkdir(parents=True)
        (private / "log.db").write_bytes(database.read_bytes())
        (private / "log.db-wal").write_bytes(content)
    writer.close()
    assert janfs("verify", "--root", str(tmp_path / "as-killed")).exit_code == 0
    result = janfs("verify", "--root", str(tmp_path / "damaged"))
    assert result.exit_code == 6
    assert "log.db-wal is damaged at byte 32" in result.output


def test_rebuild_makes_a_damaged_catalogue_anew(closed: Path) -> None:
    database = sqlite3.connect(closed / ".janfs" / "log.db")
    database.execute("UPDATE projected SET value = '{}' WHERE kind = 'file'")
    database.commit()
    database.close()
    assert janfs("rebuild", "--check", "--root", str(closed)).exit_code == 6
    assert janfs("rebuild", "--root", str(closed)).exit_code == 0
    assert janfs("rebuild", "--check", "--root", str(closed)).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--host", "0.0.0.0"], 2, "--insecure"),
        (["--port", "70000"], 2, "between 0 and 65535"),
        (["--api-key", " "], 2, "empty"),
        (["--max-loaded", "0"], 2, "--max-loaded"),
        (["--max-queue", "-1"], 2, "--max-queue"),
        (["--grace", "-1"], 2, "--grace"),
    ],
)
def test_serve_refuses_wrong_settings_before_it_starts(
    tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    result = janfs("serve", "--root", str(tmp_path / "jan"), *arguments)
    assert result.exit_code == code
    assert says in result.output
    assert not (tmp_path / "jan").exists()


def test_serve_on_a_root_in_use_names_its_owner(served: ServiceProcess) -> None:
    result = janfs("serve", "--root", str(served.root), "--port", "0")
    assert result.exit_code == 4
    assert str(served.process.pid) in result.output
    assert served.url in result.output


def test_serve_on_a_taken_port_says_so(served: ServiceProcess, tmp_path: Path) -> None:
    port = served.url.rpartition(":")[2]
    result = janfs("serve", "--root", str(tmp_path / "jan"), "--port", port)
    assert result.exit_code == 2
    assert "already in use" in result.output


def test_serve_on_a_root_that_can_be_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = janfs("serve", "--root", str(tmp_path / "file" / "jan"), "--port", "0")
    assert result.exit_code == 5
    assert "cannot be used" in result.output


def test_ls_says_what_is_wrong_with_an_engine_s_file(tmp_path: Path) -> None:
    root = tmp_path / "jan"
    with ServiceProcess(root) as service:
        made = root / "engines" / "llama-cpp.json"
        service.wait(lambda: service.get("/v1/engines")["data"][0]["file"], "the file to be made")
        made.write_text('{"ngl": "all"}')
        service.wait(lambda: service.get("/v1/engines")["data"][0]["problems"], "the mistake to be seen")
        shown = janfs("ls", "--root", str(root)).output
        assert "engine llama-cpp: llama-cpp.json, line 1, column 2: ngl must be a whole number" in shown
    assert janfs("ls", "--root", str(root)).output == shown, "offline it says something else"


def test_the_past_of_an_engine_s_file_is_told_like_a_model_s(tmp_path: Path) -> None:
    root = tmp_path / "jan"
    with ServiceProcess(root) as service:
        made = root / "engines" / "llama-cpp.json"
        engine = "/v1/models/engine-llama-cpp"
        service.wait(lambda: service.client.get(f"{engine}/blame").is_success, "the file to be made")
        made.write_text('{"ngl": 7}')
        service.wait(lambda: len(service.get(f"{engine}/history")["data"]) == 3, "the edit to be seen")
        diff = service.get(f"{engine}/diff")
        assert diff["id"] == "engine-llama-cpp"
        assert {"path": ["ngl"], "kind": "changed", "old": 100, "new": 7} in diff["changes"]
        assert "+++ llama-cpp.json" in diff["text"]
    assert "ngl = 7" in janfs("blame", "engine-llama-cpp", "--root", str(root)).output
    lines = janfs("history", "engine-llama-cpp", "--root", str(root)).output.splitlines()
    assert [line.split()[3] for line in lines] == ["write-planned", "json-written", "json-edited"]


def test_what_is_logged_is_no_part_of_an_answer(closed: Path, tmp_path: Path) -> None:
    root = tmp_path / "jan"
    shutil.copytree(closed, root)
    shutil.rmtree(root / ".janfs" / "schemas")
    (root / ".janfs" / "schemas").write_text("in the way")
    command = [sys.executable, "-m", "janfs", "ls", "--json", "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [model["id"] for model in json.loads(done.stdout)] == ["some-model"]
    assert "schemas-not-written" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("ls",), ("history",), ("log", "export"), ("--version",), ("history", "--help")]
)
def test_where_nothing_can_be_printed_it_is_said_in_one_line(
    closed: Path, arguments: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "janfs", *arguments]
    environment = {**os.environ, "JANFS_ROOT": str(closed)}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "janfs: Standard output cannot be written: No space left on device.\n"


def test_the_log_is_exported_to_nowhere_where_standard_output_is_closed(closed: Path) -> None:
    command = f"'{sys.executable}' -m janfs log export --root '{closed}' >&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "command",
    [
        ("ls",),
        ("set", "some-model", "name=x"),
        ("pair", "mmproj.gguf", "some-model"),
        ("revert", "some-model", "--to", "1"),
        ("verify", "--files"),
        ("dedupe",),
        ("export", "some-model"),
        ("rebuild",),
    ],
)
def test_a_mistyped_root_is_not_made(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = janfs(*command, "--root", str(tmp_path / "jam"))
    assert result.exit_code == 5
    assert "has no event log yet" in result.stderr
    assert not (tmp_path / "jam").exists()


@pytest.mark.parametrize("command", [("ls",), ("set", "some-model", "name=x"), ("log", "head"), ("serve",)])
def test_a_root_that_can_be_none_is_refused(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for root in (tmp_path / "file", tmp_path / "loop", tmp_path / ("x" * 300)):
        result = janfs(*command, "--root", str(root))
        assert result.exit_code == 5
        assert f"{root} cannot be used" in result.stderr
    assert janfs(*command, "--root", "~nobody-at-all/jan").exit_code == 5
    assert janfs(*command, "--root", "").exit_code == 2


@pytest.mark.parametrize(
    "command", [("ls",), ("log", "head"), ("verify",), ("set", "some-model", "name=x"), ("rebuild",)]
)
@pytest.mark.parametrize("closed_to_us", [".janfs", ".janfs/lock .janfs/log.db .janfs/log.db-wal"])
def test_someone_else_s_root_is_told_of(tmp_path: Path, command: tuple[str, ...], closed_to_us: str) -> None:
    assert janfs("organise", "--root", str(tmp_path)).exit_code == 0
    for name in filter(lambda each: (tmp_path / each).exists(), closed_to_us.split()):
        (tmp_path / name).chmod(0)
    within = []
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed here, and root may read everything")
        within = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    program = [*within, sys.executable, "-m", "janfs", *command, "--root", str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    (tmp_path / ".janfs").chmod(0o700)
    assert done.returncode == 5
    assert "Permission denied" in done.stderr
    assert len(done.stderr.splitlines()) == 1
