"""A JSON Schema as a grammar. Pure."""

import json
from typing import Any

from janfs.engines.llama_cpp.schemas.apart import told_apart
from janfs.engines.llama_cpp.schemas.arrays import array_rule
from janfs.engines.llama_cpp.schemas.constants import constants, listed
from janfs.engines.llama_cpp.schemas.kinds import written
from janfs.engines.llama_cpp.schemas.merging import Schema, both, check, target, ways_of
from janfs.engines.llama_cpp.schemas.numbers import number
from janfs.engines.llama_cpp.schemas.objects import object_rule
from janfs.engines.llama_cpp.schemas.rules import Nothing, Rules, SchemaError, Unsayable, either
from janfs.engines.llama_cpp.schemas.texts import text

_BEYOND = ("propertyNames", "patternProperties", "minProperties", "maxProperties", "uniqueItems")
"""What a grammar cannot say of every object or array."""


def grammar_of(schema: Any, *, strict: bool = True) -> str:
    """GBNF of all texts that fit a schema. Raises `SchemaError` for what is none.

    Of an object only what the schema names is written, and more where it says so. `strict`: what a grammar
    cannot hold to, such as `not`, is refused by name; otherwise it is passed over.
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
                made = self._value(self.whole(schema), through | {key})
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

    def whole(self, schema: Any, through: tuple[str, ...] = ()) -> Schema:
        """A schema without `$ref` and `allOf`: what they say is in it."""
        said = check(schema, strict=self._strict)
        parts = said.pop("allOf", [])
        ref = said.pop("$ref", None)
        if ref is not None:
            if ref in through:
                raise SchemaError(f"'$ref': '{ref[:100]}' is part of itself with nothing between")
            said = both(self.whole(target(self._root, ref), (*through, ref)), said)
        for part in [*parts, *_conditions(said)]:
            said = both(said, self.whole(part, through))
        return said

    def _value(self, said: Schema, through: frozenset[str]) -> str:
        if "anyOf" in said:
            return self._one_of(_tagged(said, "anyOf"), through)
        if "oneOf" in said:
            ways = _tagged(said, "oneOf")
            apart = told_apart(self, ways)
            if apart is None and self._strict:
                raise Unsayable("'oneOf' whose ways can fit together is not supported; 'anyOf' is")
            return self._one_of(apart or ways, through)
        if listed(said) is not None:
            return self.rules.add(either(constants(said)))
        kinds = written(said)
        said.pop("nullable", None)
        if len(kinds) == 1:
            return self._of_type(kinds[0], said | {"type": kinds[0]})
        return self._one_of([said | {"type": kind} for kind in kinds], through)

    def _of_type(self, kind: Any, said: Schema) -> str:
        match kind:
            case "object" | "array":
                rule = object_rule if kind == "object" else array_rule
                try:
                    return rule(self, said)
                except Nothing:
                    raise
                except Unsayable:
                    if self._strict:
                        raise
                    return rule(self, {name: what for name, what in said.items() if name not in _BEYOND})
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


def _tagged(said: Schema, word: str) -> list[Any]:
    """The ways of an `anyOf` or `oneOf`, in which the property that OpenAPI's `discriminator` names must be.

    What reads the answer goes by it.
    """
    ways, named = ways_of(said, word), said.get("discriminator")
    tag = named.get("propertyName") if isinstance(named, dict) else None
    return [{"allOf": [{"required": [tag]}, way]} for way in ways] if isinstance(tag, str) else ways


def _conditions(said: Schema) -> list[Schema]:
    """What must hold where a property is there, as ways to fit; it is taken out of the schema."""
    found = []
    for name in ("dependentRequired", "dependentSchemas", "dependencies"):
        for wanting, wanted in said.pop(name, {}).items():
            then = {"required": wanted} if isinstance(wanted, list) else wanted
            there = {"required": [wanting]}
            found.append({"anyOf": [{"properties": {wanting: False}}, {"allOf": [there, then]}]})
    return found
