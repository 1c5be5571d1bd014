"""Other administrators: in the console, with an apply, on a node.

The bot did none of it, and has to notice.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from simulators.cloud import Cloud, Refusal, SimulatedDroplet
from tests.campaign.seed import SeedSettings
from tests.support.scene import Scene

if TYPE_CHECKING:
    from tests.campaign.chaos import TroubleLog

Deed = Callable[[Cloud, random.Random], None]


async def meddles(scene: Scene, dice: random.Random, luck: SeedSettings, log: "TroubleLog") -> None:
    """Interfere a few times, at any moment of the storm."""
    for _ in range(luck.hands):
        await asyncio.sleep(dice.uniform(5, luck.storm / 2))
        deed = dice.choice(DEEDS["pool" if luck.kind == "pool" else "all"])
        with log.of("hand"):
            with (
                scene.estate.by_administrator(deed.__name__.strip("_")),
                suppress(Refusal),
            ):  # Refused: not possible just now.
                deed(scene.estate, dice)
            await asyncio.sleep(60)


def _another_number(estate: Cloud, dice: random.Random) -> None:
    pool = estate.pool("acme")
    number = max(1, pool.target + dice.choice((-1, 1, 3)))
    template = estate.pool_scaler.shown_template(pool)
    estate.pool_scaler.edit(
        pool.id,
        {
            "name": pool.name,
            "config": {"target_number_instances": number},
            "droplet_template": template,
        },
    )


def _another_size(estate: Cloud, dice: random.Random) -> None:
    pool = estate.pool("acme")
    template = estate.pool_scaler.shown_template(pool) | {
        "size": dice.choice(("s-8vcpu-16gb", "c-4"))
    }
    estate.pool_scaler.edit(
        pool.id,
        {
            "name": pool.name,
            "config": {"target_number_instances": pool.target},
            "droplet_template": template,
        },
    )


def _a_master_off(estate: Cloud, dice: random.Random) -> None:
    estate.power.request(dice.choice(estate.masters("acme")).id, "power_off")


def _a_master_on(estate: Cloud, dice: random.Random) -> None:
    off = [m for m in estate.masters("acme") if not m.on]
    if off:
        estate.power.request(dice.choice(off).id, "power_on")


def _node(estate: Cloud, dice: random.Random) -> SimulatedDroplet | None:
    on = [d for d in estate.media("acme") if d.on]
    return dice.choice(on) if on else None


def _a_node_drained(estate: Cloud, dice: random.Random) -> None:
    if (node := _node(estate, dice)) is not None and node.node.installed:
        for name in ("openvidu", "ingress", "egress"):
            estate.containers.signal(node, name, "SIGQUIT")


def _a_node_restarted(estate: Cloud, dice: random.Random) -> None:
    if (node := _node(estate, dice)) is not None and node.node.installed:
        estate.nodes.restart_unit(node)


def _a_node_off(estate: Cloud, dice: random.Random) -> None:
    if (node := _node(estate, dice)) is not None:
        estate.power.request(node.id, "power_off")


EVERYWHERE: tuple[Deed, ...] = (
    _a_master_off,
    _a_master_on,
    _a_node_drained,
    _a_node_restarted,
    _a_node_off,
)
DEEDS: dict[str, tuple[Deed, ...]] = {
    "pool": (*EVERYWHERE, _another_number, _another_number, _another_size),
    "all": EVERYWHERE,
}
