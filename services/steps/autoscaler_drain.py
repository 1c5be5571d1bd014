"""Steps about the autoscaler's media nodes on their way out: a tag tells them to finish and delete themselves, and nobody signals them."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster.model import Autoscaler, Cluster, Fact, MediaNode, NodeLook
from services.common.text import count, duration
from services.steps.autoscaler import Arrived, Autoscaling, names
from services.steps.base import Choice, Effects, Question, Step, World, ask_each
from services.steps.media_nodes import (
    NODE_FACTS,
    POOL_FACTS,
    STILL_SERVING,
    MediaGone,
    at_stake,
    carrying,
    in_service_until,
)
from services.steps.waves import spared

WATCHER = 150.0  # seconds within which a node looks at its tags, by the vendor's word


@dataclass(frozen=True)
class Left(Step):
    """Media nodes finish and delete themselves, told so by a tag: nobody signals them by SSH. `ids` empty: all, and those that come."""

    ids: tuple[int, ...] = ()
    number: int = (
        0  # how many there were when it was planned, for its title; 0: as many as there are
    )
    uncount: bool = False  # the autoscaler runs, and is to bring others in their place
    who: str = ""  # their names, for its title, when they are few
    limit: float | None = (
        None  # seconds that meetings may take, when it is not the cluster's own drain deadline
    )
    gives_up: float = 0.0  # seconds that an unanswered question stays open; then others come in their place. 0: for ever
    floor: int = 0  # media nodes of the cluster that stay in service meanwhile
    ends: bool = False  # nothing is in service afterwards: these go too, once no one meets on any

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    twice: ClassVar[bool] = (
        True  # it is about nothing but what is gone, and one list without it may be an odd answer
    )
    checks: ClassVar[bool] = True

    def _left(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if not self.ids or n.id in self.ids]

    def _untold(self, cluster: Cluster) -> list[MediaNode]:
        told = [
            n
            for n in self._left(cluster)
            if n.member_status == "deleting" and not (self.uncount and n.counted)
        ]
        spare = self._spared(cluster)
        return [
            n
            for n in self._left(cluster)
            if n not in told and n not in spare and n.member_status is not None
        ]

    def _spared(self, cluster: Cluster) -> tuple[MediaNode, ...]:
        return spared(cluster, self._left(cluster), self.floor, ends=self.ends)

    def title(self) -> str:
        who = self.who or (count(self.number, "media node") if self.number else "the media nodes")
        return f"Let {who} finish and go"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._left(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        gone = {n.id for n in self._left(cluster)}
        return replace(cluster, media=tuple(n for n in cluster.media if n.id not in gone))

    def expected_seconds(self, cluster: Cluster) -> float:
        return WATCHER + cluster.timings.second_look

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.drain_deadline if self.limit is None else self.limit

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.look * 6

    def _held_by_deaf_agents(self, cluster: Cluster) -> list[MediaNode]:
        """Drained, and waiting without end for an agent that does not hear the signal, before they would delete themselves."""
        going = [n for n in self._left(cluster) if n.member_status == "deleting" and n.drained]
        return [
            n for n in going if isinstance(n.look, NodeLook) and n.look.start and n.look.running
        ]

    def needs_ask(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return bool(self._untold(cluster) or self._held_by_deaf_agents(cluster))

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await ask_each(world.send_away(n.id, uncount=self.uncount) for n in self._untold(cluster))
        await ask_each(world.delete_node(n.id) for n in self._held_by_deaf_agents(cluster))

    def effects(self, cluster: Cluster) -> Effects:
        going = {n.id for n in self._left(cluster)}
        if not going:
            return Effects()
        others = [n for n in cluster.media if n.id not in going and n.serving]
        return Effects(
            blocks=True,
            down=not others,
            irreversible=(
                "a node that was told to leave finishes and deletes itself: it never serves again",
            ),
            special=self._special(cluster, len(others)),
            keeps=min(self.floor, len([n for n in self._left(cluster) if n.serving]))
            if self.ends
            else 0,
        )

    def _special(self, cluster: Cluster, others: int) -> tuple[str, ...]:
        """What an approval says in as many words, where fewer stay in service than the cluster's settings ask for."""
        if not self.ids or (
            others
            and (others >= cluster.min_serving or not any(n.serving for n in self._left(cluster)))
        ):
            return ()
        until = "until the autoscaler has brought another media node"
        if not others:
            return (f"nobody can meet on {cluster.name} {until}",)
        return (
            f"leaves {count(others, 'media node')} in service {until}; `min_serving` of {cluster.name} is {cluster.min_serving}",
        )

    def waits_for(self, cluster: Cluster) -> str:
        left = self._left(cluster)
        still = [n for n in left if not n.drained]
        over = [n for n in left if n.drained]
        said = [carrying(cluster, still)] if still else []
        if over:
            said.append(
                f"{names(cluster, over)} to delete {'itself' if len(over) == 1 else 'themselves'}"
            )
        if kept := self._spared(cluster):
            said.append(in_service_until(cluster, kept, ends=self.ends))
        return "; ".join(said)

    def question(self, cluster: Cluster) -> Question | None:
        left, kept = self._left(cluster), self._spared(cluster)
        out = [n for n in left if n not in kept]
        rest = (
            f"{names(cluster, out)} leave by themselves when they have finished"
            if out
            else STILL_SERVING
        )
        ends = f"stopped at the drain; {rest}"
        head = (
            f"{names(cluster, out)} did not finish in time"
            if out
            else "Meetings did not end in time"
        )
        stop = Choice("stop", "Stop here", ends=ends)
        return Question(
            id="leave-deadline",
            text=f"{head}. Still there: {self.waits_for(cluster)}. {self._stuck(left)}"
            "No one is disconnected unless you choose it.",
            choices=(
                Choice("wait", "Wait another 30 min", wait=1800.0),
                *self._closes(kept),
                self._force(cluster, left),
                *((self._stays_up(cluster),) if self.gives_up else ()),
                stop,
            ),
            meanwhile=True,
            default="up" if self.gives_up else "",
            default_after=self.gives_up,
        ).staking(at_stake(cluster, left))

    @staticmethod
    def _stuck(left: list[MediaNode]) -> str:
        off = [n for n in left if n.droplet.off]
        if off:
            return "A node that is powered off cannot delete itself. "
        if all(n.drained for n in left):
            return "They have finished, and cannot delete themselves (their own token was refused, or doctl was not found). "
        return ""

    def _closes(self, kept: tuple[MediaNode, ...]) -> tuple[Choice, ...]:
        """The last ones are sent away too, although people meet there: it is final then."""
        if not (kept and self.ends):
            return ()
        return (
            Choice(
                "close",
                "Drain all, open no new meeting",
                steps=(replace(self, floor=0),),
                goes_on=True,
            ),
        )

    def _force(self, cluster: Cluster, left: list[MediaNode]) -> Choice:
        loses = f"ends now, by deleting the {'droplet' if len(left) == 1 else 'droplets'}, what still runs on {carrying(cluster, left)}"
        return Choice(
            "force",
            "Delete them now and go on",
            steps=(Deleted(tuple(n.id for n in left)),),
            goes_on=True,
            loses=loses,
        )

    @staticmethod
    def _stays_up(cluster: Cluster) -> Choice:
        number = max(1, cluster.declared or 1)
        steps: tuple[Step, ...] = (Autoscaling(on=True), Uncounted(), Arrived(number))
        serving, first = len(cluster.serving), Arrived(number)
        capacity = " with new media nodes"
        if serving:
            capacity = f" with {count(serving, 'media node')} in service"
            later = duration(first.expected_seconds(cluster))
            capacity += f", {number} of them within about {later}" if serving < number else ""
        return Choice(
            "up",
            f"Keep {cluster.name} up",
            steps=steps,
            back=f"meetings went on; {cluster.name} stays up{capacity}",
        )

    def stays(self) -> str:
        return f"{self.who or 'the media nodes'} on the way out: they finish and delete themselves"


