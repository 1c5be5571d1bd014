"""The simulated world that a recording is played against.

It is built after the recording's first answers: kind of fleet, number, sizes and states of nodes,
meetings, objects in the bucket. Then each recorded request is sent to it at the same moment, and
its answer goes through the same redaction.
"""

import json
from collections.abc import Mapping
from typing import Any

import jwt
import yaml
from typing_extensions import override

from bot.manifest import manifest
from bot.record.lines import line_of
from bot.record.pseudonyms import Pseudonyms
from bot.record.redaction import Redaction
from bot.record.tables import PARAMETERS, digitalocean
from bot.replay.bucket import PretendBucket
from bot.replay.story import Story
from services.cloud import node_scripts as scripts
from services.cloud.clients.exchanges import Exchange
from services.cloud.node_look import parse_look
from simulators.cloud import SimulatedDroplet
from simulators.cloud.catalog import REGIONS, SIZES
from simulators.cloud.delays import Delays
from simulators.cloud.model import Deployment
from simulators.environment import SimulatedEnvironment
from simulators.node import KeyRefused
from simulators.node.scripts import UnknownScript
from simulators.responses import HttpResponse
from simulators.slack.fake_slack import FakeSlack
from simulators.slack.workspace import SlackWorkspace

Json = dict[str, Any]
ORIGIN = 1_800_000_000.0
BEFORE = 7200.0  # seconds before the recording in which the world is built
MOST_ROOMS = 1000  # on a node: no node has more, and each is simulated
ALONE = 300.0  # seconds between examples, which have nothing to do with one another
TOKEN = "dop_v1_sim"  # noqa: S105 - a simulated one
TRIGGER = "GET /v2/functions/namespaces/{namespace_id}/triggers/{trigger_name}"
MISSING = {"droplet_id": 1, "action_id": 1}
COMMANDS = {
    "look": scripts.LOOK,
    "inspect": scripts.INSPECT,
    "restart openvidu": scripts.RESTART,
    "stop openvidu": scripts.STOP,
    "begin openvidu": scripts.START_UNIT,
    "state of openvidu": scripts.UNIT,
    "start of openvidu": scripts.START,
    "health on the node": scripts.HEALTH,
    "read secrets.env": scripts.READ_SECRETS,
    "date": "date +%s",
    "user id": "id -u",
}
# Arguments with which a method of Slack is called: those of a recording are left out of it.
SLACK_ARGUMENTS: dict[str, Json] = {
    "auth.test": {},
    "api.test": {},
    "bots.info": {},
    "chat.postMessage": {"channel": "COPS", "text": "recorded"},
    "chat.postEphemeral": {"channel": "COPS", "text": "recorded", "user": "UANA"},
    "conversations.info": {"channel": "COPS"},
    "conversations.list": {},
    "conversations.members": {"channel": "COPS"},
    "conversations.history": {"channel": "COPS"},
    "conversations.open": {"users": "UANA"},
    "users.info": {"user": "UANA"},
    "users.list": {},
    "usergroups.list": {},
}
# What stands for parts of a message that were sent, and are in the answer then.
SLACK_SENT: Json = {
    "blocks": [{"type": "divider"}],
    "metadata": {"event_type": "recorded", "event_payload": {}},
}
# Pseudonyms of the master of a deployment that has only one.
ONLY_MASTER: dict[str, Deployment] = {"master": "elastic", "single-node": "single node"}
FAULTS = {500: "500-before", 503: "503-before", 502: "html-502"}


class ManualClock:
    """A clock that shows what it is set to."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        """Return the moment."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Not used: nothing here waits."""


class Remembered(Pseudonyms):
    """Pseudonyms that can be turned back: those of the simulated world are no secret."""

    def __init__(self, stacks: Mapping[str, str]) -> None:
        super().__init__(stacks)
        self.originals: dict[tuple[str, int | str], int | str] = {}

    @override
    def id(self, kind: str, value: int | str) -> int | str:
        pseudonym = super().id(kind, value)
        self.originals["droplet" if kind == "resource" else kind, pseudonym] = value
        return pseudonym

    @override
    def name(self, kind: str, value: str) -> str:
        pseudonym = super().name(kind, value)
        self.originals[kind, pseudonym] = value
        return pseudonym


