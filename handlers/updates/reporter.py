"""Keeps one message per request and run true: edited at most every two seconds, the final state always delivered."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

from handlers import views
from handlers.slack.api import MessageGone, is_permanent
from handlers.slack.blocks import Card
from handlers.slack.channel_access import Closed, TokenRefused
from handlers.slack.client import SlackClient
from handlers.updates.direct_copies import OVER, DirectCopies
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.context import current_work
from services.common.errors import BadRecord, BotError, Refused, Unreachable
from services.common.tasks import Tasks
from services.memory.message_refs import CardPlace, MessageRefs
from services.operations.continuity import Loss
from services.operations.reader import ClusterReader
from services.operations.subscribers import Subscribers
from services.runs.executor import Progress
from services.runs.request import Request, RequestState
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
from services.store.keys import LATER, rejected_once, request_once, run_news_once
from services.store.once import Once

log = logging.getLogger(__name__)
SHOWING = "showing cards"
BETWEEN_EDITS = 2.0
PER_LIVE_MESSAGE = 1.5  # seconds: chat.update is budgeted for the whole app, not per message
TRY_AGAIN, TRY_SELDOM, TRY_RARELY = (
    5.0,
    60.0,
    600.0,
)  # seconds until Slack is asked again: at first, later, after a no
LONGEST_WAIT = (
    86400.0  # seconds that a request may have waited: policy.approval_minutes is a day at most
)
CLOCKS_APART = 60.0  # seconds that the bot's clock and Slack's may differ
FRESH = 5.0  # seconds in which a request is shown for the first time: nothing of it can stand in the channel yet
OFTEN = 3  # times in a row that a card may be gone before its channel counts as closed
RENDER_ANYWAY = 30.0  # the clock on a card moves at least this often


class Reporter:
    """Subscribes to changes and shows them. One worker per run, so that a slow Slack holds up nothing."""

    def __init__(
        self,
        reader: ClusterReader,
        cards: MessageRefs,
        once: Once,
        bulkheads: Bulkheads,
        subscribers: Subscribers,
        slack: SlackClient,
        clock: Clock,
        channels: Mapping[str, str],
        approvers: Callable[[Request], str],
        tasks: Tasks,
    ) -> None:
        self._reader = reader
        self._clusters = reader.clusters
        self._cards = cards
        self._once = once
        self._bulkheads = bulkheads
        self._slack = slack
        self._clock = clock
        self._channels = channels
        self._approvers = approvers
        self._newest: dict[str, Progress] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._standing: dict[
            str, tuple[str, CardPlace]
        ] = {}  # cards that are not final, with their cluster
        self._tasks = tasks
        self._gone: Counter[str] = Counter()  # by run: cards that were gone, one after the other
        self._copies = DirectCopies(cards, reader.clusters, slack)
        subscribers.runs.append(self.run_changed)
        subscribers.requests.append(self.request_changed)

    # Requests

    def request_changed(self, request: Request) -> None:
        """Post a new request; edit the card of one that was closed."""
        failed = partial(self._failed, request.plan.cluster)
        showing, work = self._request(request), current_work()
        name = f"card of request {request.id}"
        self._tasks.start(showing, name, failed, actor=work.actor, run=work.run)

    def _failed(self, cluster: str, error: BaseException) -> None:
        """It goes on at the next news, or the next sweep."""
        self._bulkheads.note(SHOWING, cluster, error)

    async def _request(self, request: Request) -> None:
        first, pause = self._clock.now() - request.made_at < FRESH, TRY_AGAIN
        while True:
            try:
                await self._show_request(request, first=first)
            except MessageGone:
                return
            except Closed as closed:
                await self._copies.of_request(request, closed)
                return
            except TokenRefused as error:
                log.warning("card of request %s: %s", request.id, error)
                return  # owed: the next sweep that may speak shows it
            except Unreachable as error:
                log.warning("card of request %s: %s", request.id, error)
                await self._clock.sleep(pause)
                first, pause = False, min(TRY_SELDOM, pause * 2)
            else:
                return

    async def _show_request(self, request: Request, *, first: bool) -> None:
        """`first`: nothing of it can be in Slack yet."""
        card = views.request_card(request, self._approvers(request))
        place = await self._cards.get(request.id)
        if place is not None and place.final:
            return  # what Slack did not take in time is outdated: the message is its run's by now, or says how it was closed
        if place is None or not place.ts or self._has_moved(request.plan.cluster, place):
            await self._show_request_anew(request, card, place, first=first)
        elif request.state is not RequestState.APPROVED or request.act is not None or request.later:
            await self._slack.edit(place.channel, place.ts, card)
            over = request.state is not RequestState.OPEN
            if (said := views.rejected_notice(request)) and await self._once.claim(
                rejected_once(request.id)
            ):
                await self._slack.post(place.channel, views.words_card(said), place.ts)
            place = replace(place, final=over, unattended=False)
            await self._cards.put(request.id, place)
            self._stands(request.id, request.plan.cluster, place)

    async def _show_request_anew(
        self, request: Request, card: Card, place: CardPlace | None, *, first: bool
    ) -> None:
        channel = self._channel(request.plan.cluster, request.channel)
        if request.state is RequestState.OPEN:
            ts = await self._post(channel, card, (request.id,), request.made_at, first=first)
            await self._cards.put(request.id, CardPlace(channel, ts))
            self._stands(request.id, request.plan.cluster, CardPlace(channel, ts))
        elif ts := await self._found(channel, card, (request.id,), request.made_at):
            over = (
                request.state is not RequestState.APPROVED or request.later > 0
            )  # else its run takes the message over
            await self._cards.put(request.id, CardPlace(channel, ts, final=over))
        else:
            if place is not None and place.copied:
                await self._copies.of_request(
                    request,
                    Closed(channel, self._slack.reach.why_closed(channel) or "it was closed"),
                )
                place = await self._cards.get(request.id)
            await self._never_shown(request.id, place)

    async def _post(
        self, channel: str, card: Card, marks: tuple[str, ...], since: float, *, first: bool
    ) -> str:
        """The card in that channel: the one that a bot posted and could not remember, or a new one."""
        found = "" if first else await self._found(channel, card, marks, since)
        return found or await self._slack.post(channel, card, mark=marks[0])

    async def _found(self, channel: str, card: Card, marks: tuple[str, ...], since: float) -> str:
        """A card of one of these that stands in the channel already, brought up to date; "" where there is none, or nobody may look."""
        try:
            ts = await self._slack.find(channel, marks, since - CLOCKS_APART)
            if ts:
                await self._slack.edit(channel, ts, card)
        except (Closed, TokenRefused):
            raise
        except (Unreachable, MessageGone) as error:
            log.warning(
                "whether %s holds a card of %s already is not known: %s", channel, marks[0], error
            )
            return ""
        return ts

    def _has_moved(self, cluster: str, place: CardPlace) -> bool:
        """Whether the cluster has another channel now, and the one that the card stands in is closed."""
        return (
            bool(self._slack.reach.why_closed(place.channel))
            and self._channel(cluster, place.channel) != place.channel
        )

    async def _never_shown(self, name: str, place: CardPlace | None) -> None:
        """It is over and nobody in Slack ever saw it: there is nothing to keep true."""
        if place is not None:
            await self._cards.put(name, replace(place, final=True))

    def _channel(self, cluster: str, asked_in: str) -> str:
        """The cluster's own, where everyone concerned reads; where it has none, the one that it was asked for in."""
        channel = self._channels.get(cluster, "") or asked_in
        if not channel:
            raise Closed("", f"{cluster} has no channel of its own (`clusters.{cluster}.channel`)")
        return channel

    # Runs

    def run_changed(self, progress: Progress) -> None:
        """Remember the newest and wake the run's worker. Never waits."""
        name = progress.run.id
        before = self._newest.get(name)
        if before is not None and before.run.over:
            return
        if progress.cluster is None and before is not None and not progress.run.over:
            # A person's decision carries no look; what was last seen still stands.
            progress = replace(
                progress, cluster=before.cluster, waits_for=before.waits_for, until=before.until
            )
        self._newest[name] = progress
        self._news.setdefault(name, asyncio.Event()).set()
        if name not in self._workers or self._workers[name].done():
            failed = partial(self._failed, progress.run.cluster)
            following = self._follow(name)
            self._workers[name] = self._tasks.start(following, f"card of {name}", failed, run=name)

    async def _follow(self, name: str) -> None:
        shown = ""
        shown_at = 0.0
        pause = TRY_AGAIN
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
                    if progress.run.over and await self._gives_up(name, error, pause):
                        self._forget(name)
                        return
                    await self._clock.sleep(pause)
                    pause = min(TRY_RARELY if is_permanent(error) else TRY_SELDOM, pause * 2)
                    continue
                shown, shown_at, pause = _meaning(card), now, TRY_AGAIN
                self._bulkheads.well(SHOWING, progress.run.cluster)
            if progress.run.over:
                self._forget(name)
                return
            # By the loop's own time, not the clock's: Slack's limits do not speed up with a pretend world.
            await asyncio.sleep(max(BETWEEN_EDITS, PER_LIVE_MESSAGE * len(self._workers)))
            await self._news[name].wait()

    async def _gives_up(self, name: str, error: Exception, pause: float) -> bool:
        """Whether a run that is over need not be shown by this worker: the token is refused, so it is owed; or Slack will not have it."""
        if (
            is_permanent(error)
            and pause >= TRY_RARELY
            and (place := await self._cards.get(name)) is not None
        ):
            log.error("how %s ended cannot be shown: %s", name, error)
            await self._cards.put(name, replace(place, final=True))
            return True
        return isinstance(error, TokenRefused)

    async def _card(self, progress: Progress) -> Card:
        """With what the audit was sealed with, once it is over: a message is out of reach for whoever rewrites the state."""
        card = views.run_card(progress)
        try:
            head = await self._reader.sealed(progress.run.id) if progress.run.over else None
        except Unreachable:
            head = None  # the head of a later run covers it too
        return replace(card, blocks=(*card.blocks, views.seal(head))) if head else card

    def _forget(self, name: str) -> None:
        for held in (self._newest, self._news, self._workers):
            held.pop(name, None)
        self._gone.pop(name, None)

    async def _show(self, run: Run, card: Card) -> None:
        place = await self._place(run)
        try:
            shown = await self._show_in_channel(run, card, place)
            if shown is None:
                return
            place = await self._tell_thread(run, await self._copies.no_more(run, shown))
        except Closed as closed:
            place = await self._cards.get(run.id) or CardPlace(closed.channel, "")
            await self._tell_thread(
                run, await self._copies.of_run(run, card, place, closed), closed=True
            )
            return
        owed = place.unattended and self._reader.progress(run.id) is None
        place = replace(place, final=run.over, unattended=owed)
        await self._cards.put(run.id, place)
        self._stands(run.id, run.cluster, place)

    def _stands(self, name: str, cluster: str, place: CardPlace) -> None:
        """Known here, too: where the state is lost, nothing else tells which messages go on saying what is not so any more."""
        if place.final:
            self._standing.pop(name, None)
        else:
            self._standing[name] = cluster, place

    async def _show_in_channel(
        self, run: Run, card: Card, place: CardPlace | None
    ) -> CardPlace | None:
        """Its message, as it is now. None: it says already how the run ended."""
        if place is None or not place.ts or self._has_moved(run.cluster, place):
            return await self._show_anew(run, card, place)
        if place.final and not run.over:
            return None  # another bot has shown how it ended, while Slack would not take this
        try:
            await self._slack.edit(place.channel, place.ts, card)
        except MessageGone as gone:
            self._gone[run.id] += 1
            if self._gone[run.id] > OFTEN:
                closed = Closed(
                    place.channel,
                    f"Slack lets the bot change no message in <#{place.channel}> ({gone})",
                )
                self._slack.reach.closes(closed, self._clock.now())
                raise closed from gone
            return replace(place, ts=await self._slack.post(place.channel, card, mark=run.id))
        self._gone.pop(run.id, None)
        return place

    async def _show_anew(self, run: Run, card: Card, place: CardPlace | None) -> CardPlace:
        """A card of its own. One that a bot posted before it died is found again, and so is the request's that became the run's."""
        channel = self._channel(run.cluster, run.channel)
        owed = replace(place or CardPlace("", ""), channel=channel, ts="")
        await self._cards.put(run.id, owed)  # should this bot die over it, another shows it
        marks, since = (
            (run.id, *([run.request] if run.request else [])),
            run.opened_at - (LONGEST_WAIT if run.request else 0.0),
        )
        if run.request.startswith(LATER):
            marks, since = (run.id,), run.opened_at
        first = place is None and len(marks) == 1
        return replace(owed, ts=await self._post(channel, card, marks, since, first=first))

    async def _place(self, run: Run) -> CardPlace | None:
        place = await self._cards.get(run.id)
        if place is not None or not run.request or run.request.startswith(LATER):
            return place  # what was planned for later may stand far above by now: its run has a message of its own
        # The request's own message becomes the run's.
        asked = await self._cards.get(run.request)
        if asked is not None:
            await self._cards.put(run.id, CardPlace(asked.channel, asked.ts))
            await self._cards.put(run.request, replace(asked, final=True))
            self._standing.pop(run.request, None)
        return await self._cards.get(run.id)

    async def _tell_thread(self, run: Run, place: CardPlace, *, closed: bool = False) -> CardPlace:
        """Each event is told in the thread once, also across restarts; where the channel is closed, to the run's people."""
        for index, event in enumerate(await self._reader.events(run.id, place.told), place.told):
            said = self._thread_words(event, run, index)
            if said and closed:
                await self._copies.say(place, said)
            elif said:
                await self._slack.post(place.channel, views.words_card(said), place.ts)
            place = replace(place, told=index + 1)
            if said:
                await self._cards.put(run.id, place)
        return place

    def _thread_words(self, event: Event, run: Run, index: int) -> str:
        if isinstance(event, Opened) and event.glass:
            return views.glass_notice(
                run, views.called(self._clusters.site(run.cluster).rules.approvers, run.requester)
            )
        return _thread_words(
            event, run, index, views.everyone(self._clusters.site(run.cluster).rules)
        )

    # Copies that nobody remembers

    async def pressed(self, name: str, channel: str, ts: str, mark: str) -> None:
        """Somebody pressed a button of this message about a request or run: a copy that nothing keeps true is brought up to date.

        `mark`: whose card the message is; "" where that was not said.
        """
        run, request = await self._about(name)
        cluster = run.cluster if run else request.plan.cluster if request else ""
        place = await self._cards.get(run.id if run else name)
        if run is not None and (place is None or not place.ts) and request is not None:
            place = await self._cards.get(request.id)  # its message is about to become the run's
        if place is not None and (ts == place.ts or ts in [t for _, _, t in place.copies]):
            return
        mark = mark or await self._slack.mark(channel, ts)
        if not mark or mark not in (name, run.id if run else name, run.request if run else name):
            return  # the card of something else, or none
        if place is None or not place.ts:
            if channel == self._channels.get(
                cluster
            ):  # no bot could remember it: from here on it is the card
                await self._cards.put(
                    run.id if run else name, replace(place or CardPlace(channel, ""), ts=ts)
                )
            return
        state = (
            f"`{run.id}` is {run.state}"
            if run
            else f"the request is {request.state}"
            if request
            else ""
        )
        link = await self._slack.link(place.channel, place.ts)
        where = f"<{link}|its message>" if link else f"its message in <#{place.channel}>"
        words = f"This copy is out of date: {state}. See {where}."
        with suppress(MessageGone):
            await self._slack.edit(channel, ts, views.words_card(words))

    async def _about(self, name: str) -> tuple[Run | None, Request | None]:
        """The run of that name, or the request and the run that it became."""
        try:
            return await self._reader.run(name), None
        except Refused:
            request = await self._reader.request(name)
            return (await self._reader.run(request.run) if request.run else None), request

    async def sweep(self) -> None:
        """Bring every message that is not final up to date: after a restart none may go on saying "in progress"."""
        for name in await self._cards.unfinished():
            cluster = await self._cluster_of(name)
            if cluster not in self._clusters.foreign:
                await self._bulkheads.keep("card", partial(self._sweep_card, name), cluster)

    async def _cluster_of(self, name: str) -> str:
        """Whose card it is; "" where that cannot be read."""
        cluster = name.rpartition("-")[0]
        if cluster in self._clusters:
            return cluster
        with suppress(Refused, BadRecord):
            return (await self._reader.request(name)).plan.cluster
        return ""

    async def _sweep_card(self, name: str) -> None:
        place = await self._cards.get(name)
        if place is not None and self._waits_for_its_channel(place):
            return
        owed = place is not None and place.unattended and self._reader.progress(name) is None
        if name in self._workers and not owed:
            await self._catch_up(name, back=place is not None and self._is_back(place))
            return
        try:
            run = await self._reader.run(name)
        except Refused:
            await self._sweep_request(name, owed=owed)
            return
        if run.over or run.state is State.STOPPED or (owed and await self._is_news(run)):
            self.run_changed(Progress(run, None, "", None, "", self._clock.now()))

    def _waits_for_its_channel(self, place: CardPlace) -> bool:
        """People were told all of it in private; the card itself is shown when its channel is open, or the cluster has another."""
        closed = (
            self._slack.reach.why_closed(place.channel) and place.channel in self._channels.values()
        )
        return bool(closed) and place.copied.startswith(OVER)

    def _is_back(self, place: CardPlace) -> bool:
        """People read it in private, and the channel that its card stands in is open again: the card must say the same."""
        return bool(place.copies) and not self._slack.reach.why_closed(place.channel)

    async def _catch_up(self, name: str, *, back: bool) -> None:
        """A run may have been ended by another bot that died over it, or by a press whose answer was lost: nobody here was told."""
        shown = self._newest[name].run
        run = await self._reader.refreshed(shown)
        if (back or run.events > shown.events) and (run.over or run.state is State.STOPPED):
            self.run_changed(Progress(run, None, "", None, "", self._clock.now()))

    async def _is_news(self, run: Run) -> bool:
        """Whether the journal knows more of a run than was shown, by any bot: a process without Slack drives it."""
        shown = self._newest.get(run.id)
        new = shown is None or shown.run.events < run.events
        return new and await self._once.claim(run_news_once(run.id, run.events), within=600.0)

    async def _sweep_request(self, name: str, *, owed: bool) -> None:
        request = await self._reader.request(name)
        if request.state is RequestState.APPROVED and request.run and not request.later:
            await self._hand_over(request)
            return
        first = (
            owed
            and request.state is RequestState.OPEN
            and await self._once.claim(request_once(name), within=60.0)
        )
        if first or request.state is not RequestState.OPEN:
            self.request_changed(request)

    async def _hand_over(self, request: Request) -> None:
        """The request's message is its run's. A bot may have died before that was written down, or before the run's end was shown."""
        asked, taken = (
            await self._cards.get(request.id),
            await self._cards.get(request.run),
        )
        if asked is not None and taken is not None:
            if asked.ts != taken.ts:
                with suppress(MessageGone):
                    await self._slack.edit(
                        asked.channel,
                        asked.ts,
                        views.request_card(request, self._approvers(request)),
                    )
            await self._cards.put(request.id, replace(asked, final=True))
            return
        run = await self._reader.run(request.run)
        if run.over or run.state is State.STOPPED:
            self.run_changed(Progress(run, None, "", None, "", self._clock.now()))

    def lost(self, loss: Loss) -> None:
        """The state is gone: every message that stands open says so, as far as this bot knows of it. Never waits."""
        for task in self._workers.values():
            task.cancel()
        runs = {name: progress.run for name, progress in self._newest.items()}
        for name, (cluster, place) in self._standing.items():
            card = views.lost_card(cluster, loss.why, runs.get(name))
            failed = partial(self._failed, cluster)
            self._tasks.start(self._say_lost(place, card), f"card of {name}, which is lost", failed)
        for held in (self._newest, self._news, self._workers, self._standing):
            held.clear()

    async def _say_lost(self, place: CardPlace, card: Card) -> None:
        while True:
            try:
                await self._slack.edit(place.channel, place.ts, card)
            except MessageGone:
                return
            except Unreachable as error:
                log.warning("a card that is lost: %s", error)
                await self._clock.sleep(TRY_AGAIN)
            else:
                return

    async def aclose(self) -> None:
        """Let what is being sent go out, then stop."""
        await self._tasks.cancel()


def _meaning(card: Card) -> str:
    return f"{card.text}{card.blocks}"


def _thread_words(event: Event, run: Run, index: int, people: str) -> str:
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
