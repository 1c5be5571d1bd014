"""Plays one night in virtual time: the bot, the cloud, the faults, and a person who is awake."""

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from bot import app
from tests.nights.luck import Night, Spell
from tests.nights.watch import Watched, watches
from tests.support import virtual
from tests.support.scene import Scene

# Seconds between the bot's rounds here: twice the real interval halves the time that a night takes.
ROUND = 20.0
SWITCHES = {
    "API away": "api_down",
    "no capacity": "no_capacity",
    "SSH away": "ssh_down",
    "nodes unreachable from outside": "front_down",
}
LOSES = ("End", "Delete")


def play(night: Night) -> Watched:
    """Play a night; return what was seen of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "SWEEP_INTERVAL", ROUND)
        with _quiet():
            return virtual.run(_story(night))


@contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


async def _story(night: Night) -> Watched:
    site = {"windows": [night.window], "timezone": night.zone}
    about: dict[str, Any] = {
        "origin": night.begins,
        "site": site,
        "media": night.media,
        "kind": night.kind,
        "pydo": False,
    }
    watched = Watched(night)
    async with Scene(seed=night.number, **about) as scene:
        scene.promises = False
        # The watch checks who was disconnected.
        scene.estate.allow_disconnects = True
        for meeting in night.meetings:
            scene.estate.open_meeting(
                people=meeting.people, minutes=(meeting.until - night.begins) / 60
            )
        tasks = [asyncio.create_task(_befalls(scene, spell)) for spell in night.spells]
        if night.answers:
            tasks.append(asyncio.create_task(_answers(scene, watched)))
        try:
            await watches(scene, watched)
        finally:
            for task in tasks:
                task.cancel()
        there = scene.slack.workspace.channels["COPS"].messages.values()
        watched.said = [(float(m.ts), m.text or "") for m in there if m.ephemeral_to is None]
        watched.thrown_out = scene.estate.people_disconnected
        watched.broken = tuple(
            f"{v.kind}: {v.text}" for v in scene.estate.violations if v.kind != "thrown-out"
        )
    return watched


async def _befalls(scene: Scene, spell: Spell) -> None:
    await asyncio.sleep(max(0.0, spell.since - scene.clock.now()))
    faults = scene.environment.faults
    if spell.kind == "bot down":
        scene.kill()
    elif spell.kind == "stuck masters":
        faults.rates = {**faults.rates, "action": {"ignored": 0.3, "errored": 0.3}}
    else:
        faults.switch(SWITCHES[spell.kind])
    await asyncio.sleep(max(0.0, spell.until - scene.clock.now()))
    if spell.kind == "bot down":
        await scene.start_bot()
    elif spell.kind == "stuck masters":
        faults.rates = {party: rates for party, rates in faults.rates.items() if party != "action"}
    else:
        faults.switch(SWITCHES[spell.kind], value=False)


async def _answers(scene: Scene, watched: Watched) -> None:
    """Press a button of each question, some minutes after it was asked."""
    dice, seen = random.Random(f"answers {watched.night.number}"), set[tuple[str, str]]()
    while True:
        await asyncio.sleep(60)
        for message in list(scene.ben.visible_messages("COPS")):
            labels = [
                e["text"]["text"]
                for b in message.blocks
                for e in b.get("elements", ())
                if b["type"] == "actions" and "text" in e
            ]
            key = (message.ts, " ".join(labels))
            if "needs a decision" not in message.text or not labels or key in seen:
                continue
            seen.add(key)
            await asyncio.sleep(dice.uniform(60, 600))
            label = dice.choice(labels)
            if label.startswith(LOSES):
                watched.forced = min(watched.forced, scene.clock.now())
            with suppress(Exception):
                await scene.ben.press(message, label)
