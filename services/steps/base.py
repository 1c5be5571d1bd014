"""What every step is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from services.cluster.model import Basis, Cluster, Fact, Load
from services.common.errors import Rejected, Unreachable
from services.common.observed import NotSeen, Observed


class World(Protocol):
    """Everything a step may change. `services.cloud.writer` is the implementation.

    Before each operation the run's lease is checked, and Superseded raised when another worker drives
    the run. What the next run must know is recorded first.
    """

    async def act(self, droplet_id: int, action: str, **extra: str | bool) -> None:
        """Request a droplet action: power_on, shutdown, power_off, reboot, resize or snapshot.

        Refused for a media node that the autoscaler made.
        """

    async def failed(self, droplet_id: int, action: str) -> bool:
        """Whether the newest action of that kind ended in an error. Changes nothing."""
        ...

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot."""

    async def set_target(self, number: int, *, remember: int) -> None:
        """Set the pool's number and nothing else.

        `remember`: how many media nodes the next start-up restores.
        """

    async def set_template_size(self, size: str) -> None:
        """Set the droplet size in the pool's template and nothing else.

        The pool then replaces every member.
        """

    async def drain(self, droplet_id: int, *, stays: bool) -> None:
        """Send the drain signal: at most once per droplet and start of its media server.

        `stays`: the droplet is kept afterwards, so it must not delete itself.
        """

    async def remember_media(self, droplet_ids: tuple[int, ...]) -> None:
        """Record which media droplets the next start-up powers on; none: they are on again."""

    async def pause_autoscaler(self, *, frozen: bool) -> None:
        """Pause the autoscaler, and record that this run did. `frozen`: no start-up resumes it."""

    async def resume_autoscaler(self) -> None:
        """Let the autoscaler run on its schedule again."""

    async def send_away(self, droplet_id: int, *, uncount: bool) -> None:
        """Tag a node of the autoscaler for draining: it drains and deletes itself.

        `uncount`: then also remove it from the autoscaler's count, so that another replaces it.
        """

    async def uncount(self, droplet_id: int) -> None:
        """Remove a node that leaves from the autoscaler's count, so that another replaces it.

        Refused while the autoscaler is paused: the node loses its firewalls by it.
        """

    async def delete_node(self, droplet_id: int) -> None:
        """Delete a media droplet that the autoscaler made."""

    async def restart_service(self, droplet_id: int) -> None:
        """Run `systemctl restart openvidu` on that node."""

    async def stop_service(self, droplet_id: int) -> None:
        """Run `systemctl stop openvidu` on that node: whatever runs there ends now."""

    async def promote_secrets(self, staged: str, before: str, after: str) -> None:
        """Replace secrets.env (of digest `before`) by the staged file (`after`); keep the old one."""

    async def restore_secrets(self, staged: str, after: str) -> None:
        """Restore the file that this staged one replaced, if secrets.env still has digest `after`."""

    async def drop_staged(self, staged: str) -> None:
        """Delete the staged file."""

    async def break_secrets_lock(self, lock: str) -> None:
        """Delete this lock, which another writer of secrets.env left; a later one stays."""

    async def keep_secrets(self, label: str) -> None:
        """Copy the bucket's secrets.env, private, to the backup of that label."""

    async def drop_secrets(self, label: str) -> None:
        """Delete the copy of secrets.env of that backup."""

    async def save_window(self, words: str) -> None:
        """Write this off-hours window into the cluster's schedule."""


@dataclass(frozen=True)
class Effects:
    """What a step means for people and money, as known before it is asked for."""

    blocks: bool = False  # from here on no new meeting can be opened on the nodes concerned
    cuts_off: bool = False  # running meetings are ended
    down: bool = False  # the cluster serves nobody afterwards
    stops_masters: bool = False
    adds: int = 0  # media nodes added
    edits_secrets: bool = False
    irreversible: tuple[str, ...] = ()  # what cannot be taken back, in words
    special: tuple[str, ...] = ()  # what an approval must say in as many words
    standing: bool = False  # later, the same is done again and again without asking
    opens: int = 0  # media nodes that it may start then
    keeps: int = 0  # with `down`: media nodes that stay in service until no one meets there, or people decide

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
    """One answer to a question. With `steps` the rest of the run is replaced, or follows them where it `goes_on`.

    With `wait` the question returns after that many seconds.
    """

    id: str
    label: str
    steps: tuple[Step, ...] | None = None
    goes_on: bool = False
    skip: bool = False  # this step counts as reached, and the later ones are `forced`
    wait: float | None = None
    ends: str = ""  # the run ends with these words
    back: str = ""  # with `steps`: they lead back, and the run ends as rolled back because of this
    basis: Basis | None = None  # the state that somebody else made, accepted by this answer
    loses: str = ""  # what is lost by it: answering needs an approver other than the requester, and the words in a confirm dialog
    following: str = ""  # with `steps`: what to do next, said at the end


