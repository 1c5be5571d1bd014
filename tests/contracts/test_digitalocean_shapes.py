"""DigitalOcean's published API as a generator of answers, against the bot's client.

Whatever comes back, the client returns what was said or raises an error of its own; a list that was
not said is never empty; nothing is written after an answer that could not be read.
"""

import asyncio
import copy
import itertools
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.digitalocean_schema import TARGET, facts, written
from services.cloud import parse
from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cloud.clients.http import HttpClient
from services.cloud.listings import SharedAccount
from services.cloud.pool_edit import PoolEditor
from services.cloud.world import ClusterConfig, ClusterWorld
from services.cluster.model import Cluster, Fact
from services.common.clock import Clock
from services.common.errors import (
    BotError,
    Forbidden,
    NotFound,
    Rejected,
    Unreachable,
    Unreadable,
)
from simulators.digitalocean import DigitalOceanApi
from tests.contracts.small_world import World
from tests.contracts.test_digitalocean_face import needs_spec, spec_path
from tests.support import shapes
from tests.support.clusters import law
from tests.support.coverage_level import by_level
from tests.support.pydo_transport import InProcessTransport
from tests.support.shapes import (
    ERROR_BODIES,
    NO_BODIES,
    ODD,
    UNKNOWN_FIELD,
    UNKNOWN_VALUE,
    Place,
    Reply,
    endpoint,
    may_be_null,
    places,
    resolved,
    values,
)

POOL = "/v2/droplets/autoscale/{autoscale_pool_id}"
TRIGGER = "/v2/functions/namespaces/{namespace_id}/triggers/{trigger_name}"
TEMPLATE = {"name": "m", "region": "ams3", "size": "s", "image": "1", "user_data": "key=0123456789"}
Json = dict[str, Any]
Ask = Callable[[DigitalOceanClient], Awaitable[Any]]

READS: dict[str, tuple[str, Ask]] = {
    "GET /v2/account": ("account", lambda api: api.account()),
    "GET /v2/droplets": ("droplets", lambda api: api.droplets()),
    "GET /v2/droplets/{droplet_id}/actions": ("actions", lambda api: api.actions(7)),
    "GET /v2/droplets/autoscale": ("autoscale_pools", lambda api: api.pools()),
    f"GET {POOL}": ("autoscale_pool", lambda api: api.pool("p")),
    f"GET {POOL}/members": ("droplets", lambda api: api.members("p")),
    f"GET {POOL}/history": ("history", lambda api: api.history("p")),
    "GET /v2/functions/namespaces": ("namespaces", lambda api: api.namespaces()),
    f"GET {TRIGGER}": ("trigger", lambda api: api.trigger("n", "t")),
    "GET /v2/sizes": ("sizes", lambda api: api.sizes()),
    "GET /v2/snapshots": ("snapshots", lambda api: api.snapshots()),
    "GET /v2/tags/{tag_id}": ("tag", lambda api: api.tag("t")),
}
WRITES: dict[str, tuple[str, Ask]] = {
    "DELETE /v2/droplets/{droplet_id}": ("", lambda api: _writes(api).delete_droplet(7)),
    "POST /v2/droplets/{droplet_id}/actions": (
        "action",
        lambda api: _writes(api).droplet_action(7, "power_off"),
    ),
    f"PUT {POOL}": (
        "autoscale_pool",
        lambda api: _writes(api).put_pool("p", {"droplet_template": TEMPLATE}),
    ),
    f"PUT {TRIGGER}": ("trigger", lambda api: _writes(api).set_trigger("n", "t", enabled=False)),
    "POST /v2/tags/{tag_id}/resources": ("", lambda api: _writes(api).add_tag(7, "t")),
    "DELETE /v2/tags/{tag_id}/resources": ("", lambda api: _writes(api).remove_tag(7, "t")),
}
PARSED: dict[str, Callable[[Any], object]] = {
    "GET /v2/account": lambda raw: (parse.owner_of(raw), parse.limit_of(raw)),
    "GET /v2/droplets": lambda raw: parse.listed(parse.droplet_entry, raw),
    "GET /v2/droplets/{droplet_id}/actions": lambda raw: parse.actions_of(raw, 7),
    "GET /v2/droplets/autoscale": lambda raw: parse.listed(parse.pool_entry, raw),
    f"GET {POOL}": lambda raw: parse.pool_of(raw, "reading"),
    f"GET {POOL}/members": lambda raw: parse.listed(parse.member_of, raw, about="droplet_id"),
    f"GET {POOL}/history": parse.failure_of,
    "GET /v2/functions/namespaces": lambda raw: parse.listed(parse.namespace_of, raw),
    f"GET {TRIGGER}": lambda raw: parse.trigger_of(raw, "t"),
    "GET /v2/sizes": lambda raw: parse.listed(parse.size_of, raw),
    "GET /v2/snapshots": lambda raw: parse.listed(parse.snapshot_of, raw, about="resource_id"),
}


