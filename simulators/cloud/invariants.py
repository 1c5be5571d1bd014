"""The invariants of the pretend cloud: what its operator must never cause.

They know nothing of how the operator works.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from simulators.cloud import events
from simulators.cloud.model import (
    MEDIA_SERVERS,
    Loss,
    SimulatedDroplet,
    SimulatedMeeting,
    Violation,
)
from simulators.cloud.state import CloudState
from simulators.cloud.timeline import EventCause

IMAGE_KEY = "image"
UNKNOWABLE = 60.0
"""Seconds for which the operator is not blamed for what another administrator did."""
LONG_AGO = float("-inf")


@dataclass(frozen=True)
class AgreedTerms:
    """What people have agreed to on one stack at this moment.

    A test that declares them must not ask the operator's own code.
    """

    rolling: bool = False
    """Masters may stop one at a time, with the media nodes up."""
    kept: frozenset[int] = frozenset()
    """Media droplets that may stay, drained, while the masters stop."""
    thrown_out: bool = False
    """People may lose their meetings."""
    template_keys: frozenset[str] = frozenset()
    """Keys of the pool's template that may change."""
    agents_cut: bool = False
    """Agents may end while people meet on their node."""
    at_work: bool = True
    """Whether the operator changes something there, or did a moment ago.

    Otherwise it is the cloud's own doing.
    """


