"""JSON Patch, with the examples of RFC 6902, and what it comes to leaf by leaf."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.errors import InvalidInput, PreconditionFailed
from janfs.manifest.json_patch import changes, read_operations
from janfs.manifest.jsonc import MAX_DEPTH
from janfs.manifest.leaves import REMOVED, applied, leaves, same
from janfs.manifest.patch import Patch, resolved
from janfs.manifest.places import Places

Document = dict[str, Any]


def patched(document: Document, *operations: Document) -> Document:
    return applied(document, changes(document, read_operations(list(operations))))


@pytest.mark.parametrize(
    ("before", "operations", "after"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
        (
            {"foo": ["bar", "baz"]},
            [{"op": "add", "path": "/foo/1", "value": "qux"}],
            {"foo": ["bar", "qux", "baz"]},
        ),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
        (
            {"baz": "qux", "foo": "bar"},
            [{"op": "replace", "path": "/baz", "value": "boo"}],
            {"baz": "boo", "foo": "bar"},
        ),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        (
            {"foo": ["all", "grass", "cows", "eat"]},
            [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
            {"foo": ["all", "cows", "eat", "grass"]},
        ),
        (
            {"baz": "qux", "foo": ["a", 2, "c"]},
            [
                {"op": "test", "path": "/baz", "value": "qux"},
                {"op": "test", "path": "/foo/1", "value": 2},
            ],
            {"baz": "qux", "foo": ["a", 2, "c"]},
        ),
        (
            {"foo": "bar"},
            [{"op": "add", "path": "/child", "value": {"grandchild": {}}}],
            {"foo": "bar", "child": {"grandchild": {}}},
        ),
        (
            {"foo": "bar"},
            [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}],
            {"foo": "bar", "baz": "qux"},
        ),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        (
            {"foo": ["bar"]},
            [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}],
            {"foo": ["bar", ["abc", "def"]]},
        ),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
        ({"a": {"b": 1}}, [{"op": "replace", "path": "/a", "value": None}], {"a": None}),
    ],
)
def test_the_examples_of_the_rfc(before: Document, operations: list[Document], after: Document) -> None:
    assert patched(before, *operations) == after


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "is a list of operations"),
        ([5], r"\[0\] must be an object"),
        ([{"op": "put", "path": "/a", "value": 1}], r"\[0\].op must be one of"),
        ([{"op": "add", "path": "/a"}], r"\[0\].value is missing"),
        ([{"op": "add", "path": "a", "value": 1}], r"\[0\].path must be a path"),
        ([{"op": "move", "from": "/a", "path": "/a/b"}], "into itself"),
        ([{"op": "add", "path": "/a~2", "value": 1}], r"\[0\].path: ~ stands for nothing but"),
        ([{"op": "copy", "from": "/~", "path": "/a"}], r"\[0\].from: ~ stands for nothing but"),
    ],
)
def test_what_is_no_patch_is_refused_with_its_place(body: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_operations(body)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/none"},
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "add", "path": "/none/deep", "value": 1},
        {"op": "add", "path": "/list/5", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "copy", "from": "/none", "path": "/a"},
    ],
)
def test_a_place_that_is_not_there_is_named(operation: Document) -> None:
    with pytest.raises(InvalidInput, match="is not there"):
        patched({"a": 1, "list": []}, operation)


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [MAX_DEPTH - 1, 600, 900])
@pytest.mark.parametrize("op", ["add", "replace"])
def test_what_would_be_nested_too_deeply_is_refused_by_its_path(op: str, levels: int) -> None:
    operation = {"op": op, "path": "/a/b", "value": nested(levels)}
    with pytest.raises(InvalidInput, match=r"a\.b would be nested too deeply; 64 levels"):
        patched({"a": {"b": 1}}, operation)


def test_steps_that_go_deeper_and_deeper_are_refused() -> None:
    steps = [{"op": "add", "path": "/a" * depth, "value": {}} for depth in range(1, MAX_DEPTH)]
    deepest = patched({}, *steps)
    for further in (
        {"op": "add", "path": "/a" * MAX_DEPTH, "value": {}},
        {"op": "copy", "from": "/a", "path": "/b/c"},
    ):
        with pytest.raises(InvalidInput, match="would be nested too deeply"):
            patched({**deepest, "b": {}}, further)
    assert patched(deepest, {"op": "add", "path": "/a" * MAX_DEPTH, "value": 1}), (
        "the last level holds values"
    )


def test_copies_of_copies_are_refused_before_they_fill_the_memory() -> None:
    copies = [{"op": "copy", "from": "/a", "path": f"/a/{number}"} for number in range(40)]
    with pytest.raises(InvalidInput, match="more is copied than"):
        patched({"a": {"text": "x" * 1000}}, *copies)


def test_a_test_that_fails_stops_all() -> None:
    document = {"a": 1, "b": True}
    for path, value in (("/a", True), ("/a", 2), ("/none", None), ("/b", 1)):
        with pytest.raises(PreconditionFailed):
            patched(document, {"op": "test", "path": path, "value": value})
    assert patched(document, {"op": "test", "path": "/a", "value": 1.0}) == document


def test_what_is_named_is_among_the_changes_though_it_stays_as_it_is() -> None:
    """It is the caller's word from then on."""
    operations = read_operations([{"op": "add", "path": "/a", "value": 1}])
    assert changes({"a": 1, "b": 2}, operations) == {("a",): 1}