def _as_it_is(raw: Any) -> object:
    return raw


drawn = settings(law, max_examples=by_level(60, 200, 3000))


def _writes(api: DigitalOceanClient) -> Any:
    return api.writes(lambda: None)


FEW = 40  # writes that a client sends in its first minute


class Asked:
    """A client whose every request gets the same answer; and the requests that it sent."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.sent: list[str] = []

    def handle(self, method: str, path: str, *_: object) -> Reply:
        self.sent.append(f"{method} {path}")
        return self.reply

    def of(self, ask: Ask) -> object:
        """What the client returned, or its error."""
        (answer,) = self.each(ask, [self.reply])
        return answer

    def each(self, ask: Ask, replies: Sequence[Reply]) -> list[object]:
        """The same for each of these answers."""

        async def run() -> list[object]:
            answers: list[object] = []
            for first in range(0, len(replies), FEW):
                api = DigitalOceanClient(
                    "dop_v1_x",
                    endpoint="https://api.digitalocean.com",
                    clock=Clock(),
                    transport=InProcessTransport(self.handle),
                )
                for self.reply in replies[first : first + FEW]:
                    try:
                        answers.append(await ask(api))
                    except BotError as error:
                        answers.append(error)
                await api.aclose()
            return answers

        return asyncio.run(run())


@needs_spec
def test_the_facts_are_those_of_the_published_document() -> None:
    assert TARGET.read_text() == written(facts(json.loads(spec_path().read_text())))


def test_every_endpoint_is_asked_by_the_client() -> None:
    assert READS.keys() | WRITES.keys() == shapes.facts()["endpoints"].keys()
    for name, (_, ask) in {**READS, **WRITES}.items():
        asked = Asked(Reply(500, {}))
        assert isinstance(asked.of(ask), Unreachable)
        (sent,) = asked.sent
        method, path = sent.split(" ")
        documented, template = name.split(" ")
        assert method == documented
        parts = list(zip(path.split("/"), template.split("/"), strict=True))
        assert all(ours == theirs or theirs.startswith("{") for ours, theirs in parts), sent


@drawn
@given(st.data(), st.sampled_from(sorted(READS)))
def test_what_is_documented_is_returned_as_it_was_said(data: st.DataObject, name: str) -> None:
    key, ask = READS[name]
    shape = endpoint(name)["answer"]
    body = data.draw(values(shape, odd=False))
    is_list = "list" in resolved(shape["fields"][key])
    if is_list:
        body["links"] = data.draw(st.sampled_from(({}, {"pages": {}}, {"pages": {"prev": "x"}})))
        body["meta"] = {"total": len(body.get(key) or ())}
    answer = Asked(Reply(200, body)).of(ask)
    if key not in body:
        assert isinstance(answer, Unreadable), "a field that is not there is no empty one"
        return
    if not is_list:
        assert answer == body[key]
        return
    assert isinstance(answer, list)
    if name.endswith("namespaces"):
        assert [set(entry) for entry in answer] == [{"namespace", "label", "region"}] * len(answer)
    else:
        assert all(entry in body[key] for entry in answer)
        assert all(entry in answer for entry in body[key]) or _same_ids(body[key])
    with suppress(Unreadable):
        parsed = PARSED.get(name, _as_it_is)(answer)
        if isinstance(parsed, parse.Listed):
            assert len(parsed) == len(answer), "an entry is read or named as unread"


def _same_ids(listed: list[Any]) -> bool:
    keys = ("id", "droplet_id", "history_event_id", "slug")
    ids = [next((e[k] for k in keys if k in e), json.dumps(e, sort_keys=True)) for e in listed]
    return len(set(map(str, ids))) < len(ids)


@drawn
@given(st.data(), st.sampled_from(sorted(READS)))
def test_whatever_comes_back_is_read_or_an_error_of_ours(data: st.DataObject, name: str) -> None:
    key, ask = READS[name]
    shape = endpoint(name)["answer"]
    body = data.draw(values(shape, odd=True))
    status = data.draw(st.sampled_from((200, 200, 200, 201, 202, 204, 206, 302)))
    answer = Asked(Reply(status, body)).of(ask)
    if isinstance(answer, BotError):
        return
    said = body.get(key)
    if isinstance(answer, dict):
        assert answer == said or repr(answer) == repr(said)
    elif not answer:
        assert said in (None, []), "never empty where something was said"
        total = (
            (body.get("meta") or {}).get("total") if isinstance(body.get("meta"), dict) else None
        )
        assert said == [] or name.endswith("namespaces") or total == 0, "null says nothing"
    else:
        assert isinstance(answer, list)
        assert len(answer) <= len(said)
        meta = body.get("meta")
        total = meta.get("total") if isinstance(meta, dict) else None
        if isinstance(total, int) and not isinstance(total, bool) and "meta" in shape["fields"]:
            assert total <= len(said), "never shorter than it says itself"
    with suppress(BotError):
        parsed = PARSED.get(name, _as_it_is)(answer)
        if isinstance(parsed, parse.Listed):
            assert isinstance(answer, list)
            assert len(parsed) == len(answer)


TOTALS = ("absent", None, 0, 1, 2, 3, -1, True, "2", 250)
LINKS: tuple[Any, ...] = (
    "absent",
    None,
    {},
    {"pages": None},
    {"pages": {"next": None, "prev": ""}},
)
COUNTS = ("absent", None, 0, 1, 2)


@pytest.mark.parametrize("name", ["GET /v2/droplets", f"GET {POOL}/members"])
def test_a_list_is_whole_or_it_is_not_read(name: str) -> None:
    """An empty one says so with its total, and none is shorter than its total."""
    key, ask = READS[name]
    read = set()
    for count, total, links in itertools.product(COUNTS, TOTALS, LINKS):
        number = count if isinstance(count, int) else 0
        said = [{"id": each, "droplet_id": each} for each in range(number)]
        body: Json = {} if count == "absent" else {key: None if count is None else said}
        body |= {} if links == "absent" else {"links": links}
        body |= {"meta": {}} if total == "absent" else {"meta": {"total": total}}
        answer = Asked(Reply(200, body)).of(ask)
        told = total if isinstance(total, int) and not isinstance(total, bool) else None
        is_whole = count != "absent" and (bool(said) if told is None else told <= number)
        assert answer == said if is_whole else isinstance(answer, Unreadable), body
        read.add(is_whole)
    assert read == {True, False}


def expected_kind(status: int) -> type[BotError]:
    match status:
        case 401 | 403:
            return Forbidden
        case 404:
            return NotFound
        case 429:
            return Unreachable
        case _:
            return Unreachable if status >= 500 else Rejected


@pytest.mark.parametrize("name", sorted({**READS, **WRITES}))
def test_documented_errors_are_told_apart(name: str) -> None:
    """And a page that is not the API's says nothing about what was asked for, with any status."""
    _, ask = {**READS, **WRITES}[name]
    documented = [status for status in endpoint(name)["statuses"] if status >= 400]
    assert documented
    statuses = (*documented, 403, 409, 422, 503)
    errors = [Reply(status, body) for status in statuses for body in ERROR_BODIES]
    others = [Reply(s, page.body, page.headers) for s in statuses for page in NO_BODIES]
    asked = Asked(errors[0])
    answers = asked.each(ask, [*errors, *others])
    assert len(asked.sent) == len(answers), "no request is repeated"
    for reply, error in zip([*errors, *others], answers, strict=True):
        kind = expected_kind(reply.status) if reply in errors else Unreachable
        assert type(error) is kind, (reply.status, str(reply.body)[:20])
        if isinstance(error, Unreachable):
            assert (error.sent is False) is (reply.status == 429)
        assert "\u0000" not in str(error)


