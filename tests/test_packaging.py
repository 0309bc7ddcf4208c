"""What is installed: a wheel that runs from anywhere, and lock files that say exactly what."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("dist")))))


def test_the_wheel_carries_code_migrations_and_assets(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        *(str(path.relative_to(ROOT)) for path in (ROOT / "janfs").rglob("*.py")),
        *(str(path.relative_to(ROOT)) for path in (ROOT / "janfs").rglob("*.j2")),
        "janfs/py.typed",
        *(
            f"janfs/_migrations/{path.relative_to(ROOT / 'migrations')}"
            for path in (ROOT / "migrations").rglob("*.py")
        ),
    }
    assert not expected - names, f"the wheel lacks {sorted(expected - names)}"
    assert not [name for name in names if name.startswith("tests/")], "the wheel carries tests"


def test_what_is_in_the_wheel_makes_a_root_from_any_directory(wheel: Path, tmp_path: Path) -> None:
    unpacked = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(unpacked)
    code = (
        "import janfs, pathlib; from janfs.root import OpenRoot; from janfs.clock import SystemClock; "
        f"assert janfs.__file__.startswith({str(unpacked)!r}), janfs.__file__; "
        f"print(OpenRoot(pathlib.Path({str(tmp_path / 'jan')!r}), SystemClock()).log.head.position)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(unpacked)!r}); {code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "janfs", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"janfs, version \d+\.\d+\.\d+", done.stdout.strip())


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_with_hashes_and_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text, f"{lock} names a host"
    pins = re.findall(r"^\S.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    loose = [pin.splitlines()[0] for pin in pins if "==" not in pin or "--hash=sha256:" not in pin]
    assert not loose, f"{lock} does not pin {loose}"


def test_both_lock_files_agree() -> None:
    run, dev = (
        dict(re.findall(r"^(\S+?)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)) for lock in LOCKS
    )
    apart = {name: (version, dev.get(name)) for name, version in run.items() if dev.get(name) != version}
    assert not apart, f"tested is not what runs: {apart}"
