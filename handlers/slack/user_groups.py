"""Keeps what is known of user groups up to date, in the background: nothing that somebody waits for asks Slack for it."""

import asyncio
import json
import logging
from collections.abc import Iterable

from handlers.slack.client import SlackClient
from services.access.user_groups import groups_of
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.operations.desk import Desk

log = logging.getLogger(__name__)
FRESH = 180.0  # seconds until a group is asked for again; Slack allows twenty calls a minute, to all of an app's processes together
PATIENCE = 60.0
MY_TURN = 30.0  # for so long the other bots leave a group to the one that asks for it


class Groups:
    """Asks for one group after the other, and shares the answers with the other bots, so that one of them asks."""

    def __init__(self, desk: Desk, slack: SlackClient, clock: Clock) -> None:
        self._desk = desk
        self._slack = slack
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None

    @property
    def named(self) -> list[str]:
        """The groups that any cluster's settings name."""
        return sorted({g for site in self._desk.sites.values() for g in groups_of(site.rules)})

    async def sweep(self) -> None:
        """Begin a round, unless one is under way. Does not wait for it."""
        if self.named and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self.refresh(), name="who is in the user groups")

    async def refresh(self) -> None:
        """One round: take what another bot was told, and ask for the rest."""
        groups = self.named
        await self._take_over(groups)
        for group in groups:
            with self._desk.bulkheads.within(f"user group {group}", ""):
                if self._age(group) >= FRESH and await self._my_turn(group):
                    await self._ask(group)

    def _age(self, group: str) -> float:
        known = self._desk.roster.known.groups.get(group)
        return self._clock.now() - known.at if known else FRESH

    async def _take_over(self, groups: Iterable[str]) -> None:
        try:
            found = await self._desk.memory.groups.read(groups)
        except Unreachable as error:
            log.info("what other bots know of user groups is not known: %s", error)
            return
        for group, text in found:
            with self._desk.bulkheads.within(f"what other bots know of user group {group}", ""):
                known = json.loads(text)
                self._desk.roster.note(
                    group, known["members"], min(float(known["at"]), self._clock.now())
                )

    async def _my_turn(self, group: str) -> bool:
        try:
            return await self._desk.first_time(f"group:{group}", MY_TURN)
        except Unreachable:
            return True  # nothing can be changed now, but it will be known when the state is back

    async def _ask(self, group: str) -> None:
        try:
            async with asyncio.timeout(
                PATIENCE
            ):  # of the loop's own time: Slack's does not speed up with a pretend world
                asked_at = self._clock.now()
                members = await self._slack.members(group)
        except (Unreachable, TimeoutError) as error:
            trouble = str(error) or "Slack does not answer"
            log.warning("who is in the user group %s is not known: %s", group, trouble)
            self._desk.roster.missed(group, trouble)
            return
        self._desk.roster.note(group, members, asked_at)
        try:
            await self._desk.memory.groups.put(
                group, json.dumps({"members": members, "at": asked_at})
            )
        except Unreachable as error:
            log.info("the other bots have to ask for %s themselves: %s", group, error)

    async def aclose(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
