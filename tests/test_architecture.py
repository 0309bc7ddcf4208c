"""Rules of the house that a machine can check."""

import ast
import re
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "janfs").rglob("*.py"))
NAMES = [str(module.relative_to(ROOT)) for module in MODULES]

MOST_LINES = 250
# Longer ones, each with the reason why it is not cut in two.
LONGER = {
    "janfs/catalogue/fold.py": "one handler an event type, and the table of them",
    "janfs/engines/llama_cpp/client.py": "the whole life of one worker process, as seen from outside",
    "janfs/engines/llama_cpp/kv_pool.py": "the whole life of a cell, from its first owner to its copy",
    "janfs/engines/llama_cpp/scheduler.py": "the batch loop and what it may see of itself",
    "janfs/engines/protocol.py": "one vocabulary, all declarations",
    "janfs/errors.py": "one tree, all declarations",
    "janfs/events/types.py": "one vocabulary, all declarations",
    "janfs/folder/gguf/header.py": "one bounded parser of one format",
    "janfs/manifest/jsonc.py": "one tokeniser and parser of one format",
    "janfs/manifest/spellings.py": "one table of every spelling, with its reader",
}


def test_imports_keep_to_the_contracts() -> None:
    outcome = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert outcome == EXIT_STATUS_SUCCESS, "run `lint-imports` to see which import crosses which border"


def test_a_module_is_short_or_says_why_not() -> None:
    long = {
        name: lines
        for name, lines in zip(NAMES, map(count_lines, MODULES), strict=True)
        if lines > MOST_LINES
    }
    assert {name: lines for name, lines in long.items() if name not in LONGER} == {}


def count_lines(module: Path) -> int:
    return len(module.read_text(encoding="utf-8").splitlines())


# What needs no words beside its name.
SELF_EVIDENT = {
    "janfs/engines/instance.py": {"Phase"},
    "janfs/engines/llama_cpp/wire.py": {
        *("Tokens", "Pieces", "Rendered"),
        *("encode_events", "decode_load", "decode_command", "decode_events"),
    },
}

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_nothing_is_left_unfinished(module: Path) -> None:
    lines = module.read_text(encoding="utf-8").splitlines()
    found = [
        f"line {number}: {line.strip()}" for number, line in enumerate(lines, 1) if UNFINISHED.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_everything_public_says_what_it_is(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    silent = [] if ast.get_docstring(tree) else ["the module itself"]
    silent += [node.name for node in public(tree) if not says_what_it_is(node)]
    assert set(silent) - SELF_EVIDENT.get(str(module.relative_to(ROOT)), set()) == set()


Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef


def public(tree: ast.Module) -> list[Documented]:
    """The functions and classes of a module that its users see."""
    return [node for node in tree.body if isinstance(node, Documented) and not node.name.startswith("_")]


def says_what_it_is(node: Documented) -> bool:
    """Whether it has a docstring; a protocol of one call may have it there."""
    calls = [inner for inner in node.body if isinstance(inner, Function) and inner.name == "__call__"]
    return any(ast.get_docstring(told) for told in (node, *calls))
