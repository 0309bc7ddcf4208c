"""What must be true whatever happened; each check fails with what is not."""

from collections import Counter

from janfs.catalogue.catalogue import files_in, files_of, present_models
from janfs.catalogue.entries import File, Model
from janfs.catalogue.groups import group, is_part, named
from janfs.errors import GgufError, ManifestError
from janfs.folder import paths
from janfs.folder.gguf import facts, read_header
from janfs.folder.scan import scan
from janfs.folder.settle import NO_STAMP
from janfs.log.verify import verify
from janfs.manifest.spellings import read_manifest
from janfs.organise.pairing import claimants, lacking
from janfs.organise.replacing import is_shared
from janfs.organise.splitting import uid_for
from janfs.pipeline.recorder import Recorder, compare, rebuild, replay
from tests.fakes.filesystem import FakeFileSystem
from tests.folder.gguf_bytes import ReadAt
from tests.pipeline.hands import INTENTS, OUTCOMES, digest_of, is_temporary, photo
from tests.pipeline.world import World


def check_at_rest(world: World) -> None:
    """All that holds once nothing more is to come."""
    snapshot = world.pipeline.snapshot
    assert snapshot.failing is None, snapshot.failing
    check_log(world)
    left = [path for path in world.fs.files() if is_temporary(path)]
    # In a root that is not there for us, nothing is cleared up.
    assert not left or not world.catalogue.root.available, f"temporary files are left: {left}"
    if world.catalogue.root.available:
        check_files(world)
        check_models(world)
        check_parts(world)
    check_nothing_to_do(world)


def check_log(world: World) -> None:
    """The log stands, and the catalogue is what it says."""
    catalogue = world.catalogue
    verdict = verify(world.log)
    assert verdict.ok, f"position {verdict.bad_position}: {verdict.reason}"
    difference = compare(world.log).difference
    assert difference is None, f"rebuilt differs from projected: {difference}"
    assert rebuild(world.log) == catalogue, "rebuilt differs from live in what is derived"
    assert Recorder(world.log).catalogue == catalogue, "loaded differs from live in what is derived"
    open_plans = list(catalogue.plans)
    assert not open_plans or not catalogue.root.available, f"plans without an outcome: {catalogue.plans}"
    events = [item.event for item in replay(world.log)]
    planned = [event.op for event in events if isinstance(event, INTENTS)]
    outcomes = [event.op for event in events if isinstance(event, OUTCOMES)]
    assert Counter(planned) == Counter(outcomes + open_plans), "not every plan has exactly one outcome"


def check_files(world: World) -> None:
    """The catalogue's files are those on disk."""
    catalogue, arrivals = world.catalogue, world.pipeline.snapshot.arrivals
    found = scan(world.fs, paths.MODELS).files
    unfinished = {path for path in found if _is_unfinished(world.fs, path)}
    assert set(arrivals) == unfinished, f"arriving {set(arrivals)}, but unfinished are {unfinished}"
    assert set(catalogue.files) - unfinished == set(found) - unfinished, "the catalogue knows other files"
    for path, file in catalogue.files.items():
        if path in unfinished:
            continue
        stamp = found[path].stamp or NO_STAMP
        if paths.is_manifest(path) and file.document is not None and found[path].stamp is not None:
            if file.refused is None:
                assert file.document == digest_of(path, world.fs.read(path)), (
                    f"{path!r} has another content than is known"
                )
        else:
            assert file.stamp == stamp, f"{path!r} is {stamp}, known as {file.stamp}"