class PretendWorld:
    """A simulated world like the recorded one. `play` answers one recorded request."""

    def __init__(self, story: Story, delays: Delays | None = None) -> None:
        self.clock = ManualClock(ORIGIN - BEFORE)
        self.environment = SimulatedEnvironment(self.clock)
        self.estate = self.environment.estate
        self.estate.invariants.may_stay.clear()
        if delays is not None:
            self.estate.delays = delays
        self.stack = "acme"
        table = digitalocean()
        self._pseudonyms = Remembered({self.stack: ""})
        self._redaction = Redaction(self._pseudonyms, table.objects, table.words, ORIGIN)
        self._real: dict[tuple[str, int | str], int | str] = {}
        self._hosts: dict[str, int] = {}
        self._heard: list[Exchange] = []
        self._bucket: PretendBucket | None = None
        self._slack: FakeSlack | None = None
        self._build(story)
        self.clock.at = ORIGIN
        self.estate.settle()
        self._trigger(story)
        self._turns = _meeting_turns(story)
        self._alone = bool(story.published)

    # --- building

    def _build(self, story: Story) -> None:
        droplets = _first(story, "GET /v2/droplets", "droplets")
        masters = [d for d in droplets if _is_role(d, "master")]
        media = [d for d in droplets if _is_role(d, "media")]
        pools = _first(story, "GET /v2/droplets/autoscale", "autoscale_pools")
        self.estate.droplet_limit = max(25, 2 * len(droplets) + 10)
        self.environment.build_cluster(
            self.stack,
            media=len(media) if droplets else 3,
            kind=_kind(story, pools),
            region=_known(masters, "region_slug", REGIONS, "ams3"),
            size=_known(media, "size_slug", SIZES, "s-4vcpu-8gb"),
            masters_size=_known(masters, "size_slug", SIZES, "s-4vcpu-8gb"),
            deployment=_deployment(masters),
        )
        self.estate.neighbours.move_in(len(droplets) - len(masters) - len(media))
        self.estate.allow_disconnects = True
        self._wait(600)
        snapshots = 1 if story.published else len(_first(story, "GET /v2/snapshots", "snapshots"))
        self._snapshots(snapshots)
        self._power_off(masters + media)
        self._meetings(story)
        self._objects(story)

    def _trigger(self, story: Story) -> None:
        """Let a trigger that had never run have never run."""
        triggers = story.answers(TRIGGER)
        runs = (triggers[0].get("trigger") or {}).get("scheduled_runs") if triggers else None
        if isinstance(runs, dict) and runs.get("last_run_at") is None:
            for namespace in self.estate.functions.namespaces.values():
                for trigger in namespace.triggers.values():
                    trigger.last_run_at = None

    def _wait(self, seconds: float) -> None:
        self.clock.at += seconds
        self.estate.settle()

    def _power_off(self, recorded: list[Json]) -> None:
        off = {d.get("name") for d in recorded if d.get("status") == "off"}
        for droplet in list(self.estate.droplets.values()):
            if self._pseudonyms.name("droplet", droplet.name) in off:
                self.estate.power.request(droplet.id, "power_off", {})
        self._wait(600)

    def _snapshots(self, count: int) -> None:
        for number in range(min(count, 20)):
            masters = self.estate.masters(self.stack)
            master = masters[number % len(masters)]
            self.estate.power.request(master.id, "snapshot", {"name": f"backup-{number}"})
            self._wait(600)

    def _meetings(self, story: Story) -> None:
        """Open the meetings of the first lists of rooms, recordings and ingresses."""
        egress = [e.get("room_name") for e in _first(story, "Egress/ListEgress", "items")]
        ingress = [i.get("room_name") for i in _first(story, "Ingress/ListIngress", "items")]
        for room in _first(story, "RoomService/ListRooms", "rooms"):
            people, name = room.get("num_participants"), room.get("name")
            if isinstance(people, int):
                self.estate.open_meeting(
                    people,
                    minutes=24 * 60,
                    recordings=egress.count(name),
                    ingresses=ingress.count(name),
                    cluster=self.stack,
                )

    def _objects(self, story: Story) -> None:
        bucket = self.estate.clusters[self.stack].bucket
        for answer in story.answers("ListObjectsV2"):
            for entry in answer.get("Contents") or ():
                key = entry.get("Key") if isinstance(entry, dict) else None
                if isinstance(key, str) and self.environment.spaces.read(bucket, key) is None:
                    self.environment.spaces.write(bucket, key, b"x")

    # --- playing

    def play(self, line: Json) -> Json | None:
        """Return the simulated line for a recorded one; None when it cannot be asked here."""
        if self._alone:
            self._wait(ALONE)
        self._let_people_meet(float(line["t"]))
        self.clock.at = max(self.clock.at, ORIGIN + float(line["t"]))
        self.estate.settle()
        play = {
            "digitalocean": self._digitalocean,
            "livekit": self._livekit,
            "http": self._http,
            "ssh": self._ssh,
            "spaces": self._spaces,
            "slack": self._slack_call,
        }[line["party"]]
        exchange = play(line)
        if exchange is None:
            return None
        answer = line_of(exchange, self._redaction)
        self._pair(line, answer)
        return {"t": line["t"]} | answer

    def _let_people_meet(self, until: float) -> None:
        """End and open meetings as the recorded nodes showed it: people are not simulated here."""
        while self._turns and self._turns[0][0] <= until:
            at, pseudonym, rooms = self._turns.pop(0)
            droplet = self.estate.droplets.get(int(self._real.get(("droplet", pseudonym), 0)))
            if droplet is None:
                continue
            self.clock.at = max(self.clock.at, ORIGIN + at)
            self.estate.settle()
            meetings = self.estate.meetings_on(droplet.id)
            for meeting in meetings[rooms:]:
                self.estate.people.end(meeting)
            for _ in range(rooms - len(meetings)):
                self.estate.open_meeting(3, 24 * 60, 0, cluster=self.stack, on=droplet)

    def _digitalocean(self, line: Json) -> Exchange | None:
        verb, _, template = line["ask"].partition(" ")
        if digitalocean().operation(line["ask"]) is None:
            return None
        path, status = self._path(template, line), int(line.get("status", 0))
        if path is None:
            return None
        query = {
            name: str(self._original(_QUERY.get(name, ""), value))
            for name, value in line.get("query", {}).items()
            if isinstance(value, str)
        }
        body = self._body(line, path)
        answer = self._induced(status, line, verb, path, query, body)
        if answer.fate != "answer" or line.get("lost"):
            return None
        return Exchange(
            "digitalocean", f"{verb} {path}", "", query, body, answer.status, answer.headers,
            answer.body,
        )  # fmt: skip

    def _induced(
        self, status: int, line: Json, verb: str, path: str, query: Json, body: bytes
    ) -> HttpResponse:
        """Answer a request, under the condition in which the real one gave that status."""
        api, headers = self.environment.digitalocean, {"authorization": f"Bearer {TOKEN}"}
        if verb == "DELETE" and path.endswith("/dangerous"):
            headers["x-dangerous"] = "true"
        if status == 401:
            headers["authorization"] = "Bearer refused"
        rule = None
        if status == 429:
            burst = "retry-after" in line.get("headers", {})
            rule = api.faults.add("digitalocean", "429-minute" if burst else "429-hour")
        elif status in FAULTS:
            rule = api.faults.add("digitalocean", FAULTS[status])
        if status == 403:
            api.scopes = set()
        try:
            return api.handle(verb, path, query, headers, body or None)
        finally:
            api.scopes = None
            if rule is not None:
                api.faults.remove(rule)

    def _path(self, template: str, line: Json) -> str | None:
        path = template
        for name, value in line.get("params", {}).items():
            if name not in PARAMETERS:
                return None
            real = self._resource(name, value, missing=line.get("status") == 404)
            if real is None:
                return None
            path = path.replace(f"{{{name}}}", str(real))
        for name in PARAMETERS:
            if f"{{{name}}}" in path:
                real = self._resource(name, "", missing=line.get("status") == 404)
                if real is None:
                    return None
                path = path.replace(f"{{{name}}}", str(real))
        return path

    def _resource(self, name: str, pseudonym: int | str, *, missing: bool) -> int | str | None:
        """Return what a parameter of a path stands for here; anything of its kind if unknown."""
        if missing and self._alone:
            return MISSING.get(name, "missing")
        kind = PARAMETERS[name].partition(":")[2]
        value: int | str = pseudonym
        if isinstance(pseudonym, str) and pseudonym.isdigit():
            value = int(pseudonym)
        real = self._real.get((kind, value), self._real.get((kind, str(value))))
        if real is not None:
            return real
        original = self._original(PARAMETERS[name], pseudonym)
        if PARAMETERS[name].startswith("name:") and original != pseudonym:
            return str(original)
        return MISSING.get(name, "missing") if missing else self._any(kind)

    def _any(self, kind: str) -> int | str | None:
        estate = self.estate
        functions = estate.functions.namespaces
        choices: dict[str, Any] = {
            "droplet": estate.droplets,
            "action": estate.actions,
            "pool": estate.pools,
            "balancer": estate.balancers,
            "image": estate.snapshots,
            "tag": sorted(estate.tags),
            "namespace": functions,
            "trigger": [t for n in functions.values() for t in n.triggers],
        }
        return next(iter(choices.get(kind, ())), None)

    def _original(self, kind: str, pseudonym: Any) -> Any:
        """Return what a pseudonym of a name stands for here; itself when it is unknown."""
        of = kind.partition(":")[2]
        roles = {"cluster": self.stack, "draining": f"{self.stack}-draining"}
        roles |= {
            "media-tag": f"{self.stack}-media-node-tag",
            "media": f"{self.stack}-media-node-pool",
        }
        roles |= {"autoscale-cron": f"{self.stack}-autoscale-cron"}
        found = self._real.get((of, pseudonym), self._pseudonyms.originals.get((of, pseudonym)))
        return roles.get(pseudonym, pseudonym) if found is None else found

    def _body(self, line: Json, path: str) -> bytes:
        """Return a body like the recorded one, with what was left out taken from this world."""
        sent = line.get("sent")
        if not isinstance(sent, dict):
            return b""
        body: Json = dict(sent)
        if line["ask"] == "PUT /v2/droplets/autoscale/{autoscale_pool_id}":
            body = self._pool_body(sent, path)
        elif line["ask"].endswith("/resources"):
            for resource in body.get("resources") or ():
                number = int(str(resource.get("resource_id", 0)) or 0)
                real = self._real.get(("droplet", number), self._any("droplet"))
                resource["resource_id"] = str(real)
        elif line["ask"] == "POST /v2/tags":
            body["name"] = self._original("name:tag", body.get("name"))
        elif body.get("type") == "snapshot":
            body["name"] = "backup"
        return json.dumps(body).encode()

    def _pool_body(self, sent: Json, path: str) -> Json:
        shown = self.environment.digitalocean.handle(
            "GET", path, {}, {"authorization": f"Bearer {TOKEN}"}, None
        )
        pool = shown.json().get("autoscale_pool") or {}
        template = dict(pool.get("droplet_template") or {})
        size = (sent.get("droplet_template") or {}).get("size")
        if isinstance(size, str) and size in SIZES:
            template["size"] = size
        return {
            "name": pool.get("name"),
            "config": sent.get("config"),
            "droplet_template": template,
        }

    def _livekit(self, line: Json) -> Exchange | None:
        api = self.environment.livekit[self.stack]
        grants = {"roomList": True, "roomRecord": True, "ingressAdmin": True}
        now = int(self.clock.now())
        claims = {"iss": api.api_key, "nbf": now - 60, "exp": now + 600, "video": grants}
        secret = "refused" * 6 if line.get("status") == 401 else api.api_secret
        token = jwt.encode(claims, secret, "HS256")
        path, sent = f"/twirp/livekit.{line['ask']}", line.get("sent") or {}
        where = f"https://meet.example.com{path}"
        if line["ask"] == "an unknown method":
            return None
        try:
            answer = api.handle(
                "POST", path, {"authorization": f"Bearer {token}"}, json.dumps(sent).encode()
            )
        except ConnectionRefusedError:
            return Exchange("livekit", "POST", where, {}, sent, lost="never sent")
        return Exchange("livekit", "POST", where, {}, sent, answer.status, {}, answer.body)

    def _http(self, line: Json) -> Exchange | None:
        cluster = self.estate.clusters[self.stack]
        if line["ask"] == "GET public page":
            host, path, port = cluster.domain, "/", 443
        elif line["ask"] == "GET health page":
            pseudonym = str(line.get("params", {}).get("host", ""))
            number = self._hosts.setdefault(pseudonym, len(self._hosts))
            masters = self.estate.masters(self.stack)
            master = masters[number % len(masters)]
            host, path, port = master.public_ip, "/health/caddy", 7880
        else:
            return None
        where = f"http://{host}:{port}{path}"
        web = self.environment.web
        try:
            # A recorded bot that asked for a health page was where its firewall lets it.
            status = web.handle(host, port, path) if port == 443 else web.health(master, path)
        except ConnectionRefusedError:
            return Exchange("http", "GET", where, lost="never sent")
        return Exchange("http", "GET", where, status=status)

    def _ssh(self, line: Json) -> Exchange | None:
        droplet = self._droplet(line)
        command = COMMANDS.get(line["ask"])
        if line["ask"] == "drain":
            command = self._drain(droplet)
        if command is None or droplet is None:
            return None
        try:
            output = self.environment.shell.execute(droplet.id, command)
        except ConnectionRefusedError:
            return Exchange("ssh", command, str(droplet.id), lost="never sent")
        except KeyRefused:
            return Exchange("ssh", command, str(droplet.id), lost="refused")
        except UnknownScript:
            return None
        if output.exit_status is None:
            return Exchange("ssh", command, str(droplet.id), lost="unknown")
        answer = {"stdout": output.stdout, "stderr": output.stderr}
        return Exchange("ssh", command, str(droplet.id), status=output.exit_status, answer=answer)

    def _droplet(self, line: Json) -> SimulatedDroplet | None:
        pseudonym = line.get("params", {}).get("droplet_id")
        real = self._real.get(("droplet", pseudonym)) if isinstance(pseudonym, int) else None
        return self.estate.droplets.get(int(real)) if real is not None else None

    def _drain(self, droplet: SimulatedDroplet | None) -> str | None:
        if droplet is None:
            return None
        try:
            look = parse_look(self.environment.shell.execute(droplet.id, scripts.LOOK).stdout)
        except (ConnectionRefusedError, KeyRefused):
            return scripts.drain("", "signal", ())
        if isinstance(look, str):
            return None
        return scripts.drain(look.start, "signal", look.containers_to_drain, look.attempts)

    def _spaces(self, line: Json) -> Exchange | None:
        if self._bucket is None:
            bucket = self.estate.clusters[self.stack].bucket
            self._bucket = PretendBucket(self.environment.spaces, bucket)
        return self._bucket.ask(line)

    def _slack_call(self, line: Json) -> Exchange | None:
        method = line["ask"]
        if method not in SLACK_ARGUMENTS or line.get("lost"):
            return None
        if self._slack is None:
            workspace = SlackWorkspace(self.clock)
            workspace.add_user("UANA", "ana", "Ana")
            workspace.add_channel("COPS", "ops", ["UANA"])
            self._slack = FakeSlack(workspace, yaml.safe_load(manifest()))
            self._slack.webapi.limited = False
        arguments = SLACK_ARGUMENTS[method]
        api, sent = self._slack.webapi, line.get("sent")
        if method in ("chat.postMessage", "chat.postEphemeral") and isinstance(sent, dict):
            arguments = arguments | {key: part for key, part in SLACK_SENT.items() if key in sent}
            if "thread_ts" in sent:
                first = api.handle("chat.postMessage", api.bot_token, dict(arguments))
                arguments |= {"thread_ts": first.json["ts"]}
        answer = api.handle(method, api.bot_token, dict(arguments))
        headers = {"content-type": "application/json; charset=utf-8"} | answer.headers
        return Exchange("slack", method, "", {}, arguments, answer.status, headers, answer.json)

    # --- which is which

    def _pair(self, line: Json, answer: Json) -> None:
        """Note which id here is which of the recording, by names and places in lists."""
        if line["party"] == "digitalocean" and line.get("status") == answer.get("status"):
            operation = digitalocean().operation(line["ask"])
            if operation is not None:
                node = operation.answers.get(str(line.get("status")))
                self._pair_values(node, line.get("answer"), answer.get("answer"))

    def _pair_values(self, node: Any, recorded: Any, simulated: Any) -> None:
        if isinstance(node, str) and node.startswith("$"):
            node = digitalocean().objects.get(node[1:])
        if isinstance(node, dict) and isinstance(recorded, dict) and isinstance(simulated, dict):
            for name, below in node.items():
                if name in recorded and name in simulated:
                    self._pair_values(below, recorded[name], simulated[name])
        elif isinstance(node, list) and isinstance(recorded, list) and isinstance(simulated, list):
            for one, other in _paired(recorded, simulated):
                self._pair_values(node[0], one, other)
        elif isinstance(node, str) and node.startswith(("id:", "name:")):
            kind = node.partition(":")[2]
            kind = "droplet" if kind == "resource" else kind
            original = self._pseudonyms.originals.get((kind, _key(simulated)))
            if original is not None and recorded not in (None, ""):
                self._real.setdefault((kind, _key(recorded)), original)