@drawn
@given(st.data(), st.sampled_from(sorted(WRITES)))
def test_a_write_is_sent_once_and_its_odd_answer_is_not_taken_for_unsent(
    data: st.DataObject, name: str
) -> None:
    key, ask = WRITES[name]
    shape = endpoint(name)["answer"] or {"fields": {}, "required": []}
    body = data.draw(values(shape, odd=data.draw(st.booleans())))
    reply = data.draw(
        st.sampled_from((Reply(200, body), Reply(201, body), Reply(204, b""), Reply(202, b"")))
        | st.sampled_from(NO_BODIES).map(lambda page: Reply(200, page.body, page.headers))
    )
    asked = Asked(reply)
    answer = asked.of(ask)
    assert len(asked.sent) == 1
    if isinstance(answer, BotError):
        assert isinstance(answer, Unreachable), "it was accepted: nothing says that it was refused"
        assert answer.sent is not False
    elif key:
        assert isinstance(answer, dict)
    else:
        assert answer is None


# A whole cluster behind answers that vary

NEEDS = frozenset({Fact.DROPLETS, Fact.POOL, Fact.SIZES, Fact.SNAPSHOTS, Fact.LOAD})
KINDS = ("pool", "fixed", "autoscaler")


class Varied:
    """The simulated DigitalOcean, with a part of its answers changed on the way."""

    def __init__(self, kind: str, change: Callable[[str, Json], None]) -> None:
        self.world = World(media=2, kind=kind)
        self.api = DigitalOceanApi(self.world.estate)
        self.change = change
        self.sent: list[str] = []
        self.bodies: list[Json] = []

    def handle(
        self, method: str, path: str, query: dict[str, str], headers: Any, body: bytes
    ) -> Any:
        self.sent.append(f"{method} {path}")
        if method == "PUT":
            self.bodies.append(json.loads(body))
        answer = self.api.handle(method, path, query, headers, body)
        if method != "GET" or answer.status != 200:
            return answer
        content = answer.json()
        self.change(self._name_of(path), content)
        return Reply(200, content, answer.headers)

    def _name_of(self, path: str) -> str:
        for name in READS:
            template = name.removeprefix("GET ").split("/")
            parts = path.split("/")
            if len(parts) == len(template) and all(
                ours == theirs or theirs.startswith("{")
                for ours, theirs in zip(parts, template, strict=True)
            ):
                if path == "/v2/droplets/autoscale" and "{" in name:
                    continue
                return name
        return ""

    async def look(self) -> tuple[Cluster | BotError, SharedAccount]:
        clock = Clock(read=self.world.clock.now)
        client = DigitalOceanClient(
            "dop_v1_sim",
            endpoint="https://api.digitalocean.com",
            clock=clock,
            transport=InProcessTransport(self.handle),
        )
        account = SharedAccount(client, clock)
        config = ClusterConfig("acme", "acme")
        world = ClusterWorld(config, account, None, HttpClient(), None, clock)
        try:
            return await world.observe(NEEDS, tolerates=NEEDS), account
        except BotError as error:
            return error, account

    def is_seen_whole(self, cluster: Cluster) -> bool:
        estate = self.world.estate
        masters = {droplet.id for droplet in estate.masters("acme")}
        media = {droplet.id for droplet in estate.media("acme")}
        return {m.id for m in cluster.masters} == masters and {n.id for n in cluster.media} == media


