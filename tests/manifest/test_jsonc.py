import itertools
import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.errors import ManifestError
from janfs.manifest.jsonc import MAX_DEPTH, MAX_SIZE, decode, parse, position, tokenize

WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=15,
)
FILLERS = ["", "", " ", "\n", "\r\n", "\t", "// a { comment\n", "/* , [ \" ' */", "/**/", "  // x\r"]


def same(left: Any, right: Any) -> bool:
    return json.dumps(left) == json.dumps(right)  # tells 1 from 1.0 and from true


class TestValues:
    @given(value=VALUES, indent=st.sampled_from([None, 2]), ascii_only=st.booleans())
    def test_plain_json_is_read_as_the_standard_library_reads_it(
        self, value: Any, indent: int | None, ascii_only: bool
    ) -> None:
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
        assert same(parse(text), json.loads(text))
        assert same(parse(text.encode()), json.loads(text))

    @given(value=VALUES, seed=st.integers(0, 2**32))
    def test_comments_space_and_trailing_commas_change_nothing(self, value: Any, seed: int) -> None:
        choose = random.Random(seed)
        text = json.dumps(value)
        parts = ["\ufeff" if choose.random() < 0.1 else ""]
        previous = ""
        for token in tokenize(text):
            piece = text[token.start : token.end]
            parts.append(choose.choice(FILLERS))
            if piece in ("}", "]") and previous not in ("{", "[") and choose.random() < 0.5:
                parts.append("," + choose.choice(FILLERS))
            parts.append(piece)
            previous = piece if token.kind != "space" else previous
        parts.append(choose.choice(FILLERS))
        assert same(parse("".join(parts)), value), f"read differently: {''.join(parts)!r}"

    def test_a_byte_order_mark_is_passed_over(self) -> None:
        assert parse(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}

    def test_comment_signs_inside_text_are_text(self) -> None:
        assert parse('{"url": "https://example.org/*x*/"}') == {"url": "https://example.org/*x*/"}


class TestAgainstTheStandardLibrary:
    @given(text=st.text(st.sampled_from(list("{}[],:\"\\ \n019.-+eEtrufalsn/*'")), max_size=25))
    def test_what_is_strict_json_is_read_and_nothing_else_but_comments_and_commas(self, text: str) -> None:
        try:
            expected = json.loads(text, parse_constant=lambda word: pytest.fail(word))
        except ValueError:
            expected = ManifestError
        try:
            found = parse(text)
        except ManifestError as error:
            assert error.line >= 1 and error.column >= 1, "an error without a position"  # noqa: PT018, PT017
            if expected is not ManifestError:
                assert "second time" in error.detail or "too large" in error.detail  # noqa: PT017
            return
        if expected is ManifestError:
            assert "/" in text or "," in text, f"{text!r} is not JSON, but was read as {found!r}"
        else:
            assert same(found, expected)

    @given(data=st.data())
    def test_any_damage_is_read_or_refused_with_a_position(self, data: st.DataObject) -> None:
        text = json.dumps(data.draw(VALUES), indent=1)
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 4)))
        damaged = text[:start] + data.draw(st.text(max_size=3)) + text[end:]
        try:
            parse(damaged)
        except ManifestError as error:
            before = damaged.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            assert 1 <= error.line <= len(before)  # noqa: PT017
            assert 1 <= error.column <= len(before[error.line - 1]) + 2  # noqa: PT017

    @given(content=st.binary(max_size=60))
    def test_any_bytes_are_read_or_refused(self, content: bytes) -> None:
        try:
            parse(content)
        except ManifestError as error:
            assert error.line >= 1  # noqa: PT017