def _meeting_turns(story: Story) -> list[tuple[float, int, int]]:
    """Return when how many meetings were on which node: moment, droplet, rooms.

    Meetings end right after the last look that showed them, and begin right before the first.
    """
    turns: list[tuple[float, int, int]] = []
    before: dict[int, tuple[float, int]] = {}
    for line in story.lines:
        droplet = line.get("params", {}).get("droplet_id")
        rooms = _rooms(line) if line["ask"] == "look" else None
        if rooms is None or not isinstance(droplet, int):
            continue
        then, had = before.get(droplet, (line["t"], -1))
        if rooms != had:
            turns.append((then + 0.01 if rooms < had else line["t"] - 0.01, droplet, rooms))
        before[droplet] = (line["t"], rooms)
    return sorted(turns)


def _rooms(line: Json) -> int | None:
    """Return how many rooms a look shows; None when it does not tell."""
    answer = line.get("answer")
    for entry in (answer.get("lines") or ()) if isinstance(answer, dict) else ():
        if entry.get("name") == "livekit_room_total":
            return min(int(entry.get("number", 0)), MOST_ROOMS)
        if entry.get("name") == "openvidu" and entry.get("state") in ("exited", "dead"):
            return 0
    return None


_QUERY = {"tag_name": "name:tag", "name": "name:pool"}


