from typing import Any

import pytest

from tests.engines.llama_cpp.conftest import Allows
from tests.engines.llama_cpp.schemas.examples import INTEGER, TEXT, assert_just


@pytest.mark.parametrize(
    ("schema", "fitting", "others"),
    [
        (
            {"items": {"enum": ["a", "b", 1]}, "uniqueItems": True, "minItems": 1, "maxItems": 2},
            ['["a"]', '[1, "a"]', '["b", "a"]'],
            ["[]", '["a", "a"]', '["a", "b", 1]', '["a", 1, 1]'],
        ),
        ({"items": {"type": "boolean"}, "uniqueItems": True}, ["[]", "[true, false]"], ["[true, true]"]),
        ({"items": {"const": 5}, "uniqueItems": True}, ["[]", "[5]"], ["[5, 5]"]),
        ({"items": TEXT, "uniqueItems": True, "maxItems": 1}, ["[]", '["a"]'], ['["a", "b"]']),
        ({"type": "array", "prefixItems": [TEXT, INTEGER]}, ['["a", 1]'], ['["a", "b"]', '["a", 1, 2]']),
        (
            {"type": "array", "prefixItems": [TEXT], "items": INTEGER, "minItems": 2, "maxItems": 3},
            ['["a", 1]', '["a", 1, 2]'],
            ['["a"]', '["a", 1, 2, 3]', '["a", "b"]'],
        ),
        ({"type": "array", "items": [TEXT, INTEGER]}, ['["a", 1]'], ["[1]"]),
        ({"type": "array", "minItems": 1, "maxItems": 2}, ["[1]", "[{}, null]"], ["[]", "[1, 2, 3]"]),
        ({"minItems": 0, "maxItems": 0}, ["[]"], ["[1]"]),
    ],
)
def test_just_what_fits_is_allowed(
    allows: Allows, schema: Any, fitting: list[str], others: list[str]
) -> None:
    assert_just(allows, schema, fitting, others)