@dataclass(frozen=True)
class Question:
    """Put to people when a run cannot go on by itself. No answer means that nothing more is changed."""

    id: str
    text: str
    choices: tuple[Choice, ...]
    meanwhile: bool = False  # looking goes on, and reaching the goal closes the question
    default: str = (
        ""  # what is chosen when nobody answers within `default_after` seconds; "": nothing ever
    )
    default_after: float = 0.0
    stake: Load | None = (
        None  # who meets on what a choice may end, as shown; None: no one, or not seen where `unseen` says why
    )
    unseen: str = ""

    @property
    def kind(self) -> str:
        """What it is about: its id without the number of this asking."""
        return self.id.partition(".")[0]

    @property
    def at_stake(self) -> Observed[Load]:
        """Who meets on what may be ended, as it stood on the card."""
        return self.stake if self.stake is not None else NotSeen(self.unseen or "not recorded")

    def staking(self, load: Observed[Load]) -> Question:
        """With who meets on what may be ended."""
        return (
            replace(self, stake=None, unseen=load.reason)
            if isinstance(load, NotSeen)
            else replace(self, stake=load, unseen="")
        )


@dataclass(frozen=True)
class Step(ABC):
    """A goal. Its fields are plain values, so that it can be stored, hashed and shown."""

    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})
    twice: ClassVar[bool] = False  # must be seen reached in two looks, `timings.second_look` apart
    checks: ClassVar[bool] = (
        False  # a look that must really be taken once anything before it has changed
    )
    edits: ClassVar[
        tuple[str, ...]
    ] = ()  # fields of `Basis` that its asks change; every other change of one is another hand's
    breakable: ClassVar[bool] = (
        True  # a cancel may leave it half way; otherwise it is first brought to its end
    )

    def apart(self, cluster: Cluster) -> float:
        """Seconds between the two looks of a step that must be seen twice."""
        return cluster.timings.second_look

    def is_sure(self, cluster: Cluster) -> bool:
        """Whether one look that shows it reached is enough: not where a droplet that it names is missing, which may be an odd answer."""
        return not self.twice and set(getattr(self, "ids", ())) <= {n.id for n in cluster.media}

    @property
    def leads_on(self) -> bool:
        """Whether the place it reaches is no place to stop at: a cancel then waits until the next step is reached too."""
        return False

    @abstractmethod
    def title(self) -> str:
        """What it does, as the runbook says it. A few words, no full stop."""

    @abstractmethod
    def is_done(self, cluster: Cluster) -> bool:
        """Whether the goal is reached in this look."""

    @abstractmethod
    def after(self, cluster: Cluster) -> Cluster:
        """The cluster once the goal is reached."""

    @abstractmethod
    def takes(self, cluster: Cluster) -> float:
        """Seconds it usually needs, people's meetings not counted."""

    @abstractmethod
    def deadline(self, cluster: Cluster) -> float:
        """Seconds after which it is no longer waited for without asking or stopping."""

    def nudge(self, cluster: Cluster) -> float | None:  # noqa: ARG002 - part of the promise
        """Seconds after which to ask again; None: asked once."""
        return None

    def wants(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        """Whether asking now would ask for anything."""
        return not self.is_done(cluster)

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: B027 - waiting steps ask nothing
        """Ask for it. `again` counts earlier asks. Must be harmless when it was asked already."""

    def effects(self, cluster: Cluster) -> Effects:  # noqa: ARG002
        """What it means for people, given the cluster just before it."""
        return Effects()

    def unproved(self, cluster: Cluster) -> str:  # noqa: ARG002
        """What has to be seen before this is asked for the first time, and is not: a silent node, or witnesses that contradict each other.

        In words; "" when everything it rests on is seen. It is waited for, as an API that does not answer is.
        """
        return ""

    def objection(self, cluster: Cluster) -> str:  # noqa: ARG002
        """Why it must not be asked for now; "" if nothing speaks against it."""
        return ""

    def undone(self, before: Cluster, now: Cluster) -> str:  # noqa: ARG002
        """What another hand took back between two looks at this step, in words; "" if nothing."""
        return ""

    def lost(self, cluster: Cluster) -> str:  # noqa: ARG002
        """What this look proves to hold no longer of this goal, reached earlier, in words; "" if it holds or was not seen."""
        return ""

    def remark(self, cluster: Cluster) -> str:  # noqa: ARG002
        """What people should be told about the way it was reached; "" when it went as planned."""
        return ""

    def waits_for(self, cluster: Cluster) -> str:  # noqa: ARG002
        """What is being waited for now, for the card."""
        return ""

    def question(self, cluster: Cluster) -> Question | None:  # noqa: ARG002
        """What people may choose when the deadline has passed; None: the run stops and says so."""
        return None

    def refused(self, cluster: Cluster, error: Rejected) -> Question | None:  # noqa: ARG002
        """What people may choose when DigitalOcean refuses; None: the run stops with DigitalOcean's words."""
        return None

    def begun(self, run: str, at: float) -> Step:  # noqa: ARG002
        """This step once its run exists: what it makes is named after the run's start, so that making it again is harmless."""
        return self

    def passes_on(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """The way that takes this step's place, with what people agreed to for this one."""
        return steps

    def forced(self) -> Step:
        """This step once people have agreed to lose what it would otherwise protect."""
        return self

    def settles(self, earlier: Step) -> bool:  # noqa: ARG002
        """Whether what `earlier` left behind is no more once this is reached."""
        return False

    def stays(self) -> str:
        """What stays done once it is reached and the run is cancelled afterwards."""
        return self.title()


async def ask_each(asks: Iterable[Awaitable[None]]) -> None:
    """Ask one after the other; one that cannot be asked does not keep the rest from being asked. Raises the first trouble at the end."""
    trouble: Rejected | Unreachable | None = None
    for ask in asks:
        try:
            await ask
        except (Rejected, Unreachable) as error:
            trouble = trouble or error
    if trouble is not None:
        raise trouble


def _union(left: Iterable[str], right: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*left, *right)))