def _key(value: Any) -> int | str:
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return value if isinstance(value, int | str) else ""


def _paired(recorded: list[Any], simulated: list[Any]) -> list[tuple[Any, Any]]:
    """Pair the items of two lists: by name where they have one, else by place."""
    named = {s["name"]: s for s in simulated if isinstance(s, dict) and s.get("name")}
    if not named:
        return list(zip(recorded, simulated, strict=False))
    pairs = []
    for item in recorded:
        name = item.get("name") if isinstance(item, dict) else None
        if name in named:
            pairs.append((item, named[name]))
    return pairs


def _first(story: Story, ask: str, key: str) -> list[Json]:
    """Return the objects of the first answers to a list, all its pages."""
    found: list[Json] = []
    if story.published:
        return found
    for line in story.lines:
        if line["ask"] != ask or line.get("status") != 200:
            continue
        page = str(line.get("query", {}).get("page", "1"))
        if found and page == "1":
            break
        answer = line.get("answer")
        items = answer.get(key) if isinstance(answer, dict) else None
        found += [item for item in items or () if isinstance(item, dict)]
        if page == "1" and not found:
            break
    return found


def _is_role(droplet: Json, role: str) -> bool:
    name = str(droplet.get("name", ""))
    return name.startswith(f"{role}-") or (role == "master" and name in ONLY_MASTER)


def _deployment(masters: list[Json]) -> Deployment:
    """Return the deployment that the names of the recorded masters show."""
    names = (str(m.get("name", "")) for m in masters)
    return next((ONLY_MASTER[n] for n in names if n in ONLY_MASTER), "high availability")


def _kind(story: Story, pools: list[Json]) -> Any:
    if story.kind in ("pool", "fixed", "autoscaler"):
        return story.kind
    if pools or story.published:
        return "pool"
    namespaces = _first(story, "GET /v2/functions/namespaces", "namespaces")
    return "autoscaler" if any(n.get("label") == "autoscaler" for n in namespaces) else "fixed"


def _known(droplets: list[Json], name: str, known: Mapping[str, Any], otherwise: str) -> str:
    value = droplets[0].get(name) if droplets else None
    if name == "region_slug" and droplets:
        value = (droplets[0].get("region") or {}).get("slug")
    return value if isinstance(value, str) and value in known else otherwise
