"""One cluster's world over the pretend cloud, without a bot.

Looks, and answers that are changed on their way.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.rehearsal.direct_api import use_direct_api
from bot.rehearsal.in_process import InProcessHttp
from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cloud.listings import SharedAccount
from services.cloud.world import ClusterConfig, ClusterWorld
from services.cluster.model import Cluster, Fact
from services.common.clock import loop_clock
from simulators.clock import LoopClock
from simulators.environment import SimulatedEnvironment
from simulators.responses import HttpResponse, json_response
from tests.support.scene import ORIGIN

CLOUD = frozenset({Fact.DROPLETS, Fact.POOL, Fact.SIZES, Fact.SNAPSHOTS, Fact.LOAD})
"""What is seen at DigitalOcean; LOAD for the account's limit: there is no LiveKit here."""
Bend = Callable[[str, Any], Any]


class ObservedWorld:
    """`bend` gets path and body of every 200 to a GET, and returns the body that arrives."""

    def __init__(
        self, bend: Bend = lambda _path, body: body, media: int = 2, **cluster: Any
    ) -> None:
        self.town = SimulatedEnvironment(LoopClock(ORIGIN))
        self.town.build_cluster("acme", media=media, **cluster)
        self.change_answer = bend
        self.clock = loop_clock(ORIGIN)
        self.api = DigitalOceanClient(
            "dop_v1_sim", endpoint="https://api.digitalocean.com", clock=self.clock
        )
        use_direct_api(self.api, "dop_v1_sim", self._handle, self._call)
        self.account = SharedAccount(self.api, self.clock)
        self._refused: dict[str, tuple[int, int]] = {}
        place = ClusterConfig("acme", "acme", region="ams3")
        self.world = ClusterWorld(
            place, self.account, None, InProcessHttp(self.town), None, self.clock
        )

    async def look(
        self, needs: frozenset[Fact] = CLOUD, tolerates: frozenset[Fact] = frozenset()
    ) -> Cluster:
        """Look now: nothing older counts."""
        await self.clock.sleep(0.001)
        return await self.world.observe(needs, self.clock.now(), tolerates=tolerates)

    def asked(self) -> list[str]:
        """Return the paths of the requests since the last call."""
        paths = [path for _, path, *_ in self.town.estate.requests]
        self.town.estate.requests.clear()
        return paths

    def refuse(self, status: int, path: str, times: int = 1) -> None:
        """Refuse so many GETs of that path, or of what is under it when it ends in a slash; -1.

        All of them from now on.
        """
        self._refused[path] = (status, times)

    def _refusal(self, path: str) -> HttpResponse:
        refused = next(p for p in self._refused if path == p or path.startswith(p))
        status, left = self._refused.pop(refused)
        if left != 1:
            self._refused[refused] = (status, left - 1)
        return json_response(status, {"id": "odd", "message": "said once, in an incident"})

    def _handle(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> HttpResponse:
        answer = self.town.digitalocean.handle(method, path, query, headers, body)
        if method == "GET" and any(
            path == p or (p.endswith("/") and path.startswith(p)) for p in self._refused
        ):
            return self._refusal(path)
        if method != "GET" or answer.status != 200:
            return answer
        return replace(
            answer, body=json.dumps(self.change_answer(path, json.loads(answer.body))).encode()
        )

    async def _call(self, _name: str, send: Callable[[], Awaitable[Any]]) -> Any:
        return await send()
