"""Keeps one message per request and run true: edited at most every two seconds, the final state always delivered."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from handlers import cards
from handlers.blocks import Card
from handlers.voice import MessageGone, Voice
from services.clock import Clock
from services.continuity import Loss
from services.decisions import Request, RequestState
from services.desk import Desk
from services.errors import BadRecord, BotError, Refused, Unreachable
from services.executor import Progress
from services.memory import CardPlace
from services.runs import Event, Noted, Opened, Questioned, Recovering, Run, State, Stopped, Taken

log = logging.getLogger(__name__)
SHOWING = "showing cards"
BETWEEN_EDITS = 2.0
PER_LIVE_MESSAGE = 1.5  # seconds: chat.update is budgeted for the whole app, not per message
TRY_AGAIN = 5.0
RENDER_ANYWAY = 30.0  # the clock on a card moves at least this often


class Reporter:
    """Hears of changes from the desk and shows them. One worker per run, so that a slow Slack holds up nothing."""

    def __init__(self, desk: Desk, voice: Voice, clock: Clock, channels: dict[str, str], approvers: Callable[[Request], str]) -> None:
        self._desk = desk
        self._voice = voice
        self._clock = clock
        self._channels = channels
        self._approvers = approvers
        self._newest: dict[str, Progress] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._standing: dict[str, tuple[str, CardPlace]] = {}  # cards that are not final, with their cluster
        self._posting: set[asyncio.Task[None]] = set()
        desk.watchers.runs.append(self.run_changed)
        desk.watchers.requests.append(self.request_changed)

    # Requests

    def request_changed(self, request: Request) -> None:
        """Post a new request; edit the card of one that was closed."""
        task = asyncio.create_task(self._request(request), name=f"card of request {request.id}")
        self._posting.add(task)
        task.add_done_callback(partial(self._posted, request.plan.cluster))

    def _posted(self, cluster: str, task: "asyncio.Task[None]") -> None:
        self._posting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._desk.bulkheads.note(SHOWING, cluster, error)

    async def _request(self, request: Request) -> None:
        card = cards.request_card(request, self._approvers(request))
        while True:
            try:
                place = await self._desk.cards.get(request.id)
                if place is None or not place.ts:
                    if request.state is not RequestState.OPEN:
                        await self._never_shown(request.id, place)
                        return
                    channel = self._channel(request.plan.cluster, request.channel)
                    ts = await self._voice.post(channel, card)
                    await self._desk.cards.put(request.id, CardPlace(channel, ts))
                    self._standing[request.id] = request.plan.cluster, CardPlace(channel, ts)
                elif place.final:
                    return  # what Slack did not take in time is outdated: the message is its run's by now, or says how it was closed
                elif request.state is not RequestState.APPROVED:
                    await self._voice.edit(place.channel, place.ts, card)
                    over = request.state is not RequestState.OPEN
                    if (said := cards.rejected_notice(request)) and await self._desk.first_time(f"rejected:{request.id}"):
                        await self._voice.post(place.channel, cards.words_card(said), place.ts)
                    await self._desk.cards.put(request.id, replace(place, final=over, unattended=False))
                    self._stands(request.id, request.plan.cluster, replace(place, final=over))
            except MessageGone:
                return
            except Unreachable as error:
                log.warning("card of request %s: %s", request.id, error)
                await self._clock.sleep(TRY_AGAIN)
            else:
                return

    async def _never_shown(self, name: str, place: CardPlace | None) -> None:
        """It is over and nobody in Slack ever saw it: there is nothing to keep true."""
        if place is not None:
            await self._desk.cards.put(name, replace(place, final=True))

    def _channel(self, cluster: str, asked_in: str) -> str:
        """The cluster's own, where everyone concerned reads; where it has none, the one that it was asked for in."""
        return self._channels.get(cluster, "") or asked_in

    # Runs

    def run_changed(self, progress: Progress) -> None:
        """Remember the newest and wake the run's worker. Never waits."""
        name = progress.run.id
        before = self._newest.get(name)
        if before is not None and before.run.over:
            return
        if progress.cluster is None and before is not None and not progress.run.over:
            # A person's decision carries no look; what was last seen still stands.
            progress = replace(progress, cluster=before.cluster, waits_for=before.waits_for, until=before.until)
        self._newest[name] = progress
        self._news.setdefault(name, asyncio.Event()).set()
        if name not in self._workers or self._workers[name].done():
            self._workers[name] = asyncio.create_task(self._follow(name), name=f"card of {name}")
            self._workers[name].add_done_callback(partial(self._followed, progress.run.cluster))

    def _followed(self, cluster: str, task: "asyncio.Task[None]") -> None:
        """It goes on at the next news, or the next sweep."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._desk.bulkheads.note(SHOWING, cluster, error)

    async def _follow(self, name: str) -> None:
        shown = ""
        shown_at = 0.0
        while True:
            progress = self._newest[name]
            self._news[name].clear()
            card = await self._card(progress)
            now = self._clock.now()
            if _meaning(card) != shown or now - shown_at >= RENDER_ANYWAY:
                try:
                    await self._show(progress.run, card)
                except (BotError, MessageGone) as error:
                    log.warning("card of %s: %s", name, error)
                    await self._clock.sleep(TRY_AGAIN)
                    continue
                shown, shown_at = _meaning(card), now
                self._desk.bulkheads.well(SHOWING, progress.run.cluster)
            if progress.run.over:
                self._forget(name)
                return
            # By the loop's own time, not the clock's: Slack's limits do not speed up with a pretend world.
            await asyncio.sleep(max(BETWEEN_EDITS, PER_LIVE_MESSAGE * len(self._workers)))
            await self._news[name].wait()

    async def _card(self, progress: Progress) -> Card:
        """With what the audit was sealed with, once it is over: a message is out of reach for whoever rewrites the state."""
        card = cards.run_card(progress)
        try:
            head = await self._desk.journal.chain.sealed(progress.run.id) if progress.run.over else None
        except Unreachable:
            head = None  # the head of a later run covers it too
        return replace(card, blocks=(*card.blocks, cards.seal(head))) if head else card

    def _forget(self, name: str) -> None:
        for held in (self._newest, self._news, self._workers):
            held.pop(name, None)

    async def _show(self, run: Run, card: Card) -> None:
        place = await self._place(run)
        if place is None or not place.ts:
            channel = self._channel(run.cluster, run.channel)
            if place is None:
                await self._desk.cards.put(run.id, CardPlace(channel, ""))  # owed: should this bot die over it, another posts it
            place = CardPlace(channel, await self._voice.post(channel, card))
        elif place.final and not run.over:
            return  # another bot has shown how it ended, while Slack would not take this
        else:
            try:
                await self._voice.edit(place.channel, place.ts, card)
            except MessageGone:
                place = CardPlace(place.channel, await self._voice.post(place.channel, card), place.told)
        place = await self._tell_thread(run, place)
        owed = place.unattended and self._desk.progress(run.id) is None
        place = replace(place, final=run.over, unattended=owed)
        await self._desk.cards.put(run.id, place)
        self._stands(run.id, run.cluster, place)

    def _stands(self, name: str, cluster: str, place: CardPlace) -> None:
        """Known here, too: where the state is lost, nothing else tells which messages go on saying what is not so any more."""
        if place.final:
            self._standing.pop(name, None)
        else:
            self._standing[name] = cluster, place

    async def _place(self, run: Run) -> CardPlace | None:
        place = await self._desk.cards.get(run.id)
        if place is not None or not run.request:
            return place
        # The request's own message becomes the run's.
        asked = await self._desk.cards.get(run.request)
        if asked is not None:
            await self._desk.cards.put(run.id, CardPlace(asked.channel, asked.ts))
            await self._desk.cards.put(run.request, replace(asked, final=True))
            self._standing.pop(run.request, None)
        return await self._desk.cards.get(run.id)

    async def _tell_thread(self, run: Run, place: CardPlace) -> CardPlace:
        """Each event is told in the thread once, also across restarts."""
        for index, event in enumerate(await self._desk.journal.events(run.id, place.told), place.told):
            said = self._thread_words(event, run, index)
            if said:
                await self._voice.post(place.channel, cards.words_card(said), place.ts)
            place = replace(place, told=index + 1)
            if said:
                await self._desk.cards.put(run.id, place)
        return place

    def _thread_words(self, event: Event, run: Run, index: int) -> str:
        if isinstance(event, Opened) and event.glass:
            return cards.glass_notice(run, cards.called(self._desk.site(run.cluster).rules.approvers, run.requester))
        return _thread_words(event, run, index)

    async def sweep(self) -> None:
        """Bring every message that is not final up to date: after a restart none may go on saying "in progress"."""
        for name in await self._desk.cards.unfinished():
            cluster = await self._cluster_of(name)
            if cluster not in self._desk.sites.foreign:
                await self._desk.bulkheads.keep("card", partial(self._sweep_card, name), cluster)

    async def _cluster_of(self, name: str) -> str:
        """Whose card it is; "" where that cannot be read."""
        cluster = name.rpartition("-")[0]
        if cluster in self._desk.sites:
            return cluster
        with suppress(Refused, BadRecord):
            return (await self._desk.journal.request(name)).plan.cluster
        return ""

    async def _sweep_card(self, name: str) -> None:
        place = await self._desk.cards.get(name)
        owed = place is not None and place.unattended and self._desk.progress(name) is None
        if name in self._workers and not owed:
            await self._catch_up(name)
            return
        try:
            run = await self._desk.journal.run(name)
        except Refused:
            await self._sweep_request(name, owed=owed)
            return
        if run.over or run.state is State.STOPPED or (owed and await self._is_news(run)):
            self.run_changed(Progress(run, None, "", None, "", self._clock.now()))

    async def _catch_up(self, name: str) -> None:
        """A run may have been ended by another bot that died over it, or by a press whose answer was lost: nobody here was told."""
        shown = self._newest[name].run
        run = await self._desk.journal.refresh(shown)
        if run.events > shown.events and (run.over or run.state is State.STOPPED):
            self.run_changed(Progress(run, None, "", None, "", self._clock.now()))

    async def _is_news(self, run: Run) -> bool:
        """Whether the journal knows more of a run than was shown, by any bot: a process without Slack drives it."""
        shown = self._newest.get(run.id)
        new = shown is None or shown.run.events < run.events
        return new and await self._desk.first_time(f"owed:{run.id}:{run.events}", within=600.0)

    async def _sweep_request(self, name: str, *, owed: bool) -> None:
        request = await self._desk.journal.request(name)
        if request.state is RequestState.APPROVED and request.run:
            await self._hand_over(request)
            return
        first = owed and request.state is RequestState.OPEN and await self._desk.first_time(f"owed:{name}", within=60.0)
        if first or request.state is not RequestState.OPEN:
            self.request_changed(request)

    async def _hand_over(self, request: Request) -> None:
        """The request's message is its run's. A bot may have died before that was written down, or before the run's end was shown."""
        asked, taken = await self._desk.cards.get(request.id), await self._desk.cards.get(request.run)
        if asked is not None and taken is not None:
            if asked.ts != taken.ts:
                with suppress(MessageGone):
                    await self._voice.edit(asked.channel, asked.ts, cards.request_card(request, self._approvers(request)))
            await self._desk.cards.put(request.id, replace(asked, final=True))
            return
        run = await self._desk.journal.run(request.run)
        if run.over or run.state is State.STOPPED:
            self.run_changed(Progress(run, None, "", None, "", self._clock.now()))

    def lost(self, loss: Loss) -> None:
        """The state is gone: every message that stands open says so, as far as this bot knows of it. Never waits."""
        for task in self._workers.values():
            task.cancel()
        runs = {name: progress.run for name, progress in self._newest.items()}
        for name, (cluster, place) in self._standing.items():
            card = cards.lost_card(cluster, loss.why, runs.get(name))
            task = asyncio.create_task(self._say_lost(place, card), name=f"card of {name}, which is lost")
            self._posting.add(task)
            task.add_done_callback(partial(self._posted, cluster))
        for held in (self._newest, self._news, self._workers, self._standing):
            held.clear()

    async def _say_lost(self, place: CardPlace, card: Card) -> None:
        while True:
            try:
                await self._voice.edit(place.channel, place.ts, card)
            except MessageGone:
                return
            except Unreachable as error:
                log.warning("a card that is lost: %s", error)
                await self._clock.sleep(TRY_AGAIN)
            else:
                return

    async def aclose(self) -> None:
        """Let what is being sent go out, then stop."""
        pending = [t for t in (*self._posting, *self._workers.values()) if not t.done()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


def _meaning(card: Card) -> str:
    return f"{card.text}{card.blocks}"


def _thread_words(event: Event, run: Run, index: int) -> str:
    match event:
        case Taken(again=True):
            return cards.picked_up(run)
        case Noted():
            return cards.note(event)
        case Questioned():
            return cards.question_notice(replace(run, question=event.question))
        case Stopped():
            return cards.stopped_notice(replace(run, stopped=event.reason))
        case Recovering():
            return cards.turned_notice(run, event)
        case _ if index == run.events - 1 and run.over:
            return cards.end_notice(run)
        case _:
            return cards.reason_notice(event, run)
