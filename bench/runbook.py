"""Two others who do the same work in the same pretend estate: one who could not be faster, and one who follows the vendor's page.

The **ideal** hand sees every change in the moment it happens, asks within the same moment, and waits for nothing but the estate's own
delays (`simulators/estate/delays.py`) and the second look that has to come ten seconds after the first. What it needs is the critical
path. The **careful** hand does one thing after the other and looks every five seconds, as `doctl --wait` does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from simulators.estate.estate import Estate
from simulators.estate.things import Droplet

SECOND_LOOK = 10.0
POLL = 5.0
STACK = "acme"
Condition = Callable[[], bool]


@dataclass
class Hand:
    """Somebody at the controls; `poll` None sees everything at once. Counts the requests it takes: asks, and one look for each change."""

    estate: Estate
    poll: float | None = None
    requests: int = 0

    async def until(self, so: Condition) -> None:
        """Wait until it is so."""
        self.estate.settle()
        while not so():
            self.requests += self.poll is not None
            due = self.estate.next_event_at()
            ahead = 0.5 if due is None else max(0.001, due - self.estate.moment)
            await asyncio.sleep(self.poll if self.poll is not None else min(ahead, 0.5))
            self.estate.settle()
        self.requests += 1

    def ask(self, droplet: Droplet, kind: str, **options: Any) -> None:
        """One action of one droplet."""
        self.requests += 1
        self.estate.settle()
        self.estate.power.ask(droplet.id, kind, options)

    async def each(self, things: list[Droplet], act: Callable[[Droplet], Awaitable[None]]) -> None:
        """All at once, or for the careful hand one after the other."""
        if self.poll is None:
            await asyncio.gather(*(act(d) for d in things))
        else:
            for droplet in things:
                await act(droplet)

    def pool(self, **change: Any) -> None:
        """Edit the pool: the number, the size."""
        self.requests += 2  # read, then write
        self.estate.settle()
        pool = self.estate.pool(STACK)
        template = self.estate.scaling.shown_template(pool) | {
            k: v for k, v in change.items() if k == "size"
        }
        config = {"target_number_instances": change.get("number", pool.target)}
        self.estate.scaling.edit(
            pool.id, {"name": pool.name, "config": config, "droplet_template": template}
        )

    # What the vendor's page consists of

    async def drain(self, nodes: list[Droplet]) -> None:
        """Media nodes finish."""

        async def finish(node: Droplet) -> None:
            self.estate.settle()
            for name in ("openvidu", "ingress", "egress", "agent-speech-processing"):
                self.estate.containers.signal(node, name, "SIGQUIT")
            await self.until(
                lambda: not any(node.node.running(n) for n in ("openvidu", "ingress", "egress"))
            )

        await self.each(nodes, finish)

    async def shutdown(self) -> None:
        """The media nodes first, then the masters."""
        await self.drain(self.estate.media(STACK))
        self.pool(number=0)
        await self.until(lambda: not self.estate.media(STACK))
        await asyncio.sleep(SECOND_LOOK)
        await self.each(self.estate.masters(STACK), self._off)

    async def startup(self, number: int) -> None:
        """The masters in order, then the media nodes."""
        for master in self.estate.masters(STACK):
            self.ask(master, "power_on")
            await self.until(lambda m=master: m.status == "active" and not m.locked)  # type: ignore[misc]
        await self.until(lambda: all(self.estate.healthy(m) for m in self.estate.masters(STACK)))
        await self.until(lambda: self.estate.front_is_up(STACK))
        await self.scale(number)

    async def scale(self, number: int) -> None:
        """That many media nodes, serving."""
        going = sorted(self.estate.media(STACK), key=lambda d: d.id)[number:]
        await self.drain(going)
        self.pool(number=number)
        await self.until(lambda: not any(d.id in self.estate.droplets for d in going))
        await self.until(lambda: len(self.estate.serving(STACK)) == number)

    async def resize_media(self, size: str) -> None:
        """Another template: the pool replaces every member."""
        old = self.estate.media(STACK)
        await self.drain(old)
        self.pool(size=size)
        await self.until(lambda: not any(d.id in self.estate.droplets for d in old))
        await self.until(lambda: len(self.estate.serving(STACK)) == len(old))

    async def resize_masters(self, size: str) -> None:
        """Shut down, resize, start up."""
        number = len(self.estate.media(STACK))
        await self.shutdown()

        async def resize(master: Droplet) -> None:
            self.ask(master, "resize", size=size)
            await self.until(lambda: master.size == size and not master.locked)

        await self.each(self.estate.masters(STACK), resize)
        await self.startup(number)

    async def _off(self, master: Droplet) -> None:
        self.ask(master, "shutdown")
        await self.until(lambda: master.status == "off" and not master.locked)
