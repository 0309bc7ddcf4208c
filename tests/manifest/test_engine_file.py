import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.errors import ManifestError
from janfs.manifest.effective import Layer, Origin, effective
from janfs.manifest.engine_file import (
    default_engine_file,
    engine_of,
    read_engine_file,
    stream_of,
)
from janfs.manifest.jsonc import parse
from janfs.manifest.parameters import ENGINE_PARAMETERS
from janfs.manifest.remote import HIDDEN

SECRET = "sEcReT-0815-value"
HOLDERS = ["api_key", "API-KEY", "apiKey", "hf_token", "client_secret", "password", "Authorization", "token"]


def remote(text: bytes) -> tuple[dict[str, Any], bytes]:
    found = read_engine_file("engines/openai.json", text)
    return found.manifest.engine_parameters, found.text


class TestSecrets:
    @given(st.sampled_from(HOLDERS), st.sampled_from([str, lambda secret: [secret], lambda s: {"value": s}]))
    def test_a_secret_is_neither_in_the_settings_nor_in_the_text(self, holder: str, shape: Any) -> None:
        for wrapped in ({holder: shape(SECRET)}, {"headers": {holder: shape(SECRET)}}):
            if holder == "api_key" and shape is not str and holder in wrapped:
                continue  # that one must be text
            settings, text = remote(json.dumps({"ngl": 7} | wrapped).encode())
            assert SECRET not in repr(settings)
            assert SECRET.encode() not in text
            assert settings["ngl"] == 7
            assert HIDDEN in text.decode(), "that there is one may be seen"

    def test_a_secret_of_a_wrong_type_is_not_in_the_complaint(self) -> None:
        with pytest.raises(ManifestError) as caught:
            remote(b'{"api_key": [4711]}')
        assert "4711" not in caught.value.detail
        assert (caught.value.line, caught.value.column) == (1, 2)

    @pytest.mark.parametrize(
        "comment",
        [f'// "api_key": "{SECRET}"', f"/* the secret is {SECRET} */", f"// https://me:{SECRET}@x/"],
    )
    def test_a_comment_that_tells_a_secret_is_not_kept(self, comment: str) -> None:
        settings, text = remote(f'{comment}\n{{"ngl": 1}}'.encode())
        assert SECRET.encode() not in text
        assert settings == {"ngl": 1}
        assert parse(text) == {"ngl": 1}

    def test_whoever_a_url_names_is_hidden(self) -> None:
        settings, text = remote(f'{{"full_url": "https://me:{SECRET}@example.org/v1"}}'.encode())
        assert settings["full_url"] == f"https://{HIDDEN}@example.org/v1"
        assert SECRET.encode() not in text

    def test_a_key_in_a_url_is_hidden_and_the_rest_of_it_stays(self) -> None:
        url = f"https://example.org/v1?api-version=2&api-key={SECRET}&x=1"
        settings, text = remote(json.dumps({"base_urls": [url]}).encode())
        assert settings["base_urls"] == [f"https://example.org/v1?api-version=2&api-key={HIDDEN}&x=1"]
        assert SECRET.encode() not in text

    def test_a_text_without_secrets_is_kept_as_it_is(self) -> None:
        text = b'// mine\n{"ngl": 0, "max_tokens": 5,}\r\n'
        assert remote(text)[1] == text


class TestReading:
    def test_nitro_and_llama_cpp_are_one_engine(self) -> None:
        assert engine_of("engines/nitro.json") == engine_of("engines/llama-cpp.json") == "llama-cpp"
        assert stream_of("engines/nitro.json") == stream_of("engines/llama-cpp.json") == "engine-llama-cpp"
        assert stream_of("engines/openai.json") == "engine-openai"

    def test_a_wrong_value_is_shown_with_its_place(self) -> None:
        with pytest.raises(ManifestError, match="ngl must be a whole number") as caught:
            read_engine_file("engines/nitro.json", b'{\n  "ngl": "all"\n}')
        assert (caught.value.line, caught.value.column) == (2, 3)

    def test_zero_false_and_null_are_told_apart(self) -> None:
        said = read_engine_file("engines/nitro.json", b'{"ngl": 0, "use_mmap": false, "n_batch": null}')
        assert said.manifest.engine_parameters == {"ngl": 0, "use_mmap": False, "n_batch": None}


def test_the_file_that_janfs_makes_changes_nothing() -> None:
    """It says what is built in; whoever opens it sees what there is to set."""
    text = default_engine_file()
    said = read_engine_file("engines/llama-cpp.json", text)
    assert said.text == text
    assert not said.notes
    assert json.loads(text), "it is strict JSON, which every tool reads"
    layer = Layer(Origin("engine"), said.manifest.engine_parameters)
    before, after = effective(ENGINE_PARAMETERS, []), effective(ENGINE_PARAMETERS, [layer])
    assert {name: found.value for name, found in before.items()} == {
        name: found.value for name, found in after.items()
    }
    assert "ctx_len" not in json.loads(text), "each model's own, from its header"
