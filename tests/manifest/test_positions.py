import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.errors import ManifestError
from janfs.manifest.positions import Place, placed, positions

KEYS = st.text(st.characters(codec="utf-8", exclude_characters=".[]"), min_size=1, max_size=5)
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        st.none() | st.integers(0, 9) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def paths_of(value: Any, at: str = "") -> list[tuple[str, Any]]:
    """Every path with what stands there: the key of a member, the value of an entry."""
    found: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        for key, part in value.items():
            here = f"{at}.{key}" if at else key
            found += [(here, key), *paths_of(part, here)]
    elif isinstance(value, list):
        for number, part in enumerate(value):
            found += [(f"{at}[{number}]", part), *paths_of(part, f"{at}[{number}]")]
    return found


@given(DOCUMENTS, st.sampled_from([None, 0, 2]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_each_path_leads_to_where_its_key_or_entry_stands(
    document: dict[str, Any], indent: int | None, line_end: str
) -> None:
    text = f"/* one\n two */ {json.dumps(document, indent=indent)}".replace("\n", line_end)
    found = positions(text)
    expected = paths_of(document)
    assert set(found) == {path for path, _ in expected}
    lines = text.split(line_end)
    for path, stands_there in expected:
        line, column = found[path]
        rest = lines[line - 1][column - 1 :]
        first_line = json.dumps(stands_there, indent=indent).split("\n")[0]
        assert rest.startswith(first_line), f"{path} is said to be at {rest!r}"


def test_a_wrong_value_is_shown_where_it_stands() -> None:
    text = '{\n  "name": "x",\n  "engine_parameters": {\n    "ngl": "all"\n  }\n}'
    error = placed(ManifestError("No.", path="engine_parameters.ngl"), text)
    assert (error.line, error.column, error.path, error.detail) == (4, 5, "engine_parameters.ngl", "No.")


@pytest.mark.parametrize("path", ["sources[0].url", "sources[0]", "sources.url.x"])
def test_what_is_missing_is_shown_at_what_it_is_missing_from(path: str) -> None:
    error = placed(ManifestError("No.", path=path), '{"a": 1,\n "sources": []}')
    assert (error.line, error.column) == (2, 2)


def test_an_error_that_has_a_place_keeps_it() -> None:
    error = ManifestError("No.", line=7, column=9)
    assert placed(error, "{}") is error
    assert positions("{}") == {}
    assert positions('\ufeff{"a": 1}') == {"a": Place(1, 2)}
