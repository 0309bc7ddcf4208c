"""A real process that does something on a real disk and dies at a call, or meets a full disk there."""

import json
import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec import Struct

from janfs.errors import JanfsError
from tests.crash.syscalls import DIED, Fault, Syscalls
from tests.support.patience import PATIENCE

_END = {0: "done", 3: "refused", 4: "failed", DIED: "died"}
_OURS = (".janfs/log.db", ".janfs/lock")

Act = Callable[[Path], object]
Tree = dict[str, bytes | str | None]
"""Files with their content, links with their target, folders with None."""


class Lived(Struct, frozen=True):
    """How a process ended, what it had to say, its calls, and the rules of durability that it broke."""

    end: Literal["done", "refused", "failed", "died"]
    said: str = ""
    calls: list[str] = []
    broken: list[str] = []


def live(
    act: Act, base: Path, fault: Fault | None = None, *, one_disk: bool = True, watched: bool = True
) -> Lived:
    """Do something in a process of its own."""
    told = base.parent / "told"
    told.unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of the test runner; the child has none
        child = os.fork()
    if child == 0:
        try:
            _be(act, base, told, Syscalls(base, fault, one_disk=one_disk) if watched else None)
        finally:
            os._exit(5)  # whatever happens, it must not go on as the test runner
    until = time.monotonic() + PATIENCE
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"it did not come to an end within {PATIENCE} s")
        time.sleep(0.001)
    code = os.waitstatus_to_exitcode(status)
    assert code in _END, f"it ended with {code}"
    said, calls, broken = json.loads(told.read_text()) if told.exists() else ("", [], [])
    return Lived(_END[code], said, calls, broken)  # type: ignore[arg-type]


def _be(act: Act, base: Path, told: Path, syscalls: Syscalls | None) -> None:
    """The child's whole life."""
    code, said = 0, ""
    if syscalls is not None:
        syscalls.install()
    try:
        act(base)
    except JanfsError as error:
        code, said = 3, error.detail
    except BaseException:  # noqa: BLE001 - told to the parent
        code, said = 4, traceback.format_exc()
    calls = syscalls.calls if syscalls is not None else []
    broken = syscalls.finish() if syscalls is not None else []
    told.write_text(json.dumps([said, calls, broken]))
    os._exit(code)


def tree(base: Path) -> Tree:
    """Everything below a folder but the log."""
    found: Tree = {}
    for folder, below, names in os.walk(base):
        here = Path(folder)
        for name in sorted(below + names):
            path = here / name
            shown = str(path.relative_to(base))
            if any(ours in shown for ours in _OURS):
                continue
            if path.is_symlink():
                found[shown] = str(path.readlink()).replace(str(base), "")
            else:
                found[shown] = None if path.is_dir() else path.read_bytes()
    return found
