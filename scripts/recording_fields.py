#!/usr/bin/env python3
"""Writes bot/record/digitalocean.json: which fields of DigitalOcean's API a recording may keep.

The source is the published OpenAPI document, or a cut of it: `recording_fields FILE`. Kept are
numbers, booleans, moments, published values of enumerations, and sizes, regions and ids as far as
`bot.record.redaction` lets them through. Every other field is only there with its JSON type.
"""

import json
import sys
from pathlib import Path
from typing import Any

from scripts.openapi import resolved

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "bot" / "record" / "digitalocean.json"
OUT = "out"
# What a field is, by its name, where its type alone does not say.
NAMED = {
    "id": "id", "droplet_id": "id:droplet", "resource_id": "id:resource", "action_id": "id:action",
    "droplet_ids": "id:droplet", "backup_ids": "id:image", "snapshot_ids": "id:image",
    "volume_ids": "id:volume", "history_event_id": "id:event", "vpc_uuid": "id:vpc",
    "project_id": "id:project", "load_balancer_id": "id:balancer", "uuid": "id:uuid",
    "certificate_id": "id:certificate", "size": "size", "size_slug": "size", "region": "region",
    "region_slug": "region", "regions": "region", "sizes": "size", "slug": "slug",
    "tags": "name:tag", "tag": "name:tag", "ssh_keys": "id:key", "project_ids": "id:project",
    "namespace": "id:namespace", "cron": "cron", "label": "name:namespace",
    "function": "name:function", "owner_id": "id:owner", "user_data": OUT, "key": OUT,
    "features": "words", "error_reason": OUT, "reason": "words", "next": "page", "prev": "page",
    "first": "page", "last": "page", "request_id": "id:request", "distribution": "words",
    "vpc_ids": "id:vpc", "cluster_uuid": "id:uuid", "resource_type": "words", "unit": "words",
    "image": "image", "last_run_at": "time", "next_run_at": "time", "created_at": "time",
    "updated_at": "time",
}  # fmt: skip
# The names of what people name themselves, by the object that has the name.
NAMES = {
    "droplet": "name:droplet", "autoscale_pool": "name:pool", "trigger_info": "name:trigger",
    "load_balancer": "name:balancer", "tags": "name:tag", "snapshots": "name:snapshot",
    "droplet_snapshot": "name:snapshot", "autoscale_pool_create": "name:pool",
    "autoscale_pool_droplet_template": "name:template",
}  # fmt: skip
IDS = {
    "droplet": "id:droplet", "autoscale_pool": "id:pool", "action": "id:action",
    "load_balancer": "id:balancer", "image": "id:image", "snapshots": "id:image",
    "droplet_snapshot": "id:image", "error": "words", "error_with_root_causes": "words",
    "snapshots_base": "id:image", "kernel": "id:kernel",
}  # fmt: skip
# Types that the document does not enumerate.
TYPES = {"action": "words", "trigger_info": "words"}
VERBS = ("get", "post", "put", "delete", "patch", "head")
# Fields that clients read and the document does not have.
UNPUBLISHED = {"history": {"error_reason": OUT}}


