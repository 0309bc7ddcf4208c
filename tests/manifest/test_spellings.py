import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.errors import ManifestError
from janfs.manifest.parameters import ENGINE_PARAMETERS, MODEL_PARAMETERS
from janfs.manifest.schema import Manifest, SourceRef
from janfs.manifest.spellings import canonical, canonical_engine, canonical_engine_file, read_manifest

EXAMPLES = Path(__file__).parent / "examples"


def read(text: str) -> Manifest:
    return read_manifest(text)[0]


def manifest(raw: dict[str, Any]) -> Manifest:
    return canonical(raw)[0]


def notes(raw: dict[str, Any]) -> str:
    return "\n".join(canonical(raw)[1])


FIRST_FORM = {
    "ctx_len": 2048,
    "ngl": 100,
    "embedding": True,
    "n_parallel": 4,
    "prompt_template": "### Instruction: {prompt}\n### Response:",
}

# Of every example file: the facts that must come out, by field.
EXPECTED: dict[str, dict[str, Any]] = {
    "draft-flat.json": {
        "sources": (SourceRef("zephyr.Q4_K_M.gguf", "~/Downloads/zephyr.Q4_K_M.gguf"),),
        "engine": "llama-cpp",
        "engine_parameters": {"ctx_len": 2048, "ngl": 100, "llama_model_path": "zephyr.Q4_K_M.gguf"},
        "model_parameters": {"temperature": 0.7, "max_tokens": 512, "stop": ["USER:"]},
    },
    "draft-init-runtime.json": {
        "engine_parameters": {"ctx_len": 2048, "ngl": 100, "mmproj": "mmproj.gguf"},
        "model_parameters": {"temperature": 0.7, "max_tokens": 2048},
        "owned_by": "someone",
    },
    "spec-first-form.json": {
        "created": 1231231,
        "version": "1",
        "engine_parameters": {"ctx_len": 2048, "ngl": 100, "embedding": True, "n_parallel": 4},
        "model_parameters": {
            "temperature": 0.7,
            "max_tokens": 2048,
            "top_k": 0,
            "top_p": 1.0,
            "stream": True,
            "model": "gpt-3.5-turbo",
        },
        "sources": (
            SourceRef("zephyr-7b-beta.Q4_K_M.gguf", "https://example.org/zephyr-7b-beta.Q4_K_M.gguf"),
        ),
    },
    "spec-renamed.json": {
        "engine_parameters": {"ctx_len": 2048, "ngl": 100, "embedding": True, "n_parallel": 4},
        "model_parameters": {"temperature": 0.7, "stop": ["<endofstring>"], "max_tokens": 2048},
    },
    "spec-last-form.json": {
        "id": "zephyr-7b",
        "object": "model",
        "name": "Zephyr 7B",
        "owned_by": "you",
        "version": "1",
        "created": 1231231,
        "description": None,
        "format": "gguf",
        "engine": "llama-cpp",
        "sources": (
            SourceRef("zephyr-7b-beta.Q4_K_M.gguf", "https://example.org/zephyr-7b-beta.Q4_K_M.gguf"),
        ),
        "engine_parameters": {"ctx_len": 4096, "ngl": 100, "embedding": True, "n_parallel": 4},
        "model_parameters": {
            "stream": True,
            "max_tokens": 4096,
            "stop": ["<endofstring>"],
            "frequency_penalty": 0,
            "presence_penalty": 0,
            "temperature": 0.7,
            "top_p": 0.95,
        },
        "assets": ("file://.../zephyr-7b-q4_k_m.bin",),
        "extra": {},
    },
    "shipped-mistral.json": {
        "version": "1.0",
        "format": "gguf",
        "engine": "llama-cpp",
        "sources": (
            SourceRef("mistral-7b-instruct-v0.2.Q4_K_M.gguf", "https://example.org/mistral.gguf?download"),
        ),
        "engine_parameters": {
            "ctx_len": 32768,
            "prompt_template": "[INST] {prompt} [/INST]",
            "llama_model_path": "mistral-7b-instruct-v0.2.Q4_K_M.gguf",
        },
        "metadata": {"author": "MistralAI", "tags": ["Featured", "7B"], "size": 4370000000},
    },
    "shipped-source-url.json": {
        "sources": (
            SourceRef("llama-2-7b-chat.Q4_K_M.gguf", "https://example.org/llama-2-7b-chat.Q4_K_M.gguf"),
        ),
    },
    "shipped-singular-source.json": {
        "sources": (SourceRef("trinity.gguf", "https://example.org/trinity.gguf"),)
    },
    "shipped-llava.json": {
        "sources": (
            SourceRef("ggml-model-q5_k.gguf", "https://example.org/ggml-model-q5_k.gguf"),
            SourceRef("mmproj-model-f16.gguf", "https://example.org/mmproj-model-f16.gguf"),
        ),
        "engine_parameters": {
            "ctx_len": 4096,
            "vision_model": True,
            "text_model": False,
            "llama_model_path": "ggml-model-q5_k.gguf",
            "mmproj": "mmproj-model-f16.gguf",
        },
    },
    "shipped-openai.json": {
        "format": "api",
        "engine": "openai",
        "sources": (SourceRef(None, "https://openai.com"),),
        "engine_parameters": {"vision_model": True, "text_model": False},
        "model_parameters": {"max_tokens": 4096},
    },
    "shipped-groq.json": {
        "id": "mixtral-8x7b-32768",
        "engine": "groq",
        "engine_parameters": {},
        "model_parameters": {
            "max_tokens": 4096,
            "temperature": 0.7,
            "top_p": 1,
            "stop": None,
            "stream": True,
        },
    },
    "shipped-tensorrt.json": {"engine": "triton_trtllm"},
    "imported-generation-1.json": {
        "version": "1",
        "created": 1706745600,
        "sources": (),
        "engine_parameters": {
            "ctx_len": 4096,
            "ngl": 0,
            "embedding": False,
            "n_parallel": None,
            "cpu_threads": None,
            "prompt_template": "",
        },
        "model_parameters": {"temperature": 0, "top_p": 0, "stream": False, "max_tokens": 4096, "stop": []},
    },
    "imported-generation-2.json": {
        "sources": (),
        "engine_parameters": {
            "ctx_len": 4096,
            "ngl": 0,
            "embedding": False,
            "prompt_template": "{system_message}\n### Instruction: {prompt}\n### Response:",
        },
    },
    "imported-generation-3.json": {
        "sources": (SourceRef("tiny.gguf", "tiny.gguf"),),
        "created": 1712345678,
        "description": "",
        "engine_parameters": {
            "ctx_len": 4096,
            "embedding": False,
            "prompt_template": "{system_message}\n### Instruction: {prompt}\n### Response:",
            "llama_model_path": "tiny.gguf",
        },
    },
    "guide-with-comments.json": {
        "sources": (SourceRef("openhermes.gguf", "https://example.org/openhermes.gguf"),),
        "engine_parameters": {"ctx_len": 4096},
    },
    "empty.json": {name: getattr(Manifest(), name) for name in Manifest.__struct_fields__},
}


