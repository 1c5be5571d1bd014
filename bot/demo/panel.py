"""The panel beside the chat: the real state of the cloud, its clock, and faults to cause."""

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bot.demo.bot_process import BotProcess
from bot.demo.faults import FaultMenu
from bot.demo.world import FAST, STACK, DemoWorld
from services.common.text import count_of
from simulators.cloud import SimulatedDroplet, SimulatedMeeting
from simulators.cloud.catalog import SIZES

Json = dict[str, Any]
ZONE = ZoneInfo("Europe/Madrid")
EVENING = (19, 58)
ENDLESS = 24 * 60.0  # minutes
ACTIONS: Sequence[Json] = (
    {
        "id": "fast",
        "kind": "Clock",
        "label": "An hour a minute",
        "hint": f"{FAST:.0f}× as fast; restarts the bot",
        "toggle": True,
    },
    {
        "id": "evening",
        "kind": "Clock",
        "label": "Jump to the evening",
        "hint": f"{EVENING[0]}:{EVENING[1]}; restarts the bot",
    },
    {
        "id": "meeting",
        "kind": "Meetings",
        "label": "Start one more meeting",
        "hint": "6 people, 6 minutes, recorded",
    },
    {
        "id": "endless",
        "kind": "Meetings",
        "label": "One meeting never ends",
        "hint": "a drain waits for it",
        "toggle": True,
    },
)