def check_models(world: World) -> None:
    """Every whole model is ready, in a folder of its own, with a model.json; unless a person's model.json
    says otherwise, that folder lies directly below `models/` and holds no other."""
    fs, catalogue = world.fs, world.catalogue
    models = list(present_models(catalogue))
    for name, values in (("ids", [m.id for m in models]), ("folders", [m.folder for m in models])):
        twice = [value for value, count in Counter(values).items() if count > 1]
        assert not twice, f"{name} of two models: {twice}"
    for model in models:
        assert catalogue.ids[model.id] == model.uid, f"the id {model.id!r} leads to another model"
    uids = {model.uid for model in models}
    by_folder = {model.folder: model for model in models}
    binaries: dict[str, list[str]] = {}
    served = {catalogue.files[model.binary].stamp.inode for model in models if model.binary is not None}
    for path in scan(fs, paths.MODELS).files:
        if paths.is_binary(path):
            binaries.setdefault(paths.parent(path), []).append(path)
    loose = binaries.pop(paths.MODELS, [])
    for path in loose:
        file = catalogue.files.get(path)
        stays = _is_linked_to(world, path) or (
            file is not None and (is_part(file) or _is_bound(world, file) or _waits_for_a_word(world, file))
        )
        assert stays or not _is_whole(fs, path), f"{path!r} still lies loose: {file}"
    for folder, inside in binaries.items():
        known = {path: catalogue.files[path] for path in inside if path in catalogue.files}
        # In somebody else's tree, where files are links or links lead to them, what is broken stays as it is.
        is_tree = any(file.link is not None or _is_linked_to(world, path) for path, file in known.items())
        alone = [
            path
            for path, file in known.items()
            if file.stamp.inode not in served
            and not is_part(file)  # it waits for its model, wherever it lies
            and not _waits_for_shards(world, file)
            and not (_is_unfinished(fs, path) or (is_tree and file.refused is not None))
            and not _was_adopted(world, file)
            and not _is_kept_out(world, file)
            and not any(_unit(each) == _unit(path) and _is_linked_to(world, each) for each in known)
        ]
        assert folder in by_folder or not alone, f"{folder!r} is no model; it holds {alone}"
        of_none = [path for path in alone if known[path].uid not in uids]
        assert not of_none, f"{of_none} lie in the folder of {by_folder[folder].id!r}, and are no model's"
        manifest = paths.join(folder, paths.MANIFEST)
        whole = [path for path in inside if _is_whole(fs, path)]
        if fs.stat(manifest) is None:
            left = {
                _unit(path)
                for path in whole
                if path in known
                and not (_is_linked_to(world, path) or is_part(known[path]))
                and not _waits_for_shards(world, known[path])
                and not _stays(world, known[path], served)
            }
            assert len(left) < 2, f"{folder!r} has no model.json, and {left} still lie in it together"
        if len(inside) != 1 or not whole or folder not in by_folder:
            continue
        model = by_folder[folder]
        if model.status in ("part", "incomplete") or _names_another(model, catalogue.files.get(manifest)):
            continue
        only = known.get(inside[0])
        if only is not None and is_part(only):
            continue
        if only is not None and _waits_for_shards(world, only):
            # Of its own model it is said first that its model.json cannot be read.
            assert only.uid != model.uid or model.status == "invalid", f"{folder!r} lacks shards: {model}"
            continue
        assert fs.stat(manifest) is not None, f"{folder!r} has no model.json: {model}"
        if fs.being_written(manifest):  # a copy that never ended went through a link that leads there
            continue
        readable = catalogue.files[manifest].manifest is not None
        wanted = "ready" if readable else "invalid"
        assert model.status == wanted, f"{folder!r} should be {wanted}: {model}"
        assert model.binary == inside[0], f"{folder!r} would be served from {model.binary!r}: {model}"
        stat = fs.stat(manifest)
        if _parses(fs, manifest) and not is_shared(
            stat
        ):  # what has another name is not ours to bring up to date
            said = catalogue.files[manifest].manifest
            # The only binary here is the model; its projector may be one that a link keeps elsewhere.
            projector = named(said, "mmproj")
            has = {paths.shown_name(file.path) for file in files_of(catalogue, model.uid) if is_part(file)}
            blind = projector is not None and projector not in has
            is_right = "sees no images" in (model.reason or "") if blind else model.reason is None
            assert is_right, f"of {folder!r} it is said, {blind=}: {model.reason}"
    for folder, model in by_folder.items():
        empty = model.uid not in catalogue.owned
        assert not empty, f"nothing is in {folder!r}, and yet: {model}"


def check_parts(world: World) -> None:
    """A part by itself that one model alone fits is that model's. What is a model's, and lies elsewhere, says
    why. A part that a link leads to, or through, stays where it is, whatever it fits."""
    catalogue = world.catalogue
    for path, file in catalogue.files.items():
        if not is_part(file) or file.refused is not None or not _is_whole(world.fs, path):
            continue
        if _is_linked_to(world, path) or _is_led_through(world, file):
            continue
        owner = catalogue.models.get(file.uid)
        if owner is not None and owner.removed is None:
            is_home = owner.folder == paths.parent(path)
            assert is_home or file.stuck is not None or _lies_with_waiting_shards(world, file), (
                f"{path!r} is of {owner.id!r}, and not in {owner.folder!r}"
            )
            if owner.binary is not None or not is_home:
                continue
        place = paths.place(path)
        beside = [] if place == path else list(scan(world.fs, place, recursive=False).files)
        if any(paths.is_binary(each) or paths.is_manifest(each) for each in beside if each != path):
            continue
        fits = [model.id for model in claimants(catalogue, group([file])[0]) if model.uid != file.uid]
        waits = len(fits) != 1 or lacking(catalogue, paths.shown_name(path))
        assert waits, f"{path!r} fits {fits[0]!r} alone, and yet is by itself: {owner}"


def _is_linked_to(world: World, path: str) -> bool:
    """Whether a link leads to this very file, which therefore must not move."""
    file = world.catalogue.files.get(path)
    return file is not None and file.link is None and str(file.stamp.inode) in world.catalogue.links


