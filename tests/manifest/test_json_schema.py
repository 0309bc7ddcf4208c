"""The schemas say what the reader reads: no editor complains about what is fine."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from janfs.errors import ManifestError
from janfs.manifest import jsonc
from janfs.manifest.descriptions import PARAMETERS
from janfs.manifest.engine_file import default_engine_file
from janfs.manifest.generate import encode
from janfs.manifest.json_schema import ENGINE, MODEL, engine_schema, model_schema, reference, schemas
from janfs.manifest.parameters import ENGINE_PARAMETERS, MODEL_PARAMETERS
from janfs.manifest.schema import Manifest
from janfs.manifest.spellings import RENAMED, canonical, canonical_engine_file
from tests.support.json_schema import fits

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((Path(__file__).parent / "examples").rglob("*.json*"))
NAMES = sorted({*ENGINE_PARAMETERS, *MODEL_PARAMETERS, *RENAMED})
MODEL_SCHEMA, ENGINE_SCHEMA = model_schema(), engine_schema()

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2**33)
    | st.floats(-3, 300, allow_nan=False)
    | st.sampled_from(
        ["auto", "ON", " f16 ", "tRuE", "false", "7", " +7.0 ", "0.5", "1e3", "-1", "x", "", "N/A"]
    )
)
ANYTHING = (
    SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.sampled_from(NAMES), SCALARS, max_size=2)
)
# Of two spellings of a name the older is not looked at.
BLOCKS = st.lists(
    st.tuples(st.sampled_from(NAMES), ANYTHING),
    max_size=3,
    unique_by=lambda item: RENAMED.get(item[0], item[0]),
).map(dict)
ENTRIES = st.dictionaries(st.sampled_from(["filename", "url", "x"]), SCALARS, max_size=2) | SCALARS
# One block of each kind: of two with the same setting the lesser is not looked at.
DOCUMENTS = (
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("id", "name", "version", "format", "engine", "description", "state"), SCALARS),
            "created": SCALARS,
            "engine_parameters": BLOCKS | SCALARS,
            "model_parameters": BLOCKS | SCALARS,
            "sources": st.lists(ENTRIES, max_size=2) | ENTRIES,
            "metadata": st.dictionaries(st.sampled_from(["size", "author", "tags"]), ANYTHING, max_size=2)
            | SCALARS,
            "assets": st.lists(SCALARS, max_size=2) | SCALARS,
            "$schema": ANYTHING,
            "own": ANYTHING,
        },
    )
    | st.fixed_dictionaries({}, optional={"settings": BLOCKS | SCALARS, "source_url": ENTRIES})
    | st.fixed_dictionaries(
        {},
        optional={
            "parameters": st.fixed_dictionaries(
                {}, optional={"init": BLOCKS | SCALARS, "runtime": BLOCKS | SCALARS}
            )
            | BLOCKS
            | SCALARS
        },
    )
)


def is_read(raw: Any) -> bool:
    try:
        canonical(raw)
    except ManifestError:
        return False
    return True


@given(DOCUMENTS)
@example({"model_parameters": {"stop": ["a"] * 17}})
@example({"engine_parameters": {"flash_attn": True, "n_parallel": 0, "cpu_threads": -1}})
def test_what_is_read_is_never_complained_about(raw: dict[str, Any]) -> None:
    if is_read(raw):
        assert fits(raw, MODEL_SCHEMA), "an editor would mark what is fine"


@given(DOCUMENTS)
def test_what_is_not_read_is_marked_where_no_text_stands_for_a_number(raw: dict[str, Any]) -> None:
    if not any(isinstance(each, str) and any(c.isdigit() for c in each) for each in leaves(raw)):
        assert fits(raw, MODEL_SCHEMA) == is_read(raw)


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return [leaf for part in parts for leaf in leaves(part)]
    return [value]


@given(BLOCKS)
def test_an_engine_s_file_is_judged_alike(raw: dict[str, Any]) -> None:
    try:
        canonical_engine_file(raw)
    except ManifestError:
        return
    assert fits(raw, ENGINE_SCHEMA)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_what_people_really_wrote_is_fine(path: Path) -> None:
    try:
        raw = jsonc.parse(path.read_bytes())
    except ManifestError:
        pytest.skip("no JSON, so no editor looks further")
    assert fits(raw, MODEL_SCHEMA) == is_read(raw)


def test_it_tells_of_every_field_and_parameter() -> None:
    fields = {name for name in Manifest.__struct_fields__ if name != "extra"}
    assert fields <= set(MODEL_SCHEMA["properties"])
    assert set(PARAMETERS) == {*ENGINE_PARAMETERS, *MODEL_PARAMETERS}
    assert set(ENGINE_PARAMETERS) <= set(ENGINE_SCHEMA["properties"])
    for name, known in (("engine_parameters", ENGINE_PARAMETERS), ("model_parameters", MODEL_PARAMETERS)):
        told = MODEL_SCHEMA["$defs"][name]["properties"]
        assert set(known) <= set(told)
        assert all(told[parameter]["description"] for parameter in known)
        assert all(told[old].get("deprecated") for old, new in RENAMED.items() if new in known)


def test_defaults_are_values_that_fit() -> None:
    for schema in (*MODEL_SCHEMA["$defs"].values(), ENGINE_SCHEMA):
        for name, told in schema["properties"].items():
            assert "default" not in told or fits(told["default"], told), name


def test_what_janfs_makes_fits() -> None:
    assert fits(json.loads(default_engine_file()), ENGINE_SCHEMA)


@pytest.mark.parametrize("name", schemas())
def test_the_copy_in_the_repository_is_the_schema(name: str) -> None:
    kept = ROOT / "docs" / name.replace(".json", ".schema.json")
    assert kept.read_bytes() == encode(schemas()[name]), "run scripts/schemas"


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("models/tiny/model.json", MODEL, "../../.janfs/schemas/model.json"),
        ("models/nest/tiny/model.json", MODEL, "../../../.janfs/schemas/model.json"),
        ("engines/llama-cpp.json", ENGINE, "../.janfs/schemas/engine.json"),
    ],
)
def test_a_file_points_at_its_root_s_copy(path: str, name: str, expected: str) -> None:
    assert reference(path, name) == expected
