"""Keeps the message of each run up to date, and posts into its thread.

A message is edited at most every two seconds; the final state is always delivered.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping

from handlers import views
from handlers.slack.api import MessageGone, is_permanent
from handlers.slack.blocks import Card
from handlers.slack.channel_access import ChannelClosed, TokenRefused
from handlers.slack.client import SlackClient
from handlers.updates.card_poster import (
    SHOWING,
    TRY_AGAIN,
    TRY_RARELY,
    TRY_SELDOM,
    CardPoster,
    OpenCards,
    note_failure,
)
from handlers.updates.direct_copies import DirectCopies
from handlers.updates.recipients import MentionTargets, Recipients
from handlers.views.approvals import with_link
from handlers.views.batch import part_of
from handlers.views.links import NO_LINKS, ClusterLinks
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import BotError, Unreachable
from services.common.tasks import Tasks
from services.common.values import replace
from services.memory.message_refs import CardPlace, MessageRefs
from services.operations.reader import ClusterReader
from services.runs.batch import batch_of
from services.runs.progress import Progress
from services.runs.run import (
    Event,
    Noted,
    Opened,
    Questioned,
    Recovering,
    Run,
    State,
    Stopped,
    Taken,
)
from services.store.keys import has_own_message, run_news_once
from services.store.once import Once

log = logging.getLogger(__name__)
BETWEEN_EDITS = 2.0  # seconds
# Seconds for each message that is edited: chat.update has one limit for the whole app.
PER_LIVE_MESSAGE = 1.5
# Seconds that a request may have waited: policy.approval_minutes is a day at most.
LONGEST_WAIT = 86400.0
OFTEN = 3  # times in a row that a card may be missing before its channel counts as closed
RENDER_ANYWAY = 30.0  # seconds after which a card is edited for its clock alone
MOST_LINKS = 100
OWED_WITHIN = 600.0  # seconds in which one bot shows what another process has done


class RunCards:
    """Shows runs. One worker per run, so that a slow Slack delays no other."""

    def __init__(
        self,
        reader: ClusterReader,
        cards: MessageRefs,
        once: Once,
        bulkheads: Bulkheads,
        slack: SlackClient,
        poster: CardPoster,
        open_cards: OpenCards,
        copies: DirectCopies,
        clock: Clock,
        recipients: Recipients,
        tasks: Tasks,
        links: Mapping[str, ClusterLinks],
    ) -> None:
        self._reader = reader
        self._cards = cards
        self._once = once
        self._bulkheads = bulkheads
        self._slack = slack
        self._poster = poster
        self._open_cards = open_cards
        self._copies = copies
        self._clock = clock
        self._recipients = recipients
        self._tasks = tasks
        self._links = links
        self._newest: dict[str, Progress] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._batch_links: dict[str, str] = {}
        # By run: how many times in a row its card was missing.
        self._gone: Counter[str] = Counter()

    def changed(self, progress: Progress) -> None:
        """Note the newest progress and wake the run's worker; never waits."""
        name = progress.run.id
        before = self._newest.get(name)
        if before is not None and before.run.over:
            return
        if progress.cluster is None and before is not None and not progress.run.over:
            # A person's decision comes without a look at the cluster; the last one still counts.
            progress = replace(
                progress, cluster=before.cluster, waits_for=before.waits_for, until=before.until
            )
        self._newest[name] = progress
        self._news.setdefault(name, asyncio.Event()).set()
        worker = self._workers.get(name)
        if worker is None or worker.done():
            failed = note_failure(self._bulkheads, progress.run.cluster)
            work = self._follow(name)
            self._workers[name] = self._tasks.start(work, f"card of {name}", failed, run=name)

    def has_worker(self, name: str) -> bool:
        """Tell whether the run has a worker, also one that has failed."""
        return name in self._workers

    def show_again(self, run: Run) -> None:
        """Show a run of which only the journal is known."""
        self.changed(Progress(run, None, "", None, "", self._clock.now()))

    async def catch_up(self, name: str, *, back: bool) -> None:
        """Show the end of a run that this bot did not hear of.

        Another bot may have ended it and died, or the answer to a press was lost. `back`: people
        read copies, and its channel is open again.
        """
        shown = self._newest[name].run
        run = await self._reader.refreshed(shown)
        if (back or run.events > shown.events) and (run.over or run.state is State.STOPPED):
            self.show_again(run)

    async def is_owed(self, run: Run) -> bool:
        """Tell whether the journal has more of a run than any bot has shown.

        So it is when a process without Slack drives it.
        """
        shown = self._newest.get(run.id)
        if shown is not None and shown.run.events >= run.events:
            return False
        return await self._once.claim(run_news_once(run.id, run.events), within=OWED_WITHIN)

    def take_all(self) -> dict[str, Run]:
        """Stop all workers, and return the runs as they were last seen."""
        for task in self._workers.values():
            task.cancel()
        runs = {name: progress.run for name, progress in self._newest.items()}
        self._newest.clear()
        self._news.clear()
        self._workers.clear()
        return runs

    # One worker

    async def _follow(self, name: str) -> None:
        shown: Card | None = None
        shown_at, pause = 0.0, TRY_AGAIN
        while True:
            progress = self._newest[name]
            self._news[name].clear()
            card = await self._card(progress)
            now = self._clock.now()
            if card != shown or now - shown_at >= RENDER_ANYWAY:
                try:
                    await self._show(progress.run, card)
                except (BotError, MessageGone) as error:
                    log.warning("card of %s: %s", name, error)
                    if progress.run.over and await self._gives_up(name, error, pause):
                        self._forget(name)
                        return
                    await self._clock.sleep(pause)
                    pause = _longer(pause, error)
                    continue
                shown, shown_at, pause = card, now, TRY_AGAIN
                self._bulkheads.record_success(SHOWING, progress.run.cluster)
            if progress.run.over:
                self._forget(name)
                return
            # By the loop's own time: Slack's limits do not speed up with a simulated clock.
            await asyncio.sleep(max(BETWEEN_EDITS, PER_LIVE_MESSAGE * len(self._workers)))
            await self._news[name].wait()

    async def _gives_up(self, name: str, error: Exception, pause: float) -> bool:
        """Tell whether this worker stops showing a run that is over.

        Because the token is refused, so that a sweep shows it later; or because Slack will never
        take it, which is then noted.
        """
        if is_permanent(error) and pause >= TRY_RARELY:
            place = await self._cards.get(name)
            if place is not None:
                log.error("how %s ended cannot be shown: %s", name, error)
                await self._cards.put(name, replace(place, final=True))
                return True
        return isinstance(error, TokenRefused)

    async def _card(self, progress: Progress) -> Card:
        """Return the card; for a run that is over with the audit's head.

        A message is out of reach for someone who rewrites the state store.
        """
        links = self._links.get(progress.run.cluster, NO_LINKS)
        card = views.run_card(progress, links)
        if batch := batch_of(progress.run.request):
            link = part_of(batch, await self._batch_link(batch))
            card = replace(card, blocks=(*card.blocks, link))
        if not progress.run.over:
            return card
        try:
            head = await self._reader.sealed(progress.run.id)
        except Unreachable:
            # The head of a later run covers this one too.
            return card
        if head is None:
            return card
        return replace(card, blocks=(*card.blocks, views.seal(head)))

    async def _batch_link(self, batch: str) -> str:
        """Return the link to the message of a batch; "" while it has none."""
        if batch not in self._batch_links:
            place = await self._cards.get(batch)
            if place is None or not place.ts:
                return ""
            if len(self._batch_links) >= MOST_LINKS:
                self._batch_links.clear()
            self._batch_links[batch] = await self._slack.permalink(place.channel, place.ts)
        return self._batch_links[batch]

    def _forget(self, name: str) -> None:
        self._newest.pop(name, None)
        self._news.pop(name, None)
        self._workers.pop(name, None)
        self._gone.pop(name, None)

    async def _show(self, run: Run, card: Card) -> None:
        before = place = await self._place(run)
        try:
            shown = await self._show_in_channel(run, card, place)
            if shown is None:
                return
            place = await self._tell_thread(run, await self._copies.no_more(run, shown))
        except ChannelClosed as closed:
            place = await self._cards.get(run.id) or CardPlace(closed.channel, "")
            copied = await self._copies.of_run(run, card, place, closed)
            await self._tell_thread(run, copied, closed=True)
            return
        owed = place.unattended and self._reader.progress(run.id) is None
        place = replace(place, final=run.over, unattended=owed)
        if place != before:
            await self._cards.put(run.id, place)
        self._open_cards.note(run.id, run.cluster, place)

    async def _show_in_channel(
        self, run: Run, card: Card, place: CardPlace | None
    ) -> CardPlace | None:
        """Edit or post the run's message; return its place. None: it shows the end already."""
        if place is None or not place.ts or self._poster.has_moved(run.cluster, place):
            return await self._show_anew(run, card, place)
        if place.final and not run.over:
            # Another bot has shown the end while Slack did not take this.
            return None
        try:
            await self._slack.edit(place.channel, place.ts, card)
        except MessageGone as gone:
            self._gone[run.id] += 1
            if self._gone[run.id] > OFTEN:
                why = f"Slack lets the bot change no message in <#{place.channel}> ({gone})"
                closed = ChannelClosed(place.channel, why)
                self._slack.access.note_closed(closed, self._clock.now())
                raise closed from gone
            return replace(place, ts=await self._slack.post(place.channel, card, mark=run.id))
        self._gone.pop(run.id, None)
        return place

    async def _show_anew(self, run: Run, card: Card, place: CardPlace | None) -> CardPlace:
        """Post a message for a run, or find the one of a bot that died, or its request's."""
        channel = self._poster.channel(run.cluster, run.channel)
        owed = replace(place or CardPlace("", ""), channel=channel, ts="")
        # Stored first: should this bot die now, another one shows it.
        await self._cards.put(run.id, owed)
        marks, since = _marks(run)
        first = place is None and len(marks) == 1
        silent = _silent_card(run, card)
        ts = await self._poster.post(channel, silent, marks, since, first=first)
        if silent != card:
            await self._slack.edit(channel, ts, card)
        return replace(owed, ts=ts)

    async def _place(self, run: Run) -> CardPlace | None:
        """Return where the run's message is; take over that of its request.

        A scheduled run has a message of its own, as its request may be far above by now.
        """
        place = await self._cards.get(run.id)
        if place is not None or not run.request or has_own_message(run.request):
            return place
        of_request = await self._cards.get(run.request)
        if of_request is not None:
            await self._cards.put(run.id, CardPlace(of_request.channel, of_request.ts))
            await self._cards.put(run.request, replace(of_request, final=True))
            self._open_cards.forget(run.request)
        return await self._cards.get(run.id)

    # The thread

    async def _tell_thread(self, run: Run, place: CardPlace, *, closed: bool = False) -> CardPlace:
        """Post each event into the thread once, also across restarts.

        `closed`: the channel is closed, so post to the run's people.
        """
        events = await self._reader.events(run.id, place.told)
        for index, event in enumerate(events, place.told):
            audience = await self._audience(event, run)
            notice = self._notice(event, run, index, views.mentions(frozenset(audience.mentions)))
            if audience.direct:
                await self._tell_directly(audience.direct, event, run, index, place)
            if notice and closed:
                await self._copies.say(place, notice)
            elif notice:
                await self._slack.post(place.channel, views.text_card(notice), place.ts)
            place = replace(place, told=index + 1)
            if notice:
                await self._cards.put(run.id, place)
        return place

    async def _tell_directly(
        self, users: Iterable[str], event: Event, run: Run, index: int, place: CardPlace
    ) -> None:
        """Post it once to each of these people, with a link to the run's message."""
        link = ""
        if place.ts:
            link = await self._slack.permalink(place.channel, place.ts)
        card = with_link(views.text_card(self._notice(event, run, index, "")), link)
        await self._recipients.tell(f"{run.id}/{index}", users, card)

    async def _audience(self, event: Event, run: Run) -> MentionTargets:
        """Return who is notified of a stop or a question, and how they want to be."""
        if not isinstance(event, Questioned | Stopped):
            return MentionTargets()
        rules = self._reader.clusters.rules(run.cluster)
        return await self._recipients.audience("stops", rules.changers | rules.approvers)

    def _notice(self, event: Event, run: Run, index: int, people: str) -> str:
        rules = self._reader.clusters.rules(run.cluster)
        if isinstance(event, Opened) and event.glass:
            return views.glass_notice(run, views.mention_approvers(rules.approvers, run.requester))
        return _notice(event, run, index, people)


