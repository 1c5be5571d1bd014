"""In the place of the reporter, where a process has no Slack: notes which messages somebody who has it owes people."""

import logging
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

from services.common.errors import Unreachable
from services.common.tasks import Tasks
from services.memory.message_refs import CardPlace, MessageRefs
from services.operations.subscribers import Subscribers
from services.runs.executor import Progress
from services.runs.request import Request

log = logging.getLogger(__name__)


class DeferredReporter:
    """Hears of the same changes. Any bot's reporter shows what is noted here, as soon as Slack is there again."""

    def __init__(
        self,
        cards: MessageRefs,
        subscribers: Subscribers,
        channels: Mapping[str, str],
        tasks: Tasks,
    ) -> None:
        self._cards = cards
        self._channels = channels
        self._noted: set[str] = set()
        self._tasks = tasks
        subscribers.runs.append(self.run_changed)
        subscribers.requests.append(self.request_changed)

    def request_changed(self, request: Request) -> None:
        """A request's message is owed from its first moment, and again when something about it is new."""
        self._once(f"{request.id} {request.state} {len(request.approvals)}", self._request(request))

    def run_changed(self, progress: Progress) -> None:
        """A run's too: the request's own message becomes the run's, wherever it stands."""
        run = progress.run
        self._once(
            run.id,
            self._run(run.id, run.request, self._channels.get(run.cluster, "") or run.channel),
            run=run.id,
        )

    def _once(self, name: str, work: Coroutine[Any, Any, None], *, run: str = "") -> None:
        if name in self._noted:
            work.close()
            return
        self._noted.add(name)
        self._tasks.start(self._safely(name, work), f"card of {name}", run=run)

    async def _safely(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Unreachable as error:
            self._noted.discard(name)
            log.warning("card of %s: %s", name, error)

    async def _request(self, request: Request) -> None:
        place = await self._cards.get(request.id)
        if place is None:
            place = CardPlace(self._channels.get(request.plan.cluster, "") or request.channel, "")
        if not place.final:
            await self._cards.put(request.id, replace(place, unattended=True))

    async def _run(self, run: str, request: str, channel: str) -> None:
        place = await self._cards.get(run)
        asked = await self._cards.get(request) if request and place is None else None
        if asked is not None:
            await self._cards.put(request, replace(asked, final=True))
        place = place or CardPlace(asked.channel if asked else channel, asked.ts if asked else "")
        if not place.final:
            await self._cards.put(run, replace(place, unattended=True))

    async def settle(self) -> None:
        """Let what is being noted be noted."""
        await self._tasks.settle(5.0)
