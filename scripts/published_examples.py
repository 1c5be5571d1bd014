#!/usr/bin/env python3
"""Writes tests/recordings/digitalocean-published.jsonl from DigitalOcean's published examples.

`published_examples FILE` takes the published OpenAPI document, or a cut of it. Each example answer
goes through the redaction of `openvidu-bot record`; what the document has no whole example for is
put together from the examples of its fields.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot.record.lines import line_of
from bot.record.pseudonyms import Pseudonyms
from bot.record.recorder import FORMAT
from bot.record.redaction import Redaction
from bot.record.tables import digitalocean
from scripts.openapi import resolved
from services.cloud.clients.exchanges import Exchange

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "tests" / "recordings" / "digitalocean-published.jsonl"
STARTED = 1_595_356_664.0  # about when most of the examples are from
JSON_TYPE = "application/json"
# What is sent where an answer needs it: the smallest that is published for it.
SENT: dict[str, Any] = {
    "POST /v2/droplets/{droplet_id}/actions": {"type": "shutdown"},
    "PUT /v2/droplets/autoscale/{autoscale_pool_id}": {"config": {"target_number_instances": 2}},
    "PUT /v2/functions/namespaces/{namespace_id}/triggers/{trigger_name}": {"is_enabled": False},
}
# Answers that the simulated world does not give: it creates no droplets and pools by template.
LEFT_OUT = ("POST /v2/droplets/actions", "POST /v2/droplets/autoscale", "POST /v2/tags", "DELETE")
# Parameters of paths, as each example may have them.
NAMED = {"droplet_id": "3164444", "action_id": "36805187"}
DEEPEST = 8


class Examples:
    """The examples of the document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def all(self) -> Iterator[tuple[str, str, Any, bool]]:
        """Yield operation, status, answer, and whether the answer is a whole example."""
        for path, item in sorted(self.document["paths"].items()):
            for verb in ("get", "put", "post"):
                operation = f"{verb.upper()} {path}"
                if verb in item and not operation.startswith(LEFT_OUT):
                    for status, answer in sorted(item[verb]["responses"].items()):
                        if status != "default":
                            for example, whole in self._of(self.found(answer)):
                                yield operation, status, example, whole

    def _of(self, answer: dict[str, Any]) -> Iterator[tuple[Any, bool]]:
        content = (answer.get("content") or {}).get(JSON_TYPE) or {}
        given = [e["value"] for e in (content.get("examples") or {}).values()]
        if "example" in content:
            given.append(content["example"])
        if given:
            for example in given:
                yield example, True
        elif "schema" in content:
            example = self.composed(content["schema"])
            if isinstance(example, dict) and example:
                yield example, False

    def composed(self, node: dict[str, Any], depth: int = 0) -> Any:
        """Return what the examples of a schema's fields make; None where there is none."""
        node = self.found(node)
        if "example" in node or depth > DEEPEST:
            return node.get("example")
        value: dict[str, Any] = {}
        for part in [p for k in ("allOf", "oneOf", "anyOf") for p in node.get(k) or ()]:
            below = self.composed(part, depth + 1)
            if isinstance(below, dict):
                value |= below
            elif below is not None and not value:
                return below
        for name, field in (node.get("properties") or {}).items():
            example = self.composed(field, depth + 1)
            if example is not None:
                value[name] = example
        if node.get("type") == "array" or "items" in node:
            item = self.composed(node.get("items") or {}, depth + 1)
            return None if item is None else [item]
        return value or None

    def found(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return the node, or what it refers to."""
        return resolved(self.document, node)


def lines(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the lines of the recording: whole examples and parts, with and without functions."""
    table = digitalocean()
    examples = list(Examples(document).all())
    for whole in (True, False):
        for kind in ("pool", "autoscaler"):
            chosen = [
                (operation, status, answer)
                for operation, status, answer, is_whole in examples
                if is_whole is whole and ("/functions/" in operation) is (kind == "autoscaler")
            ]
            if chosen:
                published = "examples" if whole else "parts"
                yield {"format": FORMAT, "bot": "", "kind": kind, "published": published}
            redaction = Redaction(Pseudonyms(), table.objects, table.words, STARTED)
            for number, (operation, status, answer) in enumerate(chosen, 1):
                exchange = Exchange(
                    "digitalocean",
                    _path(operation),
                    sent=SENT.get(operation),
                    status=int(status),
                    answer=answer,
                )
                yield {"n": number, "t": 0.0, "took": 0.0} | line_of(exchange, redaction)


def _path(operation: str) -> str:
    def segment(part: str) -> str:
        return NAMED.get(part[1:-1], "example") if part.startswith("{") else part

    return "/".join(segment(part) for part in operation.split("/"))


def main() -> int:
    document = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    TARGET.parent.mkdir(exist_ok=True)
    found = [json.dumps(line) for line in lines(document)]
    TARGET.write_text("\n".join(found) + "\n", "utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {len(found)} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
