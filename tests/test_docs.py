"""The documents tell the truth: whatever a user can name is documented, and what is documented exists."""

import ast
import re
from pathlib import Path
from typing import get_args

import click
import pytest

from janfs.api.errors import STATUS
from janfs.api.openapi import OPERATIONS, describe
from janfs.availability import NowStatus
from janfs.cli import main
from janfs.events.types import EVENT_TYPES, type_name
from janfs.manifest.parameters import ENGINE_PARAMETERS, MODEL_PARAMETERS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
API = DOCS["api.md"]


def _every(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        inner = _every(command, f"{prefix}{name} ") if isinstance(command, click.Group) else {}
        found |= inner or {prefix + name: command}
    return found


COMMANDS = _every(main)
SERVE = [option for option in main.commands["serve"].params if isinstance(option, click.Option)]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_in_the_readme_and_has_help(command: str) -> None:
    assert f"`janfs {command}" in README, f"README.md does not tell of `janfs {command}`"
    assert COMMANDS[command].help, f"`janfs {command} --help` says nothing"


def test_every_command_takes_root() -> None:
    without = [
        name
        for name, command in COMMANDS.items()
        if not any("--root" in option.opts for option in command.params)
    ]
    assert not without, f"these commands take no --root: {without}"


@pytest.mark.parametrize("option", SERVE, ids=lambda option: option.name)
def test_every_option_and_variable_of_serve_is_in_the_readme(option: click.Option) -> None:
    for spelling in option.opts:
        assert f"`{spelling}`" in README, f"README.md does not tell of {spelling}"
    for variable in [option.envvar] if isinstance(option.envvar, str) else option.envvar or []:
        assert f"`{variable}`" in README, f"README.md does not tell of {variable}"


def test_no_option_is_documented_that_does_not_exist() -> None:
    table = README[README.index("## Settings") : README.index("## When something is wrong")]
    told = set(re.findall(r"`(--[a-z-]+)`", table))
    exist = {spelling for option in SERVE for spelling in option.opts}
    assert told <= exist | {"--root"}, f"README.md tells of {told - exist}, which is no option of serve"


def test_no_message_names_an_option_that_does_not_exist() -> None:
    options = [option for command in COMMANDS.values() for option in command.params]
    exist = {"--help", "--version", *(spelling for option in options for spelling in option.opts)}
    for path in sorted((ROOT / "janfs").rglob("*.py")):
        constants = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
        texts = [node.value for node in constants if isinstance(node.value, str)]
        told = {name for text in texts for name in re.findall(r"(?<!\S)--[a-z-]+", text)}
        assert told <= exist, f"{path.relative_to(ROOT)} tells of {told - exist}"


@pytest.mark.parametrize("event_type", EVENT_TYPES, ids=type_name)
def test_every_event_type_and_field_is_in_the_event_reference(event_type: type) -> None:
    rows = [
        line for line in DOCS["events.md"].splitlines() if line.startswith(f"| `{type_name(event_type)}`")
    ]
    assert len(rows) == 1, f"docs/events.md has {len(rows)} rows for {type_name(event_type)}"
    if "the same" in rows[0]:
        return
    missing = [name for name in event_type.__struct_fields__ if f"`{name}`" not in rows[0]]
    assert not missing, f"docs/events.md does not tell of {missing} in {type_name(event_type)}"


@pytest.mark.parametrize("parameter", sorted({*ENGINE_PARAMETERS, *MODEL_PARAMETERS}))
def test_every_parameter_is_in_the_model_json_reference(parameter: str) -> None:
    assert f"`{parameter}`" in DOCS["model-json.md"], f"docs/model-json.md does not tell of {parameter}"


def test_every_code_of_an_error_is_in_the_api_reference() -> None:
    kinds = [kind for kind, _ in STATUS]
    for kind in kinds:
        kinds += kind.__subclasses__()
    missing = {kind.code for kind in kinds if f"`{kind.code}`" not in API}
    assert not missing, f"docs/api.md does not tell of {missing}"


def test_links_between_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]
    broken = [
        f"{page.relative_to(ROOT)} -> {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken, f"links that lead nowhere: {broken}"


def test_every_endpoint_is_in_the_api_reference() -> None:
    missing = [
        f"{method} {path}"
        for path, item in describe(OPERATIONS)["paths"].items()
        for method in map(str.upper, item)
        if not re.search(
            rf"`{method}[^|]*{re.escape(path)}|`[A-Z]+ {re.escape(path)}[^|]*, or `{method}`", API
        )
    ]
    assert not missing, f"docs/api.md does not tell of {missing}"


@pytest.mark.parametrize("status", get_args(NowStatus))
def test_every_status_is_in_the_api_reference(status: str) -> None:
    assert f"`{status}`" in API, f"docs/api.md does not tell of the status {status}"
