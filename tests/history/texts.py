"""Made-up lives of a model.json, for tests: what happens to it, and what a file system would have held."""

from typing import Any

from hypothesis import strategies as st

json_leaves: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["", "a", 'q"', "é"])
    | st.lists(st.integers(0, 2), max_size=2)
)
keys = st.sampled_from(["a", "b", "c.d", "e f"])
documents: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    keys,
    json_leaves
    | st.dictionaries(keys, json_leaves | st.dictionaries(keys, json_leaves, max_size=2), max_size=3),
    max_size=4,
)
