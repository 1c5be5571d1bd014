"""The people: they ask, ask again, approve, press twice, answer, cancel, resume and give up. All of it in Slack."""

import random
from collections.abc import Coroutine
from typing import Any

from simulators.slack.elements import NotPossible, interactive
from simulators.slack.model import Message
from tests.campaign.goals import VALUE
from tests.campaign.ledger import Ledger, Tale
from tests.campaign.luck import Luck, dice_of
from tests.campaign.plots import Wish
from tests.campaign.storm import Storm
from tests.support.scene import Scene

LOOK = 10.0
PATIENCE = 45.0  # before they press, or type, again
LONGEST = 15 * 3600.0
TRIES = 12
ENOUGH = 4  # times that a run stops, before it is given up


class Stuck(AssertionError):
    """It never came to an end."""


class Crowd:
    """Ana asks; Ben and Carla approve; anybody answers."""

    def __init__(self, luck: Luck, scene: Scene, ledger: Ledger, storm: Storm) -> None:
        self._scene, self._ledger, self._storm = scene, ledger, storm
        self._dice: random.Random = dice_of(luck.seed, "crowd")
        self._cancels = self._dice.random() < 0.15
        self._rejects = self._dice.random() < 0.05
        self._gives_up = self._dice.choice((0.0, 0.1, 0.5))
        self._waits_until = 0.0

    async def fulfil(self, wish: Wish) -> Tale | None:
        """Insist until a run for it is over. None: it was not to be had."""
        known, until, tries = len(self._ledger.names()), self._scene.clock.now() + LONGEST, 0
        while self._scene.clock.now() < until:
            await self._scene.passes(LOOK)
            names = self._ledger.names()
            tale = self._ledger.tale(names[-1]) if len(names) > known else None
            known = min(known, len(names))  # a fail-over has taken runs back
            if tale is not None and tale.over:
                if tale.procedure == wish.procedure:
                    return tale
                known, tale = len(names), None  # a window's, or what was asked before and came late
            if self._scene.clock.now() < self._waits_until or self._nobody():
                continue
            if tale is None and not self._ledger.pending():
                tries += self._storm.over
                if tries > TRIES:
                    return None
            await self._act(wish, tale)
        raise Stuck(f"{wish.words}: {self._where()}")

    async def stay(self, seconds: float) -> None:
        """Look after whatever happens by itself meanwhile, and until it is over."""
        ends, until = self._scene.clock.now() + seconds, self._scene.clock.now() + LONGEST
        while self._scene.clock.now() < until:
            await self._scene.passes(LOOK)
            tale, now = self._ledger.newest(), self._scene.clock.now()
            if tale is None or tale.over:
                if now > ends:
                    return
            elif now >= self._waits_until and not self._nobody():
                await self._act_on(tale)
        raise Stuck(self._where())

    def _nobody(self) -> bool:
        return all(life.dead for life in self._scene.lives)

    def _where(self) -> str:
        tale = self._ledger.newest()
        return "it was never run" if tale is None else f"{tale.name} is {tale.state}: {tale.reason} {tale.question}"

    async def _act(self, wish: Wish, tale: Tale | None) -> None:
        if tale is None and self._ledger.pending():
            await self._approve()
        elif tale is None:
            await self._ask(wish)
        else:
            await self._act_on(tale)

    async def _act_on(self, tale: Tale) -> None:
        if tale.question is not None:
            await self._answer(tale)
        elif tale.state == "stopped":
            stops = sum(e["is"] == "Stopped" for e in tale.events)
            gives_up = self._dice.random() < self._gives_up or stops > ENOUGH
            await self._press(("Abandon",) if gives_up else ("Resume",), tale.name)
        elif self._cancels and self._dice.random() < 0.1:
            self._cancels = False
            await self._try(self._scene.ana.types("COPS", f"/openvidu cancel {tale.name}"))

    async def _ask(self, wish: Wish) -> None:
        words = wish.words
        if words == "config rollback":
            words += f" {self._version()}"
        if words.startswith("config set "):
            await self._fill_in(words)
        else:
            await self._try(self._scene.ana.types("COPS", f"/openvidu {words}"))
        self._wait(PATIENCE)

    def _version(self) -> str:
        objects = self._scene.town.spaces.buckets[self._scene.estate.clusters["acme"].bucket].objects
        return next((k.rpartition("/")[2] for k in objects if "/versions/" in k), "none")

    async def _fill_in(self, words: str) -> None:
        ana = self._scene.ana
        await self._try(ana.types("COPS", f"/openvidu {words}"))
        if (view := ana.modal()) is not None:
            await self._try(ana.fills_and_submits(view, {"New value": VALUE}))
            if (left := ana.modal()) is not None:
                await self._try(ana.closes(left))

    async def _approve(self) -> None:
        label = "Approve"
        if self._rejects:
            self._rejects, label = False, "Reject"
        people = self._dice.choice((("UBEN", "UCARLA"), ("UCARLA", "UBEN"), ("UANA", "UBEN", "UCARLA"), ("UBEN", "UBEN", "UCARLA")))
        for user in people:
            card = self._card((label,))
            if card is not None:
                await self._try(self._scene.person(user).presses(card, label))
        self._wait(PATIENCE)

    async def _answer(self, tale: Tale) -> None:
        assert tale.question is not None, "only asked while there is one"
        if self._dice.random() < 0.4:
            self._wait(self._dice.choice((60.0, 600.0)))
            return
        labels = [str(c["label"]) for c in tale.question["choices"]]
        await self._press((self._dice.choice(labels),), tale.name)

    async def _press(self, labels: tuple[str, ...], run: str) -> None:
        card = self._card(labels, run)
        if card is None:
            return
        user = self._dice.choice(("UANA", "UBEN", "UCARLA"))
        await self._try(self._scene.person(user).presses(card, labels[0]))
        if self._dice.random() < 0.2:
            await self._try(self._scene.ben.presses(card, labels[0]))
        self._wait(PATIENCE)

    def _card(self, labels: tuple[str, ...], run: str = "") -> Message | None:
        """The newest message with such a button."""
        for message in reversed(self._scene.ana.sees("COPS")):
            shown = {str(e.get("text", {}).get("text", "")) for _, e in interactive(message.blocks) if e["type"] == "button"}
            if shown & set(labels) and run in str(message.blocks):
                return message
        return None

    def _wait(self, seconds: float) -> None:
        self._waits_until = self._scene.clock.now() + seconds

    async def _try(self, deed: Coroutine[Any, Any, object]) -> None:
        try:
            await deed
        except NotPossible:
            return  # the button went away under the finger
