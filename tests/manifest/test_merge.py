import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from janfs.manifest.edit import edit
from janfs.manifest.jsonc import parse
from janfs.manifest.leaves import REMOVED, Changes, Pointer, applied, covers, find, leaves, same
from janfs.manifest.merge import Conflict, claimed, merge
from janfs.manifest.places import Places
from tests.manifest.documents import KEYS, VALUES, documents, people_s_text

Document = dict[str, Any]
POINTERS = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).map(tuple)
PLAIN = [key for key in KEYS if key not in ("settings", "parameters", "engine_parameters")]
# What is generated has the specification's spelling, and its blocks are objects.
GENERATIONS = st.builds(
    lambda rest, block: {**rest, **({"engine_parameters": block} if block else {})},
    documents(PLAIN),
    st.none() | documents(PLAIN),
)
CHANGES = st.dictionaries(POINTERS, VALUES | st.just(REMOVED), max_size=4)

GENERATED = {
    "name": "Model",
    "sources": [{"filename": "m.gguf", "url": "m.gguf"}],
    "engine_parameters": {"ctx_len": 8192},
    "model_parameters": {"temperature": 0.7, "stop": ["</s>"]},
    "metadata": {"size": 1},
}
NEWER = {
    "name": "Other",
    "sources": [{"filename": "n.gguf", "url": "n.gguf"}],
    "engine_parameters": {"ctx_len": 4096, "mmproj": "p.gguf"},
    "model_parameters": {"temperature": 0.7, "stop": ["</s>", "<end>"]},
    "metadata": {"size": 2, "license": "mit"},
}


def regenerated(disk: Document, base: Document = GENERATED, ours: Document = NEWER) -> Document:
    return applied(disk, merge(base, disk, ours).changes)


class TestOneRegeneration:
    def test_an_untouched_file_becomes_what_would_be_generated(self) -> None:
        assert regenerated(GENERATED) == NEWER
        assert merge(GENERATED, GENERATED, NEWER).owned == frozenset()

    def test_what_the_person_changed_stays_and_is_said_to_differ(self) -> None:
        disk = applied(GENERATED, {("engine_parameters", "ctx_len"): 100, ("name",): "Mine"})
        found = merge(GENERATED, disk, NEWER)
        after = applied(disk, found.changes)
        assert (after["engine_parameters"]["ctx_len"], after["name"]) == (100, "Mine")
        assert after["metadata"] == NEWER["metadata"]
        assert Conflict(("engine_parameters", "ctx_len"), 100, 4096) in found.conflicts
        assert Conflict(("name",), "Mine", "Other") in found.conflicts

    def test_what_the_person_removed_stays_removed(self) -> None:
        disk = applied(GENERATED, {("model_parameters", "stop"): REMOVED})
        assert "stop" not in regenerated(disk)["model_parameters"]

    def test_an_object_that_was_removed_does_not_come_back_with_what_is_new_in_it(self) -> None:
        disk = applied(GENERATED, {("metadata",): REMOVED})
        found = merge(GENERATED, disk, NEWER)
        assert "metadata" not in applied(disk, found.changes)
        assert ("metadata",) in found.owned
        assert Conflict(("metadata", "license"), REMOVED, "mit") in found.conflicts

    def test_an_object_emptied_by_hand_still_takes_what_is_new(self) -> None:
        disk = applied(GENERATED, {("metadata", "size"): REMOVED})
        assert regenerated(disk)["metadata"] == {"license": "mit"}

    def test_what_the_person_added_stays_even_where_we_would_add_it_too(self) -> None:
        disk = applied(GENERATED, {("engine_parameters", "mmproj"): "mine.gguf", ("colour",): "red"})
        found = merge(GENERATED, disk, NEWER)
        assert applied(disk, found.changes)["engine_parameters"]["mmproj"] == "mine.gguf"
        assert applied(disk, found.changes)["colour"] == "red"

    def test_a_list_is_one_leaf(self) -> None:
        disk = applied(GENERATED, {("model_parameters", "stop"): ["</s>", "mine"]})
        assert regenerated(disk)["model_parameters"]["stop"] == ["</s>", "mine"]

    def test_a_value_that_is_the_person_s_stays_so_when_it_comes_to_be_ours_by_accident(self) -> None:
        disk = applied(GENERATED, {("name",): "Other"})
        owned = merge(GENERATED, disk, NEWER).owned
        later = applied(NEWER, {("name",): "Third"})
        found = merge(NEWER, applied(NEWER, {("name",): "Other"}), later, owned)
        assert ("name",) not in found.changes
        assert Conflict(("name",), "Other", "Third") in found.conflicts

    def test_what_is_given_back_is_ours_again(self) -> None:
        disk = applied(GENERATED, {("name",): "Mine"})
        owned = claimed(GENERATED, disk) - {("name",)}
        back = applied(disk, {("name",): GENERATED["name"]})
        assert regenerated(back)["name"] == "Other"
        assert merge(GENERATED, back, NEWER, owned).owned == frozenset()