def varied_places(content: Json, name: str) -> list[Place]:
    return list(places(content, endpoint(name)["answer"])) if name else []


def vary_as_documented(place: Place) -> None:
    """Change what the document says may be so."""
    shape = resolved(place.shape)
    if place.is_optional:
        del place.holder[place.key]
    elif may_be_null(place.shape):
        place.holder[place.key] = None
    elif isinstance(place.holder[place.key], dict):
        place.holder[place.key][UNKNOWN_FIELD] = {"a": [1]}
    elif shape == "time":
        place.holder[place.key] = place.holder[place.key].replace("Z", ".000001Z")


# What the document allows to be left out, and without which the bot cannot tell what it must know.
NEEDED = {
    "GET /v2/droplets": {"pages", "next", "last"},
    "GET /v2/functions/namespaces": {"namespace", "label"},
    f"GET {TRIGGER}": {"is_enabled", "scheduled_runs"},
}


@settings(law, max_examples=by_level(25, 60, 1500))
@given(st.data(), st.sampled_from(KINDS))
def test_what_may_be_left_out_leaves_the_cluster_readable(data: st.DataObject, kind: str) -> None:
    names: list[str] = []

    def change(name: str, content: Json) -> None:
        found = [
            place
            for place in varied_places(content, name)
            if place.holder is not content and place.name not in NEEDED.get(name, ())
        ]
        if found:
            for number in data.draw(st.lists(st.integers(0, len(found) - 1), max_size=3)):
                place = found[number]
                with suppress(KeyError):  # a second one below what the first one took away
                    vary_as_documented(place)
                    names.append(f"{name}: {place.name}")

    varied = Varied(kind, change)
    cluster, _ = asyncio.run(varied.look())
    assert isinstance(cluster, Cluster), (names, cluster)
    assert (cluster.problem, cluster.unseen) == ("", ()), names
    assert varied.is_seen_whole(cluster), names


