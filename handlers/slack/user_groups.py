"""Keeps what is known of user groups up to date, in the background: nothing that somebody waits for asks Slack for it."""

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
from services.memory.user_groups import KnownGroups
from services.store.keys import group_once
from services.store.once import Once

log = logging.getLogger(__name__)
FRESH = 180.0  # seconds until a group is asked for again; Slack allows twenty calls a minute, to all of an app's processes together
PATIENCE = 60.0
MY_TURN = 30.0  # for so long the other bots leave a group to the one that asks for it


class Groups:
    """Asks for one group after the other, and shares the answers with the other bots, so that one of them asks."""

    def __init__(
        self,
        clusters: ClusterRegistry,
        user_groups: UserGroupCache,
        known_groups: KnownGroups,
        once: Once,
        bulkheads: Bulkheads,
        voice: SlackClient,
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        self._clusters = clusters
        self._user_groups = user_groups
        self._known_groups = known_groups
        self._once = once
        self._bulkheads = bulkheads
        self._voice = voice
        self._clock = clock
        self._tasks = tasks
        self._asking: asyncio.Task[None] | None = None

    @property
    def named(self) -> list[str]:
        """The groups that any cluster's settings name."""
        return sorted({g for site in self._clusters.values() for g in groups_of(site.rules)})

    async def sweep(self) -> None:
        """Begin a round, unless one is under way. Does not wait for it."""
        if self.named and (self._asking is None or self._asking.done()):
            self._asking = self._tasks.start(self.refresh(), "who is in the user groups")

    async def refresh(self) -> None:
        """One round: take what another bot was told, and ask for the rest."""
        groups = self.named
        await self._take_over(groups)
        for group in groups:
            with self._bulkheads.within(f"user group {group}", ""):
                if self._age(group) >= FRESH and await self._my_turn(group):
                    await self._ask(group)

    def _age(self, group: str) -> float:
        known = self._user_groups.known.groups.get(group)
        return self._clock.now() - known.at if known else FRESH

    async def _take_over(self, groups: Iterable[str]) -> None:
        try:
            found = await self._known_groups.read(groups)
        except Unreachable as error:
            log.info("what other bots know of user groups is not known: %s", error)
            return
        for group, text in found:
            with self._bulkheads.within(f"what other bots know of user group {group}", ""):
                known = json.loads(text)
                self._user_groups.note(
                    group, known["members"], min(float(known["at"]), self._clock.now())
                )

    async def _my_turn(self, group: str) -> bool:
        try:
            return await self._once.claim(group_once(group), MY_TURN)
        except Unreachable:
            return True  # nothing can be changed now, but it will be known when the state is back

    async def _ask(self, group: str) -> None:
        try:
            async with asyncio.timeout(
                PATIENCE
            ):  # of the loop's own time: Slack's does not speed up with a pretend world
                asked_at = self._clock.now()
                members = await self._voice.members(group)
        except (Unreachable, TimeoutError) as error:
            trouble = str(error) or "Slack does not answer"
            log.warning("who is in the user group %s is not known: %s", group, trouble)
            self._user_groups.missed(group, trouble)
            return
        self._user_groups.note(group, members, asked_at)
        try:
            await self._known_groups.put(group, json.dumps({"members": members, "at": asked_at}))
        except Unreachable as error:
            log.info("the other bots have to ask for %s themselves: %s", group, error)

    async def aclose(self) -> None:
        """Stop asking."""
        await self._tasks.cancel()