class TestExamples:
    def test_every_example_has_its_expectations(self) -> None:
        assert {path.name for path in EXAMPLES.iterdir()} == set(EXPECTED)

    @pytest.mark.parametrize("name", EXPECTED)
    def test_an_example_is_read_as_it_was_meant(self, name: str) -> None:
        found, _ = read_manifest((EXAMPLES / name).read_bytes())
        for field, value in EXPECTED[name].items():
            assert getattr(found, field) == value, f"{name}: {field}"

    @pytest.mark.parametrize("name", EXPECTED)
    def test_an_example_survives_the_log(self, name: str) -> None:
        found, _ = read_manifest((EXAMPLES / name).read_bytes())
        assert msgspec.json.decode(msgspec.json.encode(found), type=Manifest) == found

    def test_the_specification_s_own_form_needs_no_notes(self) -> None:
        raw = json.loads((EXAMPLES / "spec-last-form.json").read_bytes()) | {
            "format": "gguf",
            "engine": "llama-cpp",
        }
        assert canonical(raw)[1] == ()


class TestAbsence:
    def test_absent_null_false_and_zero_are_four_things(self) -> None:
        found = read('{"engine_parameters": {"ngl": 0, "embedding": false, "ctx_len": null}}')
        assert found.engine_parameters == {"ngl": 0, "embedding": False, "ctx_len": None}
        assert "n_parallel" not in found.engine_parameters

    @pytest.mark.parametrize(
        "field", [*Manifest.__struct_fields__[:-1], "settings", "parameters", "source_url", "state"]
    )
    def test_null_outside_the_parameters_says_nothing(self, field: str) -> None:
        assert manifest({field: None}) == Manifest()


