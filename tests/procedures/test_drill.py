"""Restore drills: a backup is opened on a throw-away droplet, and nothing of it is left."""

import re
from functools import partial
from typing import Any

import pytest

from services.access.policy import Actor
from services.cluster.drills import PREFIX
from services.runs.run import State
from simulators.cloud.model import SimulatedDroplet
from tests.support import virtual
from tests.support.scene import Scene

ANA = Actor("UANA", "T0ACME")


def leftovers(scene: Scene) -> list[str]:
    """Return the name of everything in the account that drills have created."""
    estate = scene.estate
    names = [d.name for d in estate.droplets.values()]
    names += [n.name for n in estate.networks.values()]
    names += [w.name for w in estate.firewalls.values()]
    names += [tag for tag in estate.tags]
    return sorted(name for name in names if name.startswith(PREFIX))


async def backed_up(scene: Scene) -> None:
    await scene.ana.type_text("COPS", "/openvidu backup create --now")
    await scene.card("acme is backed up ·")


def test_a_backup_is_proven_and_nothing_is_left() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await backed_up(scene)
            scene.estate.open_meeting(people=5, minutes=30)
            await scene.ana.type_text("COPS", "/openvidu drill")
            card = await scene.card("Prove a backup of acme")
            shown = str(card.blocks)
            assert "at most $" in shown
            print(card.text, shown)
            assert leftovers(scene) == [], "nothing before it is started"
            await scene.ana.press(card, "Start drill")
            await scene.card("acme has a proven backup ·")
            assert leftovers(scene) == []
            (result,) = (await scene.bot.operations.memory.backups.read("acme")).drills
            assert result.proven
            assert result.compared
            assert dict(result.counts) == scene.estate.clusters["acme"].documents
            assert re.fullmatch(r"0\.0\d", result.cost)
            created = [r for r in scene.estate.requests if r[:2] == ("POST", "/v2/droplets")]
            assert len(created) == 1

    virtual.run(story())
