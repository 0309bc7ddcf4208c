"""Any event of any type, as hypothesis may dream it up."""

from typing import Any

from hypothesis import strategies as st

from janfs.events.types import EVENT_TYPES, Event, StartedPart
from janfs.folder.filesystem import Stamp
from janfs.folder.gguf import GgufFacts
from janfs.manifest.schema import Manifest, SourceRef

integers = st.integers(-(2**63), 2**63 - 1)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=3)
stamps = st.builds(Stamp, size=integers, mtime_ns=integers, inode=st.integers(0, 2**64 - 1))
facts = st.builds(
    GgufFacts,
    header_sha256=st.text(),
    data_end=integers,
    architecture=st.none() | st.text(),
    type=st.text(),
    name=st.none() | st.text(),
    tags=st.lists(st.text(), max_size=2).map(tuple),
    parameter_count=integers,
    has_chat_template=st.booleans(),
    split_no=st.none() | integers,
    split_count=st.none() | integers,
)
manifests = st.builds(
    Manifest,
    id=st.none() | st.text(),
    created=st.none() | integers,
    sources=st.lists(
        st.builds(SourceRef, filename=st.none() | st.text(), url=st.none() | st.text()), max_size=2
    ).map(tuple),
    engine_parameters=json_objects,
    model_parameters=json_objects,
    extra=json_objects,
)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "stamp": stamps,
    "facts": st.none() | facts,
    "manifest": manifests,
    "load_seconds": st.floats(0, 1e9),
    "seconds": st.floats(0, 1e9),
    "settings": json_objects,
    "parts": st.lists(
        st.builds(StartedPart, path=st.text(), stamp=stamps, sha256=st.none() | st.text()), max_size=2
    ).map(tuple),
}


def of(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Any event of one type, every field given."""
    fields: dict[str, Any] = {name: _FIELDS.get(name, ...) for name in kind.__struct_fields__}
    return st.builds(kind, **fields)


events: st.SearchStrategy[Event] = st.one_of([of(kind) for kind in EVENT_TYPES])
