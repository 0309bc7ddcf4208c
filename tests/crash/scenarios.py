"""What a person does to a models folder, and what janfs has to do about it in several steps."""

import hashlib
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.hashing import Sha256
from janfs.manifest.engine_file import default_engine_file
from janfs.manifest.leaves import REMOVED
from janfs.manifest.patch import Patch
from janfs.pipeline.commands import (
    Command,
    Compared,
    Dedupe,
    Delete,
    Edit,
    Pair,
    Record,
    Revert,
    Submitted,
)
from janfs.pipeline.recorder import Draft
from janfs.pipeline.root import MARKER
from tests.folder import gguf_bytes as make
from tests.pipeline.world import World, gguf

COMMIT = "c" * 40
VISION = {"general__type": make.text("mmproj"), "clip__projector_type": make.text("mlp")}


def nothing(_: World) -> None:
    pass


def look(world: World) -> None:
    world.tick()


class Scenario(Struct, frozen=True):
    """What was there before, what the person does, and what janfs is then asked for.

    What is below `mounts` is on other disks; not every disk `exchanges` two files at once. Where `optional`,
    a request that was not answered may not have been carried out. `unseen` says what a place or a file that
    cannot be looked at for a moment leads to instead of the usual end: what was moved from it is taken for
    something new, or the others of its folder do not wait for it.
    """

    before: Callable[[World], None]
    person: Callable[[World], None]
    ask: Callable[[World], object] = look
    optional: bool = False
    mounts: tuple[str, ...] = ()
    exchanges: bool = True
    unseen: Literal["taken for new", "left behind"] | None = None


def put(*files: tuple[str, bytes]) -> Callable[[World], None]:
    """The person writes these files, in this order."""

    def act(world: World) -> None:
        for path, content in files:
            world.fs.put(path, content)

    return act


def known(*files: tuple[str, bytes]) -> Callable[[World], None]:
    """These files were written, one after another, and organised."""

    def act(world: World) -> None:
        for file in files:
            put(file)(world)
            world.tick()
            world.clock.advance(1)

    return act


def renamed(source: str, target: str) -> Callable[[World], None]:
    return lambda world: world.fs.rename_over(source, target)


def change_names(world: World) -> None:
    world.fs.rename_over("models/a", "/home/user/aside")
    world.fs.rename_over("models/b", "models/a")
    world.fs.rename_over("/home/user/aside", "models/b")


def obey(command: Command) -> Callable[[World], None]:
    """Somebody asks for this and waits for the answer."""

    def act(world: World) -> None:
        submitted = Submitted(command)
        world.pipeline.tick([], [submitted])
        submitted.done.result(0)

    return act


def shards(name: str = "s") -> list[tuple[str, bytes]]:
    """Two shards, the second one first."""
    extra = [{"split__no": make.uint32(number), "split__count": make.uint32(2)} for number in range(2)]
    return [(f"models/s-{n + 1:05d}-of-00002.gguf", gguf(name, **extra[n])) for n in (1, 0)]


def replace_binary(world: World) -> None:
    """A newer file over the old one, as a download tool brings it."""
    world.fs.put("models/a/a.gguf.part", gguf("newer"))
    world.fs.rename_over("models/a/a.gguf.part", "models/a/a.gguf")


def edited_model(world: World) -> None:
    """A model whose generated model.json has a comment and a name of the person's."""
    one_model(world)
    text = world.fs.read("models/a/model.json").replace(b'"name": "a"', b'/* mine */ "name": "Mine"')
    known(("models/a/model.json", text))(world)


def take_out(world: World) -> None:
    world.fs.rename_over("models/a/a.gguf", "/home/user/elsewhere/a.gguf")


def out_and_back(world: World) -> None:
    """A file that was moved out and missed comes back."""
    one_model(world)
    take_out(world)
    world.tick()
    world.clock.advance(1)


def drop_link(world: World) -> None:
    world.fs.put("/home/user/hub/blob", gguf("a"))
    world.fs.symlink("models/a.gguf", "../../hub/blob")


def drop_hub(world: World) -> None:
    """A hub's cache: blobs, and a snapshot with links to them."""
    tree, content = "models/models--org--story", gguf("hub")
    blob = hashlib.sha256(content).hexdigest()
    world.fs.put(f"{tree}/blobs/{blob}", content)
    world.fs.symlink(f"{tree}/snapshots/{COMMIT}/story.gguf", f"../../blobs/{blob}")


