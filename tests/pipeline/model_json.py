"""The model.json of the model `a`, and what a person does to it."""

import json
from typing import Any

from janfs.manifest.jsonc import parse
from janfs.pipeline.commands import Edit, Revert, Submitted
from tests.folder import gguf_bytes as make
from tests.pipeline.world import World, gguf

PATH = "models/a/model.json"


def document(world: World, path: str = PATH) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.fs.read(path))
    return found


def document_with_comments(world: World) -> dict[str, Any]:
    found: dict[str, Any] = parse(world.fs.read(PATH))
    return found


def edit(world: World, old: str, new: str) -> None:
    """The person replaces a piece of the text."""
    text = world.fs.read(PATH).decode()
    assert old in text, f"{old!r} is not in {text}"
    world.fs.put(PATH, text.replace(old, new).encode())
    world.tick()
    world.clock.advance(1)


def another_binary(world: World, name: str = "another", **metadata: Any) -> None:
    world.fs.put("models/a/a.gguf", gguf(name, general__author=make.text(name), **metadata))
    world.tick()
    world.clock.advance(1)


def ask(world: World, command: Edit | Revert) -> None:
    submitted = Submitted(command)
    world.pipeline.tick([], [submitted])
    submitted.done.result(0)
    world.clock.advance(1)