def test_null_is_a_value_and_the_blocks_are_there_to_be_filled() -> None:
    add = [{"op": "add", "path": "/engine_parameters/ngl", "value": None}]
    found = resolved(Patch(operations=read_operations(add)), Places({}))
    assert found.values == {("engine_parameters", "ngl"): None}
    take = [{"op": "remove", "path": "/engine_parameters/ngl"}]
    found = resolved(Patch(operations=read_operations(take)), Places({"settings": {"ngl": 5}}))
    assert found.values == {("engine_parameters", "ngl"): REMOVED}, "by whatever name it has in the file"


KEYS = st.sampled_from(["a", "b", "~/"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
PATHS = st.lists(KEYS | st.sampled_from(["0", "1", "-"]), min_size=1, max_size=3)


def pointer(path: list[str]) -> str:
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def walked(document: Any, path: list[str]) -> tuple[Any, str]:
    for key in path[:-1]:
        document = document[int(key)] if isinstance(document, list) else document[key]
    if not isinstance(document, list | dict):
        raise LookupError
    return document, path[-1]


def oracle(document: Document, path: list[str], value: Any) -> Document | None:
    """`add` (or, without a value, `remove`) done plainly on a copy; None where it cannot be done."""
    after = copy.deepcopy(document)
    try:
        holder, key = walked(after, path)
        if isinstance(holder, dict):
            if value is REMOVED:
                del holder[key]
            else:
                holder[key] = value
        elif value is REMOVED:
            del holder[int(key)]
        elif key == "-":
            holder.append(value)
        elif int(key) <= len(holder):
            holder.insert(int(key), value)
        else:
            return None
    except (LookupError, ValueError, TypeError):
        return None
    return after


@given(st.dictionaries(KEYS, VALUES, max_size=3), PATHS, VALUES | st.just(REMOVED))
def test_the_leaves_come_to_what_the_operation_says(document: Document, path: list[str], value: Any) -> None:
    operation = {"op": "remove" if value is REMOVED else "add", "path": pointer(path)}
    wanted = oracle(document, path, value)
    operations = read_operations([operation if value is REMOVED else {**operation, "value": value}])
    before = json.dumps(document)
    if wanted is None:
        with pytest.raises(InvalidInput):
            changes(document, operations)
    else:
        assert same(leaves(applied(document, changes(document, operations))), leaves(wanted))
    assert json.dumps(document) == before, "the document itself was changed"
