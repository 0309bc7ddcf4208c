"""The settings that hold in the end, and where each of them came from."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from janfs.manifest.parameters import Parameter, checked


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a value comes from. The kinds are the layers, lowest first.

    "generated" is what janfs made of the model's header, "user" what someone wrote into its model.json, and
    "memory fit" what nobody asked for and is lowered for as long as the model is loaded, so that it fits.

    `file` is a path below the root, `key` the value's path in that file, `line` and `column` where the key
    stands, counted from 1. `header` is the key of the GGUF header that the value was made from. What is built
    in has a file where a null there asks for it.
    """

    kind: Literal["built-in", "engine", "generated", "user", "request", "memory fit"]
    file: str | None = None
    line: int = 0
    column: int = 0
    key: str | None = None
    header: str | None = None


BUILT_IN = Origin("built-in")


class Layer(msgspec.Struct, frozen=True):
    """Settings from one place, such as an engine file, a model.json or a request."""

    origin: Origin
    values: Mapping[str, Any]


class Effective(msgspec.Struct, frozen=True):
    """A setting's value and the origin of the layer that gave it."""

    value: Any
    origin: Origin


def effective(known: Mapping[str, Parameter], layers: Sequence[Layer]) -> dict[str, Effective]:
    """Lays the layers, lowest first, over what is built in (`ENGINE_PARAMETERS` or `MODEL_PARAMETERS`).

    Absence leaves the layers below in force; null goes back to what is built in. Settings that are not known
    are passed on as they are. Raises `InvalidInput`, naming the parameter, for a wrong type or range.
    """
    built_in = {
        name: Effective(parameter.default, BUILT_IN)
        for name, parameter in known.items()
        if parameter.default is not msgspec.UNSET
    }
    found = dict(built_in)
    for layer in layers:
        for name, written in layer.values.items():
            value = checked(name, known[name], written) if name in known else written
            if value is not None:
                found[name] = Effective(value, layer.origin)
            elif name in built_in:
                found[name] = Effective(built_in[name].value, replace(layer.origin, kind="built-in"))
            else:
                found.pop(name, None)
    return found


def values(settings: Mapping[str, Effective]) -> dict[str, Any]:
    """The bare values."""
    return {name: setting.value for name, setting in settings.items()}
