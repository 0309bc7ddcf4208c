"""A disk that fails at a deed and at the look at what came of it: what is said, and how often it is asked."""

import errno
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from janfs.catalogue.catalogue import present_models
from janfs.cli import printing
from janfs.engine_views import engine_list
from janfs.errors import FolderError, NotFound
from janfs.folder import paths
from janfs.listing import ModelList
from janfs.past.reasons import why
from janfs.pipeline.commands import Look, Revert, Submitted
from janfs.pipeline.loop import FULL_LOOK_EVERY
from janfs.pipeline.plans import LATEST, SOON
from janfs.pipeline.recorder import compare
from janfs.pipeline.snapshot import Snapshot, of_log
from janfs.views import find_view, stopped
from tests.fakes.faults import HookedFileSystem, P, T
from tests.pipeline.invariants import check_at_rest
from tests.pipeline.world import World, gguf

HOME = "models/a"


class DarkDisk:
    """A disk that does what it is told, but answers with an error: from the first call of one name on, to
    all that is asked below the folder of model `a` and in the trash.
    """

    def __init__(self, begins_with: str, database: Path) -> None:
        self.begins_with = begins_with
        self.dark = False
        self.asked: list[float] = []  # when, in seconds
        self.world = World(database, port=lambda fs: HookedFileSystem(fs, self._hook))
        self.world.tick()

    def _hook(self, name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        done = perform(*args, **kwargs)
        where = [arg for arg in args if isinstance(arg, str)]
        hit = any(paths.is_inside(path, HOME) or paths.is_inside(path, paths.TRASH) for path in where)
        self.dark = self.dark or (hit and name == self.begins_with)
        if self.dark and hit:
            self.asked.append(self.world.clock.monotonic())
            raise OSError(errno.EIO, "Input/output error")
        return done

    def heal(self) -> None:
        self.dark, self.begins_with = False, ""

    def asked_at(self) -> list[float]:
        """The moments at which it was asked, once each, from now on; nobody asks while it is read."""
        found, self.asked = sorted(set(self.asked)), []
        return found


@pytest.fixture(autouse=True, scope="module")
def quiet() -> None:
    """What is logged is what some of these are about."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DarkDisk]:
    """One on which a dropped file moved into its folder, and nothing shows that it did."""
    made = DarkDisk("rename", tmp_path / "log.db")
    made.world.fs.put("models/a.gguf", gguf("one"))
    made.world.tick()
    assert made.world.pipeline.snapshot.unsettled, "the move is to be unsettled"
    made.asked_at()
    yield made
    made.world.stop()


def is_settled(disk: DarkDisk) -> bool:
    return not disk.world.pipeline.snapshot.unsettled and disk.world.file(f"{HOME}/a.gguf").facts is not None


def test_it_is_asked_soon_then_after_twice_as_long_each_time(disk: DarkDisk) -> None:
    begun = disk.world.clock.monotonic()
    disk.world.pipeline.settle(LATEST, disk.world.clock.advance)
    waits = [at - begun for at in disk.asked_at()]
    assert waits == pytest.approx([SOON, 3 * SOON, 7 * SOON, 15 * SOON], abs=0.001)


def test_one_that_fails_for_good_is_asked_once_a_minute_and_fills_no_log(disk: DarkDisk) -> None:
    position = disk.world.log.head.position
    disk.world.wait(600)
    disk.asked_at()
    with capture_logs() as lines:
        disk.world.wait(600)
    assert len(disk.asked_at()) <= 2 * 600 / min(LATEST, FULL_LOOK_EVERY)
    assert lines == []
    assert disk.world.events(position) == [], "a state that lasts is not an event each time"


def test_the_log_stream_says_it_once_and_the_events_what_came_of_it(tmp_path: Path) -> None:
    disk = DarkDisk("rename", tmp_path / "log.db")
    disk.world.fs.put("models/a.gguf", gguf("one"))
    with capture_logs() as lines:
        disk.world.wait(100)
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["outcome-unseen"]
    disk.heal()
    disk.world.tick("")
    assert is_settled(disk)
    disk.world.come_to_rest()
    check_at_rest(disk.world)
    disk.world.stop()


def test_a_hint_at_what_it_is_about_asks_at_once_and_no_other_does(disk: DarkDisk) -> None:
    disk.world.wait(30)
    disk.heal()
    disk.world.clock.advance(SOON)
    disk.world.tick("models/other/other.gguf")
    assert not is_settled(disk), "nothing told of it"
    disk.world.tick(f"{HOME}/a.gguf")
    assert is_settled(disk)


@pytest.mark.parametrize("hint", [HOME, "models/a.gguf", f"{HOME}/README.md", ""])
def test_a_hint_may_name_the_folder_the_old_place_or_a_neighbour(disk: DarkDisk, hint: str) -> None:
    disk.world.wait(30)
    disk.heal()
    disk.world.clock.advance(SOON)
    disk.world.tick(hint)
    assert is_settled(disk)


def test_a_look_that_somebody_asks_for_asks_at_once(disk: DarkDisk) -> None:
    disk.world.wait(30)
    disk.heal()
    disk.world.clock.advance(SOON)
    disk.world.pipeline.tick([], [Submitted(Look())])
    assert is_settled(disk)


def test_hints_that_come_of_a_try_itself_ask_for_no_other(disk: DarkDisk) -> None:
    disk.world.wait(30)
    disk.world.tick(f"{HOME}/a.gguf")
    disk.asked_at()
    for _ in range(100):
        disk.world.pipeline._plans.take_up({f"{HOME}/a.gguf"})
    assert disk.asked_at() == [], "each try would lead to the next one"


def test_who_is_leaving_does_not_ask_again(disk: DarkDisk) -> None:
    disk.world.wait(30)
    disk.asked_at()
    disk.world.clock.advance(2 * LATEST)
    plans = set(disk.world.catalogue.plans)
    disk.world.pipeline.wind_down()
    disk.world.pipeline._plans.take_up({""})
    assert disk.asked_at() == []
    assert set(disk.world.catalogue.plans) == plans, "it is left to the next start"
    disk.heal()
    disk.world.restart()
    assert is_settled(disk)


def test_a_start_asks_at_once(disk: DarkDisk) -> None:
    disk.world.wait(100)
    disk.asked_at()
    disk.world.restart()
    assert disk.world.pipeline.snapshot.unsettled
    assert disk.asked_at()


def test_a_models_folder_that_is_back_is_asked_at_once(disk: DarkDisk) -> None:
    disk.world.wait(100)
    disk.world.fs.rename_over("models", "/away")
    disk.world.wait(30)
    disk.asked_at()
    disk.world.wait(300)
    assert disk.asked_at() == []
    disk.heal()
    disk.world.fs.rename_over("/away", "models")
    disk.world.wait(2)
    assert is_settled(disk)


def test_a_delete_that_cannot_be_seen_is_not_said_to_be_done_and_is_once_it_can(tmp_path: Path) -> None:
    disk = DarkDisk("none yet", tmp_path / "log.db")
    world = disk.world
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    disk.begins_with = "rename"
    for _ in range(2):
        with pytest.raises(FolderError, match=r"models/a could not become .*Input/output error"):
            world.delete("a").done.result(0)
    position = world.log.head.position
    world.tick("")
    world.wait(70)
    assert not world.events(position), "something was concluded from a disk that shows nothing"
    disk.heal()
    world.wait(LATEST)
    assert world.events(position) == ["move-completed", "model-deleted"]
    world.come_to_rest()
    check_at_rest(world)
    world.stop()


# --- what is said ---


def listed(snapshot: Snapshot, models: ModelList) -> dict[str, str | None]:
    """The reason that is listed for each model."""
    return {
        model["id"]: model.get("reason") for model in json.loads(models.encode(snapshot, stopped))["data"]
    }


def test_the_model_says_what_was_done_where_what_the_disk_answered_and_what_helps(disk: DarkDisk) -> None:
    reason = listed(disk.world.pipeline.snapshot, ModelList())["a"] or ""
    for part in ("models/a.gguf could not become models/a/a.gguf", "Input/output error", "`dmesg`"):
        assert part in reason
    view = find_view(disk.world.pipeline.snapshot, "a", stopped)
    assert view is not None
    assert view.reason == reason


def test_it_is_said_until_the_outcome_is_known_and_no_longer(disk: DarkDisk) -> None:
    models = ModelList()
    assert listed(disk.world.pipeline.snapshot, models)["a"] is not None
    disk.heal()
    disk.world.wait(LATEST)
    assert listed(disk.world.pipeline.snapshot, models) == {"a": None}
    assert disk.world.model("a").status == "ready"


def test_the_catalogue_knows_nothing_of_it_and_a_rebuild_gives_the_same(disk: DarkDisk) -> None:
    disk.world.wait(100)
    assert disk.world.model("a").reason is None
    assert compare(disk.world.log).difference is None


def test_where_no_janfs_runs_what_the_last_one_did_not_see_is_said(disk: DarkDisk) -> None:
    said = listed(of_log(disk.world.catalogue), ModelList())["a"] or ""
    assert "whether models/a.gguf became models/a/a.gguf. The next start looks" in said
    disk.heal()
    disk.world.wait(LATEST)
    assert listed(of_log(disk.world.catalogue), ModelList()) == {"a": None}


def test_a_reason_that_the_model_has_already_is_said_too(disk: DarkDisk) -> None:
    disk.heal()
    disk.world.wait(LATEST)
    disk.world.fs.put(f"{HOME}/model.json", b"{")
    disk.world.wait(5)
    known = listed(disk.world.pipeline.snapshot, ModelList())["a"] or ""
    assert "stays in force" in known
    disk.begins_with = "rename"
    with pytest.raises(FolderError):
        disk.world.delete("a").done.result(0)
    said = listed(disk.world.pipeline.snapshot, ModelList())["a"] or ""
    assert said.startswith(known)
    assert "could not become .janfs/trash" in said


@pytest.mark.parametrize("subject", ["a", f"{HOME}/a.gguf", "models/a.gguf", HOME])
def test_why_says_it_of_the_model_and_of_both_paths(disk: DarkDisk, subject: str) -> None:
    found = why(disk.world.log, disk.world.pipeline.snapshot, subject)
    assert found.unsettled is not None
    told = {"subject": found.subject, "reasons": [], "unsettled": found.unsettled}
    assert printing.reasons(told) == found.unsettled
    disk.heal()
    disk.world.wait(LATEST)
    found = why(disk.world.log, disk.world.pipeline.snapshot, subject)
    assert (found.unsettled, bool(found.reasons)) == (None, True)


def test_why_says_nothing_of_it_elsewhere(disk: DarkDisk) -> None:
    with pytest.raises(NotFound):
        why(disk.world.log, disk.world.pipeline.snapshot, "models/other.gguf")


def test_what_has_no_model_yet_is_listed_by_its_place(tmp_path: Path) -> None:
    disk = DarkDisk("none yet", tmp_path / "log.db")
    world = disk.world
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    uid, position = world.model("a").uid, world.log.head.position
    world.delete("a").done.result(0)
    disk.begins_with = "rename"
    asked = Submitted(Revert(uid, position, "api:test"))
    world.pipeline.tick([], [asked])
    with pytest.raises(FolderError, match="Input/output error"):
        asked.done.result(0)
    reason = listed(world.pipeline.snapshot, ModelList())["a"] or ""
    assert "could not become models/a: Input/output error" in reason
    view = find_view(world.pipeline.snapshot, "a", stopped)
    assert view is not None
    assert (view.status, view.reason) == ("missing", reason)
    disk.heal()
    world.wait(LATEST)
    assert listed(world.pipeline.snapshot, ModelList()) == {"a": None}
    world.stop()


def test_an_engines_file_says_it_too(tmp_path: Path) -> None:
    path, dark = f"{paths.ENGINES}/llama-cpp.json", [True]

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        done = perform(*args, **kwargs)
        begun = name == "rename" or (name == "stat" and world.fs.stat(path) is not None)
        if dark[0] and path in args and begun:
            raise OSError(errno.EIO, "Input/output error")
        return done

    world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, hook))
    world.engine_files = {path: b"{}\n"}
    world.restart()
    (problem,) = engine_list(world.pipeline.snapshot).data[0].problems
    assert problem.file == path
    assert "could not be written: Input/output error" in problem.reason
    dark[0] = False
    world.wait(LATEST)
    assert engine_list(world.pipeline.snapshot).data[0].problems == ()
    world.stop()


def test_a_model_that_is_moved_to_where_ours_has_come_unseen_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    failing = False

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if failing and name == "sync_folder":
            raise OSError(errno.EIO, "Input/output error")
        if name == "create" and paths.is_inside(str(args[0]), "models/b"):
            raise OSError(errno.EIO, "Input/output error")
        return perform(*args, **kwargs)

    world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, hook))
    world.fs.put("models/b/b.gguf", gguf("two"))
    world.come_to_rest()
    failing = True
    world.fs.put("models/a.gguf", gguf("one"))
    world.wait(3)
    assert world.fs.stat(f"{HOME}/a.gguf") is not None
    assert world.pipeline.snapshot.unsettled, "the move is to be unsettled"
    world.fs.rename("models/b/b.gguf", f"{HOME}/b.gguf")
    world.tick()
    failing = False
    world.come_to_rest()
    check_at_rest(world)
    models = {paths.name(model.binary or ""): model for model in present_models(world.catalogue)}
    assert set(models) == {"a.gguf", "b.gguf"}
    assert models["b.gguf"] == world.model("b"), "it does not answer to its old id"
    for model in models.values():
        assert world.fs.files(model.folder).keys() == {model.binary, f"{model.folder}/model.json"}
    world.stop()


def test_where_a_deleted_model_is_to_be_put_back_no_other_is_put(tmp_path: Path) -> None:
    disk = DarkDisk("none yet", tmp_path / "log.db")
    world = disk.world
    world.fs.put("models/a.gguf", gguf("one"))
    world.come_to_rest()
    deleted, position = world.model("a"), world.log.head.position
    world.delete("a").done.result(0)
    disk.begins_with = "rename"
    asked = Submitted(Revert(deleted.uid, position, "api:test"))
    world.pipeline.tick([], [asked])
    with pytest.raises(FolderError, match="Input/output error"):
        asked.done.result(0)
    world.fs.put("models/a.gguf", gguf("two"))
    world.tick("models/a.gguf")
    assert world.catalogue.plans, "the disk was asked again"
    disk.heal()
    world.come_to_rest()
    check_at_rest(world)
    models = {model.folder: model for model in present_models(world.catalogue)}
    assert models.keys() == {HOME, "models/a-2"}
    assert models[HOME].uid == deleted.uid
    assert world.fs.read(f"{HOME}/a.gguf") == gguf("one")
    assert world.fs.read("models/a-2/a.gguf") == gguf("two")
    world.stop()


@pytest.mark.parametrize("failing", ["make_folder", "make_link"])
def test_a_link_does_not_go_into_a_folder_that_a_person_filled_meanwhile(
    tmp_path: Path, failing: str
) -> None:
    dark, healed = False, False

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        nonlocal dark
        if any(paths.is_inside(str(arg), HOME) for arg in args):
            dark = not healed and (dark or name == failing)
            if dark:
                raise OSError(errno.EIO, "Input/output error")
        return perform(*args, **kwargs)

    world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, hook))
    hub = "models/hub/models--org--repo"
    world.fs.put(f"{hub}/blobs/{1:064x}", gguf("one"))
    world.fs.symlink(f"{hub}/snapshots/aaa/a.gguf", f"../../blobs/{1:064x}")
    world.tick()
    assert world.catalogue.plans, "the link is to be unsettled"
    world.fs.put(f"{HOME}/mine.gguf", gguf("two"))
    healed = True
    world.come_to_rest()
    world.wait(120)
    world.come_to_rest()
    check_at_rest(world)
    models = {model.folder: model.binary for model in present_models(world.catalogue)}
    assert models == {HOME: f"{HOME}/mine.gguf", "models/a-2": "models/a-2/a.gguf"}
    assert world.fs.read(f"{HOME}/mine.gguf") == gguf("two")
    assert world.file("models/a-2/a.gguf").link is not None
    world.stop()


@pytest.mark.parametrize("comes", [True, False], ids=["it came", "it is to come yet"])
def test_what_a_person_puts_where_a_file_is_moved_is_listed_whether_that_came_or_not(
    tmp_path: Path, comes: bool
) -> None:
    dark, healed = False, False

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        nonlocal dark
        if name in ("rename", "stat", "sync_folder") and f"{HOME}/a.gguf" in args and not healed:
            if name == "rename" and comes:
                perform(*args, **kwargs)
            dark = dark or name == "rename"
            if dark:
                raise OSError(errno.EIO, "Input/output error")
        return perform(*args, **kwargs)

    world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, hook))
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    assert world.catalogue.plans, "the move is to be unsettled"
    assert (world.fs.stat(f"{HOME}/a.gguf") is not None) == comes
    world.fs.put(f"{HOME}/mine.gguf", gguf("two"))
    world.wait(5)
    assert world.catalogue.plans, "the move is unsettled still"
    assert world.file(f"{HOME}/mine.gguf").uid == world.model("a").uid
    healed = True
    world.come_to_rest()
    found = {model.binary: model.status for model in present_models(world.catalogue)}
    assert sorted(map(paths.name, filter(None, found))) == ["a.gguf", "mine.gguf"], "both are listed"
    assert set(found.values()) == {"ready"}
    assert world.fs.read(f"{HOME}/mine.gguf") == gguf("two"), "it stays where the person put it"
    check_at_rest(world)
    world.stop()


def test_a_model_json_that_a_person_puts_where_a_file_is_moved_is_of_that_model(tmp_path: Path) -> None:
    healed = False

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if name == "sync_folder" and HOME in args and not healed:
            raise OSError(errno.EIO, "Input/output error")
        return perform(*args, **kwargs)

    world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, hook))
    world.fs.put("models/a.gguf", gguf("one"))
    world.tick()
    assert world.catalogue.plans, "the move is to be unsettled"
    world.fs.put(f"{HOME}/model.json", b'{"name": "Mine"}')
    world.wait(5)
    healed = True
    world.come_to_rest()
    assert (world.model("a").status, world.model("a").binary) == ("ready", f"{HOME}/a.gguf")
    assert world.file(f"{HOME}/model.json").uid == world.model("a").uid
    assert world.fs.read(f"{HOME}/model.json") == b'{"name": "Mine"}'
    check_at_rest(world)
    world.stop()


def test_where_a_link_is_to_go_once_the_disk_shows_it_no_other_model_is_put(tmp_path: Path) -> None:
    dark, healed = False, False

    def hook(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        nonlocal dark
        if any(paths.is_inside(str(arg), HOME) for arg in args):
            dark = not healed and (dark or name == "make_folder")
            if dark:
                raise OSError(errno.EIO, "Input/output error")
        return perform(*args, **kwargs)

    world = World(tmp_path / "log.db", port=lambda fs: HookedFileSystem(fs, hook))
    hub = "models/hub/models--org--repo"
    world.fs.put(f"{hub}/blobs/{1:064x}", gguf("one"))
    world.fs.symlink(f"{hub}/snapshots/aaa/a.gguf", f"../../blobs/{1:064x}")
    world.tick()
    assert world.catalogue.plans, "the link is to be unsettled"
    healed = True
    world.fs.put("models/org/repo/a.gguf", gguf("two"))
    world.tick("models/org/repo")
    assert world.catalogue.plans, "the disk was asked again"
    world.come_to_rest()
    check_at_rest(world)
    models = {model.folder: model.binary for model in present_models(world.catalogue)}
    assert models == {HOME: f"{HOME}/a.gguf", "models/a-2": "models/a-2/a.gguf"}
    assert world.file(f"{HOME}/a.gguf").link is not None
    world.stop()