class Invariants:
    """Listens to the events of the cloud and records every broken promise.

    One class although it is long: each rule needs the same causes, terms and touched droplets.
    """

    def __init__(self, state: CloudState, scales: Callable[[str], bool]) -> None:
        self.state, self.scales = state, scales
        self.violations: list[Violation] = []
        self.may_stay: set[int] = set()
        self.rolling = False
        self.allow_thrown_out = False
        self.allow_template_keys: set[str] = set()
        self.terms_of: Callable[[str], AgreedTerms] | None = None
        """Returns the terms of a stack when something happens.

        Without it, the declared terms hold for all stacks.
        """
        self.removed_out_of_order: set[int] = set()
        """Droplets that their pool removed against its own documented order: unforeseeable."""
        self.scaled_in: set[int] = set()
        """Droplets that the autoscaler itself drains."""
        self.touched_by_administrator: dict[int, float] = {}
        """Droplets that another administrator touched, and when last.

        The operator cannot know at once.
        """
        self.leaving: dict[int, EventCause] = {}
        """Droplets being removed, and the cause.

        People on them are lost whatever else happens to them.
        """
        self.thrown_out = 0
        self.losses: list[Loss] = []
        """Everyone who was ever disconnected, whatever the cause."""
        self.signals: dict[tuple[int, str], int] = {}

    def subscribe(self, bus: events.EventBus) -> None:
        """Listen to everything a rule is about."""
        bus.subscribe(events.DropletTouched, lambda e: self._touched(e.droplet))
        bus.subscribe(events.ActionRequested, self._action_requested)
        bus.subscribe(events.MasterStopping, lambda e: self._master_stopping(e.master))
        bus.subscribe(events.DropletDestroying, self._destroying)
        bus.subscribe(events.RemovalStarted, self._removal_started)
        bus.subscribe(
            events.RemovedOutOfOrder, lambda e: self.removed_out_of_order.update(e.droplet_ids)
        )
        bus.subscribe(events.PoolEdited, self._pool_edited)
        bus.subscribe(events.ScaledIn, lambda e: self.scaled_in.add(e.droplet.id))
        bus.subscribe(events.TagRemoved, self._tag_removed)
        bus.subscribe(events.CredentialsRead, lambda e: self._report("credentials-read", e.what))
        bus.subscribe(events.CommandInSecrets, self._command_in_secrets)
        bus.subscribe(events.DrainSignalled, self._signalled)
        bus.subscribe(events.UpdateBegan, self._update_began)
        bus.subscribe(
            events.VersionsMixed,
            lambda e: self._report("versions-mixed", f"{e.droplet.name}: {e.versions}"),
        )
        bus.subscribe(events.AgentEnded, self._agent_ended)
        bus.subscribe(events.MeetingsLost, lambda e: self._meetings_lost(e.meetings, e.why))
        bus.subscribe(
            events.CopyReachesProduction, lambda e: self._report("copy-reaches-production", e.why)
        )
        bus.subscribe(events.RecordingsLost, self._recordings_lost)
        bus.subscribe(events.DataReceived, self._data_received)

    def terms(self, stack: str) -> AgreedTerms:
        """Return what people have agreed to on this stack."""
        if self.terms_of is not None:
            return self.terms_of(stack)
        return AgreedTerms(
            self.rolling,
            frozenset(self.may_stay),
            self.allow_thrown_out,
            frozenset(self.allow_template_keys),
        )

    # --- causes

    @property
    def _cause(self) -> EventCause | None:
        return self.state.timeline.cause

    @property
    def _by_operator(self) -> bool:
        """Whether the operator is the cause of what happens now."""
        return self._cause is None or self._cause.who == "operator"

    def _report(self, kind: str, text: str) -> None:
        """Record a violation, if the operator is its cause."""
        if self._by_operator:
            self.violations.append(Violation(kind, text, self.state.now))

    def _touched(self, droplet: SimulatedDroplet) -> None:
        if self._cause is not None and self._cause.who == "hand":
            self.touched_by_administrator[droplet.id] = self.state.now

    def _knowable(self, droplet: SimulatedDroplet) -> bool:
        return self.state.now - self.touched_by_administrator.get(droplet.id, LONG_AGO) > UNKNOWABLE

    def _removed_by_others(self, droplet_id: int) -> EventCause | None:
        """Return who else removes the droplet, if the operator cannot know of it yet."""
        cause = self.leaving.get(droplet_id)
        if cause is None or cause.who == "operator":
            return None
        return cause if self.state.now - cause.at <= UNKNOWABLE else None

    def _quorum_by_hand(self, stack: str) -> EventCause | None:
        """Return the administrator who broke the quorum too shortly before to be known."""
        began = self.state.now
        if self._cause is not None:
            began = self._cause.at
        touched = [
            self.touched_by_administrator.get(m.id, LONG_AGO)
            for m in self.state.masters(stack)
            if not m.on
        ]
        if len(touched) > 1 and max(touched) > began - UNKNOWABLE:
            return EventCause("hand", "switched a master off", max(touched))
        return None

    def _of_others(self, droplet_id: int) -> bool:
        """Return whether it is the cloud's own doing, or follows from an administrator's."""
        if (
            self._removed_by_others(droplet_id) is not None
            or droplet_id in self.removed_out_of_order
        ):
            return True
        by_operator = self._cause is not None and self._cause.who == "operator"
        return droplet_id in self.touched_by_administrator and not by_operator

    # --- droplets and pools

    def _removal_started(self, event: events.RemovalStarted) -> None:
        if (cause := self._cause) is not None:
            droplet_id = event.droplet.id
            self.leaving.setdefault(droplet_id, EventCause(cause.who, cause.what, self.state.now))

    def _master_stopping(self, master: SimulatedDroplet) -> None:
        stack = master.stack
        terms = self.terms(stack)
        if terms.rolling:
            self._one_at_a_time(master)
            return
        # Fixed media nodes are never removed: it is enough that nothing runs on them.
        stay = self.state.clusters[stack].kind in ("fixed", "co-located")
        present = [d for d in self.state.media(stack) if self._knowable(d)]
        if terms.thrown_out:  # Who agreed to lose the meetings of a master's own droplet, did.
            present = [d for d in present if d is not master]
        left = [d.name for d in present if not ((stay or d.id in terms.kept) and is_drained(d))]
        if left:
            text = f"{master.name} stops while {', '.join(left)} is there"
            self._report("master-before-media", text)
        if self.scales(stack):
            text = f"{master.name} stops while the autoscaler may still bring media nodes"
            self._report("masters-off-while-scaling", text)

    def _one_at_a_time(self, master: SimulatedDroplet) -> None:
        ids = self.state.clusters[master.stack].master_ids
        others = [self.state.droplets[i] for i in ids if i != master.id]
        down = [d.name for d in others if not self.state.healthy(d) and self._knowable(d)]
        if down:
            text = f"{master.name} stops while {', '.join(down)} is down"
            self._report("two-masters-down", text)

    def _action_requested(self, event: events.ActionRequested) -> None:
        droplet = event.droplet
        if droplet.role == "media" and self.state.clusters[droplet.stack].kind == "autoscaler":
            text = f"{event.action} of {droplet.name}: the autoscaler goes on counting it"
            self._report("autoscaled-node-touched", text)

    def _destroying(self, event: events.DropletDestroying) -> None:
        droplet = event.droplet
        is_media = event.by and droplet.role == "media"
        if is_media and self.state.clusters[droplet.stack].kind == "fixed":
            text = f"{droplet.name} was destroyed by {event.by}: only an apply brings it back"
            self._report("fixed-node-destroyed", text)

    def _tag_removed(self, event: events.TagRemoved) -> None:
        droplet = event.droplet
        cluster = self.state.clusters.get(droplet.stack)
        if cluster is None or event.tag != cluster.media_tag or self.scales(droplet.stack):
            return
        text = f"{droplet.name} has lost its firewalls, and nothing scales that would need it"
        self._report("outside-its-firewalls", text)

    def _pool_edited(self, event: events.PoolEdited) -> None:
        pool, shown, sent = event.pool, event.shown, event.sent
        keys = {
            k
            for k in shown.keys() | sent.keys()
            if _unordered(shown.get(k, ...)) != _unordered(sent.get(k, ...))
        }
        # The slug and the number name the same image.
        if sent.get(IMAGE_KEY) == pool.template.get(IMAGE_KEY):
            keys.discard(IMAGE_KEY)
        stack = next((c.stack for c in self.state.clusters.values() if c.pool_id == pool.id), "")
        if lost := keys - self.terms(stack).template_keys:
            self._report("pool-edit-lossy", f"{pool.name}: {', '.join(sorted(lost))} changed")

    def _command_in_secrets(self, event: events.CommandInSecrets) -> None:
        text = (
            f"{event.droplet.name}: what stands in secrets.env behind {event.key} ran as a command"
        )
        self._report("ran-as-root", text)

    def _update_began(self, event: events.UpdateBegan) -> None:
        name, version = event.droplet.name, event.version
        if event.again:
            self._report("update-repeated", f"{name}: update.sh to {version} ran before")
        if any(m.stack == event.droplet.stack for m in self.state.meetings.values()):
            self._report("update-with-people", f"{name}: people meet while it is updated")

    # --- drains and losses

    def _signalled(self, event: events.DrainSignalled) -> None:
        droplet = event.droplet
        self._touched(droplet)
        key = (droplet.id, event.started_at)
        self.signals[key] = self.signals.get(key, 0) + 1
        if self.signals[key] == 1 or self._of_others(droplet.id):
            return
        if not self.terms(droplet.stack).thrown_out:
            text = (
                f"{droplet.name} was signalled {self.signals[key]} times since {event.started_at}"
            )
            self._report("second-signal", text)

    def _meetings_lost(self, meetings: tuple[SimulatedMeeting, ...], why: str) -> None:
        self.thrown_out += sum(m.people for m in meetings)
        for meeting in meetings:
            self._note_loss(meeting, meeting.people, why)
        forbidden = [m for m in meetings if m.people and not self.terms(m.stack).thrown_out]
        forbidden = [
            m
            for m in forbidden
            if not self._of_others(m.droplet_id) and self._quorum_by_hand(m.stack) is None
        ]
        if forbidden:
            text = f"{_people(forbidden)} people in {len(forbidden)} meetings: {why}"
            self._report("thrown-out", text)

    def _recordings_lost(self, event: events.RecordingsLost) -> None:
        for meeting in event.meetings:
            self._note_loss(meeting, 0, event.why)

    def _data_received(self, event: events.DataReceived) -> None:
        if event.again:
            text = f"the people in {event.meeting.name} were told the same twice"
            self._report("told-twice", text)

    def _note_loss(self, meeting: SimulatedMeeting, people: int, why: str) -> None:
        if not people and not meeting.recordings:
            return
        self.losses.append(
            Loss(
                self.state.now,
                meeting.stack,
                meeting.droplet_id,
                people,
                meeting.recordings,
                why,
                self._cause_of_loss(meeting),
                meeting.opened_at,
            )
        )

    def _cause_of_loss(self, meeting: SimulatedMeeting) -> EventCause | None:
        if meeting.droplet_id in self.removed_out_of_order:
            return EventCause("world", "its pool took it out of turn", self.state.now)
        return (
            self._removed_by_others(meeting.droplet_id)
            or self._quorum_by_hand(meeting.stack)
            or self._cause
        )

    def _agent_ended(self, event: events.AgentEnded) -> None:
        droplet = event.droplet
        people = _people(self.state.meetings_on(droplet.id))
        terms, cause = self.terms(droplet.stack), self._cause
        at_work = terms.at_work or (cause is not None and cause.who == "operator")
        blamed = droplet.id not in self.scaled_in and at_work
        if people and blamed and not terms.agents_cut:
            text = f"{event.name} on {droplet.name} ended under {people} people: {event.why}"
            self._report("agent-cut", text)


def _people(meetings: Iterable[SimulatedMeeting]) -> int:
    return sum(m.people for m in meetings)


def _unordered(value: object) -> object:
    """Make tags and SSH keys comparable: they are sets, shown in any order."""
    return sorted(map(repr, value)) if isinstance(value, list) else value


def is_drained(droplet: SimulatedDroplet) -> bool:
    """Return whether the node is installed and no media server runs on it.

    One that is still installing will serve soon.

    An agent that goes on without a media server has no one to serve.
    """
    return droplet.node.installed and not any(
        c.running and c.name in MEDIA_SERVERS for c in droplet.node.containers.values()
    )
