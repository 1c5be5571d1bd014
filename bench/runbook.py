"""Two operators that do the same work in the same simulated cloud, as a comparison with the bot.

The **ideal** operator sees every change at once, acts at once, and waits only for the delays of the
cloud (`simulators/cloud/delays.py`) and the second check, ten seconds after the first: its time is
the critical path. The **careful** operator follows the vendor's page step by step and polls every
five seconds, as `doctl --wait` does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from simulators.cloud.cloud import Cloud
from simulators.cloud.model import SimulatedDroplet

SECOND_LOOK = 10.0
POLL = 5.0
STACK = "acme"
Condition = Callable[[], bool]


@dataclass
class Operator:
    """An operator; `poll` None sees every change at once. Counts write requests and reads."""

    estate: Cloud
    poll: float | None = None
    requests: int = 0

    async def until(self, condition: Condition) -> None:
        """Wait until the condition is true; each read counts as a request."""
        self.estate.settle()
        while not condition():
            self.requests += self.poll is not None
            due = self.estate.next_event_at()
            ahead = 0.5 if due is None else max(0.001, due - self.estate.now)
            if self.poll is None:
                await asyncio.sleep(min(ahead, 0.5))
            else:
                await asyncio.sleep(self.poll)
            self.estate.settle()
        self.requests += 1

    def ask(self, droplet: SimulatedDroplet, kind: str, **options: Any) -> None:
        """Request an action of a droplet."""
        self.requests += 1
        self.estate.settle()
        self.estate.power.request(droplet.id, kind, options)

    async def each(
        self, droplets: list[SimulatedDroplet], act: Callable[[SimulatedDroplet], Awaitable[None]]
    ) -> None:
        """Act on all droplets at once; the careful operator acts on one after the other."""
        if self.poll is None:
            await asyncio.gather(*(act(droplet) for droplet in droplets))
        else:
            for droplet in droplets:
                await act(droplet)

    def pool(self, **change: Any) -> None:
        """Edit number or size of the pool."""
        self.requests += 2  # read, then write
        self.estate.settle()
        pool = self.estate.pool(STACK)
        template = self.estate.pool_scaler.shown_template(pool) | {
            k: v for k, v in change.items() if k == "size"
        }
        config = {"target_number_instances": change.get("number", pool.target)}
        self.estate.pool_scaler.edit(
            pool.id, {"name": pool.name, "config": config, "droplet_template": template}
        )

    # The procedures of the vendor's page

    async def drain(self, nodes: list[SimulatedDroplet]) -> None:
        """Drain media nodes."""

        async def finish(node: SimulatedDroplet) -> None:
            self.estate.settle()
            for name in ("openvidu", "ingress", "egress", "agent-speech-processing"):
                self.estate.containers.signal(node, name, "SIGQUIT")
            await self.until(
                lambda: not any(node.node.running(n) for n in ("openvidu", "ingress", "egress"))
            )

        await self.each(nodes, finish)

    async def shutdown(self) -> None:
        """Shut down the media nodes, then the masters."""
        await self.drain(self.estate.media(STACK))
        self.pool(number=0)
        await self.until(lambda: not self.estate.media(STACK))
        await asyncio.sleep(SECOND_LOOK)
        await self.each(self.estate.masters(STACK), self._off)

    async def startup(self, number: int) -> None:
        """Start the masters in order, then the media nodes."""
        for master in self.estate.masters(STACK):
            self.ask(master, "power_on")
            await self.until(partial(_is_on, master))
        await self.until(lambda: all(self.estate.healthy(m) for m in self.estate.masters(STACK)))
        await self.until(lambda: self.estate.front_is_up(STACK))
        await self.scale(number)

    async def scale(self, number: int) -> None:
        """Scale to that many media nodes in service."""
        surplus = sorted(self.estate.media(STACK), key=lambda d: d.id)[number:]
        await self.drain(surplus)
        self.pool(number=number)
        await self.until(lambda: not any(d.id in self.estate.droplets for d in surplus))
        await self.until(lambda: len(self.estate.serving(STACK)) == number)

    async def resize_media(self, size: str) -> None:
        """Change the template; the pool then replaces every member."""
        old = self.estate.media(STACK)
        await self.drain(old)
        self.pool(size=size)
        await self.until(lambda: not any(d.id in self.estate.droplets for d in old))
        await self.until(lambda: len(self.estate.serving(STACK)) == len(old))

    async def resize_masters(self, size: str) -> None:
        """Shut down, resize, start up."""
        number = len(self.estate.media(STACK))
        await self.shutdown()

        async def resize(master: SimulatedDroplet) -> None:
            self.ask(master, "resize", size=size)
            await self.until(lambda: master.size == size and not master.locked)

        await self.each(self.estate.masters(STACK), resize)
        await self.startup(number)

    async def _off(self, master: SimulatedDroplet) -> None:
        self.ask(master, "shutdown")
        await self.until(lambda: master.status == "off" and not master.locked)


def _is_on(droplet: SimulatedDroplet) -> bool:
    return droplet.status == "active" and not droplet.locked
