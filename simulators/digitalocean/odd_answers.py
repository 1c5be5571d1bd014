"""Answers that are well formed and wrong.

A 200 that is not true, a list in another order, an unexpected shape.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from simulators.dice import dice_of
from simulators.faults import WorldFault
from simulators.responses import HttpResponse

Json = dict[str, Any]
KINDS = ("list-empty", "list-one-missing", "odd-shape", "shuffled", "tags-shuffled", "churn")
"""The faults of the party "digitalocean" made here.

"churn" happens to the account and not to the answer.
"""
REFUSALS = {
    "401": (401, "unauthorized", "Unable to authenticate you."),
    "403": (403, "forbidden", "You are not authorized to perform this operation."),
    "404": (404, "not_found", "The resource you requested could not be found."),
}
"""Refusals that are returned once without a reason: nothing was done."""


@dataclass(frozen=True)
class Shape:
    """An odd shape: `change` makes an answer odd, where the answer has what it changes."""

    name: str
    change: Callable[[Json], bool]


def spoiled(answer: HttpResponse, fault: WorldFault, call: int) -> HttpResponse:
    """Return the answer as that fault leaves it, unchanged where it does not apply.

    `call`: the number of the request.
    """
    if answer.status != 200 or fault.kind not in KINDS:
        return answer
    body = json.loads(answer.body)
    if fault.kind == "odd-shape" and fault.shape == "not-json":
        return replace(
            answer,
            headers=answer.headers | {"content-type": "text/html"},
            body=b"<html>Maintenance</html>",
        )
    dice = dice_of(f"{call} {fault.share}")
    changes: dict[str, Callable[[], object]] = {
        "list-empty": lambda: _empty(body), "list-one-missing": lambda: _one_missing(body, fault),
        "churn": lambda: None, "shuffled": lambda: _shuffle(body, dice),
        "tags-shuffled": lambda: _shuffle_tags(body, dice), "odd-shape": lambda: _bend(body, fault,
        dice),
    }  # fmt: skip
    changes[fault.kind]()
    return replace(answer, body=json.dumps(body).encode())


def _listed(body: Json) -> str:
    """Return the key of the list in the answer; "" when there is none."""
    return next((k for k, v in body.items() if isinstance(v, list)), "")


def _empty(body: Json) -> None:
    if key := _listed(body):
        body[key] = []
        body["meta"] = {"total": 0}
        body["links"] = {}


def _one_missing(body: Json, fault: WorldFault) -> None:
    key = _listed(body)
    things = body.get(key) or []
    fitting = [n for n, thing in enumerate(things) if fault.only in json.dumps(thing)]
    if fitting:
        del things[fitting[int(fault.share * len(fitting)) % len(fitting)]]
        body["meta"] = {"total": body.get("meta", {}).get("total", 1) - 1}


def _shuffle(body: Json, dice: Random) -> None:
    if key := _listed(body):
        dice.shuffle(body[key])


def _shuffle_tags(body: Json, dice: Random) -> None:
    """Put the tags of templates and droplets into another order than they were written."""
    for thing in _things(body):
        for holder in (thing, thing.get("droplet_template")):
            if isinstance(holder, dict) and isinstance(holder.get("tags"), list):
                dice.shuffle(holder["tags"])


def _things(body: Json) -> list[Json]:
    key = _listed(body)
    found = body[key] if key else [v for v in body.values() if isinstance(v, dict)]
    return [t for t in found if isinstance(t, dict)]


# --- shapes


def _bend(body: Json, fault: WorldFault, dice: Random) -> None:
    """Apply the named shape, or a random one that fits this answer."""
    if fault.shape:
        next(s for s in SHAPES if s.name == fault.shape).change(body)
        return
    for shape in dice.sample(SHAPES, len(SHAPES)):
        if shape.change(body):
            return


def _member_without_droplet(body: Json) -> bool:
    if not any("health_status" in t for t in body.get("droplets") or ()):
        return False
    body["droplets"].append(
        {"status": "provisioning", "droplet_id": None, "created_at": "2027-01-15T08:00:00Z"}
    )
    return True


def _last(body: Json, has: str) -> Json | None:
    return next((t for t in reversed(_things(body)) if has in t), None)


def _set(has: str, value: Any) -> Callable[[Json], bool]:
    def change(body: Json) -> bool:
        thing = _last(body, has)
        if thing is not None:
            thing[has] = value
        return thing is not None

    return change


def _foreign_without_tags(body: Json) -> bool:
    model = _last(body, "networks")
    if model is None or not isinstance(body.get("droplets"), list):
        return False
    body["droplets"].append({**model, "id": 1, "name": "x", "tags": None})
    body.setdefault("meta", {})["total"] = body["meta"].get("total", 0) + 1
    return True


def _without(has: str) -> Callable[[Json], bool]:
    def change(body: Json) -> bool:
        thing = _last(body, has)
        return thing is not None and thing.pop(has, None) is not None

    return change


def _id_as_text(body: Json) -> bool:
    thing = _last(body, "networks")
    if thing is not None:
        thing["id"] = str(thing["id"])
    return thing is not None


def _no_list(body: Json) -> bool:
    key = _listed(body)
    if key:
        body["items"] = body.pop(key)
    return bool(key)


def _null_list(body: Json) -> bool:
    key = _listed(body)
    if key:
        body[key] = None
    return bool(key)


SHAPES: tuple[Shape, ...] = (
    Shape("member-without-droplet", _member_without_droplet),
    Shape("networks-null", _set("networks", {"v4": None})),
    Shape("template-null", _set("droplet_template", None)),
    Shape("config-null", _set("config", None)),
    Shape("foreign-without-tags", _foreign_without_tags),
    Shape("action-without-start", _without("started_at")),
    Shape("status-unknown", _set("status", "thinking")),
    Shape("id-as-text", _id_as_text),
    Shape("name-null", _set("name", None)),
    Shape("list-renamed", _no_list),
    Shape("list-null", _null_list),
)
NAMES = (*(s.name for s in SHAPES), "not-json")
