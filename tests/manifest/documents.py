"""JSON documents as hypothesis draws them, and their texts as people write them."""

import json
import random
from typing import Any

from hypothesis import strategies as st

from janfs.manifest.jsonc import tokenize

KEYS = ["a", "b", "c", "settings", "parameters", "engine_parameters", "ctx_len", "metadata", "é/~"]
SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, "", "x", '"{,}"', "// no"])


def values(keys: list[str]) -> st.SearchStrategy[Any]:
    """Anything that JSON can hold, objects with these keys."""
    return st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner, max_size=4),
        max_leaves=8,
    )


def documents(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with these keys."""
    return st.dictionaries(st.sampled_from(keys), values(keys), max_size=5)


VALUES = values(KEYS)
DOCUMENTS = documents(KEYS)


def people_s_text(document: dict[str, Any], seed: int) -> str:
    """A document with comments, odd spaces, trailing commas and line ends of one kind, or as strict JSON."""
    choose = random.Random(seed)
    indent: Any = choose.choice([None, 1, 2, "\t"])
    text = json.dumps(document, indent=indent, ensure_ascii=choose.random() < 0.5)
    newline = choose.choice(["\n", "\n", "\r\n", "\r"])
    if choose.random() < 0.3:
        return text.replace("\n", newline)
    fillers = ["", "", "", " ", "\n", "  ", "\t", "// a { comment\n", "/* , [ \" ' */", "/**/", " /*\n*/ "]
    parts, previous = [choose.choice(["", "\ufeff", "// head\n"])], ""
    for token in tokenize(text):
        piece = text[token.start : token.end]
        if piece in ("}", "]") and previous not in ("{", "[") and choose.random() < 0.4:
            parts.append("," + choose.choice(fillers))
        parts.append(piece)
        if choose.random() < 0.3:
            parts.append(choose.choice(fillers))
        previous = piece if token.kind != "space" else previous
    return "".join(parts).replace("\n", newline)