MISTAKES = [
    ('{\n  "path": "C:\\Users\\me"\n}', 2, 14, "Windows path"),
    ('{\n  "path": "C:\\new\\tiny.gguf"\n}', 2, 14, "Windows path"),
    ('{"path": "C:\\\\models\\tiny.GGUF"}', 1, 21, "Windows path"),
    ("{'a': 1}", 1, 2, "double quotes, not in single"),
    ("{“a”: 1}", 1, 2, "typographic"),
    ('{\n "a": 1\n "b": 2\n}', 3, 2, "comma is missing"),
    ('{"a": NaN}', 1, 7, "NaN and Infinity"),
    ('{"a": -Infinity}', 1, 7, "NaN and Infinity"),
    ('{"a": True}', 1, 7, "lower case"),
    ('{"a": None}', 1, 7, "null"),
    ('{"a": undefined}', 1, 7, "null"),
    ('{"a": 01}', 1, 7, "not a JSON number"),
    ('{"a": +1}', 1, 7, "not a JSON number"),
    ('{"a": .5}', 1, 7, "not a JSON number"),
    ('{"a": 1.}', 1, 7, "not a JSON number"),
    ('{"a": 0x10}', 1, 7, "not a JSON number"),
    ('{"a": 1e999}', 1, 7, "too large"),
    ('{"a": 99999999999999999999}', 1, 7, "too large"),
    (f'{{"a": {"9" * 9000}}}', 1, 7, "too large"),
    ("{a: 1}", 1, 2, "Keys must stand in double quotes"),
    ('{"a": word}', 1, 7, "Text must stand in double quotes"),
    ('{"a": "no end\n}', 1, 7, "double quote is missing"),
    ('{"a": "tab\there"}', 1, 11, "control character"),
    ('{"a": "\\u12"}', 1, 8, "means nothing"),
    ('{"a": "\\ud800"}', 1, 7, "surrogate"),
    ('{"a": 1, "a": 2}', 1, 10, "second time"),
    ('{"a": 1, "\\u0061": 2}', 1, 10, "second time"),
    ('{"a" 1}', 1, 6, "colon is missing"),
    ('{"a": }', 1, 7, "value is missing"),
    ("[1,,2]", 1, 4, "value is missing"),
    ("[,]", 1, 2, "value is missing"),
    ("{,}", 1, 2, "key in double quotes"),
    ("{1: 2}", 1, 2, "key in double quotes"),
    ('{"a": 1]', 1, 8, "does not close the object that begins on line 1"),
    ("[1}", 1, 3, "does not close the list"),
    ('\n{"a": [1, 2', 2, 12, "'[' of line 2 is not closed"),
    ("{} {}", 1, 4, "should end"),
    ("}", 1, 1, "value is missing"),
    ("", 1, 1, "empty"),
    (" // only a comment", 1, 19, "empty"),
    ("/* open", 1, 1, "not closed"),
    ("# comment\n{}", 1, 1, "begin with //"),
    ('{"a":\u00a01}', 1, 6, "special space"),
    ('{"a" = 1}', 1, 6, "separated by commas"),
    ('{"a": 1;}', 1, 8, "separated by commas"),
    ("{\r\n\r\n  @}", 3, 3, "'@' cannot stand here"),
    ("{\r\r  @}", 3, 3, "'@' cannot stand here"),
    ("é\ud800", 1, 2, "surrogate"),
]


class TestMistakes:
    @pytest.mark.parametrize(("text", "line", "column", "hint"), MISTAKES)
    def test_a_mistake_is_placed_and_explained(self, text: str, line: int, column: int, hint: str) -> None:
        with pytest.raises(ManifestError) as caught:
            parse(text)
        assert hint in caught.value.detail
        assert (caught.value.line, caught.value.column) == (line, column), caught.value.detail

    @pytest.mark.parametrize(
        "text",
        ['"Q:\\n{prompt}"', '"C:\\\\new\\\\tiny.gguf"', '"C:/new/tiny.gguf"', '"see:\\nx.gguf"'],
    )
    def test_a_line_break_that_is_meant_is_no_path(self, text: str) -> None:
        assert parse(text) == json.loads(text)

    def test_utf16_is_named(self) -> None:
        with pytest.raises(ManifestError, match="UTF-16"):
            parse("{}".encode("utf-16"))

    def test_other_encodings_are_placed(self) -> None:
        with pytest.raises(ManifestError, match="not UTF-8") as caught:
            parse('{\n"é": "'.encode() + b"\xe9" + b'"}')
        assert (caught.value.line, caught.value.column) == (2, 7)


class TestLimits:
    def test_deep_nesting_is_refused_and_never_exhausts_the_stack(self) -> None:
        assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH)
        for opener in ("[", '{"a":'):
            with pytest.raises(ManifestError, match="nested too deeply"):
                parse(opener * (MAX_DEPTH + 1))
            with pytest.raises(ManifestError, match="nested too deeply"):
                parse(opener * 100_000)

    def test_a_file_that_is_too_large_is_refused_unread(self) -> None:
        with pytest.raises(ManifestError, match="too large"):
            parse(b" " * (MAX_SIZE + 1))

    @pytest.mark.timeout(60)
    def test_a_long_text_is_read_in_time_also_where_it_begins_like_a_path(self) -> None:
        text = "A:" + "\n" * (MAX_SIZE // 2 - 10)
        assert parse(json.dumps(text)) == text


class TestTokens:
    @given(value=VALUES)
    def test_their_spans_join_up_to_the_whole_text(self, value: Any) -> None:
        text = json.dumps(value, indent=2) + " // end\n"
        tokens = list(tokenize(text))
        assert "".join(text[token.start : token.end] for token in tokens) == text
        assert all(left.end == right.start for left, right in itertools.pairwise(tokens))

    @given(text=st.text(st.sampled_from("a\n\r"), max_size=12), offset=st.integers(0, 12))
    def test_positions_count_every_kind_of_line_break_once(self, text: str, offset: int) -> None:
        before = text[:offset]
        if before.endswith("\r") and text[offset : offset + 1] == "\n":
            return  # between the two halves of one break there is no position worth naming
        lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert position(before, len(before)) == (len(lines), len(lines[-1]) + 1)

    def test_decode_leaves_text_as_it_is(self) -> None:
        assert decode("a\r\nb") == "a\r\nb"
        assert math.isclose(parse("1.5"), 1.5)
