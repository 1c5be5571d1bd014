"""Simulated users: they request, approve (often twice), reject, cancel, answer, and read."""

import asyncio
import contextlib
import random
from dataclasses import replace
from typing import Any

from bot.demo.world import OPS, STACK, DemoWorld
from simulators.slack.elements import NotPossible, interactive
from simulators.slack.model import Message
from simulators.slack.user import SimulatedUser
from tests.e2e.chaos.tally import ChaosTally
from tests.support.stories import give_reason

RECENT = 40


class People:
    """Ana asks, Ben and Carla decide, Dora is curious, and others are in meetings."""

    def __init__(self, world: DemoWorld, dice: random.Random, tally: ChaosTally) -> None:
        self._world, self._dice, self._tally = world, dice, tally
        world.estate.delays = replace(world.estate.delays, media_install=60.0)

    async def live(self) -> None:
        """Until cancelled."""
        ana, ben, carla, dora = (
            self._world.slack.human(u) for u in ("UANA", "UBEN", "UCARLA", "UDORA")
        )
        await asyncio.gather(
            self._asks(ana),
            self._decides(ben),
            self._decides(carla),
            self._looks(dora),
            self._meet(),
        )

    async def _pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self._dice.uniform(least, most))

    async def _types(self, human: SimulatedUser, words: str) -> None:
        failed = await human.type_text(OPS, f"/openvidu {words}")
        self._tally.people[
            f"typed {words.split(maxsplit=1)[0]}" if failed is None else "typed and nobody took it"
        ] += 1

    async def _asks(self, human: SimulatedUser) -> None:
        while True:
            await self._pause(0.5, 3.0)
            await self._types(human, self._wish())
            await self._pause(0.2, 1.0)
            # What needs no approval waits until she starts it; the rest she may not approve.
            await self.decide(human, reject=0.05, abandon=0.0)

    def _wish(self) -> str:
        masters = self._world.estate.masters(STACK)
        if all(m.status == "off" for m in masters):
            return "startup"
        newest = max(
            (
                int(n)
                for m in self._world.slack.human("UANA").visible_messages(OPS)
                for n in _runs_named(m)
            ),
            default=1,
        )
        wishes = {
            "shutdown": 5,
            "scale 2": 3,
            "scale 4": 3,
            "scale 3": 2,
            "startup": 2,
            "restart media": 1,
            f"cancel {STACK}-{newest}": 1,
        }
        return self._dice.choices(list(wishes), list(wishes.values()))[0]

    async def _looks(self, human: SimulatedUser) -> None:
        while True:
            await self._pause(1.0, 4.0)
            await self._types(human, self._dice.choice(["status", "runs", "help", "shutdown"]))

    async def _decides(self, human: SimulatedUser) -> None:
        while True:
            await self._pause(0.3, 2.0)
            await self.decide(human, reject=0.05, abandon=0.1)

    async def decide(self, human: SimulatedUser, *, reject: float, abandon: float) -> None:
        """Press what is there to be pressed on the newest messages."""
        for message in human.visible_messages(OPS)[-RECENT:]:
            label = self._label(message, reject, abandon)
            if label:
                hurry = 2 if self._dice.random() < 0.3 else 1
                await asyncio.gather(*(self._presses(human, message, label) for _ in range(hurry)))

    def _label(self, message: Message, reject: float, abandon: float) -> str:
        buttons = {
            str(e["text"]["text"]): e
            for _, e in interactive(message.blocks)
            if e["type"] == "button"
        }
        refuse = next((label for label, e in buttons.items() if e["action_id"] == "reject"), "")
        if refuse:
            return refuse if self._dice.random() < reject else "Approve"
        if "Resume run" in buttons:
            return "Abandon run…" if self._dice.random() < abandon else "Resume run"
        answers = [
            label
            for label, e in buttons.items()
            if str(e["action_id"]).startswith("answer:") and e.get("style") != "danger"
        ]
        return self._dice.choice(answers) if answers else ""

    async def _presses(self, human: SimulatedUser, message: Message, label: str) -> None:
        with contextlib.suppress(NotPossible):
            done = await human.press(message, label)
            if label == "Reject…":
                with contextlib.suppress(
                    TimeoutError
                ):  # where Slack or the state is away, no form comes
                    await give_reason(human, timeout=5.0)
            self._tally.people[
                f"pressed {label}" if done.acked else "pressed and nobody took it"
            ] += 1

    async def _meet(self) -> None:
        estate = self._world.estate
        while True:
            await self._pause(0.5, 2.0)
            estate.settle()
            if estate.serving(STACK) and len(estate.meetings) < 200 and self._running() < 3:
                held: Any = estate.open_meeting(
                    self._dice.randint(1, 6),
                    self._dice.uniform(1.0, 4.0),
                    self._dice.randint(0, 1),
                    STACK,
                )
                self._tally.facts["meetings"] += held is not None

    def _running(self) -> int:
        return len(
            [m for m in self._world.estate.meetings.values() if m.ends_at > self._world.estate.now]
        )


def _runs_named(message: Message) -> list[str]:
    return [
        word.strip("`.,;:()").removeprefix(f"{STACK}-")
        for word in message.text.split()
        if _is_run(word.strip("`.,;:()"))
    ]


def _is_run(word: str) -> bool:
    return word.startswith(f"{STACK}-") and word.removeprefix(f"{STACK}-").isdecimal()
