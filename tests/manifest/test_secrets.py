"""Secrets in files that people edit: hidden in what is recorded, and kept where they are."""

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from janfs.errors import ManifestError
from janfs.manifest.edit import edit
from janfs.manifest.jsonc import MAX_SIZE, parse
from janfs.manifest.leaves import REMOVED, Changes, applied, differences
from janfs.manifest.remote import HIDDEN
from janfs.manifest.secrets import (
    as_recorded,
    changed_alike,
    filled,
    is_secret,
    of_unreadable,
    says_the_same,
    tells_secrets,
    without_secrets,
)
from tests.manifest.documents import DOCUMENTS, people_s_text

MODEL, ENGINE = "models/a/model.json", "engines/openai.json"
SECRET = "sEcReT-0815"
PLACES = [("api_key",), ("engine_parameters", "api_key"), ("deep", "er", "password"), ("headers", "hf_token")]
CHANGES: st.SearchStrategy[Changes] = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b", "name"])), st.integers(0, 3) | st.just(REMOVED), max_size=3
)


def recorded(text: str, path: str = MODEL) -> str:
    return without_secrets(path, text.encode()).decode()


class TestWhatIsRecorded:
    def test_everything_around_a_secret_stays_as_it_is(self) -> None:
        text = (
            '\ufeff{ // mine\r\n  "api_key" : "abc", "ngl": 7, /* so */\r\n  "by": [{"token": 5}, "x"],}\r\n'
        )
        assert recorded(text) == text.replace('"abc"', '"***"').replace("5", '"***"')

    def test_all_that_is_below_a_secret_key_is_hidden_but_nothing(self) -> None:
        text = '{"credentials": {"user": "me", "more": [1, {"a": true}], "none": null, "empty": ""}}'
        assert json.loads(recorded(text))["credentials"] == {
            "user": HIDDEN,
            "more": [HIDDEN, {"a": HIDDEN}],
            "none": None,
            "empty": "",
        }

    def test_a_comment_that_tells_one_keeps_its_lines(self) -> None:
        text = '{\n/* the password\nis abc */ "ngl": 1, // api_key: abc\n"b": 2}'
        found = recorded(text)
        assert "abc" not in found
        assert found.count("\n") == text.count("\n")
        assert parse(found) == {"ngl": 1, "b": 2}

    @pytest.mark.parametrize(
        "key", ["eos_token", "bos_token", "max_token", "pad-token", "add_bos_token", "author", "stop"]
    )
    def test_tokens_of_text_are_no_secrets(self, key: str) -> None:
        assert not is_secret(key)
        assert recorded(f'{{"{key}": "</s>"}}') == f'{{"{key}": "</s>"}}'

    def test_an_address_is_kept_in_a_model_json_which_files_are_fetched_from(self) -> None:
        text = '{"sources": [{"url": "https://example.org/a.gguf?token=abc"}]}'
        assert recorded(text) == text
        assert "abc" not in recorded(text, ENGINE)

    def test_of_a_text_that_cannot_be_read_nothing_is_kept_if_there_may_be_one(self) -> None:
        assert of_unreadable(MODEL, b'{"api_key": "abc') == b""
        assert of_unreadable(MODEL, b"{'password' = 'abc'") == b""
        assert of_unreadable(MODEL, b'{"name": "x') == b'{"name": "x'
        assert of_unreadable(ENGINE, b'{"name": "x') == b""

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("text", [b"a" * MAX_SIZE, b"token" + b" " * (MAX_SIZE - 5)])
    def test_a_long_text_that_cannot_be_read_is_looked_through_in_time(self, text: bytes) -> None:
        assert of_unreadable(MODEL, text) == text

    @given(DOCUMENTS, st.sampled_from(PLACES), st.integers(0, 2**32), st.sampled_from([MODEL, ENGINE]))
    def test_no_secret_is_left_and_nothing_else_is_lost(
        self, document: dict[str, Any], place: tuple[str, ...], seed: int, path: str
    ) -> None:
        text = people_s_text(applied(document, {place: SECRET}), seed).encode()
        found = without_secrets(path, text)
        assert SECRET.encode() not in found
        assert parse(found) == applied(document, {place: HIDDEN})
        assert found == text.replace(SECRET.encode(), HIDDEN.encode())
        assert as_recorded(path, found) == found, "hidden once is hidden for good"
        assert not tells_secrets(found)
        assert tells_secrets(text), "an older janfs may have recorded it, and nobody would find it"
        assert says_the_same(path, text, found)


class TestChangesToWhatIsOnDisk:
    @given(DOCUMENTS, st.sampled_from(PLACES), CHANGES, st.integers(0, 2**32))
    def test_what_was_worked_out_on_the_recorded_text_is_done_to_the_real_one(
        self, document: dict[str, Any], place: tuple[str, ...], changes: Changes, seed: int
    ) -> None:
        there = people_s_text(applied(document, {place: SECRET}), seed).encode()
        was = without_secrets(MODEL, there)
        wanted = edit(was, changes)
        changed = changed_alike(MODEL, there, was, wanted)
        assert without_secrets(MODEL, changed) == wanted
        assert parse(changed) == applied(parse(there), changes)

    def test_a_secret_may_be_taken_out(self) -> None:
        there = b'{"a": 1, "api_key": "abc"}'
        was = without_secrets(MODEL, there)
        assert changed_alike(MODEL, there, was, edit(was, {("api_key",): REMOVED})) == b'{"a": 1}'

    def test_one_that_is_not_there_is_never_written_as_stars(self) -> None:
        with pytest.raises(ManifestError, match="the log has none"):
            changed_alike(MODEL, b'{"a": 1}', b'{"a": 1}', b'{"a": 1, "api_key": "***"}')
        with pytest.raises(ManifestError, match="the log has none") as caught:
            filled(MODEL, b'{"a": 1}', b'{"a": 1, "b": {"api_key": "***"}}')
        assert caught.value.path == "b.api_key"

    def test_stars_that_stand_for_themselves_are_only_stars(self) -> None:
        text = b'{"model_parameters": {"stop": ["***"]}, "api_key": "abc"}'
        assert filled(MODEL, b"{}", b'{"model_parameters": {"stop": ["***"]}}').count(b"***") == 1
        assert changed_alike(
            MODEL, b'{"api_key": "abc"}', b'{"api_key": "***"}', without_secrets(MODEL, text)
        )

    @given(DOCUMENTS, st.sampled_from(PLACES), DOCUMENTS, st.integers(0, 2**32))
    def test_a_recorded_text_gets_its_secrets_back_from_where_they_are(
        self, then: dict[str, Any], place: tuple[str, ...], now: dict[str, Any], seed: int
    ) -> None:
        text = people_s_text(applied(then, {place: SECRET}), seed).encode()
        there = json.dumps(applied(now, {place: SECRET})).encode()
        assume(parse(there) != parse(text))
        assert filled(MODEL, there, without_secrets(MODEL, text)) == text


@given(DOCUMENTS, DOCUMENTS)
def test_differences_make_one_document_of_another(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = differences(before, after)
    assert json.dumps(applied(before, found), sort_keys=True) == json.dumps(after, sort_keys=True)
    assert not differences(before, before)
