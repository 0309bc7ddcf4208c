import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.folder.gguf import GgufFacts, facts, read_header
from janfs.manifest.effective import Layer, effective
from janfs.manifest.generate import describe, display_name, encode, generate
from janfs.manifest.parameters import ENGINE_PARAMETERS, MODEL_PARAMETERS
from janfs.manifest.schema import SourceRef
from janfs.manifest.spellings import read_manifest

BARE = GgufFacts(header_sha256="0" * 64, data_end=1000)
LLAMA = msgspec.structs.replace(
    BARE,
    architecture="llama",
    parameter_count=8_030_000_000,
    quantization="Q4_K_M",
    context_length=131_072,
    eos_token="<|end_of_text|>",
    eot_token="<|eot_id|>",
)


def document(
    found: GgufFacts = LLAMA, file_names: tuple[str, ...] = ("m.gguf",), **more: Any
) -> dict[str, Any]:
    return generate(
        model_id="m", file_names=file_names, size=1000, created=1_700_000_000, facts=found, **more
    )


WORDS = st.none() | st.text(st.sampled_from('abé" \\-_.7<|'), max_size=12)
COUNTS = st.none() | st.integers(0, 2**40)
FACTS = st.builds(
    GgufFacts,
    header_sha256=st.just("0" * 64),
    data_end=st.integers(0, 2**50),
    architecture=WORDS,
    name=WORDS,
    author=WORDS,
    license=WORDS,
    source_url=WORDS,
    tags=st.lists(st.text("ab", max_size=3), max_size=3).map(tuple),
    quantization=WORDS,
    parameter_count=st.integers(0, 2**45),
    context_length=COUNTS,
    eos_token=WORDS,
    eot_token=WORDS,
    is_embedding=st.booleans(),
    is_reranker=st.booleans(),
)
FILE_NAMES = st.text(st.sampled_from("abQ4_K-. 0123é"), min_size=1, max_size=20).map("{}.gguf".format)


class TestAnyFile:
    @given(found=FACTS, file_name=FILE_NAMES, mmproj=st.none() | FILE_NAMES, size=st.integers(0, 2**50))
    def test_what_is_generated_is_read_back_without_a_note(
        self, found: GgufFacts, file_name: str, mmproj: str | None, size: int
    ) -> None:
        raw = document(found, (file_name,), mmproj=mmproj) | {"metadata": {"size": size}}
        manifest, notes = read_manifest(encode(raw))
        assert notes == ()
        assert (manifest.id, manifest.name, manifest.created) == ("m", raw["name"], 1_700_000_000)
        assert manifest.engine_parameters == raw["engine_parameters"]
        assert manifest.model_parameters == raw["model_parameters"]
        assert manifest.metadata == {"size": size}
        assert manifest.sources[0] == SourceRef(file_name, file_name)
        assert manifest.extra == {}

    @pytest.mark.parametrize(
        ("time", "created"),
        [(-2_147_483_648, 0), (-1, 0), (0, 0), (2**40, 100_000_000_000), (2**70, 100_000_000_000)],
    )
    def test_of_any_time_it_is_read_back_without_a_note(self, time: int, created: int) -> None:
        raw = generate(model_id="m", file_names=["m.gguf"], size=1, created=time, facts=LLAMA)
        manifest, notes = read_manifest(encode(raw))
        assert (manifest.created, notes) == (created, ())

    @given(found=FACTS, file_name=FILE_NAMES)
    def test_its_settings_hold_for_the_engine(self, found: GgufFacts, file_name: str) -> None:
        raw = document(found, (file_name,))
        engine = effective(ENGINE_PARAMETERS, [Layer("model.json", raw["engine_parameters"])])
        model = effective(MODEL_PARAMETERS, [Layer("model.json", raw["model_parameters"])])
        limit = model["max_tokens"].value
        assert limit is None or limit <= engine["ctx_len"].value, "more tokens than the context holds"

    @given(found=FACTS, file_name=FILE_NAMES)
    def test_it_has_a_name_and_one_sentence(self, found: GgufFacts, file_name: str) -> None:
        raw = document(found, (file_name,))
        assert raw["name"].strip()
        assert raw["description"].startswith(raw["name"])
        assert raw["description"].endswith(".")

    @given(found=FACTS, file_name=FILE_NAMES)
    def test_the_same_file_gives_the_same_bytes(self, found: GgufFacts, file_name: str) -> None:
        assert encode(document(found, (file_name,))) == encode(document(found, (file_name,)))


