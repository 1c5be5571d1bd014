"""Keeps the members of user groups up to date in the background; no request waits for Slack."""

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
# Seconds until a group is read again. Slack allows twenty calls a minute, to all processes of an app
# together.
FRESH = 180.0
PATIENCE = 60.0  # seconds
MY_TURN = 30.0  # seconds for which the other bots leave a group to the one that reads it


class Groups:
    """Reads one group after the other, and shares the members with the other bots.

    So only one of them reads each group.
    """

    def __init__(self, desk: Desk, slack: SlackClient, clock: Clock) -> None:
        self._desk = desk
        self._slack = slack
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None

    @property
    def named(self) -> list[str]:
        """The groups that the settings of any cluster name."""
        return sorted({g for site in self._desk.sites.values() for g in groups_of(site.rules)})

    async def sweep(self) -> None:
        """Start a round in the background, unless one is under way."""
        if self.named and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self.refresh(), name="who is in the user groups")

    async def refresh(self) -> None:
        """Do one round: take over what other bots read, and read the rest."""
        groups = self.named
        await self._take_over(groups)
        for group in groups:
            with self._desk.bulkheads.within(f"user group {group}", ""):
                if self._age(group) >= FRESH and await self._my_turn(group):
                    await self._ask(group)

    def _age(self, group: str) -> float:
        known = self._desk.roster.known.groups.get(group)
        if known is None:
            return FRESH
        return self._clock.now() - known.at

    async def _take_over(self, groups: Iterable[str]) -> None:
        try:
            shared = await self._desk.memory.groups.read(groups)
        except Unreachable as error:
            log.info("what other bots know of user groups is not known: %s", error)
            return
        for group, text in shared:
            with self._desk.bulkheads.within(f"what other bots know of user group {group}", ""):
                known = json.loads(text)
                self._desk.roster.note(
                    group, known["members"], min(float(known["at"]), self._clock.now())
                )

    async def _my_turn(self, group: str) -> bool:
        try:
            return await self._desk.first_time(f"group:{group}", MY_TURN)
        except Unreachable:
            # Nothing can be changed now, but the members are known when the state store is back.
            return True

    async def _ask(self, group: str) -> None:
        try:
            # By the loop's own time: Slack does not get faster with a simulated clock.
            async with asyncio.timeout(PATIENCE):
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
        """Stop reading."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