def may_be_left_alone(place: Place, content: Json) -> bool:
    """Whether the place is deeper than the fields of an entry, or the bot does not read it."""
    entries = [entry for value in content.values() if isinstance(value, list) for entry in value]
    is_of_entry = any(place.holder is entry for entry in entries)
    return not is_of_entry or place.name not in READ_OF_ENTRIES


READ_OF_ENTRIES = {
    *("id", "name", "status", "locked", "size_slug", "disk", "memory", "vcpus", "created_at"),
    *("tags", "droplet_id", "config", "active_resources_count", "droplet_template", "namespace"),
    *("label", "resource_id", "size_gigabytes", "slug", "region", "networks", "size"),
}


@settings(law, max_examples=by_level(60, 200, 3000))
@given(st.data(), st.sampled_from(KINDS))
def test_a_cluster_is_never_smaller_than_it_was_said_to_be(data: st.DataObject, kind: str) -> None:
    names: list[str] = []

    def change(name: str, content: Json) -> None:
        found = varied_places(content, name)
        is_shallow, is_changed = data.draw(st.booleans()), data.draw(st.booleans())
        if is_shallow:  # rather a field of an entry than one of its image's fields
            found = [place for place in found if not may_be_left_alone(place, content)]
        if found and is_changed:
            place = found[data.draw(st.integers(0, len(found) - 1))]
            old = place.holder[place.key]
            new = copy.deepcopy(data.draw(st.sampled_from((*ODD, UNKNOWN_VALUE))))
            # Another text or number of the right kind is another truth, not an odd answer.
            if type(new) is not type(old) or (new == UNKNOWN_VALUE and place.name == "status"):
                place.holder[place.key] = new
                names.append(f"{name}: {place.name} {old!r} -> {str(new)[:20]!r}")

    varied = Varied(kind, change)
    cluster, _ = asyncio.run(varied.look())
    if isinstance(cluster, BotError) or cluster.problem:
        return
    unseen = dict(cluster.unseen)
    if Fact.DROPLETS not in unseen and Fact.POOL not in unseen:
        assert varied.is_seen_whole(cluster), names
    if Fact.SNAPSHOTS not in unseen and cluster.snapshots is not None:
        assert len(cluster.snapshots) == len(varied.world.estate.snapshots), names


@settings(law, max_examples=by_level(40, 100, 1500))
@given(st.data())
def test_a_pool_is_written_only_as_it_was_read(data: st.DataObject) -> None:
    """The whole pool is written back: what could not be read must not be written."""
    is_odd = False
    names: list[str] = []

    def change(name: str, content: Json) -> None:
        if not is_odd or name != f"GET {POOL}":
            return
        found = varied_places(content, name)
        place = found[data.draw(st.integers(0, len(found) - 1))]
        new = copy.deepcopy(data.draw(st.sampled_from((*ODD, UNKNOWN_VALUE))))
        if type(new) is not type(place.holder[place.key]):
            place.holder[place.key] = new
            names.append(f"{place.name} -> {str(new)[:20]!r}")

    varied = Varied("pool", change)

    async def run() -> None:
        nonlocal is_odd
        cluster, account = await varied.look()
        assert isinstance(cluster, Cluster)
        assert cluster.pool is not None
        is_odd = True
        with suppress(BotError):
            await PoolEditor(account, account.api.writes(lambda: None)).set_target(cluster.pool, 3)

    asyncio.run(run())
    estate = varied.world.estate
    template = estate.pool_scaler.shown_template(estate.pool("acme"))
    for body in varied.bodies:
        assert body["config"] == {"target_number_instances": 3}, names
        assert parse.template_digest(body["droplet_template"]) == parse.template_digest(template)
        assert body["name"] == estate.pool("acme").name, names
