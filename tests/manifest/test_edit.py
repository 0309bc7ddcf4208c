import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.errors import ManifestError
from janfs.manifest.edit import edit
from janfs.manifest.generate import encode
from janfs.manifest.jsonc import decode, parse, tokenize
from janfs.manifest.leaves import REMOVED, Pointer, applied, objects
from janfs.manifest.tree import Members, read_tree
from tests.manifest.documents import DOCUMENTS, KEYS, SCALARS, VALUES, people_s_text

POINTERS = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).map(tuple)
CHANGES = st.dictionaries(POINTERS, VALUES | st.just(REMOVED), min_size=1, max_size=4)


def put(document: Any, pointer: Pointer, value: Any) -> None:
    """The oracle: the change to the parsed document, done by hand."""
    *way, last = pointer
    for key in way:
        if not isinstance(document.get(key), dict):
            if value is REMOVED:
                return
            document[key] = {}
        document = document[key]
    if value is REMOVED:
        document.pop(last, None)
    else:
        document[last] = value


def changed(document: dict[str, Any], changes: dict[Pointer, Any]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(document))
    for pointer, value in changes.items():
        put(copy, pointer, json.loads(json.dumps(value)) if value is not REMOVED else value)
    return copy


def comments(text: str) -> list[str]:
    return [text[token.start : token.end] for token in tokenize(text) if token.kind == "comment"]


def is_part(short: str, long: str) -> bool:
    """Whether `short` is `long` with some characters left out."""
    rest = iter(long)
    return all(character in rest for character in short)


