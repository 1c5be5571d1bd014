"""What of a value a recording keeps: only what a table of fields allows. Pure.

A table's node is an object's fields, a list with the node of its items, `$name` of another object,
or the kind of a value:

    number boolean   as they are
    time             seconds before or after the recording's first exchange: "T-35.0"
    =a|b             these values, as published
    words            a value of words of the published schemas: "private_networking"
    size region slug the names of sizes, regions and images, by their shape
    image            a slug, or an id
    id:KIND name:KIND  a pseudonym
    page             of the address of a page, only page numbers
    cron             a schedule
    object           the name of an object in a bucket: a pseudonym, or one of every deployment
    epoch nanoseconds digits  numbers that come as text
    out              left out

Of everything else, only that it is there and its JSON type are kept: "<string>".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bot.record.pseudonyms import Pseudonyms

Node = Any
Json = Any

OUT = "out"
SIZE = re.compile(
    r"(?:[a-z]|so1_5|so|gd|g5|s5|m3|m6|c2|gpu)?-?\d{1,3}vcpu-\d{1,4}gb(?:-\d{2,4}gb)?"
    r"(?:-intel|-amd)?|(?:c|c2|g|gd|m|m3|m6|so|so1_5|s|s5|g5)-\d{1,3}(?:vcpu-\d{1,4}gb?)?"
    r"(?:-intel|-amd)?|\d{1,3}gb"
)
REGION = re.compile(r"[a-z]{3}\d")
IMAGE = re.compile(r"(?:ubuntu|debian|fedora|centos|rockylinux)(?:-\d{1,2}){1,2}(?:-x64)?")
CRON = re.compile(r"(?:(?:\*|\d{1,2})(?:[-/,]\d{1,2}){0,6}(?: |$)){5}")
# Names of objects that are the same in every deployment.
OBJECTS = frozenset({"secrets.env", "lock.lock"})
MOST_WORDS = 6
IPV = frozenset({"ipv4", "ipv6"})
# Words of field names that a password may consist of.
TELLING = frozenset(
    {"admin", "email", "host", "key", "keys", "name", "password", "secret", "team", "user"}
)
DEEPEST = 12
MOST_ITEMS = 1000
TYPES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)
MARK = re.compile(r"<(?:boolean|integer|number|string|array|object)>")
EPOCH = "0001-01-01T00:00:00Z"


def type_of(value: Json) -> str:
    """Return the JSON type of a value; of a mark, that of what was left out."""
    if value is None:
        return "null"
    if isinstance(value, str) and MARK.fullmatch(value):
        return value[1:-1]
    return next((name for kind, name in TYPES if isinstance(value, kind)), "string")


def left_out(value: Json) -> Json:
    """Return the mark of a value that is left out; null is null."""
    return None if value is None else f"<{type_of(value)}>"


@dataclass
class Redaction:
    """How values become what is kept. `started`: epoch seconds of the first exchange."""

    pseudonyms: Pseudonyms
    objects: Mapping[str, Node]
    words: frozenset[str]
    started: float = 0.0
    unknown: dict[str, int] = field(default_factory=dict)

    def value(self, node: Node, value: Json, depth: int = 0) -> Json:
        """Return what is kept of a value."""
        if isinstance(node, str) and node.startswith("$"):
            node = self.objects.get(node[1:], OUT)
        if value is None or depth > DEEPEST:
            return left_out(value)
        if isinstance(node, dict) and isinstance(value, dict):
            return self._object(node, value, depth)
        if isinstance(node, list) and isinstance(value, list):
            return [self.value(node[0], item, depth + 1) for item in value[:MOST_ITEMS]]
        if isinstance(node, str) and isinstance(value, bool | int | float | str):
            kept = self._leaf(node, value)
            return left_out(value) if kept is None else kept
        return left_out(value)

    def _object(self, node: dict[str, Node], value: dict[str, Json], depth: int) -> Json:
        kept: dict[str, Json] = {}
        for name, item in value.items():
            if name in node:
                kept[name] = self.value(node[name], item, depth + 1)
            else:
                kept[self.field_name(name, kept)] = left_out(item)
        return kept

    def field_name(self, name: object, beside: Mapping[str, Json]) -> str:
        """Return the name of a field that no table has: as it is when made of known words."""
        if isinstance(name, str) and re.fullmatch(r"[a-z][a-z_]{0,40}", name):
            parts = [part for part in name.split("_") if part]
            if parts and len(parts) <= MOST_WORDS and all(part in self.words for part in parts):
                return name
        number = 1 + sum(other.startswith("unknown field ") for other in beside)
        return f"unknown field {number}"

    def _leaf(self, kind: str, value: bool | float | str) -> Json:
        """Return a value of that kind as it is kept; None when it is not of that kind."""
        if isinstance(value, bool):
            return value if kind == "boolean" else None
        if isinstance(value, int | float):
            return self._number(kind, value)
        return self._text(kind, value)

    def _number(self, kind: str, value: float) -> Json:
        head, _, of = kind.partition(":")
        match head:
            case "number":
                return value if abs(value) < 1e12 else None
            case "id" | "image" if isinstance(value, int):
                return self.pseudonyms.id(of or "image", value)
            case "epoch":
                return round(value - self.started) if value else 0
        return None

    def _text(self, kind: str, value: str) -> Json:
        head, _, of = kind.partition(":")
        if kind.startswith("="):
            return value if value in kind[1:].split("|") else self._known_words(value)
        match head:
            case "time":
                return self.moment(value)
            case "epoch" | "nanoseconds":
                return self._epoch(value, 1e9 if head == "nanoseconds" else 1.0)
            case "words":
                return self._known_words(value)
            case "size" | "region" | "slug" | "image":
                return self._slug(head, value)
            case "id":
                return self.pseudonyms.id(of, value)
            case "name":
                return self.pseudonyms.name(of, value)
            case "object":
                return value if value in OBJECTS else self.pseudonyms.name("object", value)
            case "page":
                return _page(value)
            case "cron":
                return value if CRON.fullmatch(value) else None
            case "digits":
                return value if re.fullmatch(r"\d{1,9}", value) else None
        return None

    def _slug(self, kind: str, value: str) -> Json:
        shapes = {"size": (SIZE,), "region": (REGION,), "image": (IMAGE,)}
        if any(s.fullmatch(value) for s in shapes.get(kind, (SIZE, REGION, IMAGE))):
            return value
        return self.pseudonyms.name(kind, value)

    def _known_words(self, value: str) -> str | None:
        parts = ["ipv" if p in IPV else p for p in re.split(r"[ _-]", value.lower())]
        known = self.words - TELLING
        if value and len(parts) <= MOST_WORDS and all(part in known for part in parts):
            return value
        return "" if value == "" else None

    def moment(self, value: str) -> str | None:
        """Return a moment as seconds from the first exchange; None when it is none."""
        if value in {"", EPOCH}:
            return value
        try:
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
        except ValueError:
            return None
        if moment.tzinfo is None:
            return None
        return f"T{moment.timestamp() - self.started:+.1f}"

    def _epoch(self, value: str, unit: float) -> str | None:
        if not re.fullmatch(r"\d{1,20}", value):
            return None
        return f"T{int(value) / unit - self.started:+.1f}" if int(value) else "0"


def _page(address: str) -> str | None:
    """Return the page numbers of an address, without the address."""
    try:
        query = dict(parse_qsl(urlsplit(address).query))
    except ValueError:
        return None
    kept = [
        f"{k}={query[k]}"
        for k in ("page", "per_page")
        if re.fullmatch(r"\d{1,6}", query.get(k, ""))
    ]
    return "&".join(kept) or None
