"""A recording of the simulated world that touches all of it: pages, states, errors, every party."""

import json
from pathlib import Path
from typing import Any

import jwt

from bot.record.recorder import Recorder
from bot.replay.bucket import PretendBucket
from bot.replay.pretend import SLACK_ARGUMENTS, TOKEN, ManualClock
from services.cloud import node_scripts as scripts
from services.cloud.clients.exchanges import Exchange
from services.cloud.node_look import parse_look
from services.cluster.model import NodeStatus
from simulators.environment import SimulatedEnvironment
from simulators.slack.fake_slack import FakeSlack
from simulators.slack.workspace import SlackWorkspace
from tests.support.scene import MANIFEST, ORIGIN

POOLS = "/v2/droplets/autoscale"
ROOMS = ("RoomService/ListRooms", "Egress/ListEgress", "Ingress/ListIngress")


class Exercise:
    """Asks the simulated world, and records what it answers."""

    def __init__(self, path: Path, *, kind: str = "pool", neighbours: int = 0) -> None:
        self.clock = ManualClock(ORIGIN - 3600)
        self.world = SimulatedEnvironment(self.clock)
        self.world.estate.droplet_limit = 500
        self.world.build_cluster("acme", media=3, kind=kind)
        self.world.estate.neighbours.move_in(neighbours)
        self.world.estate.allow_disconnects = True
        self.clock.at = ORIGIN
        self.estate = self.world.estate
        self.recorder = Recorder(path, "0.0", {"acme": ""}, self.clock.now, threaded=False)
        self.recorder.begin(kind)
        self._slack: FakeSlack | None = None

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.at += seconds
        self.estate.settle()

    def api(
        self, request: str, body: Any = None, token: str = TOKEN, **query: str
    ) -> dict[str, Any]:
        """Ask DigitalOcean."""
        verb, _, path = request.partition(" ")
        sent = b"" if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {token}"}
        answer = self.world.digitalocean.handle(verb, path, query, headers, sent or None)
        self.recorder.hear(
            Exchange(
                "digitalocean", request, "", query, sent, answer.status, answer.headers,
                answer.body, 0.1,
            )
        )  # fmt: skip
        return answer.json() if answer.body else {}

    def whole_list(self, path: str, per_page: str = "200") -> list[Any]:
        """Ask for each page of a list."""
        items: list[Any] = []
        for page in range(1, 10):
            answer = self.api(f"GET {path}", per_page=per_page, page=str(page))
            items += next(v for v in answer.values() if isinstance(v, list))
            if "next" not in answer["links"].get("pages", {}):
                break
        return items

    def pages(self) -> None:
        """Ask for the masters' health pages and the public page."""
        cluster = self.estate.clusters["acme"]
        places = [(m.public_ip, 7880, "/health/caddy") for m in self.estate.masters("acme")]
        for host, port, path in [*places, (cluster.domain, 443, "/")]:
            where = f"http://{host}:{port}{path}"
            try:
                status = self.world.web.handle(host, port, path)
            except ConnectionRefusedError:
                self.recorder.hear(Exchange("http", "GET", where, lost="never sent"))
            else:
                self.recorder.hear(Exchange("http", "GET", where, status=status))

    def ssh(self, droplet_id: int, command: str) -> str:
        """Run a script on a node."""
        try:
            output = self.world.shell.execute(droplet_id, command)
        except ConnectionRefusedError:
            exchange = Exchange("ssh", command, str(droplet_id), lost="never sent")
            self.recorder.hear(exchange)
            return ""
        assert output.exit_status is not None
        answer = {"stdout": output.stdout, "stderr": output.stderr}
        self.recorder.hear(
            Exchange("ssh", command, str(droplet_id), status=output.exit_status, answer=answer)
        )
        return output.stdout

    def drain(self, droplet_id: int) -> None:
        """Send the drain signal."""
        look = parse_look(self.ssh(droplet_id, scripts.LOOK))
        assert isinstance(look, NodeStatus)
        self.ssh(droplet_id, scripts.drain(look.start, "signal", look.containers_to_drain))

    def livekit(self) -> None:
        """List rooms, recordings and ingresses."""
        api, now = self.world.livekit["acme"], int(self.clock.now())
        grants = {"roomList": True, "roomRecord": True, "ingressAdmin": True}
        claims = {"iss": api.api_key, "nbf": now - 60, "exp": now + 600, "video": grants}
        token = jwt.encode(claims, api.api_secret, "HS256")
        for method in ROOMS:
            path = f"/twirp/livekit.{method}"
            answer = api.handle("POST", path, {"authorization": f"Bearer {token}"}, b"{}")
            where = f"https://meet.example.com{path}"
            self.recorder.hear(
                Exchange("livekit", "POST", where, {}, {}, answer.status, {}, answer.body)
            )

    def bucket(self) -> None:
        """Read, list and write objects."""
        bucket = PretendBucket(self.world.spaces, self.estate.clusters["acme"].bucket)
        for name, status in (
            ("GetObject", 200), ("GetObject", 304), ("HeadObject", 200), ("GetObject", 404),
            ("PutObject", 200), ("PutObject", 412), ("ListObjectsV2", 200), ("DeleteObject", 204),
        ):  # fmt: skip
            listed = {"answer": {"Contents": [1]}}
            exchange = bucket.ask({"ask": name, "status": status, "params": {}, **listed})
            assert exchange is not None
            assert exchange.status == status
            self.recorder.hear(exchange)

    def slack(self) -> None:
        """Call methods that read, and one that posts."""
        if self._slack is None:
            place = SlackWorkspace(self.clock)
            place.add_user("UANA", "ana", "Ana")
            place.add_channel("COPS", "ops", ["UANA"])
            self._slack = FakeSlack(place, MANIFEST)
            self._slack.webapi.limited = False
        for method, arguments in SLACK_ARGUMENTS.items():
            answer = self._slack.webapi.handle(method, "xoxb-sim", dict(arguments))
            headers = {"content-type": "application/json; charset=utf-8"} | answer.headers
            self.recorder.hear(
                Exchange("slack", method, "", {}, arguments, answer.status, headers, answer.json)
            )

    # --- what is exercised

    def look(self) -> None:
        """Look at everything once."""
        self.whole_list("/v2/droplets")
        for pool in self.whole_list(POOLS):
            self.api(f"GET {POOLS}/{pool['id']}")
            self.whole_list(f"{POOLS}/{pool['id']}/members")
            self.whole_list(f"{POOLS}/{pool['id']}/history")
        self.pages()
        for node in self.estate.media("acme"):
            self.ssh(node.id, scripts.LOOK)

    def power(self, kind: str, seconds: float, **options: Any) -> None:
        """Request an action on a master, and look until it is over and done."""
        master = self.estate.masters("acme")[0]
        body = {"type": kind, **options}
        self.api(f"POST /v2/droplets/{master.id}/actions", body)
        for _ in range(int(seconds // 5)):
            self.api(f"GET /v2/droplets/{master.id}")
            self.api(f"GET /v2/droplets/{master.id}/actions", per_page="200", page="1")
            self.pages()
            self.wait(5)


def exercise(path: Path) -> Path:
    """Record the whole exercise; return the file."""
    it = Exercise(path, neighbours=6)
    it.estate.open_meeting(5, minutes=2, recordings=1, ingresses=1)
    it.estate.open_meeting(3, minutes=600)
    it.look()
    it.livekit()
    it.bucket()
    it.slack()
    it.whole_list("/v2/droplets", per_page="5")
    for path_ in ("/v2/sizes", "/v2/regions", "/v2/load_balancers", "/v2/tags", "/v2/snapshots"):
        it.whole_list(path_)
    it.api("GET /v2/account")
    master = it.estate.masters("acme")[0]
    it.ssh(master.id, scripts.INSPECT)
    it.ssh(master.id, scripts.START)
    it.api("GET /v2/droplets", token="refused")
    it.api("GET /v2/droplets/1")
    it.power("shutdown", 40)
    it.api(f"POST /v2/droplets/{master.id}/actions", {"type": "shutdown"})  # it is off already
    it.power("power_on", 30)
    it.api(f"POST /v2/droplets/{master.id}/actions", {"type": "snapshot", "name": "x"})
    it.api(f"POST /v2/droplets/{master.id}/actions", {"type": "shutdown"})  # one at a time
    for _ in range(13):
        it.api(f"GET /v2/droplets/{master.id}/actions")
        it.wait(10)
        it.pages()
    it.whole_list("/v2/snapshots")
    it.drain(it.estate.media("acme")[0].id)
    for _ in range(10):
        it.ssh(it.estate.media("acme")[0].id, scripts.LOOK)
        it.wait(10)
    pool = it.estate.pool("acme")
    for target in (4, 2):
        shown = it.api(f"GET {POOLS}/{pool.id}")["autoscale_pool"]
        it.api(
            f"PUT {POOLS}/{pool.id}",
            {"name": shown["name"], "config": {"target_number_instances": target},
             "droplet_template": shown["droplet_template"]},
        )  # fmt: skip
        for _ in range(5):
            it.whole_list(f"{POOLS}/{pool.id}/members")
            it.api(f"GET {POOLS}/{pool.id}")
            it.wait(15)
        it.whole_list(f"{POOLS}/{pool.id}/history")
    it.recorder.close()
    assert not it.recorder.missed
    assert not it.recorder.problem
    return path
