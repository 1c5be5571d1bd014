"""Frozen dataclasses to JSON and back, by class name.

Records outlive the version that wrote them. A record carries its version as `v`; one without it has
version 1. Reading ignores unknown fields, and writing over the text that was read keeps them, so
that of two versions side by side the older one removes nothing. Missing fields take their default.
An unknown class or enum value makes a record unreadable, and only that record.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, get_type_hints

from services.common.errors import BadRecord

Classes = Mapping[str, type]
# The version of the records written here.
VERSION = 2
MARKS = ("is", "v")
BUILT_IN = ("Decimal", "frozenset", "dict")
DAMAGED = "it is damaged"
NEWER = "it is of a newer openvidu-bot"


class _UnknownValue(ValueError):
    """A stored enum value that this version does not have."""


@cache
def _stored_fields(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind) if f.metadata.get("stored", True))


@cache
def _enum_fields(kind: Any) -> Mapping[str, type[Enum]]:
    types = get_type_hints(kind)
    named = {name: types[name] for name in _stored_fields(kind)}
    return {n: t for n, t in named.items() if isinstance(t, type) and issubclass(t, Enum)}


def encode(value: Any) -> Any:
    """Return a value as JSON types; TypeError if its type cannot be stored.

    Tuples become lists; Decimals, sets, mappings and dataclasses become objects with their class
    name; enum members become their value.
    """
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Decimal):
        return {"is": "Decimal", "value": str(value)}
    if isinstance(value, tuple | list):
        return [encode(v) for v in value]
    if isinstance(value, frozenset | set):
        return {"is": "frozenset", "value": sorted(encode(v) for v in value)}
    if isinstance(value, Mapping):
        return {"is": "dict", "value": [[encode(k), encode(v)] for k, v in value.items()]}
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        content = {name: encode(getattr(value, name)) for name in _stored_fields(kind)}
        return {"is": kind.__name__, **content}
    raise TypeError(f"{type(value).__name__} cannot be stored")


def decode(data: Any, classes: Classes) -> Any:
    """Return the value that `encode` was given; ValueError for a class not in `classes`."""
    if isinstance(data, list):
        return tuple(decode(v, classes) for v in data)
    if not isinstance(data, dict):
        return data
    match data["is"]:
        case "Decimal":
            return Decimal(data["value"])
        case "frozenset":
            return frozenset(decode(v, classes) for v in data["value"])
        case "dict":
            return {decode(k, classes): decode(v, classes) for k, v in data["value"]}
        case name if name in classes:
            return _decode_object(data, classes[name], classes)
        case name:
            raise ValueError(f"stored by a newer version: {name} is not known here")


def _decode_object(data: dict[str, Any], kind: type, classes: Classes) -> Any:
    stored = _stored_fields(kind)
    values = {name: decode(value, classes) for name, value in data.items() if name in stored}
    for name, enum in _enum_fields(kind).items():
        if name in values:
            values[name] = _member(enum, values[name])
    return kind(**values)


def _member(enum: type[Enum], value: Any) -> Enum:
    try:
        return enum(value)
    except ValueError:
        raise _UnknownValue(value) from None


def write(value: Any, classes: Classes, over: str | None = None) -> str:
    """Return a record, or a sequence of them, as text; equal values give equal text.

    `over`: the text it replaces, whose unknown fields it keeps.
    """
    data = encode(value)
    if over is not None:
        data = _with_unknown(_json(over), data, classes)
    if isinstance(data, list):
        marked: Any = [{"v": VERSION, **record} for record in data]
    else:
        marked = {"v": VERSION, **data}
    return json.dumps(marked, sort_keys=True, separators=(",", ":"))


def read(text: str, classes: Classes, what: str) -> Any:
    """Return the record in stored text; BadRecord, naming `what`, if it cannot be read."""
    try:
        return decode(json.loads(text), classes)
    except _UnknownValue as error:
        raise BadRecord(f"{what} cannot be read: {NEWER} ({error} is not known here)") from error
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise BadRecord(f"{what} cannot be read: {why_unreadable(text, classes)}") from error


def read_json(text: str | None, empty: Any, what: str) -> Any:
    """Return stored plain JSON of the same type as `empty`, which stands for no text.

    BadRecord, naming `what`, if it is anything else.
    """
    if text is None:
        return empty
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadRecord(f"{what} cannot be read: {DAMAGED}") from error
    if not isinstance(value, type(empty)):
        raise BadRecord(f"{what} cannot be read: {DAMAGED}")
    return value


def why_unreadable(text: str, classes: Classes) -> str:
    """Return whether a newer version wrote it, as far as the text shows."""
    data = _json(text)
    if data is None:
        return DAMAGED
    version = data.get("v", 1) if isinstance(data, dict) else 1
    if isinstance(version, int) and version > VERSION:
        return f"{NEWER} (record version {version}, and this one knows {VERSION})"
    if unknown := sorted({name for name in _class_names(data) if name not in classes}):
        return f"{NEWER} ({', '.join(unknown)} is not known here)"
    return f"{DAMAGED}, or {NEWER}"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _class_names(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        name = data.get("is")
        if isinstance(name, str) and name not in BUILT_IN:
            yield name
        for value in data.values():
            yield from _class_names(value)
    elif isinstance(data, list):
        for value in data:
            yield from _class_names(value)


# Fields that this version does not know


def _with_unknown(before: Any, after: Any, classes: Classes) -> Any:
    """Return the encoding `after` with the fields of `before` that this version does not know."""
    if isinstance(before, dict) and isinstance(after, dict) and before.get("is") == after.get("is"):
        kept = {k: before[k] for k in _unknown_fields(before, classes)}
        return kept | {k: _with_unknown(before.get(k), v, classes) for k, v in after.items()}
    if isinstance(before, list) and isinstance(after, list):
        return _with_unknown_in_list(before, after, classes)
    return after


def _unknown_fields(data: dict[str, Any], classes: Classes) -> list[str]:
    kind = classes.get(str(data.get("is")))
    if kind is None:
        return []
    return [k for k in data if k not in MARKS and k not in _stored_fields(kind)]


def _with_unknown_in_list(before: list[Any], after: list[Any], classes: Classes) -> list[Any]:
    """Match each element of `after` with the one it was: see `_earlier`."""
    if not any(_holds_unknown(b, classes) for b in before):
        return after
    unmatched = list(before)
    merged: list[Any] = []
    for place, element in enumerate(after):
        same_place = before[place] if len(before) == len(after) else None
        earlier = _earlier(element, unmatched, classes) or same_place
        if earlier in unmatched:
            unmatched.remove(earlier)
        merged.append(_with_unknown(earlier, element, classes))
    return merged


def _earlier(element: Any, candidates: list[Any], classes: Classes) -> Any:
    """Return the candidate that is equal except for unknown fields, else one with the same id."""
    for candidate in candidates:
        if _without_unknown(candidate, classes) == element:
            return candidate
    own = _id_of(element)
    return next((c for c in candidates if own is not None and _id_of(c) == own), None)


def _holds_unknown(data: Any, classes: Classes) -> bool:
    if isinstance(data, list):
        return any(_holds_unknown(v, classes) for v in data)
    if not isinstance(data, dict):
        return False
    return bool(_unknown_fields(data, classes)) or any(
        _holds_unknown(v, classes) for v in data.values()
    )


def _without_unknown(data: Any, classes: Classes) -> Any:
    if isinstance(data, list):
        return [_without_unknown(v, classes) for v in data]
    if not isinstance(data, dict):
        return data
    unknown = _unknown_fields(data, classes)
    return {k: _without_unknown(v, classes) for k, v in data.items() if k not in unknown}


def _id_of(data: Any) -> Any:
    """Return what identifies an element of a list: its id or its name, else None."""
    if not isinstance(data, dict):
        return None
    return next((data[k] for k in ("id", "name") if k in data), None)
