"""Makes timelines: gathers what each source tells about a run or a span of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.access.clusters import ClusterRegistry
from services.access.policy import Actor
from services.audit.entries import AuditAction, AuditRecord, Entry, read_entry
from services.cloud.account_events import AccountEvent, AccountEvents
from services.cluster.model import Fact, short_name
from services.common.clock import Clock
from services.common.errors import BotError, Refused
from services.memory.message_refs import MessageRefs
from services.operations.reader import ClusterReader
from services.runs.journal import Journal
from services.runs.run import Run
from services.store import Commit, Store
from services.store.keys import run_log_key
from services.timeline import Export, Moment, Source, Timeline, export_of, ordered
from services.timeline.told_by_runs import (
    MOST_SKEW,
    Span,
    audit_moments,
    bounded,
    run_moments,
    spans_of,
)

# Runs of a span that are read, the newest ones.
MOST_RUNS = 50
LONGEST_SPAN = 7 * 86400.0
FACTS = frozenset({Fact.DROPLETS, Fact.POOL})


@dataclass(frozen=True)
class TimelineReport:
    """A timeline, what it is about, and its export, which the audit vouches for.

    `run`: the run that it is about; None for a span.
    """

    cluster: str
    subject: str
    timeline: Timeline
    export: Export
    run: Run | None = None


class Timelines:
    """Gathers sources. One that does not answer is named in the timeline: it is never empty."""

    def __init__(
        self,
        clusters: ClusterRegistry,
        store: Store,
        clock: Clock,
        journal: Journal,
        reader: ClusterReader,
        messages: MessageRefs,
    ) -> None:
        self._clusters = clusters
        self._store = store
        self._clock = clock
        self._journal = journal
        self._reader = reader
        self._messages = messages

    async def of_run(self, run: Run, actor: Actor) -> TimelineReport:
        """Return the timeline of a run, from its request to its end."""
        ends = run.ended_at or self._clock.now()
        entries = await self._entries(run.cluster)
        requested = [e.at for e in entries if e.about == run.request and run.request]
        begins = min([run.opened_at, *requested])
        return await self._make(run.cluster, run.id, begins, ends, entries, [run], actor, run)

    async def of_span(self, name: str, begins: float, ends: float, actor: Actor) -> TimelineReport:
        """Return the timeline of a cluster in a span of time."""
        if ends - begins > LONGEST_SPAN:
            raise Refused("a timeline covers 7 days at most")
        runs = []
        for run_id in await self._journal.latest(name, MOST_RUNS):
            run = await self._reader.run(run_id)
            if run.opened_at <= ends and (run.ended_at or self._clock.now()) >= begins:
                runs.append(run)
        entries = await self._entries(name)
        return await self._make(name, name, begins, ends, entries, runs[::-1], actor)

    async def _entries(self, name: str) -> list[Entry]:
        texts = await self._journal.chain.texts(name)
        return [entry for entry in map(read_entry, texts) if entry is not None]

    async def _make(
        self,
        name: str,
        subject: str,
        begins: float,
        ends: float,
        entries: Sequence[Entry],
        runs: Sequence[Run],
        actor: Actor,
        run: Run | None = None,
    ) -> TimelineReport:
        moments: list[Moment] = []
        spans: list[Span] = []
        gone: dict[int, str] = {}
        for one in runs:
            gone |= {node: f"droplet {node}" for node in one.plan.nodes or ()}
            events = await self._journal.events(one.id)
            texts = await self._store.read(run_log_key(one.id))
            count = min(len(events), len(texts))  # it may grow in between
            told = run_moments(events[:count], texts[:count])
            spans += spans_of(events[:count], told)
            moments += [m for m in told if begins <= m.at <= ends]
        inside = [e for e in entries if begins <= e.at <= ends and _concerns(e, run)]
        moments += audit_moments(inside, moments)
        moments += await self._cards(name, runs, moments, entries)
        found, stack = await self._account(name, gone, begins, ends)
        moments += _of_account(found.events, spans, stack)
        timeline = ordered(moments, found.missing)
        export = export_of(name, subject, begins, ends, timeline, self._clock.now())
        made = AuditRecord(
            AuditAction.EXPORTED,
            actor,
            subject,
            after=f"{len(export.lines)} lines",
            proof=export.last_hash,
        )
        await self._journal.chain.commit(Commit(), name, made)
        return TimelineReport(name, subject, timeline, export, run)

    async def _cards(
        self, name: str, runs: Sequence[Run], told: Sequence[Moment], entries: Sequence[Entry]
    ) -> list[Moment]:
        """Return when the cards of these runs were posted, by Slack's clock.

        A run that was approved edits the card of its request.
        """
        cards = []
        for run in runs:
            place = await self._messages.get(run.id)
            requested = (e.at for e in entries if run.request and e.about == run.request)
            opened = (m.at for m in told if m.about == run.id)
            began = next(requested, next(opened, None))
            if place is None or not place.ts:
                continue
            text = f"shows the card of {run.id} in the channel of {name}"
            cards.append(Moment(float(place.ts), Source.SLACK, text, run.id, after=began))
        return cards

    async def _account(
        self, name: str, gone: Mapping[int, str], begins: float, ends: float
    ) -> tuple[AccountEvents, str]:
        """Return what DigitalOcean tells, and the stack's name.

        `gone`: droplets of the runs, by id, of which some may be deleted.
        """
        world = self._clusters.cluster(name).world
        try:
            cluster = await world.observe(FACTS, tolerates=FACTS)
            droplets = (*cluster.masters, *(n.droplet for n in cluster.media))
            names = {**gone, **{d.id: d.name for d in droplets}}
            pool = cluster.pool.id if cluster.pool is not None else ""
            # Its clock may differ: what seems to be just outside may be inside.
            found = await world.account_events(names, pool, begins - MOST_SKEW, ends + MOST_SKEW)
        except BotError as error:
            return AccountEvents(missing=(f"DigitalOcean's actions: {error}",)), ""
        return found, cluster.stack


def _concerns(entry: Entry, run: Run | None) -> bool:
    return run is None or entry.about in (run.id, run.request)


def _of_account(events: Sequence[AccountEvent], spans: Sequence[Span], stack: str) -> list[Moment]:
    moments, fits = [], []
    for event in events:
        text = " · ".join(filter(None, (f"{event.kind} ({event.status})", event.why)))
        source = Source.DIGITALOCEAN if event.droplet else Source.POOL
        moments.append(
            Moment(event.began, source, text, short_name(event.name, stack), until=event.ended)
        )
        fits.append(
            [s for s in spans if s.asked_for(event.kind, event.droplet, event.name)]
            if event.droplet
            else [s for s in spans if s.asked_the_pool]
        )
    return bounded(moments, fits)
