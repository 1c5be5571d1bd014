# ruff: noqa: ARG002, B027 - the defaults of Step ignore arguments that overriding steps need
"""The base class of steps: what a step requests, what it means for people, what it asks them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from services.cluster.drills import DrillSeen
from services.cluster.model import Basis, Cluster, Fact, Load, MediaNode, Timings
from services.common.errors import Rejected, Unreachable
from services.common.observed import Observed, Unobserved
from services.common.values import replace

POOL_FACTS = frozenset({Fact.DROPLETS, Fact.POOL})
NODE_FACTS = POOL_FACTS | {Fact.NODES}


class WriteOperations(Protocol):
    """Everything a step may change. `services.cloud.writer` is the implementation.

    Before each operation the run's lease is checked, and Superseded raised when another worker
    drives the run. What the next run must know is recorded first.
    """

    async def request_droplet_action(
        self, droplet_id: int, action: str, **extra: str | bool
    ) -> None:
        """Request a droplet action: power_on, shutdown, power_off, reboot, resize or snapshot.

        Refused for a media node that the autoscaler made.
        """

    async def action_failed(self, droplet_id: int, action: str) -> bool:
        """Whether the newest action of that kind ended in an error. Changes nothing."""
        ...

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot."""

    async def delete_leftover(self, ref: str, shown: str) -> None:
        """Delete a droplet, volume or reserved IP that nothing uses, after a last look at it.

        Refused when it is not what was `shown`, or something uses it.
        """

    async def set_pool_target(self, number: int, *, remember: int) -> None:
        """Set the pool's number and nothing else.

        `remember`: how many media nodes the next start-up restores.
        """

    async def set_template_size(self, size: str) -> None:
        """Set the droplet size in the pool's template and nothing else.

        The pool then replaces every member.
        """

    async def drain(self, droplet_id: int, *, stays: bool) -> None:
        """Send the drain signal: at most once per droplet and start of its media server.

        At most once per droplet and start of its media server, also after a crash.
        `stays`: the droplet is kept afterwards, so it must not delete itself.
        """

    async def record_powered_on(self, droplet_ids: tuple[int, ...]) -> None:
        """Record which media droplets the next start-up powers on; none: they are on again."""

    async def pause_autoscaler(self, *, frozen: bool) -> None:
        """Pause the autoscaler, and record that this run did. `frozen`: no start-up resumes it."""

    async def resume_autoscaler(self) -> None:
        """Let the autoscaler run on its schedule again."""

    async def tag_for_draining(self, droplet_id: int, *, uncount: bool) -> None:
        """Tag a node of the autoscaler for draining: it drains and deletes itself.

        `uncount`: then also remove it from the autoscaler's count, so that another replaces it.
        """

    async def remove_from_autoscaler(self, droplet_id: int) -> None:
        """Remove a node that leaves from the autoscaler's count, so that another replaces it.

        Refused while the autoscaler is paused: the node loses its firewalls by it.
        """

    async def delete_node(self, droplet_id: int) -> None:
        """Delete a media droplet of the autoscaler."""

    async def restart_service(self, droplet_id: int) -> None:
        """Run `systemctl restart openvidu` on that node."""

    async def stop_service(self, droplet_id: int) -> None:
        """Run `systemctl stop openvidu` on that node: whatever runs there ends now."""

    async def stop_node(self, droplet_id: int) -> None:
        """Stop OpenVidu on that node, and record that it stays stopped until it is started."""

    async def start_node(self, droplet_id: int) -> None:
        """Start OpenVidu on that node, and record that it is no longer stopped."""

    async def start_services(self, droplet_id: int) -> None:
        """Run `systemctl start openvidu` on that node, and note there that no update is undone."""

    async def fetch_updater(self, droplet_id: int, version: str) -> None:
        """Download the vendor's `update.sh` of that version to the node. Nothing is run."""

    async def update_openvidu(self, droplet_id: int, was: str, version: str) -> None:
        """Run `update.sh` on that node, detached: once per node and version."""

    async def restore_openvidu(self, droplet_id: int, was: str, version: str) -> None:
        """Put the files from before that update back. OpenVidu stays stopped on the node."""

    async def record_version(self, was: str, version: str) -> None:
        """Replace `OPENVIDU_VERSION` in secrets.env, if it is `was`. New media nodes install it."""

    async def promote_secrets(self, staged: str, before: str, after: str) -> None:
        """Replace secrets.env (digest `before`) by the staged file (`after`); keep the old one."""

    async def restore_secrets(self, staged: str, after: str) -> None:
        """Restore the file that the staged one replaced, if secrets.env has digest `after`."""

    async def delete_staged(self, staged: str) -> None:
        """Delete the staged file."""

    async def break_secrets_lock(self, lock: str) -> None:
        """Delete this lock, which another writer of secrets.env left. A later lock stays."""

    async def write_config(
        self, droplet_id: int, name: str, staged: str, before: str, after: str
    ) -> None:
        """Replace a configuration file (digest `before`) on a node by the staged one (`after`).

        The old file is kept on the node until `forget_config`.
        """

    async def restore_config(
        self, droplet_id: int, name: str, staged: str, before: str, after: str
    ) -> None:
        """Put the kept file (digest `before`) back, if the present one has digest `after`."""

    async def forget_config(self, droplet_id: int, staged: str) -> None:
        """Delete what a change of a configuration file keeps on a node."""

    async def copy_secrets(self, label: str) -> None:
        """Copy the bucket's secrets.env, private, to the backup of that label."""

    async def delete_secrets_copy(self, label: str) -> None:
        """Delete the copy of secrets.env of that backup."""

    async def note_counts(self, label: str) -> None:
        """Count the documents of the running database and keep them with that backup.

        Where they cannot be counted, the reason is kept.
        """

    async def create_drill_network(self, name: str, region: str) -> None:
        """Create a drill's tag, firewall and network, as far as they are missing.

        Refused for a token that could not delete them again.
        """

    async def create_drill_droplet(self, name: str, snapshot: str, size: str, region: str) -> None:
        """Create a drill's droplet from a snapshot, sealed and behind its firewall."""

    async def open_drill_database(self, droplet_id: int, label: str) -> None:
        """Begin to open the database on a drill's droplet; begun already, nothing happens.

        Rejected where the backup's copy of secrets.env is missing or cannot be read.
        """

    async def record_drill(
        self, stamp: str, label: str, reason: str, *, proven: bool, compared: bool
    ) -> None:
        """Keep the result of a drill with the backup."""

    async def delete_drills(self, seen: DrillSeen) -> None:
        """Delete what drills have left, each thing by its id: droplets, then their networks."""

    async def save_backup_schedule(self, words: str) -> None:
        """Write this schedule of backups into what is kept of them."""

    async def save_scaling(self, words: str) -> None:
        """Write this standing permission to scale by the forecast."""

    async def save_window(self, words: str) -> None:
        """Write this off-hours window into the cluster's schedule."""


