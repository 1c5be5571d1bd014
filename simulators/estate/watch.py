"""What must never be seen in this world, whoever operates it. Knows nothing of how the operator works."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulators.estate.things import MEDIA_SERVERS, Droplet, Loss, Meeting, Pool, Violation
from simulators.estate.timeline import Cause

if TYPE_CHECKING:
    from simulators.estate.estate import Estate

IMAGE_KEY = "image"
UNKNOWABLE = 60.0
"""For so many seconds nobody is blamed for not having seen what another hand did."""


@dataclass(frozen=True)
class Terms:
    """What people have agreed to on one stack at this moment. Whoever tells this world of them must not ask the operator's own code."""

    rolling: bool = False  # masters go one at a time, with the media nodes up
    kept: frozenset[int] = (
        frozenset()
    )  # media droplets that may stay, drained, while the masters stop
    thrown_out: bool = False  # people may lose their meetings
    template_keys: frozenset[str] = frozenset()  # of the pool's template, that may change
    agents_cut: bool = False  # agents may end while people meet on their node
    at_work: bool = True
    """Whether whoever operates has begun something there, or a moment ago: else it is the cloud's own doing."""


class Watch:
    """Looks on, and writes down what should not have happened."""

    def __init__(self, estate: "Estate") -> None:
        self.estate = estate
        self.violations: list[Violation] = []
        self.kept: set[int] = set()
        self.rolling = False
        self.allow_thrown_out = False
        self.allow_template_keys: set[str] = set()
        self.ask_terms: Callable[[str], Terms] | None = None
        """Tells a stack's terms when something happens; without it, those that were declared for all stacks hold."""
        self.whims: set[int] = set()
        self.scaled_in: set[int] = set()  # what the autoscaler itself told to leave
        """Droplets that their pool removed against its own documented order: nobody could know."""
        self.by_hand: dict[int, float] = {}
        """Droplets that another hand touched, and when last: for a moment nobody can know."""
        self.leaving: dict[int, Cause] = {}
        """Droplets that are on their way out, and whose doing that is: whoever is on them is lost whatever else happens to them."""
        self.thrown_out = 0
        self.losses: list[Loss] = []
        """Everybody who was ever cut off, whoever did it."""
        self.signals: dict[tuple[int, str], int] = {}

    @property
    def accused(self) -> bool:
        """Whether what happens now comes of what the operator did."""
        cause = self.estate.timeline.cause
        return cause is None or cause.who == "operator"

    def report(self, kind: str, text: str) -> None:
        """Write a violation down, unless it is nothing of the operator's."""
        if self.accused:
            self.violations.append(Violation(kind, text, self.estate.moment))

    def touched(self, droplet: Droplet) -> None:
        """Something happens to a droplet: kept where it is another hand's doing."""
        cause = self.estate.timeline.cause
        if cause is not None and cause.who == "hand":
            self.by_hand[droplet.id] = self.estate.moment

    def _knowable(self, droplet: Droplet) -> bool:
        return self.estate.moment - self.by_hand.get(droplet.id, float("-inf")) > UNKNOWABLE

    def leaves(self, droplet: Droplet) -> None:
        """It is being removed."""
        if (cause := self.estate.timeline.cause) is not None:
            self.leaving.setdefault(droplet.id, Cause(cause.who, cause.what, self.estate.moment))

    def _removed_by_others(self, droplet_id: int) -> Cause | None:
        """Who is removing it, where that is another's doing that nobody could know of yet."""
        cause = self.leaving.get(droplet_id)
        unknown = (
            cause is not None
            and cause.who != "operator"
            and self.estate.moment - cause.at <= UNKNOWABLE
        )
        return cause if unknown else None

    def _quorum_by_hand(self, stack: str) -> Cause | None:
        """Another hand that switched a master off while one was going off already, or so shortly before that nobody could know."""
        cause = self.estate.timeline.cause
        since = (cause.at if cause is not None else self.estate.moment) - UNKNOWABLE
        hand = [
            self.by_hand.get(m.id, float("-inf")) for m in self.estate.masters(stack) if not m.on
        ]
        return (
            Cause("hand", "switched a master off", max(hand))
            if len(hand) > 1 and max(hand) > since
            else None
        )

    def _of_others(self, droplet_id: int) -> bool:
        """Whether what happens there now is the cloud's own doing, after it or another hand had begun with that droplet."""
        cause = self.estate.timeline.cause
        if self._removed_by_others(droplet_id) is not None:
            return True
        return droplet_id in self.whims or (
            droplet_id in self.by_hand and (cause is None or cause.who != "operator")
        )

    def terms(self, stack: str) -> Terms:
        """What people have agreed to on this stack."""
        if self.ask_terms is not None:
            return self.ask_terms(stack)
        return Terms(
            self.rolling,
            frozenset(self.kept),
            self.allow_thrown_out,
            frozenset(self.allow_template_keys),
        )

    def master_stops(self, master: Droplet) -> None:
        """A master was asked to stop, or went down."""
        terms = self.terms(master.stack)
        if terms.rolling:
            self._one_at_a_time(master)
            return
        stay = (
            self.estate.clusters[master.stack].kind == "fixed"
        )  # those are never removed: only nothing may run on them
        there = [d for d in self.estate.media(master.stack) if self._knowable(d)]
        left = [d.name for d in there if not ((stay or d.id in terms.kept) and drained(d))]
        if left:
            self.report(
                "master-before-media", f"{master.name} stops while {', '.join(left)} is there"
            )
        if self.estate.functions.scales(master.stack):
            self.report(
                "masters-off-while-scaling",
                f"{master.name} stops while the autoscaler may still bring media nodes",
            )

    def asked(self, droplet: Droplet, action: str) -> None:
        """Whoever operates asks for an action on a droplet."""
        if droplet.role == "media" and self.estate.clusters[droplet.stack].kind == "autoscaler":
            self.report(
                "autoscaled-node-touched",
                f"{action} of {droplet.name}: the autoscaler goes on counting it",
            )

    def destroyed(self, droplet: Droplet, by: str) -> None:
        """A droplet is destroyed, by itself or by whoever operates."""
        if droplet.role == "media" and self.estate.clusters[droplet.stack].kind == "fixed":
            self.report(
                "fixed-node-destroyed",
                f"{droplet.name} was destroyed by {by}: only an apply brings it back",
            )

    def untagged(self, droplet: Droplet, name: str) -> None:
        """Whoever operates takes a tag from a droplet."""
        cluster = self.estate.clusters.get(droplet.stack)
        if (
            cluster is not None
            and name == cluster.media_tag
            and not self.estate.functions.scales(droplet.stack)
        ):
            self.report(
                "outside-its-firewalls",
                f"{droplet.name} has lost its firewalls, and nothing scales that would need it",
            )

    def credentials_read(self, what: str) -> None:
        """Whoever operates reads what holds credentials and is no concern of theirs."""
        self.report("credentials-read", what)

    def _one_at_a_time(self, master: Droplet) -> None:
        others = [
            self.estate.droplets[i]
            for i in self.estate.clusters[master.stack].master_ids
            if i != master.id
        ]
        down = [d.name for d in others if not self.estate.healthy(d) and self._knowable(d)]
        if down:
            self.report("two-masters-down", f"{master.name} stops while {', '.join(down)} is down")

    def signalled(self, droplet: Droplet, started_at: str) -> None:
        """A drain signal reached the media server that started then."""
        self.touched(droplet)
        key = (droplet.id, started_at)
        self.signals[key] = self.signals.get(key, 0) + 1
        if (
            self.signals[key] > 1
            and not self._of_others(droplet.id)
            and not self.terms(droplet.stack).thrown_out
        ):
            self.report(
                "second-signal",
                f"{droplet.name} was signalled {self.signals[key]} times since {started_at}",
            )

    def people_lost(self, meetings: Iterable[Meeting], why: str) -> None:
        """People were in these meetings, and are not any more."""
        lost = list(meetings)
        self.thrown_out += sum(m.people for m in lost)
        for m in lost:
            self._note(m, m.people, why)
        known = [m for m in lost if m.people and not self.terms(m.stack).thrown_out]
        known = [
            m
            for m in known
            if not self._of_others(m.droplet_id) and self._quorum_by_hand(m.stack) is None
        ]
        if known:
            self.report(
                "thrown-out",
                f"{sum(m.people for m in known)} people in {len(known)} meetings: {why}",
            )

    def recordings_lost(self, meetings: Iterable[Meeting], why: str) -> None:
        """These meetings were recorded, and are not any more."""
        for m in meetings:
            self._note(m, 0, why)

    def _note(self, meeting: Meeting, people: int, why: str) -> None:
        if people or meeting.recordings:
            whim = Cause("world", "its pool took it out of turn", self.estate.moment)
            cause = (
                self._removed_by_others(meeting.droplet_id)
                or self._quorum_by_hand(meeting.stack)
                or self.estate.timeline.cause
            )
            cause = whim if meeting.droplet_id in self.whims else cause
            at, begun = self.estate.moment, meeting.opened_at
            self.losses.append(
                Loss(
                    at,
                    meeting.stack,
                    meeting.droplet_id,
                    people,
                    meeting.recordings,
                    why,
                    cause,
                    begun,
                )
            )

    def agent_gone(self, droplet: Droplet, name: str, why: str) -> None:
        """An agent ended, whatever it was in the middle of."""
        people = sum(m.people for m in self.estate.meetings_on(droplet.id))
        terms, cause = self.terms(droplet.stack), self.estate.timeline.cause
        ours = droplet.id not in self.scaled_in and (
            terms.at_work or (cause is not None and cause.who == "operator")
        )
        if people and ours and not terms.agents_cut:
            self.report("agent-cut", f"{name} on {droplet.name} ended under {people} people: {why}")

    def pool_edited(self, pool: Pool, shown: dict[str, Any], sent: dict[str, Any]) -> None:
        """Somebody PUT `sent` over a template that was read as `shown`."""
        keys = {
            k
            for k in shown.keys() | sent.keys()
            if _unordered(shown.get(k, ...)) != _unordered(sent.get(k, ...))
        }
        if sent.get(IMAGE_KEY) == pool.template.get(
            IMAGE_KEY
        ):  # the slug and the number name the same image
            keys.discard(IMAGE_KEY)
        stack = next((c.stack for c in self.estate.clusters.values() if c.pool_id == pool.id), "")
        if lost := keys - self.terms(stack).template_keys:
            self.report("pool-edit-lossy", f"{pool.name}: {', '.join(sorted(lost))} changed")


def _unordered(value: object) -> object:
    """Tags and SSH keys are sets: they may be shown in any order, and come back in it."""
    return sorted(map(repr, value)) if isinstance(value, list) else value


def drained(droplet: Droplet) -> bool:
    """Whether it was installed and no media server runs on it (one that still installs itself will serve soon).

    An agent that goes on for ever without a media server has nobody to serve.
    """
    return droplet.node.installed and not any(
        c.running and c.name in MEDIA_SERVERS for c in droplet.node.containers.values()
    )
