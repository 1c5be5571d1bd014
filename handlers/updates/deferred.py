"""Replaces the reporter in a process without Slack: records the messages that a bot must post."""

import logging
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

from services.common.errors import Unreachable
from services.common.tasks import Tasks
from services.memory.message_refs import CardPlace, MessageRefs
from services.operations.subscribers import Subscribers
from services.runs.batch import batch_of
from services.runs.progress import Progress
from services.runs.request import Request

log = logging.getLogger(__name__)


class DeferredReporter:
    """Subscribes to the same changes; the reporter of any bot posts what is recorded here."""

    def __init__(
        self,
        cards: MessageRefs,
        subscribers: Subscribers,
        channels: Mapping[str, str],
        tasks: Tasks,
    ) -> None:
        self._cards = cards
        self._tasks = tasks
        self._channels = channels
        self._noted: set[str] = set()
        subscribers.runs.append(self.run_changed)
        subscribers.requests.append(self.request_changed)

    def request_changed(self, request: Request) -> None:
        """Record that a request's message must be posted or updated.

        A part of a batch has none: the bot that drives the batch shows it.
        """
        if batch_of(request.id):
            return
        self._once(f"{request.id} {request.state} {len(request.approvals)}", self._request(request))

    def run_changed(self, progress: Progress) -> None:
        """Record that a run's message must be updated; the request's own becomes the run's."""
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
        if place is None:
            place = await self._place_of_request(request) or CardPlace(channel, "")
        if not place.final:
            await self._cards.put(run, replace(place, unattended=True))

    async def _place_of_request(self, request: str) -> CardPlace | None:
        """Take over the message of a request for its run; None when there is none."""
        if not request:
            return None
        place = await self._cards.get(request)
        if place is None:
            return None
        await self._cards.put(request, replace(place, final=True))
        return CardPlace(place.channel, place.ts)

    async def settle(self) -> None:
        """Wait for what is being recorded."""
        await self._tasks.settle(5.0)