class TestHowFilesAreWritten:
    """What editors and other systems make of a file changes nothing in what it says."""

    @pytest.mark.parametrize("name", EXPECTED)
    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
    def test_line_ends_and_a_byte_order_mark(self, name: str, newline: str, mark: bytes) -> None:
        text = (EXAMPLES / name).read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\n", newline)
        assert read_manifest(mark + text.encode()) == read_manifest((EXAMPLES / name).read_bytes())

    def test_a_single_backslash_is_answered_with_its_place_and_the_fix(self) -> None:
        for path, column in (
            ("C:\\Users\\me\\m.gguf", 20),
            ("C:\\new\\tiny.gguf", 20),
            ("D:\\ai\\tiny.gguf", 20),
        ):
            with pytest.raises(ManifestError, match="for every single backslash") as caught:
                read_manifest('{\n  "source_url": "' + path + '"\n}')
            assert (caught.value.line, caught.value.column) == (2, column), path


class TestPrecedence:
    def test_the_current_block_wins_over_older_ones_whatever_their_order(self) -> None:
        for raw in (
            {"settings": {"ctx_len": 1}, "engine_parameters": {"ctx_len": 2}},
            {"engine_parameters": {"ctx_len": 2}, "settings": {"ctx_len": 1}},
        ):
            assert manifest(raw).engine_parameters == {"ctx_len": 2}
            assert "settings.ctx_len is ignored" in notes(raw)

    def test_the_current_name_wins_within_a_block(self) -> None:
        raw = {"parameters": {"token_limit": 1, "max_tokens": 2}}
        assert manifest(raw).model_parameters == {"max_tokens": 2}

    def test_sources_win_over_source_and_source_url(self) -> None:
        raw = {"source_url": "a.gguf", "source": "b.gguf", "sources": ["c.gguf"]}
        assert manifest(raw).sources == (SourceRef("c.gguf", "c.gguf"),)
        assert "source_url is ignored" in notes(raw)

    def test_an_engine_in_the_metadata_counts_only_without_one_of_its_own(self) -> None:
        assert manifest({"metadata": {"engine": "llamacpp"}}).engine == "llama-cpp"
        assert manifest({"engine": "openai", "metadata": {"engine": "llamacpp"}}).engine == "openai"


class TestUnknown:
    def test_unknown_parameters_are_kept_as_they_are_and_noted(self) -> None:
        raw = {"engine_parameters": {"warp": {"speed": [9]}}, "parameters": {"mood": "good"}}
        assert manifest(raw).engine_parameters == {"warp": {"speed": [9]}}
        assert manifest(raw).model_parameters == {"mood": "good"}
        assert "engine_parameters.warp" in notes(raw)
        assert "parameters.mood" in notes(raw)

    def test_parameters_that_mean_nothing_are_kept_and_noted(self) -> None:
        raw = {"model_parameters": {"tfs_z": 0.9, "min_keep": 3}, "engine_parameters": {"grp_attn_n": 8}}
        assert manifest(raw).model_parameters == {"tfs_z": 0.9, "min_keep": 3}
        assert manifest(raw).engine_parameters == {"grp_attn_n": 8}
        assert "model_parameters.tfs_z is without effect" in notes(raw)
        assert "engine_parameters.grp_attn_n is without effect" in notes(raw)
        assert "min_keep" not in notes(raw)

    def test_unknown_fields_are_kept_and_noted(self) -> None:
        assert manifest({"colour": "red"}).extra == {"colour": "red"}
        assert "colour" in notes({"colour": "red"})

    def test_state_is_ignored(self) -> None:
        assert manifest({"state": "ready"}) == Manifest()


