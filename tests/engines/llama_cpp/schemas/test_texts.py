import json
import re
from datetime import date
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from janfs.engines.llama_cpp.grammar import gbnf_of_schema
from janfs.engines.llama_cpp.schemas.texts import _FORMATS
from janfs.errors import InvalidInput
from tests.engines.llama_cpp.conftest import Allows
from tests.engines.llama_cpp.schemas.examples import assert_just

PATTERNS = [
    r"^a+$", r"^[a-c]{2,3}$", r"^\d+(\.\d+)?$", r"a", r"^a", r"c$", r"^(ab|c)*$", r"^a$|^b", r"^(?:a|b)c?$",
    r"^[^ab]$", r"^\w-\S$", r"^.$", r"^a{0}b$", r"^a*?b$", r"^[\d.-]+$", r"^$", r"^\D\W$", r"^a|b$",
]  # fmt: skip

# As version 4 of zod writes them, beside the format.
ZOD = {
    "email": (
        r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]"
        r"@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
    ),
    "duration": (
        r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?"
        r"(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$"
    ),
}


@pytest.mark.parametrize(
    ("schema", "fitting", "others"),
    [
        ({"enum": ["ab", "b", 1], "pattern": "^a"}, ['"ab"', "1"], ['"b"']),
        ({"type": ["string", "null"], "maxLength": 1}, ['"a"', "null"], ['"ab"', "1"]),
        (
            {"type": "string", "format": "date"},
            ['"2024-12-31"', '"2024-02-29"', '"2000-02-29"', '"2023-04-30"'],
            ['"2024-13-01"', '"2023-02-29"', '"1900-02-29"', '"2023-04-31"', '"2024-02-30"', '"soon"'],
        ),
        (
            {"type": "string", "format": "date-time"},
            ['"2024-12-31T23:59:59Z"', '"2024-12-31T23:59:59.123+01:00"'],
            ['"2024-12-31"'],
        ),
        ({"type": "string", "format": "email"}, ['"a.b+c@d-e.org"'], ['"a@b"', '"@b.org"']),
        ({"type": "string", "format": "ipv4"}, ['"255.0.10.1"'], ['"256.0.0.1"', '"1.2.3"']),
        ({"type": "string", "format": "uuid"}, ['"00000000-0000-4000-8000-00000000000a"'], ['"0"']),
        (
            {"type": "string", "format": "duration"},
            ['"P3DT4H30S"', '"PT15M"', '"P2W"', '"P1Y6M"'],
            ['"P"', '"PT"', '"P1DT"', '"P1W2D"', '"15M"'],
        ),
        (
            {"type": "string", "format": "email", "pattern": ZOD["email"]},
            ['"a.b+c@d-e.org"'],
            ['"a..b@d.org"', '"a@b"'],
        ),
        ({"type": "string", "format": "duration", "pattern": ZOD["duration"]}, ['"P3DT4H"'], ['"P1DT"']),
        ({"type": "string", "pattern": r"^(?<year>\d{4})$"}, ['"2024"'], ['"24"']),
        ({"type": "string", "pattern": r"^[(?<]\(?<x$"}, ['"(<x"', '"?(<x"'], ['"P(<x"']),
        ({"enum": ["2024", "24"], "pattern": r"^(?<year>\d{4})$"}, ['"2024"'], ['"24"']),
        ({"type": "string", "format": "of our own"}, ['"x"'], ["1"]),
        (
            {"type": "string", "maxLength": 2},
            ['"\\n\\""', '"\\u00e4b"', '"\\ud83d\\ude00b"'],
            ['"abc"', '"\\ud83d"', '"\n"'],
        ),
        ({"type": "string", "pattern": '^[^a]"?$'}, ['"b"', '"\\\\\\""', '"\\n"'], ['"a"', '"bc"', '"""']),
    ],
)
def test_just_what_fits_is_allowed(
    allows: Allows, schema: Any, fitting: list[str], others: list[str]
) -> None:
    assert_just(allows, schema, fitting, others)


@given(st.from_regex(_FORMATS["date"], fullmatch=True))
@settings(max_examples=100, deadline=None)
def test_a_date_is_one_of_the_calendar(text: str) -> None:
    assume(not text.startswith("0000"))  # a year of ISO 8601, but not of Python
    assert date.fromisoformat(text).isoformat() == text


@pytest.mark.parametrize("form", ZOD)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_fits_a_format_fits_what_zod_writes_beside_it(form: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(_FORMATS[form], fullmatch=True, alphabet=st.characters(codec="ascii")))
    assert re.search(ZOD[form], text)


@pytest.mark.parametrize("pattern", PATTERNS)
@given(text=st.text("abc01. -_", max_size=5))
@settings(max_examples=40, deadline=None)
def test_texts_are_those_that_their_pattern_finds(allows: Allows, pattern: str, text: str) -> None:
    grammar = gbnf_of_schema(json.dumps({"type": "string", "pattern": pattern}))
    assert allows(grammar, json.dumps(text)) == (re.search(pattern, text) is not None)


@pytest.mark.parametrize(
    ("least", "most"),
    [(300, 2100), (2001, None), (2010, 2020), (0, 65_536), (0, 2**31 - 1)],
)
def test_texts_may_be_longer_than_llama_cpp_repeats(allows: Allows, least: int, most: int | None) -> None:
    bounds = {"minLength": least} | ({} if most is None else {"maxLength": most})
    grammar = gbnf_of_schema(json.dumps({"type": "string", **bounds}))
    end = most if most is not None and most < 2500 else 2001
    for length in {max(0, least - 1), least, 1000, end, end + 1}:
        fits = least <= length and (most is None or length <= most)
        assert allows(grammar, json.dumps("x" * length)) == fits, length


def test_what_must_be_longer_than_any_answer_is_refused() -> None:
    with pytest.raises(InvalidInput, match="more than 2,000,000 repetitions"):
        gbnf_of_schema('{"type": "string", "minLength": 2000001}')