@dataclass(frozen=True)
class Effects:
    """What a step means for people and cost, as far as it is known before approval."""

    # No new meeting can start on the nodes concerned.
    blocks: bool = False
    # Running meetings are ended.
    cuts_off: bool = False
    # The cluster is out of service afterwards.
    down: bool = False
    stops_masters: bool = False
    # Media nodes added.
    adds: int = 0
    edits_secrets: bool = False
    # What is not reversible, as text.
    irreversible: tuple[str, ...] = ()
    # What an approval must state explicitly.
    special: tuple[str, ...] = ()
    # The same is done again later without another approval.
    standing: bool = False
    # Media nodes that a standing approval may start.
    opens: int = 0
    # With `down`: media nodes that stay in service until they are empty or people decide.
    keeps: int = 0

    def __add__(self, other: Effects) -> Effects:
        return Effects(
            self.blocks or other.blocks,
            self.cuts_off or other.cuts_off,
            self.down or other.down,
            self.stops_masters or other.stops_masters,
            self.adds + other.adds,
            self.edits_secrets or other.edits_secrets,
            _union(self.irreversible, other.irreversible),
            _union(self.special, other.special),
            self.standing or other.standing,
            max(self.opens, other.opens),
            max(self.keeps, other.keeps),
        )


@dataclass(frozen=True)
class Choice:
    """One answer to a question.

    With `steps`, these replace the rest of the run; with `goes_on` they come before it. With
    `wait`, the question returns after that many seconds.
    """

    id: str
    label: str
    steps: tuple[Step, ...] | None = None
    goes_on: bool = False
    # The step counts as reached, and the later steps are `forced`.
    skip: bool = False
    wait: float | None = None
    # The run ends with this text.
    ends: str = ""
    # With `steps`: they roll back, and the run ends as rolled back for this reason.
    back: str = ""
    # The externally changed state that this answer accepts.
    basis: Basis | None = None
    # What this answer loses. It then needs an approver other than the requester, and the text is
    # shown in a confirm dialog.
    loses: str = ""
    # With `steps`: what to do next, shown when the run ends.
    following: str = ""
    # With `steps`: the state they end in, where it is not the one that was planned.
    outcome: str = ""


