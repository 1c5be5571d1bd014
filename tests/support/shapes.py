"""DigitalOcean's answers out of what its published API says of them, made by Hypothesis.

`digitalocean_shapes.json` holds the facts (`scripts.digitalocean_schema` says where they are from).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

FILE = Path(__file__).resolve().parents[1] / "contracts" / "digitalocean_shapes.json"
JSON_TYPE = {"content-type": "application/json; charset=utf-8"}
TIMES = (
    "2026-11-30T17:00:00Z",
    "2026-11-30T17:00:00.123456Z",
    "2020-02-29T23:59:60+00:00",
    "0001-01-01T00:00:00Z",
    "2026-11-30T17:00:00+02:00",
)
UNKNOWN_VALUE = "a-value-of-next-year"
UNKNOWN_FIELD = "a_field_of_next_year"
# What no field is documented to be, some of which Python's json reads as well.
ODD: tuple[Any, ...] = (
    None, "", "x", 0, -1, 1.5, 10**30, True, [], {}, [None], {"id": None}, float("nan"),
    float("inf"), "\u202eevil", "9" * 5000, ["a", 1],
)  # fmt: skip
Shape = Any
Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """An answer for `tests.support.pydo_transport`."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=lambda: dict(JSON_TYPE))
    delay: float = 0.0
    fate: str = ""


@cache
def facts() -> Json:
    """What the file holds: source, endpoints, shapes."""
    return json.loads(FILE.read_text())  # type: ignore[no-any-return]


def endpoint(name: str) -> Json:
    """The documented statuses of an endpoint, and the shape of its success."""
    return facts()["endpoints"][name]  # type: ignore[no-any-return]


def resolved(shape: Shape) -> Shape:
    """The shape itself, where it is a name."""
    while isinstance(shape, dict) and "of" in shape:
        shape = facts()["shapes"][shape["of"]]
    return shape


@cache
def _plain(name: str) -> st.SearchStrategy[Any]:
    return {
        "integer": st.integers(0, 2**40),
        "number": st.floats(0, 1e6) | st.integers(0, 2**20),
        "string": st.text(max_size=8) | st.sampled_from(("7", "acme-media-1", "s-4vcpu-8gb")),
        "boolean": st.booleans(),
        "time": st.sampled_from(TIMES),
        "anything": st.none() | st.just({}) | st.just({"next": ""}),
    }[name]


def values(shape: Shape, *, odd: bool) -> st.SearchStrategy[Any]:
    """Values of a shape. `odd`: also such as it does not allow, at any place.

    Without it: every optional field there or not, every allowed value, null where that is allowed,
    and fields that the document does not know.
    """
    return _values(json.dumps(shape), odd)


@cache
def _values(written: str, odd: bool) -> st.SearchStrategy[Any]:
    made = _as_documented(json.loads(written), odd)
    return made | st.sampled_from(ODD) if odd else made


def _as_documented(shape: Shape, odd: bool) -> st.SearchStrategy[Any]:
    if isinstance(shape, str):
        return _plain(shape)
    if "of" in shape:
        return _as_documented(resolved(shape), odd)
    if "values" in shape:
        return st.sampled_from([*shape["values"], *([UNKNOWN_VALUE] if odd else ())])
    if "list" in shape:
        return st.lists(values(shape["list"], odd=odd), max_size=3)
    if "or null" in shape:
        return st.none() | values(shape["or null"], odd=odd)
    if "any" in shape:
        return st.one_of([values(choice, odd=odd) for choice in shape["any"]])
    made = {key: values(inner, odd=odd) for key, inner in shape["fields"].items()}
    required = {key: made[key] for key in made if key in shape["required"] and not odd}
    optional = {key: made[key] for key in made if key not in required}
    optional[UNKNOWN_FIELD] = st.sampled_from((None, "x", {"a": []}))
    return st.fixed_dictionaries(required, optional=optional)


ERROR_BODIES: Sequence[Any] = (
    {"id": "not_found", "message": "The resource you requested could not be found."},
    {"id": "x", "message": "for people", "request_id": "4d9d8375-3c56-4925-a3e7-eb137fed17e9"},
    {"id": None, "message": None, "request_id": None},
    {"message": {"nested": ["\u0000"]}, "id": 7, "errors": ["a"]},
    {},
)
"""Bodies of documented errors: all fields, some, none, and such as they should not be."""

NO_BODIES: Sequence[Reply] = (
    Reply(0, b"", {}),
    Reply(0, b""),
    Reply(0, b"null"),
    Reply(0, b"[]"),
    Reply(0, b'{"id": "not_f'),
    Reply(0, b"\xff\xfe{}"),
    Reply(0, b"[" * 100_000),
    Reply(0, b"<html>Bad gateway</html>", {"content-type": "text/html"}),
    Reply(0, b"upstream", {}),
)
"""Answers that are not the API's, whatever their status."""


# Variations of an answer that is there


@dataclass(frozen=True)
class Place:
    """One value within an answer: where it is, and its shape."""

    holder: Any
    key: Any
    shape: Shape
    is_optional: bool

    @property
    def name(self) -> str:
        """The name of the field; "[]" for an entry of a list."""
        return self.key if isinstance(self.key, str) else "[]"


def places(value: Any, shape: Shape) -> Iterator[Place]:
    """Every place below a value that has this shape."""
    shape = resolved(shape)
    if isinstance(shape, dict) and "or null" in shape:
        yield from places(value, shape["or null"])
    elif isinstance(shape, dict) and "any" in shape:
        fields = [resolved(choice) for choice in shape["any"]]
        fitting = [f for f in fields if isinstance(f, dict) and _fits(value, f)]
        yield from places(value, fitting[0] if fitting else "anything")
    elif isinstance(value, dict) and isinstance(shape, dict) and "fields" in shape:
        for key, inner in shape["fields"].items():
            if key in value:
                yield Place(value, key, inner, key not in shape["required"])
                yield from places(value[key], inner)
    elif isinstance(value, list) and isinstance(shape, dict) and "list" in shape:
        for number, item in enumerate(value):
            yield Place(value, number, shape["list"], False)
            yield from places(item, shape["list"])


def _fits(value: Any, shape: Shape) -> bool:
    return isinstance(value, dict) and bool(value.keys() & shape.get("fields", {}).keys())


def may_be_null(shape: Shape) -> bool:
    """Whether null is documented."""
    shape = resolved(shape)
    return isinstance(shape, dict) and "or null" in shape