def name_elsewhere(world: World) -> None:
    """A model.json of Jan that leaves the file where it was."""
    world.fs.put("/home/user/story.gguf", gguf("elsewhere"))
    world.fs.put("models/x/model.json", b'{"sources": [{"url": "/home/user/story.gguf"}]}')


def drop_part(world: World) -> None:
    world.fs.put("models/mmproj.gguf", gguf("eyes", **VISION))
    world.fs.put("models/a/model.json", b'{"engine_parameters": {"mmproj": "mmproj.gguf"}}')


def drop_quantisations(world: World) -> None:
    for quantisation in ("Q4_0", "Q8_0"):
        world.fs.put(f"models/Story/story-{quantisation}.gguf", gguf(quantisation))
    world.fs.put("models/Story/LICENSE", b"yours")


def moved_out_of_a_tree(world: World) -> None:
    """A model was moved to the top, and the folders that it lay in are empty; long enough for them to go."""
    known(("models/publisher/repo/a.gguf", gguf("a")))(world)
    world.clock.advance(5.1)


def two_alike(world: World) -> None:
    """The models a and b with the same content, known to be the same."""
    for name in "ab":
        known((f"models/{name}/{name}.gguf", gguf("same")))(world)
        file = world.file(f"models/{name}/{name}.gguf")
        digest = Sha256()
        digest.update(gguf("same"))
        hashed = e.FileHashed(file.path, file.stamp, digest.hexdigest(), "computed")
        obey(Record((Draft(file.uid, hashed),)))(world)


def share(world: World) -> None:
    copy, original = world.file("models/b/b.gguf"), world.file("models/a/a.gguf")
    pair = Compared(copy.path, copy.stamp, original.path, original.stamp)
    obey(Dedupe((pair,), "api:test"))(world)


def unmount(world: World) -> None:
    world.fs.rename_over("models", "/mnt/gone")
    world.hints.append("")


def unmounted(world: World) -> None:
    one_model(world)
    unmount(world)
    world.tick()


def mount(world: World) -> None:
    world.fs.rename_over("/mnt/gone", "models")
    world.hints.append("")


def clear_up(world: World) -> None:
    world.tick()
    world.clock.advance(5.1)
    world.tick()


def lose_the_marker(world: World) -> None:
    world.fs.remove(MARKER)
    world.hints.append("")


one_model = known(("models/a.gguf", gguf("a")))
delete = obey(Delete("a", "api:test"))


def deleted_model(world: World) -> None:
    edited_model(world)
    delete(world)
    world.clock.advance(1)


on_a_disk = known(("models/usb/story.gguf", gguf("a")))


def deleted_on_a_disk(world: World) -> None:
    on_a_disk(world)
    obey(Delete("usb", "api:test"))(world)
    world.clock.advance(1)


def revert_on_a_disk(world: World) -> None:
    [uid] = world.catalogue.models
    obey(Revert(uid, world.catalogue.position, "api:test"))(world)


def revert(world: World) -> None:
    """Back to the first model.json, as it was generated."""
    written = next(record.position for record in world.records() if record.type == "json-written")
    obey(Revert("a", written, "api:test"))(world)


def serve_for_the_first_time(world: World) -> None:
    world.engine_files = {"engines/llama-cpp.json": default_engine_file()}
    world.stop()
    world.start()


def served_with_a_key(world: World) -> None:
    """An engine's file of an older version, in which someone wrote a comment and a key."""
    made = default_engine_file().replace(b'"n_batch": 512', b'"n_batch": 256')
    world.engine_files = {"engines/llama-cpp.json": made}
    world.restart()
    text = made.replace(b'  "ngl"', b'  "api_key": "gsk-mine", // mine\n  "ngl"')
    known(("engines/llama-cpp.json", text))(world)
    world.stop()
    serve_again(world)


def serve_again(world: World) -> None:
    """The next process, of a later version, has not looked around yet."""
    world.hints.clear()
    world.engine_files = {"engines/llama-cpp.json": default_engine_file()}
    world.start()


def keyed_model(world: World) -> None:
    """A model in whose model.json someone wrote a key."""
    one_model(world)
    text = world.fs.read("models/a/model.json").replace(b'"name"', b'"api_key": "gsk-mine", "name"')
    known(("models/a/model.json", text))(world)


