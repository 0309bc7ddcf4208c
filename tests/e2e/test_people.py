"""What people do to a folder of models with a file manager or a shell, on a real disk and a real service."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ggufs import large_gguf, tiny_gguf
from tests.support.service import ServiceProcess

_numbers = itertools.count(1)  # so that each test has a model of its own


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("people") / "jan") as service:
        service.wait_ready()
        yield service


@pytest.fixture
def model(service: ServiceProcess, request: pytest.FixtureRequest) -> Path:
    """The folder of a model that is ready; its model.json was edited, its file is old."""
    name = f"{request.node.originalname.removeprefix('test_')[:36].rstrip('_')}-m{next(_numbers)}"
    source = service.root / f"{name}.gguf"
    source.write_bytes(large_gguf(name))
    os.utime(source, (1_500_000_000, 1_500_000_000))
    source.rename(service.root / "models" / source.name)
    service.wait_model(name)
    edit(service, service.root / "models" / name, "mine")
    return service.root / "models" / name


def edit(service: ServiceProcess, folder: Path, mark: str) -> None:
    """Put a mark into a model.json that shows in the list."""
    manifest = folder / "model.json"
    manifest.write_text(f'{{"metadata": {{"author": "{mark}"}}}}')
    service.wait(lambda: author(service, folder.name) == mark, f"{mark} in {folder.name}'s model.json")


def author(service: ServiceProcess, name: str) -> Any:
    return service.get(f"/v1/models/{name}")["metadata"].get("author")


def history(service: ServiceProcess, name: str) -> list[str]:
    return [event["type"] for event in service.get(f"/v1/models/{name}/history")["data"]]


def is_gone(service: ServiceProcess, name: str) -> Callable[[], bool]:
    return lambda: service.client.get(f"/v1/models/{name}").status_code == 404


def test_a_renamed_folder_has_a_new_id_and_answers_to_the_old_one(
    service: ServiceProcess, model: Path
) -> None:
    before = history(service, model.name)
    model.rename(model.with_name("better-name"))
    shown = service.wait_model("better-name")
    assert model.name in shown["aliases"]
    assert service.get(f"/v1/models/{model.name}")["id"] == "better-name"
    after = history(service, "better-name")
    assert after[: len(before)] == before, "its history stayed behind"
    assert "model-renamed" in after[len(before) :]
    assert author(service, "better-name") == "mine"


def test_a_new_model_in_the_old_ones_place_has_its_name(service: ServiceProcess, model: Path) -> None:
    model.rename(model.with_name("the-old-one"))
    service.wait_model("the-old-one")
    model.mkdir()
    (model / "newer.gguf").write_bytes(tiny_gguf("newer"))
    shown = service.wait_model(model.name)
    assert shown["folder"] == f"models/{model.name}"
    assert author(service, "the-old-one") == "mine"


def test_a_file_moved_out_is_missing_and_is_ready_once_it_is_back(
    service: ServiceProcess, model: Path
) -> None:
    weights = model / f"{model.name}.gguf"
    away = service.root / "away.gguf"
    weights.rename(away)
    service.wait_model(model.name, "missing")
    assert author(service, model.name) == "mine"
    away.rename(weights)
    service.wait_model(model.name)
    assert author(service, model.name) == "mine"
    assert "model-removed" not in history(service, model.name)


@pytest.mark.parametrize("how", ["rename", "copy"])
def test_a_folder_put_into_the_trash_and_taken_out_again_is_the_same_model(
    service: ServiceProcess, model: Path, how: str, tmp_path: Path
) -> None:
    """A file manager's trash is on the same disk, or a copy on another."""
    before = history(service, model.name)
    trash = tmp_path / "Trash" / "files" / model.name
    trash.parent.mkdir(parents=True)
    if how == "rename":
        model.rename(trash)
    else:
        shutil.copytree(model, trash)
        shutil.rmtree(model)
    service.wait(is_gone(service, model.name), "the model to be gone")
    if how == "rename":
        trash.rename(model)
    else:
        shutil.copytree(trash, model)
    service.wait_model(model.name)
    after = history(service, model.name)
    assert after[: len(before)] == before, "it came back as a stranger"
    assert "model-restored" in after[len(before) :]
    service.wait(lambda: author(service, model.name) == "mine", "its model.json to be read")


