"""Escalates what waits for a person: to more people each time, at last to on-call outside Slack.

Until it is over or acknowledged.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from handlers.slack.blocks import Card, actions, button, escape, header, section
from handlers.slack.client import SlackClient
from handlers.slack.markup import markup, time_of_day
from handlers.views import mentions, without_formatting
from services.access.clusters import raise_if_denied
from services.access.policy import Actor, ClusterPolicy, may_operate
from services.cloud.clients.oncall import Action, OnCallPage, OnCallPager, Severity
from services.common.bulkheads import AT_ONCE, Bulkheads
from services.common.clock import Clock
from services.common.errors import Refused, Unreachable
from services.common.text import duration
from services.memory.escalations import EscalationNotes
from services.memory.message_refs import MessageRefs
from services.memory.schedule import read_book
from services.operations.reader import ClusterReader
from services.runs.run import Run, State
from services.schedule.escalation import (
    Audience,
    Escalation,
    EscalationState,
    WaitingMatter,
    decide,
    no_longer_waiting,
)
from services.schedule.overdue import Overdue
from services.schedule.scheduler import WindowScheduler
from services.windows import Edge, Hold
from services.windows.exceptions import DAY

log = logging.getLogger(__name__)
PART = "escalations"
ACKNOWLEDGE = "ack"
TRIES = 5
LOOK_EVERY = 25.0  # seconds between two closer looks at a cluster
AGAIN = 60.0  # seconds until on-call that could not be reached is called again


class Escalations:
    """Looks at every cluster in each round.

    A notification is stored before it is posted: one too few is better than one by every bot.
    """

    def __init__(
        self,
        reader: ClusterReader,
        notes: EscalationNotes,
        cards: MessageRefs,
        bulkheads: Bulkheads,
        scheduler: WindowScheduler,
        slack: SlackClient,
        clock: Clock,
        channels: Mapping[str, str],
        oncall: OnCallPager | None,
    ) -> None:
        self._reader = reader
        self._clusters = reader.clusters
        self._notes = notes
        self._cards = cards
        self._bulkheads = bulkheads
        self._scheduler = scheduler
        self._slack = slack
        self._clock = clock
        self._channels = channels
        self._oncall = oncall
        # When a cluster is looked at again, and when on-call is called again, by matter's key
        # (epoch seconds).
        self._next: dict[str, float] = {}
        self._later: dict[str, float] = {}

    async def sweep(self) -> None:
        """Do one round over every cluster."""
        await self._bulkheads.run_each(
            PART, self._clusters.driven, self._sweep, together=True, at_once=AT_ONCE
        )

    async def _sweep(self, name: str) -> None:
        text, raw = await self._notes.read(name)
        if not await self._may_wait(name, noted=bool(raw)):
            return
        told = {key: _read(entry) for key, entry in raw.items()}
        matters = await self._matters(name)
        ended, now = no_longer_waiting(told, matters), self._clock.now()
        decided = [call for m in matters if (call := decide(m, told.get(m.key), now)) is not None]
        calls = [c for c in decided if c.says or c.matter.key not in told or self._may_page(c)]
        if not calls and not ended:
            return
        fresh = {c.matter.key: {**raw.get(c.matter.key, {}), **asdict(c.after)} for c in calls}
        after = {k: v for k, v in raw.items() if k not in ended} | fresh
        if not await self._notes.write(name, text, after):
            # Another bot escalates the same.
            return
        for call in calls:
            await self._carry_out(name, call)
        for key, one in ended.items():
            goes_on = any(m.run and f":{m.run}:" in key for m in matters)
            await self._end(name, key, one, goes_on=goes_on)

    async def _may_wait(self, name: str, *, noted: bool) -> bool:
        """Tell whether a closer look is worth it: computing a schedule takes time."""
        now = self._clock.now()
        if now < self._next.get(name, 0.0):
            return False
        book, holder, _ = await self._reader.stamp(name)
        held = read_book(book).exceptions.hold(now) is not None
        if not (noted or holder or held or self._scheduler.is_late(name)):
            return False
        self._next[name] = now + LOOK_EVERY
        return True

    def _may_page(self, call: Escalation) -> bool:
        return (
            call.pages
            and self._oncall is not None
            and self._clock.now() >= self._later.get(call.matter.key, 0.0)
        )

    async def _carry_out(self, name: str, call: Escalation) -> None:
        paged = ""
        if self._may_page(call) and await self._page("trigger", call.matter):
            paged = "on-call was paged"
            await self._note(name, call.matter.key, outside=True)
        channel = self._channels.get(name, "")
        if call.says and channel:
            link = await self._link(call.matter.run)
            card = matter_card(call, self._people(name, call), link, paged)
            await self._slack.post(channel, card)

    async def _page(self, action: Action, matter: WaitingMatter) -> bool:
        """Call on-call outside Slack; return whether that worked."""
        if self._oncall is None:
            return False
        severity: Severity = "error"
        if matter.urgent:
            severity = "critical"
        page = OnCallPage(
            action,
            f"{matter.cluster}/{matter.key}",
            matter.cluster,
            without_formatting(matter.summary),
            severity,
            self._clock.now(),
        )
        try:
            await self._oncall.send(page)
        except Unreachable as error:
            log.warning("%s of %s: %s", PART, matter.cluster, error)
            self._later[matter.key] = self._clock.now() + AGAIN
            return False
        return True

    async def _end(self, name: str, key: str, one: EscalationState, *, goes_on: bool) -> None:
        """Post that a matter is over. `goes_on`: not, as the same run waits for people again."""
        self._later.pop(key, None)
        resolved = WaitingMatter(key, name, one.since, one.summary)
        if one.outside and not await self._page("resolve", resolved):
            log.error("%s of %s: %s is over, and outside does not know", PART, name, key)
        channel = self._channels.get(name, "")
        if one.times and channel and not goes_on:
            text = f"*Resolved* · {one.summary} · after {duration(self._clock.now() - one.since)}"
            await self._slack.post(channel, Card(without_formatting(text), (section(text),)))

    async def _note(self, name: str, key: str, **more: object) -> EscalationState | None:
        """Change what is stored about a matter; None when it is over."""
        for _ in range(TRIES):
            text, raw = await self._notes.read(name)
            if key not in raw:
                return None
            after = {**raw, key: {**raw[key], **more}}
            if await self._notes.write(name, text, after):
                return _read(after[key])
        raise Unreachable(f"the escalations of {name} are being changed by other bots")

    async def acknowledge(self, value: str, actor: Actor) -> Card:
        """Stop the escalation of a matter until it is over."""
        name, _, key = value.partition("|")
        self._clusters.resolve_name(name, actor)
        rules = self._clusters.cluster(name).rules
        if actor.user not in rules.approvers:
            raise_if_denied(may_operate(actor, rules))
        _, raw = await self._notes.read(name)
        if key in raw and (before := _read(raw[key]).by):
            raise Refused(f"<@{before}> has already acknowledged this")
        told = await self._note(name, key, by=actor.user)
        if told is None:
            raise Refused("this is already over; nothing was changed")
        if told.outside:
            await self._page("acknowledge", WaitingMatter(key, name, told.since, told.summary))
        acknowledged = f"{actor.mention} has acknowledged: {told.summary}."
        text = f"{acknowledged} This was the last reminder."
        if channel := self._channels.get(name, ""):
            await self._slack.post(channel, Card(without_formatting(text), (section(text),)))
        return Card(
            "Acknowledged.", (section("Acknowledged. Nothing was changed on the cluster."),)
        )

    # What waits for people

    async def _matters(self, name: str) -> list[WaitingMatter]:
        schedule, run = await self._scheduler.schedule(name), await self._reader.open_run(name)
        matters = []
        late = schedule.overdue
        if late is not None and late.late(self._clock.now()):
            matters.append(_opening(name, late))
        escalated = [m.run for m in matters]
        if run is not None and run.id not in escalated:
            matter = await self._of_run(run)
            if matter is not None:
                matters.append(matter)
        hold, edge = await self._scheduler.unheld(name)
        if hold is None or edge is None:
            return matters
        # A hold that prevents closing for a night does its job, and is notified of once; after a
        # day it may be forgotten.
        if edge.kind == "open" or self._clock.now() - hold.since > DAY:
            matters.append(_hold(name, hold, edge))
        return matters

    async def _of_run(self, run: Run) -> WaitingMatter | None:
        who: tuple[str, ...] = ()
        if not run.requester.is_window:
            who = (run.requester.user,)
        if run.state is State.STOPPED:
            since = (await self._reader.events(run.id, run.events - 1))[-1].at
            words = f"*{run.id} is paused* · {escape(run.stopped)}"
            return WaitingMatter(
                f"stop:{run.id}:{run.events}", run.cluster, since, words, who, run=run.id
            )
        question = run.question
        if question is None or (question.default and not question.default_after):
            return None
        words = f"*{run.id} needs a decision* · {escape(question.text)}"
        return WaitingMatter(
            f"question:{run.id}:{question.id}", run.cluster, run.question_at, words, who, run=run.id
        )

    def _people(self, name: str, call: Escalation) -> str:
        rules: ClusterPolicy = self._clusters.cluster(name).rules
        people = set(call.matter.who)
        if call.audience >= Audience.APPROVERS:
            people |= rules.approvers
        if call.audience >= Audience.OPERATORS:
            people |= rules.changers
        return mentions(frozenset(people))

    async def _link(self, run: str) -> str:
        """Return the permalink of a run's message; "" without one."""
        if not run:
            return ""
        place = await self._cards.get(run)
        if place is None or not place.ts:
            return ""
        return await self._slack.permalink(place.channel, place.ts)