SCENARIOS = {
    "drop": Scenario(nothing, put(("models/A b.gguf", gguf("a")))),
    "drop a folder": Scenario(
        nothing,
        put(("models/nest/Mine/weights.gguf", gguf("a")), ("models/nest/Mine/README.md", b"read me")),
        unseen="left behind",
    ),
    "drop a link": Scenario(nothing, drop_link),
    "drop the same name again": Scenario(one_model, put(("models/a.gguf", gguf("another")))),
    "drop the same content again": Scenario(two_alike, put(("models/c.gguf", gguf("same")))),
    "drop shards": Scenario(nothing, put(*shards())),
    "drop the shard that lacked": Scenario(known(shards()[0]), put(shards()[1])),
    "drop a folder of quantisations": Scenario(nothing, drop_quantisations, unseen="left behind"),
    "drop a projector that is named": Scenario(one_model, drop_part),
    "drop an adapter": Scenario(
        known(("models/Story 4B.gguf", gguf("Story 4B"))),
        put(
            (
                "models/style.gguf",
                gguf(
                    "Style",
                    general__type=make.text("adapter"),
                    adapter__type=make.text("lora"),
                    general__base_model__0__name=make.text("Story 4B"),
                ),
            )
        ),
    ),
    "drop a hub's tree": Scenario(nothing, drop_hub),
    "name a file elsewhere": Scenario(nothing, name_elsewhere),
    "make an engine's file": Scenario(nothing, serve_for_the_first_time),
    "bring an engine's file up to date": Scenario(served_with_a_key, nothing),
    "bring an engine's file up to date in steps": Scenario(served_with_a_key, nothing, exchanges=False),
    "edit an engine's file": Scenario(nothing, put(("engines/llama-cpp.json", b'// mine\n{"ngl": 0}'))),
    "edit model.json": Scenario(one_model, put(("models/a/model.json", b'// mine\n{"name": "Mine"}'))),
    "replace the file": Scenario(one_model, replace_binary),
    "replace the file of an edited model.json": Scenario(edited_model, replace_binary),
    "replace the file of a model.json with a key": Scenario(keyed_model, replace_binary),
    "replace model.json in steps": Scenario(edited_model, replace_binary, exchanges=False),
    "replace a model.json with a key in steps": Scenario(keyed_model, replace_binary, exchanges=False),
    "move the file out": Scenario(one_model, take_out),
    "move the file back": Scenario(out_and_back, renamed("/home/user/elsewhere/a.gguf", "models/a/a.gguf")),
    "rename the folder": Scenario(one_model, renamed("models/a", "models/b"), unseen="taken for new"),
    "rename a folder of shards": Scenario(
        known(*shards()), renamed("models/s", "models/t"), unseen="taken for new"
    ),
    "let two folders change names": Scenario(
        known(("models/a.gguf", gguf("a")), ("models/b.gguf", gguf("b"))),
        change_names,
        unseen="taken for new",
    ),
    "clear up a tree": Scenario(moved_out_of_a_tree, nothing, clear_up),
    "unmount": Scenario(one_model, unmount),
    "mount again": Scenario(unmounted, mount),
    "lose the marker": Scenario(one_model, lose_the_marker),
    "pair by hand": Scenario(
        known(("models/a.gguf", gguf("a")), ("models/mmproj.gguf", gguf("eyes", **VISION))),
        nothing,
        obey(Pair("mmproj.gguf", "a", "api:test")),
        optional=True,
    ),
    "set a field": Scenario(
        edited_model,
        nothing,
        obey(Edit("a", Patch({("name",): "Ours", ("metadata",): REMOVED}), "api:test")),
        optional=True,
    ),
    "let a copy share": Scenario(two_alike, nothing, share, optional=True),
    "let a copy share in steps": Scenario(two_alike, nothing, share, optional=True, exchanges=False),
    "let a copy on another disk share": Scenario(
        two_alike, nothing, share, optional=True, mounts=("models/b",)
    ),
    "revert model.json": Scenario(edited_model, nothing, revert, optional=True),
    "revert a deleted model": Scenario(deleted_model, nothing, revert, optional=True),
    "revert a deleted model on another disk": Scenario(
        deleted_model, nothing, revert, optional=True, mounts=(paths.MODELS,)
    ),
    "delete": Scenario(one_model, nothing, delete, optional=True),
    "delete a folder of shards": Scenario(
        known(*shards()), nothing, obey(Delete("s", "api:test")), optional=True
    ),
    "delete on another disk": Scenario(one_model, nothing, delete, optional=True, mounts=(paths.MODELS,)),
    "delete at the top of a disk": Scenario(
        on_a_disk, nothing, obey(Delete("usb", "api:test")), optional=True, mounts=("models/usb",)
    ),
    "revert what was deleted at the top of a disk": Scenario(
        deleted_on_a_disk, nothing, revert_on_a_disk, optional=True, mounts=("models/usb",)
    ),
}