@dataclass(frozen=True)
class Question:
    """A question to people when a run cannot continue by itself. Unanswered, nothing changes."""

    id: str
    text: str
    choices: tuple[Choice, ...]
    # The cluster is still observed, and reaching the goal closes the question.
    meanwhile: bool = False
    # The choice taken when there is no answer within `default_after` seconds; "": none.
    default: str = ""
    default_after: float = 0.0
    # Who is in meetings that a choice may end, as shown. None: not seen where `unseen` says why,
    # else no one.
    stake: Load | None = None
    unseen: str = ""
    # What decides, in a few words, for a header: `media-1 still has 1 meeting`.
    headline: str = ""

    @property
    def kind(self) -> str:
        """Return what it is about: its id without the number of this asking."""
        return self.id.partition(".")[0]

    @property
    def at_stake(self) -> Observed[Load]:
        """Return who is in meetings that may be ended, as shown on the card."""
        if self.stake is not None:
            return self.stake
        return Unobserved(self.unseen or "not recorded")

    def with_stake(self, load: Observed[Load]) -> Question:
        """Return the question with the load of the meetings that may be ended."""
        if isinstance(load, Unobserved):
            return replace(self, stake=None, unseen=load.reason)
        return replace(self, stake=load, unseen="")


Seconds = float | Callable[[Timings], float]
"""A number of seconds, or a function of the cluster's configured timings."""


def _second_look(timings: Timings) -> float:
    return timings.second_look


@dataclass(frozen=True)
class StepTiming:
    """How long a step usually takes, when it times out, and when its request is repeated."""

    # Usual duration, without the time that meetings take to end.
    expected: Seconds
    # When the step asks people, or stops the run.
    deadline: Seconds
    # None: requested once.
    retry_after: Seconds | None = None
    # Between the two observations of a step with `twice`.
    confirm_after: Seconds = _second_look
    # Before that many seconds it is never reached, by what DigitalOcean documents.
    not_before: float = 0.0


