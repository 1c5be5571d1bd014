"""Write tests/contracts/digitalocean_shapes.json: which shapes DigitalOcean's answers may have.

`python -m scripts.digitalocean_schema FILE`, where FILE is DigitalOcean's public OpenAPI document
as JSON with everything in `components` (github.com/digitalocean/openapi, bundled), or a part of it.
Only facts about the endpoints that the bot calls are kept: names of fields, types, allowed values,
what is required, what may be null, and the statuses that are documented. No text of the document.

A shape is the name of a type (`"integer"`), or one of

    {"values": ["new", "active"]}                   one of these texts
    {"list": SHAPE}                                 a list
    {"or null": SHAPE}                              that, or null
    {"any": [SHAPE, ...]}                           one of them
    {"of": "droplet"}                               the shape of that name
    {"fields": {"id": SHAPE}, "required": ["id"]}   an object
"""

import argparse
import json
from pathlib import Path
from typing import Any

from scripts.openapi import resolved

TARGET = Path(__file__).resolve().parents[1] / "tests" / "contracts" / "digitalocean_shapes.json"
POOL = "/v2/droplets/autoscale/{autoscale_pool_id}"
TRIGGER = "/v2/functions/namespaces/{namespace_id}/triggers/{trigger_name}"
ENDPOINTS = (
    "GET /v2/account",
    "GET /v2/droplets",
    "DELETE /v2/droplets/{droplet_id}",
    "GET /v2/droplets/{droplet_id}/actions",
    "POST /v2/droplets/{droplet_id}/actions",
    "GET /v2/droplets/autoscale",
    f"GET {POOL}",
    f"PUT {POOL}",
    f"GET {POOL}/members",
    f"GET {POOL}/history",
    "GET /v2/functions/namespaces",
    f"GET {TRIGGER}",
    f"PUT {TRIGGER}",
    "GET /v2/sizes",
    "GET /v2/snapshots",
    "GET /v2/tags/{tag_id}",
    "POST /v2/tags/{tag_id}/resources",
    "DELETE /v2/tags/{tag_id}/resources",
)
Json = dict[str, Any]
Shape = Any


class Document:
    """An OpenAPI document; the shapes of components that were needed so far are in `named`."""

    def __init__(self, content: Json) -> None:
        self.content = content
        self.named: dict[str, Shape] = {}

    def shape(self, schema: Json) -> Shape:
        """Return the shape of a schema."""
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[-1]
            if name not in self.named:
                self.named[name] = {}  # a shape may contain itself
                self.named[name] = self.shape(resolved(self.content, schema))
            return {"of": name}
        plain = self._plain(schema)
        return {"or null": plain} if schema.get("nullable") else plain

    def _plain(self, schema: Json) -> Shape:
        if "enum" in schema:
            values = [value for value in schema["enum"] if value is not None]
            return {"values": values}
        if "allOf" in schema:
            return self._merged([*schema["allOf"], {k: schema[k] for k in schema if k != "allOf"}])
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            return {"any": [self.shape(choice) for choice in choices]}
        if schema.get("type") == "array" or "items" in schema:
            return {"list": self.shape(schema["items"])}
        if "properties" in schema or schema.get("type") == "object":
            return self._merged([schema])
        return "time" if schema.get("format") == "date-time" else schema.get("type", "anything")

    def _merged(self, parts: list[Json]) -> Shape:
        fields: dict[str, Shape] = {}
        required: set[str] = set()
        for part in (resolved(self.content, part) for part in parts):
            inner = self._merged(part["allOf"]) if "allOf" in part else {}
            fields |= inner.get("fields", {})
            required |= set(inner.get("required", ())) | set(part.get("required", ()))
            fields |= {key: self.shape(value) for key, value in part.get("properties", {}).items()}
        if not fields and len(parts) > 1:
            # `allOf` around one text or list, to give it a description.
            return self.shape(next(part for part in parts if part))
        return {"fields": fields, "required": sorted(required & fields.keys())}

    def endpoint(self, name: str) -> Json:
        """Return which statuses an endpoint has, and the shape of its success."""
        method, _, path = name.partition(" ")
        responses = self.content["paths"][path][method.lower()]["responses"]
        statuses = sorted(int(status) for status in responses if status.isdigit())
        success = resolved(self.content, responses[str(statuses[0])])
        content = success.get("content", {}).get("application/json")
        return {
            "statuses": statuses,
            "answer": None if content is None else self.shape(content["schema"]),
        }


def facts(content: Json) -> Json:
    """Return what the file holds."""
    document = Document(content)
    endpoints = {name: document.endpoint(name) for name in ENDPOINTS}
    source = content["info"].get("x-source", {})
    return {
        "source": {key: source.get(key, "") for key in ("repository", "commit", "commit_date")},
        "endpoints": endpoints,
        "shapes": dict(sorted(document.named.items())),
    }


def written(content: Json) -> str:
    """Return the text of the file: each endpoint and each named shape is a line."""
    lines = [f'"source": {json.dumps(content["source"])}']
    for part in ("endpoints", "shapes"):
        inner = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in content[part].items())
        lines.append(f'"{part}": {{\n{inner}\n}}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Read the document, write the facts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("document", type=Path)
    TARGET.write_text(written(facts(json.loads(parser.parse_args().document.read_text()))))


if __name__ == "__main__":
    main()
