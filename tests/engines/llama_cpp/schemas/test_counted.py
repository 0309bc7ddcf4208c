"""Texts of a pattern that have some length, by llama.cpp's own reading."""

import json
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from janfs.engines.llama_cpp.grammar import gbnf_of_schema
from janfs.errors import InvalidInput
from tests.engines.llama_cpp.conftest import Allows
from tests.engines.llama_cpp.schemas.examples import assert_just
from tests.engines.llama_cpp.schemas.test_texts import PATTERNS

MORE = [r"^(a?b?)+$", r"^(ab|c){2,}$", r"^((a|b)*c)*$", r"^(a|b+|(c|)){1,3}$", r"^a+(-b+)*$", r"^(a*)*b$"]


@pytest.mark.parametrize("pattern", [*PATTERNS, *MORE])
@given(
    text=st.text("abc01. -_", max_size=6),
    least=st.integers(0, 4),
    most=st.none() | st.integers(0, 6),
)
@settings(max_examples=30, deadline=None)
def test_texts_of_a_pattern_are_as_long_as_they_must_be(
    allows: Allows, pattern: str, text: str, least: int, most: int | None
) -> None:
    assume(most is None or least <= most)
    bounds = {"minLength": least} | ({} if most is None else {"maxLength": most})
    fits = re.search(pattern, text) is not None and least <= len(text) <= (
        len(text) if most is None else most
    )
    schema = json.dumps({"type": "string", "pattern": pattern, **bounds})
    try:
        allowed = allows(gbnf_of_schema(schema), json.dumps(text))
    except InvalidInput:  # nothing fits
        allowed = False
    assert allowed == fits


def test_a_slug_of_some_length_is_one_and_has_it(allows: Allows) -> None:
    slug = {"type": "string", "pattern": "^[a-z0-9]+(?:-[a-z0-9]+)*$", "minLength": 3, "maxLength": 60}
    whole = json.dumps("a-" * 29 + "bc")
    assert_just(allows, slug, ['"a-b"', whole], ['"ab"', '"a-"', '"a--b"', '"abc-"', f'"a{whole[1:]}'])


def test_an_email_may_be_of_some_length(allows: Allows) -> None:
    email = {"type": "string", "format": "email", "maxLength": 254}
    whole = f'"a@{"b." * 125}ac"'
    assert_just(
        allows, email, ['"a.b@c-d.org"', whole], ['"a@b"', '"a@-b.org"', '"a@b-.org"', f'"a{whole[1:]}']
    )


def test_characters_that_json_escapes_count_as_one(allows: Allows) -> None:
    schema = {"type": "string", "pattern": "^x", "maxLength": 3}
    assert_just(allows, schema, ['"x\\n\\""', '"x\\u00e4b"', '"x\\ud83d\\ude00b"'], ['"x\\n\\"c"', '"xabc"'])