class TestSources:
    @pytest.mark.parametrize(
        ("url", "filename"),
        [
            ("https://example.org/a/b.Q4_0.gguf", "b.Q4_0.gguf"),
            ("https://example.org/a/b.GGUF?download=true", "b.GGUF"),
            ("C:\\Users\\me\\b.gguf", "b.gguf"),
            ("/home/me/b.gguf", "b.gguf"),
            ("https://openai.com", None),
            ("file.bin", None),
        ],
    )
    def test_the_file_s_name_is_taken_from_where_it_came_from(self, url: str, filename: str | None) -> None:
        assert manifest({"source_url": url}).sources == (SourceRef(filename, url),)

    def test_a_name_that_is_given_stands(self) -> None:
        raw = {"sources": [{"filename": "mine.gguf", "url": "https://example.org/theirs.gguf"}]}
        assert manifest(raw).sources == (SourceRef("mine.gguf", "https://example.org/theirs.gguf"),)

    @pytest.mark.parametrize("nothing", ["N/A", "", {"url": "N/A"}, {}, {"filename": "", "url": None}])
    def test_placeholders_are_no_sources(self, nothing: object) -> None:
        assert manifest({"sources": [nothing]}).sources == ()


WRONG = [
    ("[]", "", "an object"),
    ('"text"', "", "an object"),
    ('{"id": 5}', "id", "text"),
    ('{"created": "soon"}', "created", "a number"),
    ('{"created": -1}', "created", "a number"),
    ('{"created": true}', "created", "a number"),
    ('{"version": []}', "version", "text"),
    ('{"metadata": []}', "metadata", "an object"),
    ('{"settings": 3}', "settings", "an object"),
    ('{"parameters": "x"}', "parameters", "an object"),
    ('{"sources": 3}', "sources[0]", '{"filename"'),
    ('{"sources": [{"url": 3}]}', "sources[0].url", "text"),
    ('{"sources": ["a.gguf", [1]]}', "sources[1]", '{"filename"'),
    ('{"assets": [1]}', "assets", "a list of texts"),
    ('{"settings": {"ctx_len": "many"}}', "settings.ctx_len", "a whole number from 0"),
    ('{"settings": {"ctx_len": 1.5}}', "settings.ctx_len", "a whole number"),
    ('{"settings": {"ctx_len": true}}', "settings.ctx_len", "a whole number"),
    ('{"settings": {"ctx_len": -1}}', "settings.ctx_len", "a whole number from 0"),
    ('{"settings": {"embedding": 1}}', "settings.embedding", "true or false"),
    ('{"settings": {"flash_attn": "maybe"}}', "settings.flash_attn", "one of auto, on, off"),
    ('{"settings": {"mmproj": 1}}', "settings.mmproj", "text"),
    ('{"parameters": {"temperature": 3}}', "parameters.temperature", "a number from 0 to 2"),
    ('{"parameters": {"temperature": "1e999"}}', "parameters.temperature", "a number"),
    ('{"model_parameters": {"stop": 1}}', "model_parameters.stop", "a list of up to 16 texts"),
    ('{"model_parameters": {"stop": [""]}}', "model_parameters.stop", "1 to 1024"),
    ('{"parameters": {"token_limit": 0}}', "parameters.token_limit", "a whole number from 1"),
]


