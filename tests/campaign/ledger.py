"""The state store's content, read without a line of the bot.

The judge must not use the judged code.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulators.cloud.invariants import AgreedTerms
from tests.support.memory_store import MemoryStore

Json = dict[str, Any]
HEAVY = ("cuts_off", "blocks", "stops_masters", "edits_secrets", "special")
OVER = ("done", "cancelled", "abandoned", "rolled back", "left")
ROUNDED = 0.001  # The audit keeps milliseconds.


@dataclass
class RunRecord:
    """One run by its log: its state, and everything it was ever allowed to do."""

    name: str
    events: list[Json] = field(default_factory=list)
    state: str = ""
    question: Json | None = None
    reason: str = ""
    steps: list[Json] = field(default_factory=list)

    def hear(self, event: Json) -> None:
        """Apply one more entry."""
        self.events.append(event)
        match event["is"]:
            case "Opened":
                self.state = "running"
                self.steps += event["plan"]["steps"]
            case "Questioned":
                self.state, self.question = "asking", event["question"]
            case "Answered" if (
                self.question is not None and self.question["id"] == event["question"]
            ):
                self._answered(event["choice"])
            case "Recovering":
                self.steps += event["steps"]
            case "Stopped":
                self.state, self.question, self.reason = "stopped", None, event["reason"]
            case "Resumed":
                self.state = "running"
            case "Ended":
                self.state, self.question = str(event["how"]), None

    def _answered(self, choice: str) -> None:
        assert self.question is not None, "only an open question is answered"
        picked: Json = next((c for c in self.question["choices"] if c["id"] == choice), {})
        self.steps += picked.get("steps") or []
        self.state, self.question = "running", None

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def stack(self) -> str:
        return self.name.rpartition("-")[0]

    @property
    def ended_at(self) -> float:
        return float(self.events[-1]["at"]) if self.over else float("inf")

    @property
    def harmless(self) -> bool:
        """Whether no one else had to approve it."""
        return not self.heavy

    @property
    def heavy(self) -> list[str]:
        """The parts that someone else had to approve."""
        return [e for e in HEAVY if self.plan["effects"][e]]

    @property
    def opened(self) -> Json:
        return self.events[0]

    @property
    def plan(self) -> Json:
        plan: Json = self.opened["plan"]
        return plan

    @property
    def procedure(self) -> str:
        return str(self.plan["procedure"]["is"])

    def terms(self) -> AgreedTerms:
        """What people agreed to: the approved plan, and the answers.

        Messages say whom it ends for.
        """
        kinds = {s["is"] for s in self.steps}
        return AgreedTerms(
            rolling="RestartService" in kinds
            or any(s["is"] == "PowerOff" and s.get("media_stays") for s in self.steps),
            kept=frozenset(
                i for s in self.steps if s["is"] == "PowerOff" for i in s.get("kept") or ()
            ),
            template_keys=frozenset({"size"} if "TemplateSize" in kinds else ()),
        )


class StackHistory:
    """The runs of one stack, and the requests that they came from."""

    def __init__(self, store: MemoryStore, stack: str) -> None:
        self._store = store
        self.stack = stack
        self._tales: dict[str, RunRecord] = {}

    def names(self) -> list[str]:
        """Return every run, oldest first."""
        return list(self._store.entries(f"runs:{self.stack}"))

    def tale(self, name: str) -> RunRecord:
        """Return one run."""
        entries = self._store.entries(f"run:{name}")
        tale = self._tales.get(name)
        if tale is None or len(tale.events) > len(entries):  # A fail-over can revert entries.
            tale = self._tales[name] = RunRecord(name)
        for text in entries[len(tale.events) :]:
            tale.hear(json.loads(text))
        return tale

    def tales(self) -> list[RunRecord]:
        """Return every run."""
        return [self.tale(n) for n in self.names()]

    def newest(self) -> RunRecord | None:
        """Return the newest run."""
        names = self.names()
        return self.tale(names[-1]) if names else None

    def holder(self) -> str | None:
        """Return which run has locked the cluster."""
        return self._store.text(f"claim:{self.stack}")

    def pending(self) -> list[str]:
        """Return requests that wait for approval."""
        return [
            r
            for r in json.loads(self._store.text(f"pending:{self.stack}") or "[]")
            if self.request(r).get("state") == "open"
        ]

    def request(self, name: str) -> Json:
        """Return one request."""
        document: Json = json.loads(self._store.text(f"request:{name}") or "{}")
        return document

    def requests(self) -> list[Json]:
        """Return every request of this cluster in the state."""
        documents = [
            self.request(k.partition(":")[2])
            for k in self._store.values()
            if k.startswith("request:")
        ]
        return [r for r in documents if r and r["plan"]["cluster"] == self.stack]

    def holds(self) -> list[tuple[float, float]]:
        """Return the intervals in which the cluster was on hold, by the audit."""
        intervals: list[tuple[float, float]] = []
        for entry in map(json.loads, self._store.entries(f"audit:{self.stack}")):
            if entry["what"] == "put on hold":
                until = (
                    datetime.strptime(entry["after"], "until %Y-%m-%d %H:%M UTC")
                    .replace(tzinfo=UTC)
                    .timestamp()
                )
                intervals.append((float(entry["at"]), until))
            elif entry["what"] == "hold ended" and intervals:
                intervals[-1] = intervals[-1][0], float(entry["at"])
        return intervals

    def held(self, at: float) -> bool:
        """Return whether it was on hold at that moment."""
        return any(since < at < until for since, until in self.holds())

    def acts_of(self, user: str, since: float, until: float) -> bool:
        """Return whether the audit has a decision of this user in that interval."""
        entries = map(json.loads, self._store.entries(f"audit:{self.stack}"))
        return any(
            e["user"] == user and since - ROUNDED <= float(e["at"]) <= until for e in entries
        )

    def texts(self) -> Iterator[str]:
        """Return everything in the state."""
        yield from self._store.values().values()
        for name in self._store.logs_now():
            yield from self._store.entries(name)

    def tale_at(self, moment: float) -> RunRecord | None:
        """Return the run that had locked the cluster at that moment, or the last one before."""
        begun = [t for t in self.tales() if t.events and t.opened["at"] <= moment]
        return begun[-1] if begun else None

    def terms(self) -> AgreedTerms:
        """Return what people have agreed to on this stack at this moment."""
        newest = self.newest()
        return newest.terms() if newest is not None else AgreedTerms()

    # --- what must be true of it

    def faults(self) -> Iterator[str]:
        """Return what is wrong with these runs, whatever the world did to them."""
        before: RunRecord | None = None
        for tale in self.tales():
            if (
                not tale.events
                or tale.opened["is"] != "Opened"
                or any(e["is"] == "Opened" for e in tale.events[1:])
            ):
                yield f"{tale.name} does not begin with its opening, once"
                continue
            if before is not None and (
                not before.over or before.events[-1]["at"] > tale.opened["at"]
            ):
                yield f"two runs in one cluster: {tale.name} began before {before.name} was over"
            yield from _own_faults(tale)
            before = tale

    def endings(self) -> Iterator[str]:
        """Return what is wrong when everything should be over."""
        for tale in self.tales():
            if not tale.over:
                yield f"{tale.name} never ended: {tale.state} {tale.reason}"
        if (holder := self.holder()) and self.tale(holder).over:
            yield f"{holder} is over and still has the cluster"


def _own_faults(tale: RunRecord) -> Iterator[str]:
    ends = [n for n, e in enumerate(tale.events) if e["is"] == "Ended"]
    if ends and ends[0] != len(tale.events) - 1:
        yield f"{tale.name} goes on after its end: {[e['is'] for e in tale.events[ends[0] :]]}"
    if ends and tale.events[ends[0]]["how"] not in OVER:
        yield f"{tale.name} ends in no state that has a name: {tale.events[ends[0]]['how']}"
    epochs = [e["epoch"] for e in tale.events if e["is"] == "Taken"]
    if epochs != sorted(set(epochs)):
        yield f"{tale.name} was taken by two workers in one epoch: {epochs}"
    yield from _unapproved(tale)


def _unapproved(tale: RunRecord) -> Iterator[str]:
    opened = tale.opened
    others = [a for a in opened["approvers"] if a["user"] != opened["requester"]["user"]]
    if tale.heavy and not others and not opened.get("glass"):
        yield (
            f"{tale.name} was run without anybody else's approval, and it "
            f"{' and '.join(tale.heavy)}"
        )
