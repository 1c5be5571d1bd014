"""Keeps the members of user groups up to date in the background; no request waits for Slack."""

import asyncio
import json
import logging
from collections.abc import Iterable

from handlers.slack.client import SlackClient
from services.access.clusters import ClusterRegistry
from services.access.user_groups import UserGroupCache, groups_of
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.common.tasks import Tasks
from services.memory.user_groups import StoredUserGroups
from services.store.keys import group_once
from services.store.once import Once

log = logging.getLogger(__name__)
# Seconds until a group is read again. Slack allows twenty calls a minute, to all processes of an
# app together.
FRESH = 180.0
PATIENCE = 60.0  # seconds
MY_TURN = 30.0  # seconds for which the other bots leave a group to the one that reads it


class UserGroupRefresher:
    """Reads one group after the other, and shares the members with the other bots.

    So only one of them reads each group.
    """

    def __init__(
        self,
        clusters: ClusterRegistry,
        user_groups: UserGroupCache,
        known_groups: StoredUserGroups,
        once: Once,
        bulkheads: Bulkheads,
        slack: SlackClient,
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        self._clusters = clusters
        self._user_groups = user_groups
        self._known_groups = known_groups
        self._once = once
        self._bulkheads = bulkheads
        self._tasks = tasks
        self._slack = slack
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None

    @property
    def named(self) -> list[str]:
        """The groups that the settings of any cluster name."""
        return sorted({g for site in self._clusters.values() for g in groups_of(site.rules)})

    async def sweep(self) -> None:
        """Start a round in the background, unless one is under way."""
        if self.named and (self._asking is None or self._asking.done()):
            self._asking = self._tasks.start(self.refresh(), "who is in the user groups")

    async def refresh(self) -> None:
        """Do one round: take over what other bots read, and read the rest."""
        groups = self.named
        await self._take_over(groups)
        for group in groups:
            with self._bulkheads.contained(f"user group {group}", ""):
                if self._age(group) >= FRESH and await self._my_turn(group):
                    await self._ask(group)

    def _age(self, group: str) -> float:
        known = self._user_groups.known.groups.get(group)
        if known is None:
            return FRESH
        return self._clock.now() - known.at

    async def _take_over(self, groups: Iterable[str]) -> None:
        try:
            shared = await self._known_groups.read(groups)
        except Unreachable as error:
            log.info("what other bots know of user groups is not known: %s", error)
            return
        for group, text in shared:
            with self._bulkheads.contained(f"what other bots know of user group {group}", ""):
                known = json.loads(text)
                self._user_groups.update(
                    group, known["members"], min(float(known["at"]), self._clock.now())
                )

    async def _my_turn(self, group: str) -> bool:
        try:
            return await self._once.claim(group_once(group), MY_TURN)
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
            self._user_groups.note_failure(group, trouble)
            return
        self._user_groups.update(group, members, asked_at)
        try:
            await self._known_groups.put(group, json.dumps({"members": members, "at": asked_at}))
        except Unreachable as error:
            log.info("the other bots have to ask for %s themselves: %s", group, error)

    async def aclose(self) -> None:
        """Stop reading."""
        await self._tasks.cancel()
