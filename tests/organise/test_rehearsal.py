"""A rehearsal says what organising then does."""

import pytest

from janfs.catalogue.fold import fold
from janfs.organise.rehearsal import Deed, rehearse
from janfs.organise.steps import Copy, Generate, Move, Policy
from tests.catalogue.strategies import facts
from tests.organise.planning import World

DROPS = {
    "a loose file": ["models/a.gguf"],
    "shards": ["models/x-00001-of-00002.gguf", "models/x-00002-of-00002.gguf"],
    "two models of a folder": ["models/both/a-Q4.gguf", "models/both/a-Q8.gguf", "models/both/README.md"],
    "a tree": ["models/org/repo/a.gguf", "models/org/repo/LICENSE"],
    "all as it should be": [],
}


@pytest.mark.parametrize("paths", DROPS.values(), ids=DROPS)
def test_a_rehearsal_ends_where_doing_it_ends(paths: list[str]) -> None:
    world = World()
    for path in paths:
        world.drop(path, facts() if path.endswith(".gguf") else None)
    rehearsed, deeds = rehearse(world.catalogue, Policy())
    steps = world.settle()
    done = {
        Deed("write", step.path)
        if isinstance(step, Generate)
        else Deed("move" if isinstance(step, Move) else step.how, step.target, step.source)
        for step in steps
        if isinstance(step, Move | Copy | Generate)
    }
    assert set(deeds) == done, "what was said is not what was done"
    assert set(rehearsed.files) == set(world.catalogue.files), "the files end up elsewhere"


def test_a_rehearsal_leaves_the_catalogue_as_it_is() -> None:
    world = World()
    world.drop("models/a.gguf")
    before = world.catalogue
    rehearsed, deeds = rehearse(before, Policy())
    assert deeds
    assert rehearsed != before
    assert fold(before, [])[0] == before


def test_a_second_rehearsal_has_nothing_to_say() -> None:
    world = World()
    for path in DROPS["two models of a folder"]:
        world.drop(path, facts() if path.endswith(".gguf") else None)
    ended, _ = rehearse(world.catalogue, Policy())
    assert rehearse(ended, Policy())[1] == []
