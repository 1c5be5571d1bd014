"""The state of a released version, and whether that version can read this one's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.store import Commit, Store
from services.store.origin import NEEDS

FOLDER = Path(__file__).parent
COMMITS = {"0.1.0": "66c5fb1713e23636273aa1323fddbb87733c940c"}
SCHEMAS = {"0.1.0": 1}  # that each of them writes, and knows
RELEASED = sorted(p.name for p in FOLDER.iterdir() if (p / "shapes.json").is_file())
BESIDE = [
    v for v in RELEASED if SCHEMAS[v] >= NEEDS
]  # those that have to be able to work beside this one
Json = dict[str, Any]


def golden(version: str, story: str) -> Json:
    """The state at the end of that story, as that version wrote it."""
    found: Json = json.loads((FOLDER / version / f"{story}.json").read_text())
    return found


async def put(store: Store, state: Json) -> None:
    """Into a store that is empty."""
    for key, (text, left) in state["values"].items():
        await store.commit(Commit(puts={key: text}, ttl={} if left is None else {key: left}))
    for log, entries in state["logs"].items():
        await store.commit(Commit(appends=[(log, entry) for entry in entries]))


class ReleasedReader:
    """Reads as a released version does: its classes, required fields, and strict places."""

    def __init__(self, version: str) -> None:
        shapes = json.loads((FOLDER / version / "shapes.json").read_text())
        self._classes: dict[str, dict[str, bool]] = shapes["classes"]
        self._exact: dict[str, list[str]] = shapes["exact"]
        self._words: dict[str, list[str]] = shapes["words"]

    def cannot_read(self, state: Json) -> list[str]:
        """Every key and log of a state that it would fail on, and why."""
        found = [
            f"{key}: {why}"
            for key, (text, _) in state["values"].items()
            for why in self._value(key, text)
        ]
        found += [
            f"{log}[{n}]: {why}"
            for log, texts in state["logs"].items()
            for n, t in enumerate(texts)
            for why in self._entry(log, t)
        ]
        return found

    def _value(self, key: str, text: str) -> Iterator[str]:
        kind = key.partition(":")[0]
        match kind:
            case "request":
                yield from self._record(json.loads(text))
            case "hours":
                yield from self._record(json.loads(text))
            case "card":
                yield from self._strict("card", json.loads(text))
            case "audit-kept" | "audit-told":
                yield from self._strict("head", json.loads(text))
            case "homes":
                yield from (
                    f"{raw} has not 4 parts"
                    for raw in json.loads(text)
                    if len(raw) != len(self._exact["viewer"])
                )
            case "kind":
                kept, _, _ = json.loads(text)
                yield from () if kept in self._words["kind"] else (f"{kept} is not known",)
            case "media":
                yield from (
                    ()
                    if {"number", "down"} <= json.loads(text).keys()
                    else ("lacks number or down",)
                )
            case "pause":
                yield from (
                    ()
                    if {"run", "at", "frozen"} <= json.loads(text).keys()
                    else ("lacks run, at or frozen",)
                )
            case "pending" | "cards":
                yield from (
                    ()
                    if all(isinstance(n, str) for n in json.loads(text))
                    else ("not a list of names",)
                )
            case "number" | "epoch":
                int(text)
            case "audit-head" | "sealed":
                int(text.partition(":")[0])

    def _entry(self, log: str, text: str) -> Iterator[str]:
        match log.partition(":")[0]:
            case "run":
                yield from self._record(json.loads(text))
            case "audit":
                yield from (
                    ()
                    if set(json.loads(text)) == set(self._exact["entry"])
                    else ("not an entry as it knows them",)
                )
            case "intake":
                yield from (
                    ()
                    if {"name", "at", "user", "channel", "text"} <= json.loads(text).keys()
                    else ("lacks a field",)
                )

    def _strict(self, kind: str, data: Json) -> Iterator[str]:
        yield from (f"{name} is not known" for name in data if name not in self._exact[kind])

    def _record(self, data: Any) -> Iterator[str]:
        if isinstance(data, list):
            for value in data:
                yield from self._record(value)
            return
        if not isinstance(data, dict):
            return
        name = data["is"]
        if name in ("Decimal", "frozenset", "dict"):
            yield from self._record(
                [v for pair in data["value"] for v in pair] if name == "dict" else []
            )
            return
        if name not in self._classes:
            yield f"{name} is not known"
            return
        fields = self._classes[name]
        yield from (
            f"{name} lacks {field}"
            for field, needed in fields.items()
            if needed and field not in data
        )
        for word, field in (("Request", "state"), ("Ended", "how")):
            if name == word and data[field] not in self._words[f"{word}.{field}"]:
                yield f"{name} is {data[field]}, which is not known"
        for field, value in data.items():
            if field in fields:
                yield from self._record(value)