class TestFields:
    def test_they_stand_in_the_specification_s_order(self) -> None:
        expected = "object sources id name owned_by version created description format engine"
        expected += " engine_parameters model_parameters metadata assets"
        assert list(document()) == expected.split()

    def test_the_specification_s_defaults(self) -> None:
        raw = document()
        assert (raw["object"], raw["owned_by"], raw["version"]) == ("model", "you", "1")
        assert (raw["format"], raw["engine"], raw["assets"]) == ("gguf", "llama-cpp", [])
        assert raw["model_parameters"] == {
            "temperature": 0.7,
            "top_p": 0.95,
            "stream": True,
            "max_tokens": 4096,
            "stop": ["<|end_of_text|>", "<|eot_id|>"],
            "frequency_penalty": 0,
            "presence_penalty": 0,
        }

    def test_the_context_is_the_trained_one_up_to_8192(self) -> None:
        assert document()["engine_parameters"] == {"ctx_len": 8192}
        short = document(msgspec.structs.replace(LLAMA, context_length=2048))
        assert short["engine_parameters"] == {"ctx_len": 2048}
        assert short["model_parameters"]["max_tokens"] == 2048

    def test_an_unknown_context_is_left_to_the_engine_file(self) -> None:
        assert document(BARE)["engine_parameters"] == {}

    def test_an_embedding_model_says_so_and_has_nothing_to_sample(self) -> None:
        raw = document(msgspec.structs.replace(LLAMA, is_embedding=True, context_length=512))
        assert raw["engine_parameters"] == {"ctx_len": 512, "embedding": True}
        assert raw["model_parameters"] == {}

    def test_equal_ends_are_named_once_and_blank_ones_never(self) -> None:
        same = msgspec.structs.replace(LLAMA, eos_token="<e>", eot_token="<e>")
        assert document(same)["model_parameters"]["stop"] == ["<e>"]
        blank = msgspec.structs.replace(LLAMA, eos_token="\n", eot_token=None)
        assert document(blank)["model_parameters"]["stop"] == []

    def test_all_files_are_sources_and_the_first_is_named_where_there_are_several(self) -> None:
        raw = document(file_names=("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"))
        assert [source["filename"] for source in raw["sources"]] == [
            "m-00001-of-00002.gguf",
            "m-00002-of-00002.gguf",
        ]
        assert raw["engine_parameters"]["llama_model_path"] == "m-00001-of-00002.gguf"

    def test_a_projector_is_named(self) -> None:
        raw = document(mmproj="mmproj.gguf")
        assert raw["sources"][1]["filename"] == "mmproj.gguf"
        assert raw["engine_parameters"]["mmproj"] == "mmproj.gguf"
        assert "sees images" in raw["description"]

    def test_what_is_not_known_is_not_in_the_metadata(self) -> None:
        assert document(BARE)["metadata"] == {"tags": [], "size": 1000, "header_sha256": "0" * 64}


class TestName:
    @pytest.mark.parametrize(
        ("file_name", "said", "name"),
        [
            ("Llama-3.1-8B-Instruct.Q4_K_M.gguf", None, "Llama 3.1 8B Instruct"),
            ("Llama-3.1-8B-Instruct-Q4_K_M.gguf", "Llama 3.1 8B Instruct", "Llama 3.1 8B Instruct"),
            ("gemma-3-270m.gguf", "Gemma 3 270m", "Gemma 3 270m"),
            ("SmolLM2-135M-Instruct.Q4_1.gguf", "Smollm2 135M 8k Lc100K Mix1 Ep2", "SmolLM2 135M Instruct"),
            ("zephyr-7b-beta.Q4_K_M.gguf", "huggingfaceh4_zephyr-7b-beta", "zephyr 7b beta"),
            ("ggml-model-q4_0.gguf", "Llava 1.5", "Llava 1.5"),
            ("model.gguf", "Phi 4", "Phi 4"),
            ("model.gguf", None, "model"),
            ("qwen2.5-0.5b-00001-of-00003.gguf", None, "qwen2.5 0.5b"),
            ("big.i1-IQ2_XXS.gguf", None, "big"),
            ("Qwen3-8B-UD-Q4_K_XL.gguf", None, "Qwen3 8B"),
            ("some.folder/tiny.BF16.gguf", None, "tiny"),
            (".gguf", None, ".gguf"),
            ("mein modell.gguf", "模型", "mein modell"),
        ],
    )
    def test_it_is_the_header_s_where_the_file_s_agrees_or_says_nothing(
        self, file_name: str, said: str | None, name: str
    ) -> None:
        assert display_name(file_name, msgspec.structs.replace(BARE, name=said)) == name


class TestDescription:
    @pytest.mark.parametrize(
        ("count", "shown"),
        [(134_515_008, "134.5M"), (8_030_000_000, "8.0B"), (999_960_000, "1.0B"), (1_500, "1.5k"), (7, "7")],
    )
    def test_parameters_are_rounded_for_people(self, count: int, shown: str) -> None:
        found = msgspec.structs.replace(BARE, parameter_count=count)
        assert describe("M", found) == f"M, {shown} parameters."

    def test_nothing_known_leaves_the_name(self) -> None:
        assert describe("M", BARE) == "M."

    def test_rerankers_are_called_so(self) -> None:
        assert describe("M", msgspec.structs.replace(BARE, is_reranker=True)) == "M, reranking model."


class TestEncoding:
    def test_it_is_json_with_two_spaces_a_final_newline_and_real_letters(self) -> None:
        assert encode({"a": ["é"]}) == '{\n  "a": [\n    "é"\n  ]\n}\n'.encode()

    def test_numbers_that_json_cannot_hold_are_refused(self) -> None:
        with pytest.raises(ValueError, match="Out of range"):
            encode({"a": float("nan")})


def test_the_sample_model_gets_the_model_json_a_person_would_write(sample_model: Path) -> None:
    path = sample_model
    size = path.stat().st_size
    with path.open("rb") as file:
        found = facts(read_header(lambda offset, length: os.pread(file.fileno(), length, offset), size))
    raw = json.loads(
        encode(generate(model_id="smol", file_names=[path.name], size=size, created=1, facts=found))
    )
    assert raw["name"] == "SmolLM2 135M Instruct"
    assert raw["description"] == (
        "SmolLM2 135M Instruct, llama architecture, 134.5M parameters, Q4_1, 8,192 tokens of context."
    )
    assert raw["model_parameters"]["stop"] == ["<|im_end|>"]
    assert raw["metadata"]["size"] == 98_362_432