def _opening(name: str, late: Overdue) -> WaitingMatter:
    words = f"*{name} should be in service and is not* · {escape(late.why)}"
    since = late.by
    if not late.moves:
        since = min(late.by, late.edge.start)
    key = f"opening:{late.edge.name}"
    return WaitingMatter(key, name, since, words, urgent=not late.moves, run=late.run)


def _hold(name: str, hold: Hold, edge: Edge) -> WaitingMatter:
    verb, widest = "close", Audience.REQUESTER
    if edge.kind == "open":
        verb, widest = "open", Audience.OUTSIDE
    at = edge.local.partition("T")[2][:5]
    words = f"*{name} is still on hold* · {hold.by} · {hold.reason} · it did not {verb} at {at}"
    key, who = f"lock:{hold.since:.3f}", _members(hold.by)
    return WaitingMatter(key, name, edge.at, words, who, widest=widest)


def matter_card(call: Escalation, people: str, link: str, paged: str) -> Card:
    """Return the card of one escalation. `link`: permalink of the run's message, or ""."""
    matter = call.matter
    where = ""
    if link:
        where = f"<{link}|its message>"
    since = f"waiting since {time_of_day(call.after.since)}"
    text = " · ".join(filter(None, (matter.summary, since, paged, where, people)))
    row = actions(button("Acknowledge", ACKNOWLEDGE, f"{matter.cluster}|{matter.key}"))
    title = f"{matter.cluster} needs you"
    body = section(f":rotating_light: {text}")
    return Card(f"{title}: {without_formatting(text)}", (header(title), body, row))


def _members(mention: str) -> tuple[str, ...]:
    return tuple(re.findall(r"<@([A-Z0-9]+)>", markup(mention)))


def _read(entry: Mapping[str, Any]) -> EscalationState:
    """Read what this or another version has stored."""
    known = {f.name for f in fields(EscalationState)}
    return EscalationState(**{key: value for key, value in entry.items() if key in known})