class Panel:
    """Shows one world, and injects faults into it."""

    def __init__(self, world: DemoWorld, child: BotProcess) -> None:
        self._world = world
        self._child = child
        self._faults = FaultMenu(world, child)
        self.actions = [*ACTIONS, *self._faults.choices]
        self._began = time.monotonic()
        self._has_connected = False
        self._endless: SimulatedMeeting | None = None
        self._usual = world.clock.speed
        self._times: dict[str, Callable[[], Awaitable[str]]] = {
            "fast": self._faster,
            "evening": self._to_the_evening,
        }
        self._actions: dict[str, Callable[[], str]] = {
            "meeting": self._one_more,
            "endless": self._never_ends,
        }

    # What it shows

    def starting(self) -> str:
        """Return what the page waits for before the bot was connected once; "" from then on."""
        self._has_connected = self._has_connected or bool(self._world.slack.sockets.sockets)
        if self._has_connected:
            return ""
        if self._child.starts > 1:
            return "The bot ended before it was connected, and starts again"
        return f"The bot is starting: {time.monotonic() - self._began:.0f} s"

    def picture(self) -> Json:
        """Return the nodes, their cost, the time, and the active faults."""
        estate = self._world.estate
        estate.settle()
        media = [d for d in estate.media(STACK) if not d.is_master]
        droplets = [*estate.masters(STACK), *media]
        moment = datetime.fromtimestamp(estate.now, ZONE).strftime("%H:%M:%S")
        return {
            "title": "DigitalOcean",
            "cost": f"${sum(SIZES[d.size].price_hourly for d in droplets):.2f}/h",
            "clock": f"{moment} · {self._world.clock.speed:g}× as fast",
            "note": self._note(),
            "on": [*self._on(), *self._faults.on()],
            "clusters": [self._cluster()],
        }

    def _cluster(self) -> Json:
        estate = self._world.estate
        meetings = estate.meetings_of(STACK)
        people = sum(m.people for m in meetings)
        state, tone = self._state()
        masters = estate.masters(STACK)
        media = [d for d in estate.media(STACK) if not d.is_master]
        return {
            "name": STACK,
            "state": state,
            "tone": tone,
            "summary": f"{count_of(len(meetings), 'meeting')}, {people} people · {self._fleet()}",
            "nodes": [
                *(self._single(m) if m.is_media else self._master(m) for m in masters),
                *map(self._media, media),
            ],
        }

    def _fleet(self) -> str:
        """Return what sizes the media nodes, and its state."""
        estate = self._world.estate
        match estate.clusters[STACK].kind:
            case "pool":
                return f"pool at {estate.pool(STACK).target}"
            case "fixed":
                return "fixed droplets"
            case "co-located":
                return "Single Node"
        if estate.functions.scales(STACK):
            return "autoscaler on"
        return "autoscaler paused"

    def _state(self) -> tuple[str, str]:
        estate = self._world.estate
        masters = estate.masters(STACK)
        if estate.serving(STACK):
            return "in service", "good"
        if all(not m.on for m in masters):
            return "shut down", "off"
        if estate.meetings_of(STACK):
            return "no new meetings", "busy"
        return "no meetings possible", "busy"

    def _master(self, droplet: SimulatedDroplet) -> Json:
        health = None
        if droplet.on and droplet.action is None:
            health = "healthy" if self._world.estate.healthy(droplet) else "starting"
        name = droplet.name.removeprefix(f"{STACK}-").replace("master-node", "master")
        return self._node(droplet, name) | {"health": health}

    def _single(self, droplet: SimulatedDroplet) -> Json:
        """Return the one droplet: a master's health, and a media node's state and meetings."""
        master, media = self._master(droplet), self._media(droplet)
        if "health" in media:  # faulty
            return media | {"name": "node"}
        return master | media | {"name": "node", "health": master["health"]}

    def _media(self, droplet: SimulatedDroplet) -> Json:
        estate = self._world.estate
        meetings = estate.meetings_on(droplet.id)
        node = self._node(droplet, _short(droplet.name))
        if self._deleting(droplet):
            node["state"] = "stopping"
        elif droplet.on:
            node["state"] = _server_state(droplet)
        if droplet.name in self._faults.ill.values():
            node["health"] = "faulty"
        if meetings:
            node |= {"meetings": len(meetings), "people": sum(m.people for m in meetings)}
            recordings = sum(m.recordings for m in meetings)
            notes = [f"{recordings} recorded"] if recordings else []
            node["note"] = " · ".join([*notes, *_chat(meetings)]) or None
        return node

    def _deleting(self, droplet: SimulatedDroplet) -> bool:
        """Return whether the pool is deleting this droplet."""
        estate = self._world.estate
        pool = estate.pools.get(estate.clusters[STACK].pool_id)
        if pool is None:
            return False
        return any(m.droplet_id == droplet.id and m.status == "deleting" for m in pool.members)

    @staticmethod
    def _node(droplet: SimulatedDroplet, name: str) -> Json:
        doing = droplet.action.type.replace("_", " ") if droplet.action else ""
        states = {
            "shutdown": "shutting down",
            "power on": "starting",
            "power off": "powering off",
            "resize": "resizing",
        }
        return {"name": name, "state": states.get(doing, doing) or droplet.status}

    def _on(self) -> list[str]:
        on = {"fast": self._world.clock.speed == FAST, "endless": self._endless is not None}
        return [switch for switch, is_on in on.items() if is_on]

    def _note(self) -> str:
        return "" if self._child.alive else "No bot is running."

    # The buttons

    async def act(self, action: str, _args: Json) -> str:
        """Do what a button says; return a sentence about it."""
        self._world.estate.settle()
        if action in self._times:
            return await self._times[action]()
        if action in self._actions:
            return self._actions[action]()
        return self._faults.act(action)

    def _one_more(self) -> str:
        opened = self._world.estate.open_meeting(people=6, minutes=6, recordings=1, cluster=STACK)
        if opened:
            return "Six people meet for six minutes."
        return "No one can open a meeting now: no media node takes new ones."

    async def _faster(self) -> str:
        """Toggle the speed. The bot is stopped first: it must have the same clock as its world."""
        clock = self._world.clock
        await self._child.stop()
        clock.run_at(self._usual if clock.speed == FAST else FAST)
        return (
            f"Time passes {clock.speed:g} times as fast as yours now; the bot is back in a second."
        )

    async def _to_the_evening(self) -> str:
        """Jump to the evening: the world simulates the time between, the bot sees the result."""
        hour, minute = EVENING
        clock = self._world.clock
        await self._child.stop()
        now = datetime.fromtimestamp(clock.now(), ZONE)
        then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if then <= now:
            tomorrow = now + timedelta(days=1)
            then = tomorrow.replace(hour=hour, minute=minute, second=0, microsecond=0)
        clock.jump_to(then.timestamp())
        self._world.estate.settle()
        return f"It is {hour}:{minute}; the bot is back in a second and catches up."

    def _never_ends(self) -> str:
        estate = self._world.estate
        if self._endless is not None:
            ended, self._endless = self._endless, None
            estate.people.end(ended)
            return "That meeting has ended."
        meetings = sorted(estate.meetings_of(STACK), key=lambda m: m.ends_at)
        if meetings:
            # Under another id, so that the scheduled end does not find the meeting.
            before = estate.meetings.pop(meetings[-1].id)
            self._endless = replace(
                before, id=f"{before.id}-endless", ends_at=before.ends_at + ENDLESS * 60
            )
            estate.meetings[self._endless.id] = self._endless
        else:
            self._endless = estate.open_meeting(
                people=2, minutes=ENDLESS, recordings=1, cluster=STACK
            )
        if self._endless:
            return "One meeting never ends now."
        return "There is no meeting now, and no media node takes a new one."


def _short(name: str) -> str:
    """Return a media node's name without its stack."""
    return f"media-{name.rsplit('-', 1)[-1].lstrip('0')}"


def _server_state(droplet: SimulatedDroplet) -> str:
    """Return the state of the media server on a droplet that is powered on."""
    server = droplet.node.containers.get("openvidu")
    if server is None or not (server.running or droplet.node.installed):
        return "installing"
    if not server.running:
        return "drained"
    if server.draining:
        return "draining"
    return "in service"


def _chat(meetings: Sequence[SimulatedMeeting]) -> list[str]:
    """Return the newest message in the chat of these meetings, in its first language."""
    heard = [(at, data) for m in meetings for topic, data, at in m.received if topic == "chat"]
    if not heard:
        return []
    text = str(json.loads(max(heard)[1])["message"])
    return [f"chat: “{text.partition(chr(10))[0]}”"]
