"""A hundred people press Approve at once, on three bots: each request runs once."""

import asyncio
import random
from typing import Any

import pytest

from services.access.policy import Actor
from services.common.clock import loop_clock
from services.common.errors import Refused
from services.procedures.windows import AddWindow
from services.runs.run import State
from services.store import Commit, Store
from services.store.sqlite import SqliteStore
from simulators.digitalocean.limiter import RateLimiter
from tests.support import virtual
from tests.support.coverage_level import FULL, PARTS
from tests.support.scene import ORIGIN, Scene

ROUNDS = 1000 // PARTS if FULL else 5
PRESSES = 100
BOTS = 3
ANA = Actor("UANA", "T0ACME")
PEOPLE = [Actor(f"U{n:03d}", "T0ACME") for n in range(PRESSES // 2)]  # each presses twice


class FarStore:
    """A state store at the end of a network: who is first at it is a matter of luck."""

    def __init__(self, store: Store, dice: random.Random) -> None:
        self._store, self._dice = store, dice

    async def _travel(self) -> None:
        await asyncio.sleep(self._dice.uniform(0.0005, 0.02))

    async def get(self, *keys: str) -> list[str | None]:
        await self._travel()
        found = await self._store.get(*keys)
        await self._travel()
        return found

    async def commit(self, commit: Commit) -> bool:
        await self._travel()
        done = await self._store.commit(commit)
        await self._travel()
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_hundred_presses_at_once_are_one_run_each_time(part: int) -> None:
    """Story A13; 1000 rounds in the full run."""
    dice = random.Random(13 + part)

    async def story() -> None:
        store = FarStore(SqliteStore(None, loop_clock(ORIGIN), threaded=False), dice)
        roles = {"approvers": [p.user for p in PEOPLE]}
        async with Scene(media=1, store=store, roles=roles) as scene:
            # DigitalOcean's patience with three bots that look a hundred times at once is another
            # story.
            scene.environment.digitalocean.limiters["dop_v1_sim"] = RateLimiter(10**9, 10**9)
            for _ in range(BOTS - 1):
                await scene.start_bot()
            for turn in range(ROUNDS):
                await one_round(scene, turn, dice)
            assert await scene.store.length("runs:acme") == ROUNDS

    virtual.run(story(), at_most=ROUNDS * 600.0)


async def one_round(scene: Scene, turn: int, dice: random.Random) -> None:
    operations = [bot.operations for bot in scene.bots]
    window = AddWindow(f"nights Mon-Fri 20:{turn % 60:02d}-07:{turn // 60 % 60:02d} UTC")
    await operations[0].service.request(ANA, "acme", window, channel="COPS")
    (request,) = await operations[0].reader.waiting("acme")
    hands = [*PEOPLE, *PEOPLE]
    dice.shuffle(hands)
    presses = await asyncio.gather(
        *(dice.choice(operations).service.approve(request.id, who) for who in hands),
        return_exceptions=True,
    )
    assert len([p for p in presses if not isinstance(p, BaseException)]) == 1
    refused = {str(p).split(" ago")[0] for p in presses if isinstance(p, Refused)}
    assert len([p for p in presses if isinstance(p, Refused)]) == PRESSES - 1, presses
    assert all(
        "approved by [[person U" in t or "at the same moment" in t or "is locked by" in t
        for t in refused
    ), refused
    name = f"acme-{turn + 1}"
    assert await scene.journal.latest("acme", 1) == [name]
    run = await scene.run_is(name, State.DONE, timeout=300)
    assert (run.request, len(run.approvers)) == (request.id, 1)
