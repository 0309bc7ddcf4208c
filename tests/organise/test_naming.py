"""Ids from names: whatever a file is called, its id is a good name for a folder and says what it is."""

import re
import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from janfs.organise.naming import MAX_LENGTH, free_id, id_from_file_name, id_from_folder

# Close to real names, so that endings, runs and device names are met often.
likely = st.lists(
    st.sampled_from(
        ["con", "nul", "com1", ".", "-", "_", "..", " ", ".gguf", ".GGUF", "Q4_K_M", "q8_0", "Zephyr", "é"]
    )
    | st.text(max_size=4),
    max_size=8,
).map("".join)
long = st.text("ab.-_ g", max_size=300)
names = likely | st.text() | long


@pytest.mark.parametrize(
    ("file_name", "expected"),
    [
        ("zephyr-7b-beta.Q4_K_M.gguf", "zephyr-7b-beta.q4_k_m"),
        ("Zephyr 7B beta.Q4_K_M.gguf", "zephyr-7b-beta.q4_k_m"),
        ("Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "meta-llama-3.1-8b-instruct-q4_k_m"),
        ("mistral-7b-instruct-v0.2.Q5_K_S.GGUF", "mistral-7b-instruct-v0.2.q5_k_s"),
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m-instruct.q4_1"),
        ("Qwen2.5-Coder-32B-Instruct-IQ2_XXS.gguf", "qwen2.5-coder-32b-instruct-iq2_xxs"),
        ("DeepSeek-R1-UD-IQ1_S-00001-of-00003.gguf", "deepseek-r1-ud-iq1_s"),
        ("gemma-3-27b-it-q4_0_s.gguf", "gemma-3-27b-it-q4_0_s"),
        ("mmproj-model-f16.gguf", "mmproj-model-f16"),
        ("model (1).gguf", "model-1"),
        ("Ünïcödé Mödel.Q8_0.gguf", "unicode-model.q8_0"),
        ("通义千问-7B.gguf", "7b"),
        ("模型.gguf", "model"),
        ("a'b\"c\nd%FF.gguf", "a-b-c-d-ff"),
        ("100%25 Zephyr 50%25.gguf", "100-zephyr-50"),
        ("My%2520Model.gguf", "my-20model"),
        ("..gguf", "model"),
        (".gguf", "model"),
        ("../../etc/passwd.gguf", "etc-passwd"),
        ("--help.gguf", "help"),
        ("a.gguf.gguf", "a"),
        ("CON.gguf", "model-con"),
        ("nul.Q4_K_M.gguf", "model-nul.q4_k_m"),
        ("console.gguf", "console"),
    ],
)
def test_names_as_they_are_found(file_name: str, expected: str) -> None:
    assert id_from_file_name(file_name) == expected


@given(names)
@example("con.q4_0.gguf")
@example("a" * 95 + "-.gguf.gguf")
@example("a" * 91 + ".gguf.b")
@example("con" + "." * 200 + "b")
def test_an_id_is_a_safe_name_for_a_folder(name: str) -> None:
    for id_ in (id_from_file_name(name), id_from_folder(name)):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", id_), id_
        assert len(id_) <= MAX_LENGTH
        assert id_ not in (".", "..")
    id_ = id_from_file_name(name)
    assert id_ == id_.lower()
    assert id_[-1] not in ".-_", "Windows drops a dot at the end"
    stem = id_.partition(".")[0]
    assert stem not in {"con", "prn", "aux", "nul", *(f"{p}{n}" for p in ("com", "lpt") for n in range(10))}


@given(names)
@example("con.gguf")
@example("a" * 91 + ".gguf.b")
def test_an_id_is_its_own_id(name: str) -> None:
    id_ = id_from_file_name(name)
    assert id_from_file_name(id_) == id_from_file_name(f"{id_}.gguf") == id_
    assert id_from_folder(id_) == id_
    assert id_from_folder(id_from_folder(name)) == id_from_folder(name)


@given(
    st.text(string.ascii_letters + string.digits + " -.", min_size=1, max_size=60),
    st.sampled_from(["Q4_K_M", "Q8_0", "IQ2_XXS", "F16", "BF16", "UD-Q2_K_XL", "q4_0"]),
    st.sampled_from([".", "-", "_", " "]),
)
def test_the_quantisation_is_kept(name: str, quantisation: str, separator: str) -> None:
    assert id_from_file_name(f"{name}{separator}{quantisation}.gguf").endswith(quantisation.lower())


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}", fullmatch=True))
def test_a_folder_whose_name_can_be_an_id_keeps_it(name: str) -> None:
    assert id_from_folder(name) == name


@given(names)
def test_a_folder_whose_name_cannot_gets_the_nearest(name: str) -> None:
    assume(not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name))
    assert id_from_folder(name) == id_from_file_name(name)


@given(st.sampled_from(["a", "a-2", "b"]), st.sets(st.sampled_from(["a", "a-2", "a-3", "a-2-2", "b", "b-2"])))
def test_a_free_id_is_free_and_the_first_that_is(wanted: str, taken: set[str]) -> None:
    found = free_id(wanted, taken)
    assert found not in taken
    candidates = [wanted, *(f"{wanted}-{number}" for number in range(2, 9))]
    assert set(candidates[: candidates.index(found)]) <= taken