def _silent_card(run: Run, card: Card) -> Card:
    """Return the card to post: whose standing approval a window has is named by an edit.

    An edit notifies no one; they have approved every evening long ago.
    """
    if not run.standing or run.over:
        return card
    whole = replace(run, approvers=())
    return views.run_card(Progress(whole, None, "", None, "", run.opened_at))


def _longer(pause: float, error: Exception) -> float:
    """Return the pause after the next failure, in seconds."""
    if is_permanent(error):
        return min(TRY_RARELY, pause * 2)
    return min(TRY_SELDOM, pause * 2)


def _marks(run: Run) -> tuple[tuple[str, ...], float]:
    """Return the marks of a run's message, and the earliest time of it (epoch seconds)."""
    if not run.request or has_own_message(run.request):
        return (run.id,), run.opened_at
    return (run.id, run.request), run.opened_at - LONGEST_WAIT


def _notice(event: Event, run: Run, index: int, people: str) -> str:
    """Return what the thread says about an event; "" for nothing. `index`: of the event."""
    match event:
        case Taken(again=True):
            return views.picked_up(run)
        case Noted():
            return views.note(event)
        case Questioned():
            return views.question_notice(replace(run, question=event.question), people)
        case Stopped():
            return views.stopped_notice(replace(run, stopped=event.reason), people)
        case Recovering():
            return views.turned_notice(run, event)
        case _ if index == run.events - 1 and run.over:
            return views.end_notice(run)
        case _:
            return views.reason_notice(event, run)
