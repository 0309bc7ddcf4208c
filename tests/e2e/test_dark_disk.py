"""A disk that moves a file and then answers only with errors, played by a C library around a real service."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.ggufs import tiny_gguf
from tests.support.service import ServiceProcess

# From the first rename into models/dark/ on, which is done, all calls there fail while the file $DARK exists.
LIBRARY = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <linux/fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static int begun;
static int fails(const char *path) {
    if (!begun || !path || !strstr(path, "/models/dark")) return 0;
    if (syscall(SYS_faccessat, AT_FDCWD, getenv("DARK"), F_OK)) return 0;
    errno = EIO;
    return 1;
}
int renameat2(int from, const char *source, int to, const char *target, unsigned flags) {
    if (strstr(target, "/models/dark/")) begun = 1;
    int done = (int)syscall(SYS_renameat2, from, source, to, target, flags);
    return fails(target) ? -1 : done;
}
#define LOOKING(at, follow, nofollow) \
    int at(int folder, const char *path, void *found, int flags) { \
        return fails(path) ? -1 : (int)syscall(SYS_newfstatat, folder, path, found, flags); \
    } \
    int follow(const char *path, void *found) { return at(AT_FDCWD, path, found, 0); } \
    int nofollow(const char *path, void *found) { return at(AT_FDCWD, path, found, AT_SYMLINK_NOFOLLOW); }
LOOKING(fstatat, stat, lstat)
LOOKING(fstatat64, stat64, lstat64)
#define OPENING(name) \
    int name(const char *path, int flags, ...) { \
        va_list more; \
        va_start(more, flags); \
        int mode = va_arg(more, int); \
        va_end(more); \
        return fails(path) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode); \
    }
OPENING(open)
OPENING(open64)
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("needs Linux and a C compiler")
    source, built = tmp_path / "dark.c", tmp_path / "dark.so"
    source.write_text(LIBRARY)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", built, source], check=True)
    return built


def janfs(service: ServiceProcess, *arguments: str) -> str:
    command = [sys.executable, "-m", "janfs", *arguments, "--root", str(service.root)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def said_of(service: ServiceProcess, name: str) -> str:
    """Why a model is as it is; `""` where there is nothing to explain."""
    return str(service.models().get(name, {}).get("reason") or "")


def test_a_disk_that_does_not_show_what_it_did_is_told_of_everywhere_until_it_does(
    start: Callable[..., ServiceProcess], library: Path, tmp_path: Path
) -> None:
    dark = tmp_path / "dark"
    dark.touch()
    service = start(env={"LD_PRELOAD": str(library), "DARK": str(dark)})
    service.wait_ready()
    models = service.root / "models"
    (models / "dark.gguf").write_bytes(tiny_gguf("dark"))
    (models / "light.gguf").write_bytes(tiny_gguf("light"))
    service.wait(lambda: "dmesg" in said_of(service, "dark"), "the model to say it")
    said = said_of(service, "dark")
    for part in ("models/dark.gguf", "models/dark/dark.gguf", "Input/output error", "dmesg"):
        assert part in said
    service.wait_model("light")  # others go on
    assert said in service.get("/v1/models/dark")["reason"]
    assert service.get("/readyz")["warning"] == said
    assert service.get("/v1/why?subject=models/dark/dark.gguf")["unsettled"] == said
    assert said in janfs(service, "ls")
    assert said in janfs(service, "show", "dark")
    assert said in janfs(service, "why", "dark")
    refused = service.client.delete("/v1/models/dark")
    assert not refused.is_success
    assert refused.json()["error"]["message"] == said
    dark.unlink()
    (models / "dark" / "README.md").write_text("Whoever is there now gives a hint.")
    service.wait(lambda: said_of(service, "dark") == "", "the model to be well")
    service.wait_model("dark")
    assert "warning" not in service.get("/readyz")
    assert service.get("/v1/why?subject=dark")["unsettled"] is None
    assert "dmesg" not in janfs(service, "ls")
    assert service.stop().count("outcome-unseen") == 1, "the log stream says it once"


def test_what_a_janfs_that_ended_did_not_see_is_told_of_until_the_next_one_does(
    start: Callable[..., ServiceProcess], library: Path, tmp_path: Path
) -> None:
    dark = tmp_path / "dark"
    dark.touch()
    service = start(env={"LD_PRELOAD": str(library), "DARK": str(dark)})
    service.wait_ready()
    (service.root / "models" / "dark.gguf").write_bytes(tiny_gguf("dark"))
    service.wait(lambda: "dmesg" in said_of(service, "dark"), "the model to say it")
    service.stop()  # if it waited for the disk, it would not end
    assert service.process.returncode == 0
    for command in (["ls"], ["show", "dark"], ["why", "dark"], ["why", "models/dark/dark.gguf"]):
        said = janfs(service, *command)
        assert "whether models/dark.gguf became models/dark/dark.gguf. The next start looks" in said
    again = start()
    assert "reason" not in again.wait_model("dark")
