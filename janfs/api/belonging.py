"""Fields that belong to some types of a value and to others not: there they would be dropped. Pure."""

from collections.abc import Mapping
from typing import Any

from janfs.errors import UnsupportedParameter


def refuse_strays(given: Any, fields: Mapping[str, tuple[str, ...]], place: str) -> None:
    """Raises `UnsupportedParameter` for a field of the value that another `type` has, by these tables.

    Types that no table knows are refused by those who read them.
    """
    own = fields.get(given.type)
    if own is None:
        return
    for name in dict.fromkeys(name for names in fields.values() for name in names):
        if name not in own and getattr(given, name) is not None:
            param = f"{place}.{name}"
            raise UnsupportedParameter(f"'{param}' does not belong to the type '{given.type}'.", param=param)
