"""Differences of two model.json."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.history.diff import Change, compare, spelled, unified
from janfs.manifest.leaves import leaves
from tests.history.texts import documents


def applied(document: dict[str, Any], changes: list[Change]) -> dict[tuple[str, ...], Any]:
    """The leaves after the changes, done one by one."""
    there = dict(leaves(document))
    for change in changes:
        if change.kind == "removed":
            assert there.pop(change.path) == change.old
        else:
            assert (change.path in there) == (change.kind == "changed")
            there[change.path] = change.new
    return there


@given(documents, documents)
def test_the_changes_lead_from_one_side_to_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert applied(old, compare(old, new)) == leaves(new)
    assert applied(new, compare(new, old)) == leaves(old)


@given(documents)
def test_a_document_does_not_differ_from_itself(document: dict[str, Any]) -> None:
    assert compare(document, document) == []


def test_each_kind_of_change_is_named_with_its_values() -> None:
    old = {"name": "x", "engine_parameters": {"ctx_len": 1, "ngl": 0}, "gone": [1]}
    new = {"name": "x", "engine_parameters": {"ctx_len": 2, "ngl": 0, "mlock": None}}
    assert compare(old, new) == [
        Change(("engine_parameters", "ctx_len"), "changed", 1, 2),
        Change(("engine_parameters", "mlock"), "added", new=None),
        Change(("gone",), "removed", [1]),
    ]


@pytest.mark.parametrize(("old", "new"), [(0, False), (1, True), ([1], [True]), (None, False), ("1", 1)])
def test_values_that_python_or_people_confuse_are_told_apart(old: Any, new: Any) -> None:
    assert [change.kind for change in compare({"a": old}, {"a": new})] == ["changed"]


def test_a_number_is_the_same_however_it_is_written() -> None:
    assert compare({"a": 1}, {"a": 1.0}) == []


lines = st.lists(st.sampled_from(["a\n", "b\n", "c\r\n", "\n", "e\x85\n", "d"]), max_size=20).map("".join)


def patched(old: str, difference: str) -> str:
    """The other text, as `patch` would make it."""
    before = re.findall(r"[^\n]*\n|[^\n]+", old)
    found: list[str] = []
    done, last = 0, ""
    for line in re.findall(r"[^\n]*\n", difference)[2:]:
        if line.startswith("@@"):
            start, count = (re.match(r"@@ -(\d+)(?:,(\d+))?", line) or pytest.fail(line)).groups()
            first = int(start) - (count != "0")
            found += before[done:first]
            done = first
        elif line.startswith("\\"):
            if last != "-":
                found[-1] = found[-1].removesuffix("\n")
            continue
        elif line[0] != "+":
            assert before[done].rstrip("\n") == line[1:].rstrip("\n")
            done += 1
        if line[0] in " +":
            found.append(line[1:])
        last = line[0]
    return "".join(found + before[done:])


@given(lines, lines)
def test_the_unified_difference_leads_from_one_text_to_the_other(old: str, new: str) -> None:
    text = unified(old.encode(), new.encode(), "old", "new")
    assert (text == "") == (old == new)
    assert patched(old, text) == new


def test_a_last_line_without_an_end_is_told() -> None:
    assert unified(b"{}", b"{}\n", "old", "new").count("\\ No newline at end of file") == 1


def test_a_path_is_spelled_with_dots_and_quotes_where_needed() -> None:
    assert spelled(("engine_parameters", "ctx_len")) == "engine_parameters.ctx_len"
    assert spelled(("metadata", "a.b", "ü")) == 'metadata."a.b".ü'