class Published:
    """The document, read into the fields that may be kept."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.schemas: dict[str, Any] = {}

    def table(self) -> dict[str, Any]:
        """Return every operation's fields, the named objects, and all words of the schemas."""
        operations = {}
        for path, item in sorted(self.document["paths"].items()):
            for verb in VERBS:
                if verb in item:
                    operations[f"{verb.upper()} {path}"] = self._operation(item[verb])
        return {
            "operations": operations,
            "objects": dict(sorted(self.schemas.items())),
            "words": sorted(self._words()),
        }

    def _operation(self, operation: dict[str, Any]) -> dict[str, Any]:
        answers = {}
        for status, answer in operation["responses"].items():
            content = self._found(answer).get("content") or {}
            answers[status] = self._body(content)
        sent = self._body(self._found(operation.get("requestBody") or {}).get("content") or {})
        return {"sent": sent, "answers": answers}

    def _body(self, content: dict[str, Any]) -> Any:
        schema = (content.get("application/json") or {}).get("schema")
        return OUT if schema is None else self._node(schema, "", "")

    def _found(self, node: dict[str, Any]) -> dict[str, Any]:
        return resolved(self.document, node)

    def _node(self, node: dict[str, Any], name: str, owner: str) -> Any:
        """Return how a schema's values are kept. `name`: of the field; `owner`: of its object."""
        if "$ref" in node:
            title = node["$ref"].rsplit("/", 1)[-1]
            found = self._found(node)
            if not self._is_object(found):
                return self._node(found, name, owner or title)
            if title not in self.schemas:
                self.schemas[title] = {}  # before its fields: an object may hold its like
                self.schemas[title] = self._object(found, title)
            return f"${title}"
        if self._is_object(node):
            fields = self._object(node, owner)
            return fields or OUT
        if node.get("type") == "array" or "items" in node:
            return [self._node(node.get("items") or {}, name, owner)]
        return self._leaf(node, name, owner)

    def _is_object(self, node: dict[str, Any]) -> bool:
        parts = [self._found(p) for k in ("allOf", "oneOf", "anyOf") for p in node.get(k) or ()]
        return "properties" in node or any(self._is_object(part) for part in parts)

    def _object(self, node: dict[str, Any], owner: str) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key in ("allOf", "oneOf", "anyOf"):
            for part in node.get(key) or ():
                of = part["$ref"].rsplit("/", 1)[-1] if "$ref" in part else owner
                if of.endswith("_base"):
                    of = owner
                for name, field in self._object(self._found(part), of or owner).items():
                    fields[name] = _merged(fields.get(name), field)
        for name, schema in (node.get("properties") or {}).items():
            fields[name] = _merged(fields.get(name), self._node(schema, name, owner))
        return fields | UNPUBLISHED.get(owner, {})

    def _leaf(self, node: dict[str, Any], name: str, owner: str) -> Any:
        kind = node.get("type")
        special = {"name": NAMES, "id": IDS, "type": TYPES}.get(name, {}).get(owner)
        special = special or NAMED.get(name)
        if "enum" in node and not (special or "").startswith(("size", "region")):
            return "=" + "|".join(str(value) for value in node["enum"])
        if special == "id":
            return f"id:{owner or 'thing'}"
        if special:
            return special
        for key in ("allOf", "oneOf", "anyOf"):
            for part in node.get(key) or ():
                if (leaf := self._leaf(self._found(part), name, owner)) != OUT:
                    return leaf
        if kind in ("integer", "number"):
            return "number"
        if kind == "boolean":
            return "boolean"
        if node.get("format") == "date-time":
            return "time"
        return OUT

    def _words(self) -> set[str]:
        """Return the words of all field names and enumerations."""
        words: set[str] = set()

        def walk(node: Any) -> None:
            if isinstance(node, dict):
                properties = node.get("properties")
                if isinstance(properties, dict):
                    for name in properties:
                        words.update(_words_of(name))
                for value in node.get("enum") or ():
                    words.update(_words_of(str(value)))
                for key, item in node.items():
                    if key not in ("example", "examples", "description"):
                        walk(item)
            elif isinstance(node, list):
                for item in node:
                    walk(item)

        walk(self.document["paths"])
        walk(self.document["components"])
        return words


def _words_of(name: str) -> list[str]:
    text = "".join(c.lower() if c.isalpha() else " " for c in name)
    return [word for word in text.split() if len(word) > 1]


def _merged(first: Any, second: Any) -> Any:
    """Return what both allow: the values of both enumerations, the fields of both objects."""
    if first is None or first in (second, OUT):
        return second
    if second == OUT:
        return first
    if isinstance(first, dict) and isinstance(second, dict):
        return first | {name: _merged(first.get(name), field) for name, field in second.items()}
    if isinstance(first, str) and isinstance(second, str) and first[:1] == second[:1] == "=":
        values = dict.fromkeys([*first[1:].split("|"), *second[1:].split("|")])
        return "=" + "|".join(values)
    return first


def main() -> int:
    document = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    table = Published(document).table()
    lines = ["{"]
    for title in ("operations", "objects"):
        rows = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in table[title].items()]
        lines += [f' "{title}": {{', ",\n".join(rows), " },"]
    lines += [f' "words": {json.dumps(" ".join(table["words"]))}', "}"]
    TARGET.write_text("\n".join(lines) + "\n", "utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {len(table['operations'])} operations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