def strictly(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class TestAnyFile:
    @given(document=DOCUMENTS, seed=st.integers(0, 2**32), changes=CHANGES)
    def test_the_document_is_changed_as_wanted_and_nothing_else_in_the_text(
        self, document: dict[str, Any], seed: int, changes: dict[Pointer, Any]
    ) -> None:
        before = people_s_text(document, seed)
        after = edit(before.encode(), changes).decode()
        assert json.dumps(parse(after)) == json.dumps(changed(document, changes)), f"{before!r}\n{after!r}"
        assert after.startswith("\ufeff") == before.startswith("\ufeff")
        if strictly(before):
            assert strictly(after), f"strict JSON became {after!r}"

    @given(document=DOCUMENTS, seed=st.integers(0, 2**32), number=st.integers(0, 99), value=SCALARS)
    def test_a_new_leaf_takes_nothing_away_and_lines_end_as_before(
        self, document: dict[str, Any], seed: int, number: int, value: Any
    ) -> None:
        before = people_s_text(document, seed)
        places = [(), *objects(document)]
        pointer = (*places[number % len(places)], "new")
        after = edit(before.encode(), {pointer: value}).decode()
        assert comments(decode(after.encode())) == comments(decode(before.encode()))
        assert is_part("".join(before.split()), after), f"{before!r}\n{after!r}"
        kinds = set(re.findall(r"\r\n|\r|\n", before)) or {"\n"}
        assert set(re.findall(r"\r\n|\r|\n", after)) <= kinds

    @given(document=DOCUMENTS, seed=st.integers(0, 2**32), pointer=POINTERS)
    def test_taking_out_only_takes_out_and_leaves_every_other_comment(
        self, document: dict[str, Any], seed: int, pointer: Pointer
    ) -> None:
        before = people_s_text(document, seed)
        after = edit(before.encode(), {pointer: REMOVED}).decode()
        assert is_part(after, before), f"{before!r}\n{after!r}"
        old, new = comments(decode(before.encode())), comments(decode(after.encode()))
        if json.dumps(changed(document, {pointer: REMOVED})) == json.dumps(document):
            assert after == before
        else:
            gone = len(old) - len(new)
            assert any(old[:n] + old[n + gone :] == new for n in range(len(new) + 1)), "comments of others"
            text = decode(before.encode())
            node = read_tree(text)
            for key in pointer:
                member = Members().find(node, key)
                assert member is not None
                node = member.value
            assert gone == len(comments(text[member.start : node.end])), f"{before!r}\n{after!r}"

    @given(document=DOCUMENTS, seed=st.integers(0, 2**32), pick=st.integers(0, 2**8))
    def test_taking_out_many_at_once_is_taking_them_out_one_after_another(
        self, document: dict[str, Any], seed: int, pick: int
    ) -> None:
        before = people_s_text(document, seed).encode()
        gone = [key for number, key in enumerate(document) if pick >> number & 1]
        one_by_one = before
        for key in reversed(gone):
            one_by_one = edit(one_by_one, {(key,): REMOVED})
        assert edit(before, {(key,): REMOVED for key in gone}) == one_by_one

    @given(document=DOCUMENTS, seed=st.integers(0, 2**32))
    def test_what_is_so_already_changes_no_byte(self, document: dict[str, Any], seed: int) -> None:
        before = people_s_text(document, seed).encode()
        assert edit(before, {(key,): value for key, value in document.items()}) == before
        assert edit(before, {("not there",): REMOVED, ("not", "there"): REMOVED}) == before
        assert edit(before, {}) == before

    @given(document=DOCUMENTS, other=DOCUMENTS)
    def test_a_generated_file_ends_as_it_would_be_generated(
        self, document: dict[str, Any], other: dict[str, Any]
    ) -> None:
        """When keys keep their order and none comes in but at the end."""
        wanted = {key: other.get(key, value) for key, value in document.items()}
        wanted |= {key: value for key, value in other.items() if key not in document}
        before = json.dumps(document, indent=2, ensure_ascii=False).encode()
        after = edit(before, {(key,): value for key, value in wanted.items()})
        compact = [value for value in document.values() if isinstance(value, dict | list)]
        if not compact:
            assert after.decode() == json.dumps(wanted, indent=2, ensure_ascii=False)


LINES = """\
// mine
{
  "a": 1, // about a
  /* about b */ "b": {"x": 1, "y": 2},
  "c": [1, 2],

  // the end
  "d": {
    "e": null
  } // after d
}
"""


class TestLayout:
    @pytest.mark.parametrize(
        ("changes", "old", "new"),
        [
            ({("a",): 2}, '"a": 1,', '"a": 2,'),
            ({("a",): "é\n"}, '"a": 1,', '"a": "é\\n",'),
            ({("b", "x"): 5}, '{"x": 1, "y"', '{"x": 5, "y"'),
            ({("b", "z"): [1]}, '"y": 2}', '"y": 2, "z": [1]}'),
            ({("b", "x"): REMOVED}, '{"x": 1, "y": 2}', '{"y": 2}'),
            ({("b", "y"): REMOVED}, '{"x": 1, "y": 2}', '{"x": 1}'),
            ({("b", "x"): REMOVED, ("b", "y"): REMOVED}, '{"x": 1, "y": 2}', "{}"),
            ({("a",): REMOVED}, '  "a": 1, // about a', "  // about a"),
            ({("c",): REMOVED}, '  "c": [1, 2],\n', ""),
            ({("c",): [3]}, "[1, 2]", "[3]"),
            ({("c",): {"k": [1]}}, "[1, 2]", '{"k": [1]}'),
            ({("d", "e"): REMOVED}, '{\n    "e": null\n  } //', "{} //"),
            ({("d", "f"): [1]}, '"e": null\n', '"e": null,\n    "f": [\n      1\n    ]\n'),
            ({("g",): 1}, "  } // after d\n", '  }, // after d\n  "g": 1\n'),
            ({("d",): 1}, '{\n    "e": null\n  } // after', "1 // after"),
            (
                {("d",): REMOVED},
                '"c": [1, 2],\n\n  // the end\n  "d": {\n    "e": null\n  } // after d\n',
                '"c": [1, 2]\n\n  // the end\n  // after d\n',
            ),
        ],
    )
    def test_what_is_put_in_looks_like_its_neighbours(
        self, changes: dict[Pointer, Any], old: str, new: str
    ) -> None:
        for newline in ("\n", "\r\n"):
            before = LINES.replace("\n", newline)
            wanted = before.replace(old.replace("\n", newline), new.replace("\n", newline))
            assert edit(before.encode(), changes).decode() == wanted

    @pytest.mark.parametrize(
        ("before", "changes", "after"),
        [
            ("{}", {("a",): 1}, '{\n  "a": 1\n}'),
            ("{ }\n", {("a", "b"): 1}, '{\n  "a": {\n    "b": 1\n  }\n}\n'),
            ("{ // nothing yet\n}", {("a",): 1}, '{ // nothing yet\n  "a": 1\n}'),
            ('{"a": {}}', {("a", "b"): 1}, '{"a": {"b": 1}}'),
            ('{"a":1}', {("b",): [1, 2]}, '{"a":1,"b":[1,2]}'),
            ('{"a": 1,}', {("b",): 2}, '{"a": 1, "b": 2,}'),
            ('{"a": 1, "b": 2,}', {("b",): REMOVED}, '{"a": 1,}'),
            ('{"a": 1,}', {("a",): REMOVED}, "{}"),
            ('{\n\t"a": 1,\n}', {("b",): {"c": 2}}, '{\n\t"a": 1,\n\t"b": {\n\t\t"c": 2\n\t},\n}'),
            ('{\n    "a": []\n}', {("a",): [1]}, '{\n    "a": [\n        1\n    ]\n}'),
            ('{\n  "a": 1 /* x */ , // y\n  "b": 2\n}', {("a",): REMOVED}, '{\n  /* x */  // y\n  "b": 2\n}'),
            ('{\n  "a": 1\n  , "b": 2\n}', {("b",): REMOVED}, '{\n  "a": 1\n  \n}'),
            (
                '{\n  "a": [\n    // mine\n    "x" /* so */\n  ]\n}',
                {("a",): ["y"]},
                '{\n  "a": // mine\n  /* so */ [\n    "y"\n  ]\n}',
            ),
            ('{"a": [/* mine */ 1]}', {("a",): [2]}, '{"a": /* mine */ [2]}'),
            ('\ufeff{"a": 1}', {("a",): 2}, '\ufeff{"a": 2}'),
            ('{"a": 5}', {("a", "b"): 1}, '{"a": {"b": 1}}'),
            ('{"a": 5}', {("a", "b"): REMOVED}, '{"a": 5}'),
        ],
    )
    def test_every_layout_is_kept(self, before: str, changes: dict[Pointer, Any], after: str) -> None:
        assert edit(before.encode(), changes).decode() == after


@pytest.mark.timeout(60)
@pytest.mark.parametrize("below", [(), ("a", "b")])
def test_thousands_of_members_are_put_in_in_time(below: Pointer) -> None:
    document: dict[str, Any] = {"name": "x", "metadata": {"size": 1}}
    changes = {("metadata", f"key {number}", *below): number for number in range(5000)}
    assert edit(encode(document), changes) == encode(applied(document, changes))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kept", [20_000, 2])
def test_thousands_of_members_are_taken_out_in_time(kept: int) -> None:
    document: dict[str, Any] = {"name": "x", "metadata": {f"key {n}": n for n in range(20_000)}}
    changes = {("metadata", f"key {n}"): REMOVED for n in range(20_000) if n % kept}
    assert edit(encode(document), changes) == encode(applied(document, changes))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("value", [REMOVED, "another"])
@pytest.mark.parametrize("key", ["a", "c"])
def test_one_member_of_each_of_thousands_of_objects_is_changed_in_time(key: str, value: Any) -> None:
    objects = {f"key {number}": {"a": number, "b": [number]} for number in range(5000)}
    document: dict[str, Any] = {"name": "x", "metadata": objects}
    changes: dict[Pointer, Any] = {("metadata", each, key): value for each in objects}
    assert edit(encode(document), changes) == encode(applied(document, changes))


def test_changes_of_all_kinds_at_any_depth_go_together() -> None:
    before = '{\n  "a": {"b": {"c": 1, "d": 2}, "e": 3}, // one\n  "f": [1],\n  "g": {"h": {"i": 1}}\n}'
    after = '{\n  "a": {"b": {"d": 4}, "j": 5}, // one\n  "g": {"h": {"i": 6}, "k": 7}\n}'
    changes: dict[Pointer, Any] = {
        ("a", "b", "c"): REMOVED,
        ("a", "b", "d"): 4,
        ("a", "e"): REMOVED,
        ("a", "j"): 5,
        ("f",): REMOVED,
        ("g", "h", "i"): 6,
        ("g", "k"): 7,
    }
    assert edit(before.encode(), changes).decode() == after


class TestRefusals:
    def test_what_would_take_too_long_is_not_begun(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("janfs.manifest.edit.MAX_READ", 100_000)
        document = {f"key {number}": {"a": number, "b": number} for number in range(500)}
        whole: dict[Pointer, Any] = {("key 0",): {"b": 1}}  # a place inside of it is changed, too, in turn
        with pytest.raises(ManifestError, match="take too long"):
            edit(encode(document), whole | {(key, "a"): REMOVED for key in document})
        few = whole | {(key, "a"): REMOVED for key in list(document)[:3]}
        assert json.loads(edit(encode(document), few)) == applied(document, few)

    @pytest.mark.parametrize("text", ["[]", "1", "", '{"a": }'])
    def test_what_is_no_object_is_not_edited(self, text: str) -> None:
        with pytest.raises(ManifestError):
            edit(text.encode(), {("a",): 1})

    @pytest.mark.parametrize("value", [2**70, "\ud800"])
    def test_what_json_cannot_hold_is_not_put_in(self, value: Any) -> None:
        with pytest.raises(ManifestError):
            edit(b"{}", {("a",): value})


def test_what_is_put_in_looks_the_same_in_whatever_order_the_changes_come() -> None:
    text = b'{"c": 1,\n"k": 2, "a": 3}'
    assert edit(text, {("b",): 0, ("a",): REMOVED}) == edit(text, {("a",): REMOVED, ("b",): 0})
