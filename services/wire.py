"""Frozen dataclasses to JSON and back, by class name. Unknown fields are dropped, missing ones take their default."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import cache
from typing import Any

Classes = Mapping[str, type]


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


def encode(value: Any) -> Any:
    """The value as JSON types. Tuples become lists, Decimals and dataclasses become objects that carry their name."""
    if value is None or isinstance(value, bool | int | float | str):
        return value if not isinstance(value, str) else str(value)
    if isinstance(value, Decimal):
        return {"is": "Decimal", "value": str(value)}
    if isinstance(value, tuple | list):
        return [encode(v) for v in value]
    if isinstance(value, frozenset | set):
        return {"is": "frozenset", "value": sorted(encode(v) for v in value)}
    if isinstance(value, Mapping):
        return {"is": "dict", "value": [[encode(k), encode(v)] for k, v in value.items()]}
    if is_dataclass(value) and not isinstance(value, type):
        return {"is": type(value).__name__, **{name: encode(getattr(value, name)) for name in _names(type(value))}}
    raise TypeError(f"{type(value).__name__} cannot be stored")


def decode(data: Any, classes: Classes) -> Any:
    """What `encode` was given. ValueError when it names a class that `classes` does not hold."""
    if isinstance(data, list):
        return tuple(decode(v, classes) for v in data)
    if not isinstance(data, dict):
        return data
    name = data["is"]
    if name == "Decimal":
        return Decimal(data["value"])
    if name == "frozenset":
        return frozenset(decode(v, classes) for v in data["value"])
    if name == "dict":
        return {decode(k, classes): decode(v, classes) for k, v in data["value"]}
    if name not in classes:
        raise ValueError(f"stored by a newer version: {name} is not known here")
    kind = classes[name]
    known = _names(kind)
    return kind(**{k: decode(v, classes) for k, v in data.items() if k in known})