@dataclass(frozen=True)
class Uncounted(Step):
    """The autoscaler counts no node that is on its way out, so that it brings others in their place."""

    needs: ClassVar[frozenset[Fact]] = POOL_FACTS

    def _left(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.member_status == "deleting" and n.counted]

    def title(self) -> str:
        return "Take the leaving media nodes out of the autoscaler's count"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._left(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_media({n.id: replace(n, counted=False) for n in self._left(cluster)})

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 5.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.pool_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.pool_deadline / 4

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await ask_each(world.uncount(n.id) for n in self._left(cluster))

    def waits_for(self, cluster: Cluster) -> str:
        return (
            f"{names(cluster, self._left(cluster))} to lose the media tag"
            if self._left(cluster)
            else ""
        )


@dataclass(frozen=True)
class Deleted(Step):
    """Media droplets are deleted, whatever still runs there. Only people choose this. `ids` empty: all of them."""

    ids: tuple[int, ...] = ()

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS | {Fact.LOAD}
    twice: ClassVar[bool] = True
    breakable: ClassVar[bool] = False

    def _left(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if not self.ids or n.id in self.ids]

    def title(self) -> str:
        return (
            f"Delete {count(len(self.ids), 'media node')}" if self.ids else "Delete the media nodes"
        )

    def is_done(self, cluster: Cluster) -> bool:
        return not self._left(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        gone = {n.id for n in self._left(cluster)}
        return replace(cluster, media=tuple(n for n in cluster.media if n.id not in gone))

    def expected_seconds(self, cluster: Cluster) -> float:
        return 10.0 + cluster.timings.second_look

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.pool_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.pool_deadline / 4

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await ask_each(
            world.delete_node(n.id) for n in self._left(cluster) if n.member_status is not None
        )

    def effects(self, cluster: Cluster) -> Effects:
        left = [n for n in self._left(cluster) if not n.drained]
        others = [n for n in cluster.media if n not in self._left(cluster) and n.serving]
        losing = f" ({carrying(cluster, left)} now)" if left else ""
        said = f"deletes {count(len(left), 'media node')} without letting meetings finish{losing}"
        return Effects(
            blocks=True, cuts_off=bool(left), down=not others, special=(said,) if left else ()
        )

    def waits_for(self, cluster: Cluster) -> str:
        return f"{names(cluster, self._left(cluster))} to be gone" if self._left(cluster) else ""

    def stays(self) -> str:
        return "the media droplets deleted"


@dataclass(frozen=True)
class FleetGone(MediaGone):
    """No media droplet is left and the autoscaler is still paused, seen twice, a minute apart."""

    harsh: bool = False  # people agreed to lose what still runs there

    def title(self) -> str:
        return "See that no media droplet is left and the autoscaler is paused"

    def confirm_after(self, cluster: Cluster) -> float:
        return max(60.0, cluster.timings.second_look)

    def is_done(self, cluster: Cluster) -> bool:
        return super().is_done(cluster) and not _runs(cluster.autoscaler)

    def expected_seconds(self, cluster: Cluster) -> float:
        return self.confirm_after(cluster)

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.look * 6 if self.harsh else None

    def needs_ask(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return self.harsh and bool(cluster.media)

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await ask_each(
            world.delete_node(n.id) for n in cluster.media if n.member_status is not None
        )

    def waits_for(self, cluster: Cluster) -> str:
        return (
            "the autoscaler to be paused again"
            if _runs(cluster.autoscaler)
            else super().waits_for(cluster)
        )


def _runs(autoscaler: Autoscaler | None) -> bool:
    return autoscaler is not None and autoscaler.enabled
