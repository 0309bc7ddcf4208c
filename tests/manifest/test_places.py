from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.manifest.leaves import Pointer, applied, find
from janfs.manifest.parameters import ENGINE_PARAMETERS, MODEL_PARAMETERS
from janfs.manifest.places import Places
from janfs.manifest.spellings import canonical

FORMS: list[tuple[dict[str, Any], str, str]] = [
    ({"settings": {"ctx_len": 1}}, "/engine_parameters/ctx_len", "/settings/ctx_len"),
    ({"settings": {"ctx_len": 1}}, "/engine_parameters/mmproj", "/settings/mmproj"),
    ({"settings": {"model_path": "a"}}, "/engine_parameters/llama_model_path", "/settings/model_path"),
    ({"settings": {"textModel": True}}, "/engine_parameters/text_model", "/settings/textModel"),
    ({"parameters": {"top_p": 1}}, "/model_parameters/top_p", "/parameters/top_p"),
    ({"parameters": {"token_limit": 1}}, "/model_parameters/max_tokens", "/parameters/token_limit"),
    ({"parameters": {"ctx_len": 1}}, "/engine_parameters/ngl", "/parameters/ngl"),
    ({"parameters": {"top_p": 1}}, "/engine_parameters/ngl", "/engine_parameters/ngl"),
    ({"parameters": {"init": {}, "runtime": {}}}, "/engine_parameters/ngl", "/parameters/init/ngl"),
    ({"parameters": {"init": {}, "runtime": {}}}, "/model_parameters/top_p", "/parameters/runtime/top_p"),
    ({"metadata": {"mmproj_binary": "a"}}, "/engine_parameters/mmproj", "/metadata/mmproj_binary"),
    ({"metadata": {"engine": "llamacpp"}}, "/engine", "/metadata/engine"),
    ({"source_url": "a"}, "/sources", "/source_url"),
    ({"source": [], "source_url": "a"}, "/sources", "/source"),
    ({"settings": {}, "engine_parameters": {}}, "/engine_parameters/ngl", "/engine_parameters/ngl"),
    ({"settings": {"ngl": 1}, "engine_parameters": {}}, "/engine_parameters/ngl", "/settings/ngl"),
    (
        {"engine_parameters": {"ngl": 1}, "settings": {"ngl": 2}},
        "/engine_parameters/ngl",
        "/engine_parameters/ngl",
    ),
    ({}, "/model_parameters/top_p", "/model_parameters/top_p"),
    ({}, "/name", "/name"),
]


def pointer(text: str) -> Pointer:
    return tuple(text.split("/")[1:])


@pytest.mark.parametrize(("document", "canonical_path", "place"), FORMS)
def test_a_value_goes_where_the_file_has_its_like(
    document: dict[str, Any], canonical_path: str, place: str
) -> None:
    assert Places(document).of(pointer(canonical_path)) == pointer(place)


SETTINGS = st.dictionaries(st.sampled_from(["ctx_len", "ngl", "n_batch"]), st.integers(1, 9), max_size=3)
CALLS = st.dictionaries(
    st.sampled_from(["top_k", "seed", "token_limit", "max_tokens"]), st.integers(1, 9), max_size=3
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "engine_parameters": SETTINGS,
        "settings": SETTINGS,
        "model_parameters": CALLS,
        "parameters": st.one_of(
            st.builds(lambda a, b: {**a, **b}, CALLS, SETTINGS),
            st.fixed_dictionaries({}, optional={"init": SETTINGS, "runtime": CALLS}),
        ),
        "metadata": st.dictionaries(st.sampled_from(["ggml_binary", "size"]), st.just("x"), max_size=2),
    },
)


@given(
    document=FILES,
    name=st.sampled_from(
        ["ctx_len", "ngl", "n_batch", "n_parallel", "top_k", "seed", "max_tokens", "repeat_last_n"]
    ),
)
def test_the_reader_finds_a_value_that_was_put_there(document: dict[str, Any], name: str) -> None:
    """Whatever spellings a file mixes: what the reader says is what we changed, and nothing else changed."""
    block = "engine_parameters" if name in ENGINE_PARAMETERS else "model_parameters"
    place = Places(document).of((block, name))
    before = canonical(document)[0]
    after = canonical(applied(document, {place: 77}))[0]
    assert getattr(after, block) == {**getattr(before, block), name: 77}
    other = "model_parameters" if block == "engine_parameters" else "engine_parameters"
    assert getattr(after, other) == getattr(before, other)
    assert find(document, place) == getattr(before, block).get(name, find({}, place))


def test_no_setting_is_of_both_kinds() -> None:
    assert not set(ENGINE_PARAMETERS) & set(MODEL_PARAMETERS)