@dataclass(frozen=True)
class Step(ABC):
    """A goal. Its fields are plain values, so that it can be stored, hashed and shown.

    `timing` and the other class variables are not stored. A step whose times depend on more than
    the configured timings overrides `expected_seconds`, `deadline` or `retry_after`.
    """

    timing: ClassVar[StepTiming]
    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})
    # The facts in which its progress first shows. None: all that it needs. See `watched_facts`.
    shows_in: ClassVar[frozenset[Fact] | None] = None
    # While it waits, all that it needs is looked at anew after this many seconds, also where its
    # progress shows elsewhere.
    whole_look_every: ClassVar[float] = float("inf")
    # Must be seen reached in two observations, `confirm_after` seconds apart.
    confirm: ClassVar[bool] = False
    # A verification: kept in the plan once any step before it changes something.
    is_verification: ClassVar[bool] = False
    # The fields of `Basis` that its requests change. Any other change is an external change.
    changed_facts: ClassVar[tuple[str, ...]] = ()
    # A cancel may leave it unfinished; otherwise it is completed first.
    interruptible: ClassVar[bool] = True
    # It requests nothing and only waits.
    only_waits: ClassVar[bool] = False
    # Running meetings may take their time: when it is late, people are asked.
    waits_for_meetings: ClassVar[bool] = False
    # Reaching it changes something for people. False: it only verifies, waits or cleans up.
    leaves_change: ClassVar[bool] = True

    def expected_seconds(self, cluster: Cluster) -> float:
        """Return the seconds it usually needs, without the time that meetings take to end."""
        return _seconds(self.timing.expected, cluster)

    def deadline(self, cluster: Cluster) -> float:
        """Return the seconds after which it asks people, or stops the run."""
        return _seconds(self.timing.deadline, cluster)

    def retry_after(self, cluster: Cluster) -> float | None:
        """Return the seconds after which its request is repeated. None: requested once."""
        if self.timing.retry_after is None:
            return None
        return _seconds(self.timing.retry_after, cluster)

    def confirm_after(self, cluster: Cluster) -> float:
        """Return the seconds between the two observations of a step with `twice`."""
        return _seconds(self.timing.confirm_after, cluster)

    def is_conclusive(self, cluster: Cluster) -> bool:
        """Return whether a single observation proves it reached.

        Not where a droplet that it names is missing: that list may be incomplete.
        """
        return not self.confirm and set(getattr(self, "ids", ())) <= {n.id for n in cluster.media}

    def watched_facts(self, cluster: Cluster) -> frozenset[Fact]:
        """Return the facts in which its progress first shows.

        While it waits, only these are looked at anew each time: power shows in the droplets, a
        drain on the nodes. The others may be some time old, and decide nothing then.
        """
        return self.needs if self.shows_in is None else self.shows_in

    @property
    def is_waypoint(self) -> bool:
        """Whether a cancel must wait for the next step too: this one is an interim state."""
        return False

    @abstractmethod
    def title(self) -> str:
        """Return what it does, in the runbook's words: short, without a full stop."""

    @abstractmethod
    def is_done(self, cluster: Cluster) -> bool:
        """Return whether this observation shows the goal reached."""

    @abstractmethod
    def after(self, cluster: Cluster) -> Cluster:
        """Return the cluster as it is once the goal is reached."""

    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        """Return whether a request now would have an effect. `again`: earlier requests."""
        return not self.only_waits and not self.is_done(cluster)

    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        """Request it. `again`: earlier requests. A repeated request must be harmless."""

    def closing_nodes(self, cluster: Cluster) -> tuple[MediaNode, ...]:
        """Return the nodes that a request now closes for new meetings; running ones may go on."""
        return ()

    def awaited_nodes(self, cluster: Cluster) -> tuple[MediaNode, ...]:
        """Return the nodes whose meetings it still waits for, and that take no new ones."""
        return ()

    def effects(self, cluster: Cluster) -> Effects:
        """Return what it means for people, given the cluster just before it."""
        return Effects()

    def missing_evidence(self, cluster: Cluster) -> str:
        """Return which evidence is missing before the first request; "" when none is.

        Such as a node that does not answer, or contradicting observations. The run waits for it as
        for an unreachable API.
        """
        return ""

    def blocker(self, cluster: Cluster) -> str:
        """Return why it must not be requested now; "" when nothing blocks it."""
        return ""

    def reverted(self, before: Cluster, now: Cluster) -> str:
        """Return what was reverted externally between two observations; "" when nothing was."""
        return ""

    def regression(self, cluster: Cluster) -> str:
        """Return what proves that this goal, reached earlier, no longer holds.

        "" when it holds or was not observed.
        """
        return ""

    def completion_note(self, cluster: Cluster) -> str:
        """Return what to report about how it was reached; "" when it went as planned."""
        return ""

    def disconnected_others(self, cluster: Cluster) -> bool:
        """Return whether nodes were removed on the way whose people no card had named."""
        return False

    def waits_for(self, cluster: Cluster) -> str:
        """Return what it is waiting for now, for the card."""
        return ""

    def timeout_question(self, cluster: Cluster) -> Question | None:
        """Return the choices when the deadline has passed. None: the run stops."""
        return None

    def refusal_question(self, cluster: Cluster, error: Rejected) -> Question | None:
        """Return the choices when DigitalOcean refuses. None: the run stops with that error."""
        return None

    def bind_run(self, run: str, at: float) -> Step:
        """Return this step bound to its run.

        What it creates is named after the run's start, so that creating it again is harmless.
        """
        return self

    def reroute(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """Return the steps that replace this one, with what was approved for it."""
        return steps

    def without_protection(self) -> Step:
        """Return this step without the protection of running meetings, which people gave up."""
        return self

    def supersedes(self, earlier: Step) -> bool:
        """Return whether reaching this removes what the earlier step left behind."""
        return False

    def residue(self) -> str:
        """Return what remains of it when the run is cancelled later."""
        return self.title()


def shown_by_nodes(cluster: Cluster) -> frozenset[Fact]:
    """Return the facts in which a change on media nodes first shows.

    A node that is being created answers once its droplet is active, and is part of it from then on.
    """
    if all(n.droplet.status in ("active", "off") for n in cluster.media):
        return frozenset({Fact.NODES})
    return frozenset({Fact.DROPLETS, Fact.NODES})


async def request_each(asks: Iterable[Awaitable[None]]) -> None:
    """Send the requests one after the other, all of them even when one fails.

    Raises the first error at the end.
    """
    first_error: Rejected | Unreachable | None = None
    for ask in asks:
        try:
            await ask
        except (Rejected, Unreachable) as error:
            first_error = first_error or error
    if first_error is not None:
        raise first_error


def _seconds(value: Seconds, cluster: Cluster) -> float:
    if callable(value):
        return value(cluster.timings)
    return value


def _union(left: Iterable[str], right: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*left, *right)))