@pytest.mark.parametrize("how", ["copied over", "moved over", "removed first"])
def test_weights_replaced_by_newer_ones_are_the_same_model_with_other_content(
    service: ServiceProcess, model: Path, how: str
) -> None:
    weights = model / f"{model.name}.gguf"
    newer = service.root / "newer.gguf"
    newer.write_bytes(large_gguf("newer", size=2 << 20))
    if how == "copied over":
        shutil.copyfile(newer, weights)
    elif how == "moved over":
        newer.rename(weights)
    else:
        weights.unlink()
        shutil.copyfile(newer, weights)
    size = weights.stat().st_size
    service.wait(lambda: service.models()[model.name]["size"] == size, "the size of the newer file")
    service.wait_model(model.name)
    assert author(service, model.name) == "mine"
    assert "model-removed" not in history(service, model.name)


def test_a_copied_folder_is_a_variant_that_takes_nothing_from_the_first(
    service: ServiceProcess, model: Path
) -> None:
    before = history(service, model.name)
    variant = model.with_name("variant")
    shutil.copytree(model, variant)
    service.wait_model("variant")
    edit(service, variant, "varied")
    assert author(service, model.name) == "mine"
    assert service.models()[model.name]["status"] == "ready"
    here = [kind for kind in history(service, model.name)[len(before) :] if kind != "file-hashed"]
    assert here == [], "the copy left traces in the first one's history"
    assert "model-renamed" not in history(service, "variant")


def test_a_backup_with_old_times_is_what_counts_once_it_is_restored(
    service: ServiceProcess, model: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(model, backup)
    edit(service, model, "a mistake")
    (model / f"{model.name}.gguf").write_bytes(tiny_gguf("another mistake"))
    service.wait(lambda: service.models()[model.name]["size"] < 1 << 20, "the mistake to show")
    subprocess.run(["cp", "-a", f"{backup}/.", str(model)], check=True)  # in place, with the old times
    service.wait(lambda: author(service, model.name) == "mine", "the old model.json")
    service.wait(lambda: service.models()[model.name]["size"] >= 1 << 20, "the old weights")
    service.wait_model(model.name)


def test_an_edit_that_leaves_size_and_time_as_they_were_is_seen(service: ServiceProcess, model: Path) -> None:
    manifest = model / "model.json"
    times = manifest.stat()
    with manifest.open("r+") as file:  # in place
        file.write('{"metadata": {"author": "also"}}')
    os.utime(manifest, ns=(times.st_atime_ns, times.st_mtime_ns))
    service.wait(lambda: author(service, model.name) == "also", "the edit")


def test_touching_and_modes_change_nothing(service: ServiceProcess, model: Path) -> None:
    manifest = (model / "model.json").read_text()
    for command in ("touch", "touch -d 2001-02-03", "chmod 600", "chmod 444", "chmod 644"):
        subprocess.run([*command.split(), *map(str, model.iterdir())], check=True)
    (model / "mark").mkdir()  # when this is seen, all before it was
    (model / "mark" / "mark.gguf").write_bytes(tiny_gguf("mark"))
    service.wait(lambda: any("mark" in each for each in service.models()), "what came last")
    assert service.models()[model.name]["status"] == "ready"
    assert (model / "model.json").read_text() == manifest
    assert author(service, model.name) == "mine"
    assert history(service, model.name).count("json-edited") == 1, "a touch is no edit"


def test_what_may_not_be_read_says_so_and_is_ready_when_it_may(
    tmp_path: Path, start: Callable[..., ServiceProcess]
) -> None:
    if os.geteuid() == 0:  # root may read everything, unless it gives that up
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed here, and root may read everything")
        service = start(within=("setpriv", "--bounding-set=-dac_override,-dac_read_search"))
    else:
        service = start()
    weights = service.root / "models" / "secret" / "secret.gguf"
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(large_gguf("secret"))
    service.wait_model("secret")
    weights.chmod(0)
    shown = service.wait_model("secret", "invalid")
    assert "Permission denied" in shown["reason"]
    weights.chmod(0o644)
    service.wait_model("secret")
    weights.parent.chmod(0)
    shown = service.wait_model("secret", "invalid")
    assert "models/secret cannot be looked into: Permission denied." in shown["reason"]
    later = service.root / "models" / "later.gguf"
    later.write_bytes(large_gguf("later"))
    service.wait_model("later")
    assert "secret" in service.models(), "a folder that may not be read took its model away"
    weights.parent.chmod(0o755)
    service.wait_model("secret")
