"""Disks that are pulled, full, read-only or another one, and kernels that tell nothing; all of it real."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.ggufs import large_gguf, tiny_gguf
from tests.support.mounts import ext4_image, mounted
from tests.support.service import ServiceProcess

Start = Callable[..., ServiceProcess]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "jan" / "models"


def put(folder: Path, name: str) -> Path:
    path = folder / f"{name}.gguf"
    path.write_bytes(tiny_gguf(name))
    return path


def reason(service: ServiceProcess) -> str:
    return str(service.client.get("/readyz").json().get("reason", ""))


def said_of(service: ServiceProcess, name: str) -> str:
    return str(service.models().get(name, {}).get("reason") or "")


def types(service: ServiceProcess) -> list[str]:
    found: list[str] = []
    after: int | None = 0
    while after is not None:
        page = service.get(f"/v1/events?after={after}&limit=1000")
        found += [event["type"] for event in page["data"]]
        after = page["next"]
    return found


def test_a_disk_that_is_pulled_takes_nothing_away_and_comes_back(
    start: Start, models: Path, tmp_path: Path
) -> None:
    image = ext4_image(tmp_path / "disk.img", 16)
    with mounted(models, "-o", "loop", str(image)) as pull:
        service = start()
        put(models, "kept")
        service.wait_model("kept")
        pull()
        service.wait(lambda: not service.client.get("/readyz").is_success, "readyz to say no")
        assert "not mounted" in reason(service)
        assert list(service.models()) == ["kept"]
        with mounted(models, "-o", "loop", str(image)):
            service.wait_ready()
            put(models, "later")
            service.wait_model("later")
            assert service.models()["kept"]["status"] == "ready"
            assert "file-removed" not in types(service)
            service.stop()


def test_a_disk_that_is_not_mounted_at_the_start_gets_no_sample(start: Start, models: Path) -> None:
    service = start()
    put(models, "kept")
    service.wait_model("kept")
    service.stop()
    models.rename(models.with_name("elsewhere"))
    models.mkdir()
    service = start("--sample")
    service.wait(lambda: "not mounted" in reason(service), "readyz to say why")
    assert list(models.iterdir()) == []
    models.rmdir()
    models.with_name("elsewhere").rename(models)
    service.wait_ready()
    assert list(service.models()) == ["kept"]


def test_a_folder_that_is_emptied_by_hand_is_empty_and_can_be_filled_again(
    start: Start, models: Path
) -> None:
    service = start()
    put(models, "first")
    service.wait_model("first")
    subprocess.run(["sh", "-c", f"rm -rf {models}/*"], check=True)
    service.wait(lambda: service.models() == {}, "the list to be empty")
    put(models, "second")
    service.wait_model("second")


def test_on_a_full_disk_a_model_is_served_and_described_once_there_is_room(
    start: Start, models: Path
) -> None:
    with mounted(models, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        service = start()
        service.wait_ready()
        coming = models / "big.gguf.part"
        coming.write_bytes(large_gguf("big", size=900_000))
        filling = models / "filling.bin"
        with pytest.raises(OSError, match="No space left"):
            filling.write_bytes(bytes(1_000_000))
        coming.rename(models / "big.gguf")
        service.wait(
            lambda: "model.json could not be written: The disk is full" in said_of(service, "big"),
            "what could not be written",
        )
        assert service.models()["big"]["status"] == "ready"
        filling.unlink()
        service.client.post("/v1/organise", json={}).raise_for_status()
        service.wait(lambda: (models / "big" / "model.json").is_file(), "model.json")
        service.wait(lambda: said_of(service, "big") == "", "the reason to go")
        assert [path.name for path in models.rglob("*.tmp")] == []
        service.stop()


def test_a_log_on_a_full_disk_stops_recording_says_so_and_goes_on_later(start: Start, models: Path) -> None:
    with mounted(models.parent, "-t", "tmpfs", "-o", "size=6m", "tmpfs"):
        service = start()
        service.wait_ready()
        put(models, "before")
        service.wait_model("before")
        filling = models.parent / "filling.bin"
        with pytest.raises(OSError, match="No space left"):
            filling.write_bytes(bytes(8_000_000))
        (models / "before").rename(models / "after")
        service.wait(lambda: "could not be written" in reason(service), "readyz to say why")
        assert service.get("/v1/models/before")["id"] == "before", "what is known is served"
        filling.unlink()
        service.wait_model("after")
        service.wait_ready()
        service.stop()


def test_a_disk_that_may_only_be_read_is_served_as_it_is(start: Start, models: Path) -> None:
    (models / "folder").mkdir(parents=True)
    put(models / "folder", "folder")
    put(models, "loose")
    with mounted(models, "--bind", str(models)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(models)], check=True)
        service = start()
        for name in ("folder", "loose"):
            shown = service.wait_model(name)
            service.wait(
                lambda name=name: "read-only" in said_of(service, name),  # type: ignore[misc]
                f"why {name} stays as it is",
            )
            assert shown["size"] > 0
        refused = service.client.delete("/v1/models/folder")
        assert "read-only" in refused.json()["error"]["message"]
        subprocess.run(["mount", "-o", "remount,rw,bind", str(models)], check=True)
        service.client.post("/v1/organise", json={}).raise_for_status()
        service.wait(lambda: (models / "loose" / "model.json").is_file(), "organising")
        assert "Traceback" not in service.stop(), "what a person can mend is no defect of ours"


def test_what_is_deleted_from_another_disk_goes_to_a_trash_on_it(start: Start, models: Path) -> None:
    with mounted(models, "-t", "tmpfs", "-o", "size=8m", "tmpfs"):
        service = start()
        put(models, "unwanted")
        service.wait_model("unwanted")
        service.client.delete("/v1/models/unwanted").raise_for_status()
        (trashed,) = (models / ".janfs-trash").iterdir()
        assert sorted(path.name for path in trashed.iterdir()) == ["model.json", "unwanted.gguf"]
        assert service.models() == {}
        trashed.rename(models / "unwanted")
        service.wait_model("unwanted")
        assert "model-restored" in types(service)
        service.stop()


def test_what_is_deleted_from_a_disk_inside_stays_on_it_and_comes_back(start: Start, models: Path) -> None:
    with mounted(models / "my usb", "-t", "tmpfs", "-o", "size=8m", "tmpfs"):
        service = start()
        put(models / "my usb", "wanted")
        service.wait(lambda: len(service.models()) == 1, "the model")
        [id_] = service.models()
        service.wait_model(id_)
        service.wait(lambda: (models / "my usb" / "model.json").exists(), "model.json")
        service.client.delete(f"/v1/models/{id_}").raise_for_status()
        (trashed,) = (models / "my usb" / ".janfs-trash").iterdir()
        assert sorted(path.name for path in trashed.iterdir()) == ["model.json", "wanted.gguf"]
        assert service.models() == {}
        deleted = next(
            each for each in service.get("/v1/events?limit=1000")["data"] if each["type"] == "model-deleted"
        )
        uid, to = deleted["stream"], str(deleted["position"])
        service.client.post(f"/v1/models/{uid}/revert", json={"to": to}).raise_for_status()
        service.wait_model(id_)
        assert (models / "my usb" / "wanted.gguf").read_bytes() == tiny_gguf("wanted")
        service.stop()


def test_without_watches_left_everything_is_still_found_and_that_is_said(start: Start, models: Path) -> None:
    few = 'echo 5 > /proc/sys/user/max_inotify_watches && exec "$@"'
    within = ("unshare", "--map-root-user", "sh", "-c", few, "--")
    if subprocess.run([*within, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("a user namespace with few inotify watches cannot be had here")
    service = start(within=within)
    service.wait_ready()
    for number in range(8):
        (models / f"m{number}").mkdir()
        put(models / f"m{number}", f"m{number}")
    for number in range(8):
        service.wait_model(f"m{number}")
        (models / f"m{number}" / "model.json").write_text('{"metadata": {"author": "me"}}')
    service.wait(
        lambda: all(model["metadata"].get("author") == "me" for model in service.models().values()),
        "every edit, watched or not",
    )
    service.wait(lambda: "max_user_watches" in service.output.read_text(), "to be told what is wrong")


def test_by_polling_the_same_is_found(start: Start, models: Path) -> None:
    service = start("--polling")
    service.wait_ready()
    put(models, "polled")
    service.wait_model("polled")
    (models / "polled").rename(models / "renamed")
    assert "polled" in service.wait_model("renamed")["aliases"]
    shutil.rmtree(models / "renamed")
    service.wait(lambda: service.models() == {}, "the list to be empty")


def test_on_a_disk_that_folds_case_a_model_is_one_model(start: Start, models: Path, tmp_path: Path) -> None:
    image = ext4_image(tmp_path / "disk.img", 32, "casefold")
    with mounted(models.parent, "-o", "loop", str(image)):
        models.mkdir()
        subprocess.run(["chattr", "+F", str(models)], check=True)
        service = start()
        put(models, "Straße")
        service.wait(lambda: len(service.models()) == 1, "the model")
        (shown,) = service.models().values()
        here = models / shown["id"]
        here.rename(models / shown["id"].upper())
        service.wait(lambda: shown["id"].upper() in service.models(), "the other spelling")
        assert len(service.models()) == 1
        service.stop()


def flood(
    start: Start, models: Path, *, count: int, suffix: str, events: int, within: float
) -> ServiceProcess:
    """Make more files at once than the kernel keeps events for, while nobody reads them.

    Then wait until each has led to so many events.
    """
    service = start("--hashing", "off")
    service.wait_ready()
    process = psutil.Process(service.process.pid)
    service.process.send_signal(signal.SIGSTOP)
    for number in range(count):
        (models / f"note-{number:05d}.{suffix}").write_bytes(tiny_gguf(f"note {number}"))
    service.process.send_signal(signal.SIGCONT)
    began = time.monotonic()
    peak = 0

    def all_recorded() -> bool:
        nonlocal peak
        peak = max(peak, process.memory_info().rss)
        position: int = service.client.get("/readyz").json()["position"]
        return position >= count * events

    service.wait(all_recorded, "every file to be recorded", within)
    print(f"{count:,} files: {time.monotonic() - began:.0f} s, {peak:,} bytes of memory at most")
    assert peak < 600 << 20, f"{peak:,} bytes of memory"
    return service


def test_more_files_than_the_kernel_tells_of_are_found(start: Start, models: Path) -> None:
    service = flood(start, models, count=17_000, suffix="txt", events=1, within=500)  # the queue holds 16,384
    put(models, "needle")
    service.wait_model("needle")


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_forty_thousand_models_at_once_are_all_ready_in_the_end(start: Start, models: Path) -> None:
    service = flood(start, models, count=40_000, suffix="gguf", events=6, within=6000)
    assert sum(model["status"] == "ready" for model in service.models().values()) == 40_000


@pytest.mark.long
@pytest.mark.timeout(900)
def test_it_stops_soon_while_much_is_still_to_be_organised(start: Start, models: Path) -> None:
    service = flood(start, models, count=5_000, suffix="gguf", events=2, within=500)
    position = service.client.get("/readyz").json()["position"]
    service.stop()
    assert service.process.returncode == 0
    assert position < 5_000 * 6, "all was done before it was told to stop"
    service = start("--hashing", "off")
    service.wait_ready(500)
    service.wait(
        lambda: service.client.get("/readyz").json()["position"] >= 5_000 * 6, "the rest of the work", 500
    )