class TestOlderSpellings:
    def respelled(self) -> Document:
        return {
            **{key: GENERATED[key] for key in ("name", "metadata")},
            "source": GENERATED["sources"],
            "settings": GENERATED["engine_parameters"],
            "parameters": GENERATED["model_parameters"],
        }

    def test_a_change_lands_on_the_key_as_it_is_spelled(self) -> None:
        after = regenerated(self.respelled())
        assert after["settings"] == NEWER["engine_parameters"]
        assert after["parameters"] == NEWER["model_parameters"]
        assert after["source"] == NEWER["sources"]
        assert not {"engine_parameters", "model_parameters", "sources"} & after.keys()

    def test_a_renamed_setting_is_the_same_setting(self) -> None:
        base = {"model_parameters": {"max_tokens": 1}}
        disk = {"parameters": {"token_limit": 1}}
        assert regenerated(disk, base, {"model_parameters": {"max_tokens": 2}}) == {
            "parameters": {"token_limit": 2}
        }
        assert merge(base, disk, base).owned == frozenset()

    def test_a_source_of_another_shape_is_the_person_s(self) -> None:
        disk = {"source_url": "https://example.org/m.gguf"}
        assert regenerated(disk) == disk
        assert ("sources",) in claimed(GENERATED, disk)


def matches(base: Document, disk: Document, pointer: Pointer) -> bool:
    return same(find(base, pointer), Places(disk).value(pointer))


class TestAnyThree:
    @given(base=GENERATIONS, ours=GENERATIONS, changes=CHANGES)
    def test_a_second_merge_has_nothing_to_do(self, base: Document, ours: Document, changes: Changes) -> None:
        disk = applied(base, changes)
        first = merge(base, disk, ours)
        after = applied(disk, first.changes)
        again = merge(ours, after, ours, first.owned)
        assert (again.changes, again.conflicts) == ({}, ())
        assert again.owned == first.owned, "merging by itself made something the person's"

    @given(base=GENERATIONS, ours=GENERATIONS, changes=CHANGES)
    def test_nothing_differs_from_ours_that_is_not_the_person_s_or_from_theirs_that_is(
        self, base: Document, ours: Document, changes: Changes
    ) -> None:
        disk = applied(base, changes)
        found = merge(base, disk, ours)
        after = applied(disk, found.changes)
        for pointer, value in leaves(disk).items():
            if not same(find(base, pointer), value):
                assert same(find(after, pointer), value), f"{pointer}: {value!r} is lost"
        for pointer, value in leaves(base).items():
            if find(disk, pointer) is REMOVED:
                assert not same(find(after, pointer), value) or find(after, pointer) is REMOVED
        said = {conflict.pointer for conflict in found.conflicts}
        for pointer, value in leaves(ours).items():
            if not same(Places(after).value(pointer), value) and not same(find(base, pointer), value):
                assert pointer in said, f"{pointer} is not {value!r}, and nothing says so"

    @given(base=GENERATIONS, ours=GENERATIONS, changes=CHANGES, seed=st.integers(0, 2**32))
    def test_the_text_becomes_what_the_merge_says(
        self, base: Document, ours: Document, changes: Changes, seed: int
    ) -> None:
        disk = applied(base, changes)
        found = merge(base, disk, ours)
        text = people_s_text(disk, seed).encode()
        assert json.dumps(parse(edit(text, found.changes))) == json.dumps(applied(disk, found.changes))


NAMES = ["a", "b", "c"]
SHALLOW: st.SearchStrategy[Document] = st.dictionaries(
    st.sampled_from(NAMES),
    st.integers(0, 2) | st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2), min_size=1),
)


class Regenerations(RuleBasedStateMachine):
    """A person and janfs take turns at one file. The oracle keeps, by leaf, what the person said last."""

    @initialize(first=SHALLOW)
    def begin(self, first: Document) -> None:
        self.base, self.disk = first, first
        self.owned: frozenset[Pointer] = frozenset()
        self.word: dict[Pointer, Any] = {}

    @rule(name=st.sampled_from(NAMES), value=st.integers(0, 3) | st.just(REMOVED))
    def say(self, name: str, value: Any) -> None:
        self._say((name,), value)

    @rule(
        pointer=st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)),
        value=st.integers(0, 3) | st.just(REMOVED),
    )
    def say_inside(self, pointer: Pointer, value: Any) -> None:
        self._say(pointer, value)

    def _say(self, pointer: Pointer, value: Any) -> None:
        before = self.disk
        self.disk = applied(self.disk, {pointer: value})
        for leaf in {*leaves(before), *leaves(self.disk)}:
            if not same(find(before, leaf), find(self.disk, leaf)):
                said = {leaf: find(self.disk, leaf)}
                self.word = {old: value for old, value in self.word.items() if not covers({old}, leaf)} | said
        self.owned = claimed(self.base, self.disk, self.owned)
        for leaf in [leaf for leaf in self.word if not covers(self.owned, leaf)]:
            assert same(find(self.base, leaf), self.word[leaf]), f"{leaf} is not known to be the person's"
            del self.word[leaf]  # taken back before anything came of it

    @rule(ours=SHALLOW)
    def regenerate(self, ours: Document) -> None:
        found = merge(self.base, self.disk, ours, self.owned)
        self.base, self.disk, self.owned = ours, applied(self.disk, found.changes), found.owned

    @rule(name=st.sampled_from(NAMES), value=st.integers(0, 2))
    def regenerate_a_little(self, name: str, value: int) -> None:
        self.regenerate({**self.base, name: value})

    @invariant()
    def the_person_s_word_stands(self) -> None:
        for leaf, value in getattr(self, "word", {}).items():
            assert same(find(self.disk, leaf), value), f"{leaf}: {value!r} became {find(self.disk, leaf)!r}"


TestRegenerations = Regenerations.TestCase