def _is_led_through(world: World, file: File) -> bool:
    """Whether a file is a link by whose name another link leads on, which a move would break."""
    known = world.catalogue.files.values()
    links = ((each.path, each.link) for each in known if each.path != file.path)
    return file.link is not None and any(
        link is not None and paths.behind(path, link) == file.path for path, link in links
    )


def _is_bound(world: World, file: File) -> bool:
    """Whether a link leads to a shard of the file's set that lies outside the model's folder, which keeps the
    whole set where it is."""
    model = world.catalogue.models.get(file.uid)
    return any(
        _unit(each.path) == _unit(file.path) and _is_linked_to(world, each.path)
        for each in files_of(world.catalogue, file.uid)
        if model is None or paths.parent(each.path) != model.folder
    )


def _lies_with_waiting_shards(world: World, part: File) -> bool:
    """Whether a part lies beside shards of its model that wait for others, and leaves with them."""
    beside = files_in(world.catalogue, paths.parent(part.path))
    return paths.place(part.path) != part.path and any(
        each.uid == part.uid and _waits_for_shards(world, each) for each in beside
    )


def _waits_for_shards(world: World, file: File) -> bool:
    """Whether a file is of a set of shards that is not whole, and stays where the others may come to."""
    model = world.catalogue.models.get(file.uid)
    if model is None or model.removed is not None:
        return False
    sets = [each for each in group(files_of(world.catalogue, model.uid)) if each.missing]
    return any(
        each.kind == "model"
        and (
            file in each.files or (file.refused is not None and paths.is_same_set(each.head.path, file.path))
        )
        for each in sets
    )


def _waits_for_a_word(world: World, file: File) -> bool:
    """Whether its name is taken in its model's folder, and nobody said which file is served there."""
    owner = world.catalogue.models.get(file.uid)
    is_open = owner is not None and owner.status == "invalid" and owner.binary is None
    return is_open and file.stuck is not None


def _is_kept_out(world: World, file: File) -> bool:
    """Whether what was made a model's elsewhere has become broken, and says why it could not move there."""
    owner = world.catalogue.models.get(file.uid)
    elsewhere = owner is not None and owner.removed is None and owner.folder != paths.parent(file.path)
    return elsewhere and file.refused is not None and file.stuck is not None


def _stays(world: World, file: File, served: set[int]) -> bool:
    """Whether a file is a link, and a model is served from what it leads to, or is not wanted."""
    return file.link is not None and (file.stamp.inode in served or _was_adopted(world, file))


def _was_adopted(world: World, file: File) -> bool:
    """Whether for a link of somebody's tree, or for another one that leads to the same content, a model was
    made. It has its link, or someone removed that, or put something else in its place: so it stays."""
    catalogue = world.catalogue
    same = catalogue.links.get(str(file.stamp.inode)) or ()
    return file.link is not None and any(
        uid_for(catalogue.files[path].uid, path) in catalogue.models for path in same
    )


def _unit(path: str) -> str:
    """What a file is told by: shards of one set are one."""
    shard = paths.shard(path)
    return path if shard is None else shard.stem


def _names_another(model: Model, manifest: File | None) -> bool:
    """Whether a model.json says that a model is served from a file that is not there."""
    wanted = named(manifest.manifest, "llama_model_path") if manifest is not None else None
    return wanted is not None and (model.binary is None or paths.shown_name(model.binary) != wanted)


def check_nothing_to_do(world: World) -> None:
    """Looking at everything again changes nothing, in this process or the next."""
    position = world.log.head.position
    world.tick("")
    assert not world.events(position), f"a second look found {world.records(position)}"
    before = photo(world.fs)
    world.restart()
    for _ in range(3):
        world.clock.advance(6)
        world.tick("")
    assert not world.events(position), f"a restart found {world.records(position)}"
    assert photo(world.fs) == before, "a restart changed the disk"


def _is_whole(fs: FakeFileSystem, path: str) -> bool:
    """Whether there is a complete model file that nobody is writing."""
    end = _end(fs, path)
    return end is not None and end <= len(fs.read(path)) and not fs.being_written(path)


def _is_unfinished(fs: FakeFileSystem, path: str) -> bool:
    stat = fs.stat(path)
    if stat is None or stat.stamp is None:
        return False
    if fs.being_written(path):
        return True
    end = _end(fs, path) if paths.is_binary(path) else None
    return end is not None and end > len(fs.read(path))


def _end(fs: FakeFileSystem, path: str) -> int | None:
    """Where the content ends that the header announces; None when there is no model's header."""
    stat = fs.stat(path)
    if stat is None or stat.stamp is None:
        return None
    content = fs.read(path)
    try:
        return facts(read_header(ReadAt(content), len(content))).data_end
    except GgufError:
        return None


def _parses(fs: FakeFileSystem, path: str) -> bool:
    try:
        read_manifest(fs.read(path))
    except ManifestError:
        return False
    return True
