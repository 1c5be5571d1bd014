"""Frozen dataclasses to JSON and back, by class name: records that outlive the version that wrote them.

A record carries its version as `v`; one without it is of version 1. Unknown fields are left out when it is read, and kept when it is
written again over what was read (`rewrite`), so that of two versions side by side the older one takes nothing away. Missing fields take
their default. A class or a choice that is not known makes a record unreadable, and only that record.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from services.common.errors import BadRecord

Classes = Mapping[str, type]
VERSION = 2  # of the records that are written here
MARKS = ("is", "v")


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind) if f.metadata.get("stored", True))


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
        return {
            "is": type(value).__name__,
            **{name: encode(getattr(value, name)) for name in _names(type(value))},
        }
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


def write(value: Any, classes: Classes, over: str | None = None) -> str:
    """A record or several, as text; equal values give equal text. `over`: the text that it replaces, whose unknown fields it keeps."""
    data = encode(value)
    if over is not None:
        data = _kept(_json(over), data, classes)
    marked = (
        [{"v": VERSION, **d} for d in data] if isinstance(data, list) else {"v": VERSION, **data}
    )
    return json.dumps(marked, sort_keys=True, separators=(",", ":"))


def read(text: str, classes: Classes, what: str) -> Any:
    """The record in stored text. BadRecord, with `what` it is, when this version cannot read it."""
    try:
        data = json.loads(text)
        return decode(data, classes)
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise BadRecord(f"{what} cannot be read: {why_unreadable(text, classes)}") from error


def read_json(text: str | None, empty: Any, what: str) -> Any:
    """A note in plain JSON, of the same kind as `empty`, which stands for none. BadRecord, with `what` it is, when it is anything else."""
    if text is None:
        return empty
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadRecord(f"{what} cannot be read: it is damaged") from error
    if not isinstance(found, type(empty)):
        raise BadRecord(f"{what} cannot be read: it is damaged")
    return found


def why_unreadable(text: str, classes: Classes) -> str:
    """Whether a newer version wrote it, as far as that can be told."""
    data = _json(text)
    if data is None:
        return "it is damaged"
    version = data.get("v", 1) if isinstance(data, dict) else 1
    if isinstance(version, int) and version > VERSION:
        return f"a newer openvidu-bot wrote it (record version {version}, and this one knows {VERSION})"
    if unknown := sorted({name for name in _classes(data) if name not in classes}):
        return f"a newer openvidu-bot wrote it ({', '.join(unknown)} is not known here)"
    return "it is damaged, or a newer openvidu-bot wrote it"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _classes(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        if isinstance(data.get("is"), str) and data["is"] not in ("Decimal", "frozenset", "dict"):
            yield data["is"]
        for value in data.values():
            yield from _classes(value)
    elif isinstance(data, list):
        for value in data:
            yield from _classes(value)


# Unknown fields


def _kept(before: Any, after: Any, classes: Classes) -> Any:
    """The encoding `after`, with every field of `before` that this version does not know."""
    if isinstance(before, dict) and isinstance(after, dict) and before.get("is") == after.get("is"):
        more = {k: before[k] for k in _unknown(before, classes)}
        return {**more, **{k: _kept(before.get(k), v, classes) for k, v in after.items()}}
    if isinstance(before, list) and isinstance(after, list):
        return _kept_in_list(before, after, classes)
    return after


def _unknown(data: dict[str, Any], classes: Classes) -> list[str]:
    kind = classes.get(str(data.get("is")))
    return [] if kind is None else [k for k in data if k not in MARKS and k not in _names(kind)]


def _kept_in_list(before: list[Any], after: list[Any], classes: Classes) -> list[Any]:
    """Each element takes over from the one that it was: equal but for what is not known, else of the same name, else in the same place."""
    if not any(_holds_unknown(b, classes) for b in before):
        return after
    left = list(before)
    found: list[Any] = []
    for place, element in enumerate(after):
        there = before[place] if len(before) == len(after) else None
        was = next((b for b in left if _known_part(b, classes) == element), None)
        was = (
            was
            or next(
                (b for b in left if _called(b) is not None and _called(b) == _called(element)), None
            )
            or there
        )
        if was in left:
            left.remove(was)
        found.append(_kept(was, element, classes))
    return found


def _holds_unknown(data: Any, classes: Classes) -> bool:
    if isinstance(data, dict):
        return bool(_unknown(data, classes)) or any(
            _holds_unknown(v, classes) for v in data.values()
        )
    return isinstance(data, list) and any(_holds_unknown(v, classes) for v in data)


def _known_part(data: Any, classes: Classes) -> Any:
    if isinstance(data, dict):
        return {
            k: _known_part(v, classes) for k, v in data.items() if k not in _unknown(data, classes)
        }
    return [_known_part(v, classes) for v in data] if isinstance(data, list) else data


def _called(data: Any) -> Any:
    """What tells this element of a list from the others."""
    return (
        next((data[k] for k in ("id", "name") if k in data), None)
        if isinstance(data, dict)
        else None
    )
