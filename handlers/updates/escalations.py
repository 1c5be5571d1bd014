"""Repeats what waits for a person, to more and more people, and at last calls on-call outside; until it is over or acknowledged."""

import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from handlers.slack.blocks import Card, actions, button, escape, section
from handlers.slack.client import SlackClient
from handlers.views import mentions, plain
from services.access.policy import Actor, Rules, may_operate, raise_if_denied
from services.cloud.clients.oncall import Action, OnCall, Page, Severity
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import Refused, Unreachable
from services.common.text import duration
from services.memory.escalations import EscalationNotes
from services.memory.message_refs import MessageRefs
from services.memory.schedule import read_book
from services.operations.reader import ClusterReader
from services.runs.run import Run, State
from services.schedule.escalation import Audience, Call, Matter, Told, decide, over
from services.schedule.scheduler import WindowScheduler
from services.windows.exceptions import DAY

log = logging.getLogger(__name__)
PART = "escalations"
ACKNOWLEDGE = "ack"
TRIES = 5
LOOK_EVERY = 25.0
AGAIN = 60.0  # seconds until outside is called again that could not be


class Escalations:
    """Looks at every cluster in each round. What was told is noted before it is told: said once too little is better than by every bot."""

    def __init__(
        self,
        reader: ClusterReader,
        notes: EscalationNotes,
        cards: MessageRefs,
        bulkheads: Bulkheads,
        hours: WindowScheduler,
        voice: SlackClient,
        clock: Clock,
        channels: Mapping[str, str],
        oncall: OnCall | None,
    ) -> None:
        self._reader = reader
        self._clusters = reader.clusters
        self._notes = notes
        self._cards = cards
        self._bulkheads = bulkheads
        self._hours = hours
        self._voice = voice
        self._clock = clock
        self._channels = channels
        self._oncall = oncall
        self._next: dict[str, float] = {}  # when a cluster is looked at again
        self._later: dict[str, float] = {}  # when outside is called again, by matter

    async def sweep(self) -> None:
        """One round over every cluster."""
        await self._bulkheads.each(PART, self._clusters.ours, self._sweep)

    async def _sweep(self, name: str) -> None:
        text, raw = await self._notes.read(name)
        if not await self._may_wait(name, noted=bool(raw)):
            return
        told = {key: _read(said) for key, said in raw.items()}
        matters = await self._matters(name)
        ended = over(told, matters)
        calls = [
            c for m in matters if (c := decide(m, told.get(m.key), self._clock.now())) is not None
        ]
        calls = [c for c in calls if c.says or c.matter.key not in told or self._may_page(c)]
        if not calls and not ended:
            return
        fresh = {c.matter.key: {**raw.get(c.matter.key, {}), **asdict(c.after)} for c in calls}
        after = {k: v for k, v in raw.items() if k not in ended} | fresh
        if not await self._notes.write(name, text, after):
            return  # another bot is at it
        for call in calls:
            await self._carry_out(name, call)
        for key, one in ended.items():
            await self._end(
                name, key, one, goes_on=any(m.run and f":{m.run}:" in key for m in matters)
            )

    async def _may_wait(self, name: str, *, noted: bool) -> bool:
        """Whether it is worth a closer look: on most days nothing waits, and to think a schedule through costs time."""
        now = self._clock.now()
        if now < self._next.get(name, 0.0):
            return False
        book, holder, _ = await self._reader.stamp(name)
        held = read_book(book).exceptions.hold(now) is not None
        if not (noted or holder or held or self._hours.may_wait(name)):
            return False
        self._next[name] = now + LOOK_EVERY
        return True

    def _may_page(self, call: Call) -> bool:
        return (
            call.pages
            and self._oncall is not None
            and self._clock.now() >= self._later.get(call.matter.key, 0.0)
        )

    async def _carry_out(self, name: str, call: Call) -> None:
        paged = (
            "on-call is called outside of Slack"
            if self._may_page(call) and await self._page("trigger", call.matter)
            else ""
        )
        if paged:
            await self._note(name, call.matter.key, outside=True)
        channel = self._channels.get(name, "")
        if call.says and channel:
            link = await self._link(call.matter.run)
            card = matter_card(call, self._people(name, call), link, paged, self._clock.now())
            await self._voice.post(channel, card)

    async def _page(self, action: Action, matter: Matter) -> bool:
        """Whether somebody outside was told."""
        if self._oncall is None:
            return False
        severity: Severity = "critical" if matter.urgent else "error"
        page = Page(
            action,
            f"{matter.cluster}/{matter.key}",
            matter.cluster,
            plain(matter.summary),
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

    async def _end(self, name: str, key: str, one: Told, *, goes_on: bool) -> None:
        """It is over. `goes_on`: the same run waits for people still, and there is more to say about that by now."""
        self._later.pop(key, None)
        if one.outside and not await self._page(
            "resolve", Matter(key, name, one.since, one.summary)
        ):
            log.error("%s of %s: %s is over, and outside does not know", PART, name, key)
        channel = self._channels.get(name, "")
        if one.times and channel and not goes_on:
            text = f"*Resolved* · {one.summary} · after {duration(self._clock.now() - one.since)}"
            await self._voice.post(channel, Card(plain(text), (section(text),)))

    async def _note(self, name: str, key: str, **more: object) -> Told | None:
        """Change what is noted of one matter. None: it is over."""
        for _ in range(TRIES):
            text, raw = await self._notes.read(name)
            if key not in raw:
                return None
            after = {**raw, key: {**raw[key], **more}}
            if await self._notes.write(name, text, after):
                return _read(after[key])
        raise Unreachable(
            f"what waits for people of {name} is changed by others at this very moment"
        )

    async def acknowledge(self, value: str, actor: Actor) -> Card:
        """Somebody sees to it: nothing more is repeated until it is over."""
        name, _, key = value.partition("|")
        self._clusters.named(name, actor)
        rules = self._clusters.site(name).rules
        if actor.user not in rules.approvers:
            raise_if_denied(may_operate(actor, rules))
        _, raw = await self._notes.read(name)
        if key in raw and (before := _read(raw[key]).by):
            raise Refused(f"<@{before}> has acknowledged it already")
        told = await self._note(name, key, by=actor.user)
        if told is None:
            raise Refused("this is over already; nothing was changed")
        if told.outside:
            await self._page("acknowledge", Matter(key, name, told.since, told.summary))
        text = f"{actor.mention} has acknowledged: {told.summary}. It is not repeated until it is over."
        if channel := self._channels.get(name, ""):
            await self._voice.post(channel, Card(plain(text), (section(text),)))
        return Card(
            "Acknowledged.", (section("Acknowledged. Nothing was changed on the cluster."),)
        )

    # What waits for people

    async def _matters(self, name: str) -> list[Matter]:
        schedule, run = await self._hours.schedule(name), await self._reader.open_run(name)
        found: list[Matter] = []
        late = schedule.overdue
        if late is not None and late.late(self._clock.now()):
            words = f"*{name} should be in service and is not* · {escape(late.why)}"
            since = late.by if late.moves else min(late.by, late.edge.start)
            found.append(
                Matter(
                    f"opening:{late.edge.name}",
                    name,
                    since,
                    words,
                    urgent=not late.moves,
                    run=late.run,
                )
            )
        if (
            run is not None
            and (late is None or late.run != run.id or not found)
            and (matter := await self._of_run(run)) is not None
        ):
            found.append(matter)
        hold, edge = await self._hours.unheld(name)
        # One that keeps it from closing for a night does what it is for, and is told once; after a day it may be forgotten.
        if (
            hold is not None
            and edge is not None
            and (edge.kind == "open" or self._clock.now() - hold.since > DAY)
        ):
            verb = "open" if edge.kind == "open" else "close"
            words = f"*{name} is still on hold* · {hold.by} · {hold.reason} · it did not {verb} at {edge.local.partition('T')[2][:5]}"
            widest = Audience.OUTSIDE if edge.kind == "open" else Audience.REQUESTER
            found.append(
                Matter(
                    f"lock:{hold.since:.3f}", name, edge.at, words, _members(hold.by), widest=widest
                )
            )
        return found

    async def _of_run(self, run: Run) -> Matter | None:
        who = () if run.requester.window else (run.requester.user,)
        if run.state is State.STOPPED:
            since = (await self._reader.events(run.id, run.events - 1))[-1].at
            words = f"*{run.id} has stopped* · {escape(run.stopped)}"
            return Matter(f"stop:{run.id}:{run.events}", run.cluster, since, words, who, run=run.id)
        question = run.question
        if question is None or (question.default and not question.default_after):
            return None
        words = f"*{run.id} needs a decision* · {escape(question.text)}"
        return Matter(
            f"question:{run.id}:{question.id}", run.cluster, run.question_at, words, who, run=run.id
        )

    def _people(self, name: str, call: Call) -> str:
        rules: Rules = self._clusters.site(name).rules
        people = set(call.matter.who)
        if call.audience >= Audience.APPROVERS:
            people |= rules.approvers
        if call.audience >= Audience.OPERATORS:
            people |= rules.changers
        return mentions(frozenset(people))

    async def _link(self, run: str) -> str:
        place = await self._cards.get(run) if run else None
        return (
            await self._voice.link(place.channel, place.ts)
            if place is not None and place.ts
            else ""
        )


def matter_card(call: Call, people: str, link: str, paged: str, now: float) -> Card:
    """One repetition."""
    matter = call.matter
    waits = f"waiting for {duration(now - call.after.since)}"
    text = " · ".join(
        filter(
            None,
            (
                f":rotating_light: {matter.summary}",
                waits,
                paged,
                f"<{link}|its message>" if link else "",
                people,
            ),
        )
    )
    row = actions(button("Acknowledge", ACKNOWLEDGE, f"{matter.cluster}|{matter.key}"))
    return Card(plain(text), (section(text), row))


def _members(mention: str) -> tuple[str, ...]:
    return tuple(re.findall(r"<@([A-Z0-9]+)>", mention))


def _read(said: Mapping[str, Any]) -> Told:
    """As it was stored, by this version or another one."""
    known = {f.name for f in fields(Told)}
    return Told(**{key: value for key, value in said.items() if key in known})
