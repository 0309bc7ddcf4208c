"""A JSON Schema as a grammar. Pure."""

import json
from typing import Any

from janfs.engines.llama_cpp.schemas.constants import constants
from janfs.engines.llama_cpp.schemas.merging import Schema, both, check, target
from janfs.engines.llama_cpp.schemas.numbers import number
from janfs.engines.llama_cpp.schemas.rules import (
    Nothing,
    Rules,
    SchemaError,
    Unsayable,
    either,
    literal,
    repeated,
)
from janfs.engines.llama_cpp.schemas.texts import other_than, text

_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_OF_A_TYPE = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "additionalItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
_COMMA = '"," space '


def grammar_of(schema: Any, *, strict: bool = True) -> str:
    """GBNF of all texts that fit a schema. Raises `SchemaError` for what is none.

    Of an object only what the schema names is written, and more where it says so. `strict`: what a grammar
    cannot hold to, such as `uniqueItems`, is refused by name; otherwise it is passed over.
    """
    compiler = _Compiler(schema, strict=strict)
    return f'{compiler.rules.text(compiler.visit(schema))}\nspace ::= " "?'


class _Compiler:
    def __init__(self, root: Any, *, strict: bool) -> None:
        self.rules = Rules()
        self._root = root
        self._strict = strict
        self._names: dict[str, str] = {}  # of the rules of schemas, by their texts
        self._begun: dict[str, str | None] = {}  # of those that are being made, once they are needed within

    def visit(self, schema: Any, through: frozenset[str] = frozenset()) -> str:
        """The name of the rule for what fits a schema; one that is part of itself is known by its name.

        What it is in `through` nothing but words about it is no part.
        """
        key = json.dumps(check(schema, strict=self._strict))
        if key in through:
            raise SchemaError("a part of it is itself, with nothing between")
        if key in self._begun:
            self._begun[key] = again = self._begun[key] or self.rules.reserve()
            return again
        if key not in self._names:
            self._begun[key] = None
            before = len(self._names)
            try:
                made = self._value(self._whole(schema, ()), through | {key})
            except Unsayable:
                for part in list(self._names)[before:]:  # it may have been made with what comes to nothing
                    del self._names[part]
                raise
            finally:
                name = self._begun.pop(key)
            if name is not None:
                self.rules.fill(name, made)
            self._names[key] = name or made
        return self._names[key]

    def _whole(self, schema: Any, through: tuple[str, ...]) -> Schema:
        """A schema without `$ref` and `allOf`: what they say is in it."""
        said = check(schema, strict=self._strict)
        parts = said.pop("allOf", [])
        ref = said.pop("$ref", None)
        if ref is not None:
            if ref in through:
                raise SchemaError(f"'$ref': '{ref[:100]}' is part of itself with nothing between")
            said = both(self._whole(target(self._root, ref), (*through, ref)), said)
        for part in parts:
            said = both(said, self._whole(part, through))
        return said

    def _value(self, said: Schema, through: frozenset[str]) -> str:
        if said.pop("nullable", False) is True and "type" in said:  # OpenAPI's way to say so
            kinds = [said["type"]] if isinstance(said["type"], str) else said["type"]
            said["type"] = [*kinds, *([] if "null" in kinds else ["null"])]
        for name in ("anyOf", "oneOf"):
            if name in said:
                ways = said.pop(name)
                return self._one_of([{"allOf": [said, way]} if said else way for way in ways], through)
        if "const" in said:
            said = both(said, {"enum": [said.pop("const")]})
        kind = said.get("type") or next(
            (name for name, of in _OF_A_TYPE.items() if said.keys() & set(of)), None
        )
        if "enum" in said:
            return self.rules.add(either(constants(said)))
        if kind is None:
            return self._one_of([{"type": name} for name in _TYPES if name != "integer"], through)
        if isinstance(kind, list):
            return self._one_of([said | {"type": name} for name in kind], through)
        return self._of_type(kind, said | {"type": kind})

    def _of_type(self, kind: Any, said: Schema) -> str:
        match kind:
            case "object":
                return self._object(said)
            case "array":
                return self._array(said)
            case "string":
                return text(self.rules, said, strict=self._strict)
            case "number" | "integer":
                return number(self.rules, said)
            case "boolean":
                return self.rules.add('"true" | "false"')
            case "null":
                return self.rules.add('"null"')
        raise SchemaError(f"'type': {json.dumps(kind)[:100]} is none")

    def _one_of(self, ways: list[Any], through: frozenset[str]) -> str:
        """One of several. What nothing fits or no grammar can say is left out while there are others."""
        found: list[str] = []
        left_out: Unsayable = Nothing("nothing fits it")
        for way in ways:
            try:
                found.append(self.visit(way, through))
            except Unsayable as error:
                left_out = error
        if not found:
            raise left_out
        return self.rules.add(either(list(dict.fromkeys(found))))

    def _array(self, said: Schema) -> str:
        items, first = said.get("items", True), said.get("prefixItems", [])
        if isinstance(items, list):  # as it was spelled before 2020
            items, first = said.get("additionalItems", True), items
        least, most = said.get("minItems", 0), said.get("maxItems")
        fixed = [self.visit(item) for item in first[:most]]
        closed = items is False or (bool(first) and "items" not in said and least <= len(first))
        rest = None if closed or most == len(fixed) else self.visit(items)
        if rest is None and least > len(fixed):
            raise Nothing("more items than there may be")
        more = None if most is None else most - len(fixed)
        inner = f" {_COMMA}".join(fixed)
        if rest is not None and fixed:
            inner += " " + repeated(self.rules.add(f"{_COMMA}{rest}"), max(0, least - len(fixed)), more)
        elif rest is not None:
            follow = repeated(
                self.rules.add(f"{_COMMA}{rest}"), max(0, least - 1), None if more is None else more - 1
            )
            inner = f"{rest} {follow}" if least else f"({rest} {follow})?"
        return self.rules.add(f'"[" space {inner} space "]"' if inner else '"[" space "]"')

    def _object(self, said: Schema) -> str:
        properties, required = said.get("properties", {}), dict.fromkeys(said.get("required", []))
        more = said.get("additionalProperties", "properties" not in said)
        missing = {
            name: True if more is False and properties else more
            for name in required
            if name not in properties
        }
        if missing and said.get("additionalProperties") is False:
            raise Nothing("a property that must be there and may not")
        pairs: list[tuple[str, bool]] = []
        for name, schema in (properties | missing).items():
            try:
                value = self.visit(schema)
            except Nothing:
                if name in required:
                    raise
                continue
            key = literal(json.dumps(name, ensure_ascii=False))
            pairs.append((self.rules.add(f'{key} ":" space {value}'), name in required))
        if more is not False:
            key = (
                other_than(self.rules, list(properties | missing))
                if properties or missing
                else self.visit({"type": "string"})
            )
            other = self.rules.add(f'{key} ":" space {self.visit(more)}')
            pairs.append((self.rules.add(f"{other} ({_COMMA}{other})*"), False))
        inner = self._members(pairs)
        return self.rules.add(f'"{{" space {inner} space "}}"' if inner else '"{" space "}"')

    def _members(self, pairs: list[tuple[str, bool]]) -> str:
        """Members in their order, with commas between, those that need not be there in brackets."""
        first = next((number for number, (_, needed) in enumerate(pairs) if needed), None)
        if first is not None:
            before = [f"({pair} {_COMMA.strip()})?" for pair, _ in pairs[:first]]
            after = [
                f"{_COMMA}{pair}" if needed else f"({_COMMA}{pair})?" for pair, needed in pairs[first + 1 :]
            ]
            return " ".join([*before, pairs[first][0], *after])
        ways: list[str] = []
        rest = ""
        for pair, _ in reversed(pairs):
            ways.append(f"{pair} {rest}".rstrip())
            rest = self.rules.add(f"({_COMMA}{pair})? {rest}".rstrip())
        return f"({' | '.join(reversed(ways))})?" if ways else ""
