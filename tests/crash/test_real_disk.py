"""A crash or a full disk at every call that changes a real disk, and the order in which those are made."""

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from janfs.folder import paths
from tests.crash.dying import Tree, live
from tests.crash.harness import some
from tests.crash.logs import LOGS
from tests.crash.operations import COMING, OPERATIONS, Operation, Server
from tests.crash.running import RUNNING
from tests.crash.syscalls import Fault, in_view
from tests.support.web import web

EVERYTHING = OPERATIONS | RUNNING | LOGS


@pytest.fixture(autouse=True, scope="module")
def server() -> Iterator[None]:
    with web() as site:
        Server.url = site.put("m.gguf", COMING)
        yield


@pytest.fixture(params=EVERYTHING)
def operation(request: pytest.FixtureRequest) -> Operation:
    return EVERYTHING[request.param]


def prepared(operation: Operation, base: Path) -> Tree:
    """A fresh folder with what is there before."""
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir()
    operation.before(base)
    return operation.look(base)


def seen(operation: Operation, found: Tree) -> Tree:
    """What people see of it."""
    return {
        path: what
        for path, what in found.items()
        if Path(path).is_relative_to(operation.shown) and in_view(Path(path))
    }


def below_root(found: Tree) -> Tree:
    """What is janfs's to keep in order."""
    return {path: what for path, what in found.items() if not path.startswith("else/")}


def contents(found: Tree) -> set[bytes]:
    return {what for what in found.values() if isinstance(what, bytes)}


def tried(operation: Operation, calls: list[str], every: bool) -> list[tuple[int, str]]:
    """The calls at which something happens."""
    found = list(enumerate(calls))
    return found if every else some(found, operation.tries)


def undisturbed(operation: Operation, base: Path) -> tuple[list[str], Tree, Tree]:
    """The calls that it makes, what was there before, and what is there after."""
    before = prepared(operation, base)
    lived = live(operation.act, base, one_disk=operation.one_disk)
    assert lived.end == "done", lived.said
    return lived.calls, before, operation.look(base)


def test_what_comes_into_view_can_lose_nothing_in_a_power_cut(operation: Operation, tmp_path: Path) -> None:
    base = tmp_path / "base"
    prepared(operation, base)
    lived = live(operation.act, base, one_disk=operation.one_disk)
    assert lived.end == "done", lived.said
    assert lived.calls
    assert not lived.broken, "\n".join([*lived.broken, "in", *lived.calls])


def test_a_crash_at_any_call_loses_nothing_shows_nothing_half_and_leaves_nothing(
    operation: Operation, every: bool, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    calls, before, after = undisturbed(operation, base)
    for number, call in tried(operation, calls, every):
        for half in (False, True) if "write" in call.split()[0] else (False,):
            prepared(operation, base)
            lived = live(operation.act, base, Fault(number, half=half), one_disk=operation.one_disk)
            what = f"dead {'in' if half else 'before'} call {number}: {call}"
            assert lived.end == "died", what
            check_moment(operation, before, after, operation.look(base), what)
            check_again(operation, base, before, after, what)


@pytest.mark.parametrize("code", [errno.ENOSPC, pytest.param(errno.EIO, marks=pytest.mark.long)])
def test_an_error_at_any_call_is_told_and_leaves_nothing(
    operation: Operation, every: bool, tmp_path: Path, code: int
) -> None:
    base = tmp_path / "base"
    calls, before, after = undisturbed(operation, base)
    for number, call in tried(operation, calls, every):
        prepared(operation, base)
        lived = live(operation.act, base, Fault(number, code), one_disk=operation.one_disk)
        what = f"error {errno.errorcode[code]} at call {number}: {call}"
        assert lived.end in ("done", "refused"), f"{what}\n{lived.said}"
        found = operation.look(base)
        check_moment(operation, before, after, found, what)
        left = below_root(found).keys() - before.keys() - after.keys()
        left -= {path for path in left if operation.kept is not None and operation.kept in path}
        clearing_up = call.split()[0] in ("unlink", "rmdir")  # the next start does that
        assert clearing_up or not left, f"{what}: left {left}"
        check_again(operation, base, before, after, what)


def check_moment(operation: Operation, before: Tree, after: Tree, now: Tree, what: str) -> None:
    """All is there or nothing, and whatever was there before is there still."""
    shown, old, new = (operation.same(seen(operation, each)) for each in (now, before, after))
    whole = shown in (old, new)
    if operation.in_steps:
        whole = all(path in new and (paths.is_manifest(path) or new[path] == shown[path]) for path in shown)
    assert whole, f"{what}: half is shown: {shown.keys()}"
    lost = contents(before) - contents(now)
    assert not lost, f"{what}: lost {lost}"


def check_again(operation: Operation, base: Path, before: Tree, after: Tree, what: str) -> None:
    """The next start ends where it would have ended."""
    lived = live(operation.again, base, watched=False)
    assert lived.end == "done", f"{what}, and then: {lived.said}"
    found = operation.look(base)
    ended, wanted = (operation.same(below_root(each)) for each in (found, after))
    assert ended.keys() == wanted.keys(), what
    assert ended == wanted, f"{what}: something else came out"
    assert not contents(before) - contents(found), what