class TestWrongTypes:
    @pytest.mark.parametrize(("text", "path", "expected"), WRONG)
    def test_a_wrong_value_is_named_in_the_file_s_own_spelling(
        self, text: str, path: str, expected: str
    ) -> None:
        with pytest.raises(ManifestError) as caught:
            read_manifest(text)
        assert caught.value.path == path
        assert expected in caught.value.detail
        assert path in caught.value.detail


class TestValues:
    @pytest.mark.parametrize(
        ("name", "written", "value"),
        [
            ("ctx_len", "2048", 2048),
            ("ctx_len", " 2048.0 ", 2048),
            ("ctx_len", 2048.0, 2048),
            ("ngl", -1, -1),
            ("embedding", "True", True),
            ("embedding", "false", False),
            ("n_parallel", 0, None),
            ("cpu_threads", -1, None),
            ("flash_attn", True, "on"),
            ("flash_attn", "AUTO", "auto"),
            ("cache_type", "Q8_0", "q8_0"),
        ],
    )
    def test_numbers_booleans_and_choices_may_be_written_in_many_ways(
        self, name: str, written: object, value: object
    ) -> None:
        found = manifest({"engine_parameters": {name: written}}).engine_parameters[name]
        assert (found, type(found)) == (value, type(value))

    def test_one_stop_may_be_a_text(self) -> None:
        assert manifest({"parameters": {"stop": "</s>"}}).model_parameters == {"stop": ["</s>"]}

    def test_a_placeholder_is_no_path(self) -> None:
        raw = {"settings": {"llama_model_path": "N/A", "mmproj": "N/A"}}
        assert manifest(raw).engine_parameters == {}
        assert "placeholder" in notes(raw)

    @pytest.mark.parametrize(
        ("written", "seconds"), [(1706745600, 1706745600), (1706745600123, 1706745600), (0, 0)]
    )
    def test_created_is_in_seconds_whatever_was_written(self, written: int, seconds: int) -> None:
        assert manifest({"created": written}).created == seconds

    def test_a_placeholder_is_no_time(self) -> None:
        assert manifest({"created": "N/A"}).created is None

    @pytest.mark.parametrize(("written", "version"), [(1, "1"), (1.0, "1.0"), ("1.2", "1.2")])
    def test_a_version_may_be_a_number(self, written: object, version: str) -> None:
        assert manifest({"version": written}).version == version

    def test_engines_are_known_by_their_older_names(self) -> None:
        assert canonical_engine("Nitro") == "llama-cpp"
        assert canonical_engine("my-engine") == "my-engine"


class TestEngineFile:
    def test_it_holds_the_parameters_side_by_side(self) -> None:
        raw = {"ctx_len": "2048", "ngl": 100, "cont_batching": False, "own": 1}
        found, said = canonical_engine_file(raw)
        assert found == {"ctx_len": 2048, "ngl": 100, "cont_batching": False, "own": 1}
        assert any("own" in note for note in said)

    def test_a_remote_engine_s_file_is_known(self) -> None:
        raw = {"full_url": "https://example.org/v1/chat/completions", "api_key": "key"}
        assert canonical_engine_file(raw) == (raw, ())

    def test_a_wrong_value_is_named(self) -> None:
        with pytest.raises(ManifestError) as caught:
            canonical_engine_file({"ngl": "all"})
        assert caught.value.path == "ngl"


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "N/A", "7", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*ENGINE_PARAMETERS, *MODEL_PARAMETERS, "url", "init", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
FIELDS = [*Manifest.__struct_fields__, "settings", "parameters", "source", "source_url", "state", "colour"]


class TestAnything:
    @given(raw=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=6))
    def test_any_object_is_read_or_refused_with_its_path(self, raw: dict[str, Any]) -> None:
        before = json.dumps(raw)
        try:
            found, _ = canonical(raw)
        except ManifestError as error:
            assert error.path.split(".")[0].split("[")[0] in raw  # noqa: PT017
        else:
            assert msgspec.json.decode(msgspec.json.encode(found), type=Manifest) == found
        assert json.dumps(raw) == before, "the caller's object was changed"
