"""Steps that remove the autoscaler's media nodes.

A tag makes them drain and delete themselves; no signal is sent by SSH.
"""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.model import Autoscaler, Cluster, Fact, MediaNode, NodeStatus
from services.common.text import count_of, plural
from services.common.values import replace
from services.steps.autoscaler import Arrived, Autoscaling
from services.steps.base import (
    NODE_FACTS,
    POOL_FACTS,
    Choice,
    Effects,
    Question,
    Step,
    StepTiming,
    WriteOperations,
    request_each,
)
from services.steps.drain import STILL_SERVING, WAIT_MORE, close_choice, not_finished
from services.steps.node_text import (
    drain_ends,
    in_service_until,
    load_at_stake,
    load_text,
    node_names,
    still_there,
)
from services.steps.planned_nodes import without
from services.steps.removal import MediaGone
from services.steps.waves import kept_in_service

# Seconds within which a node reads its own tags, according to the vendor.
WATCHER = 150.0


@dataclass(frozen=True)
class Left(Step):
    """Media nodes of the autoscaler have drained and deleted themselves.

    `ids` empty: all of them, also those that the autoscaler adds meanwhile.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=lambda t: WATCHER + t.second_look,
        deadline=lambda t: t.drain_deadline,
        retry_after=lambda t: t.look * 6,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    # It is about absence only, and a single list without a node may be incomplete.
    confirm: ClassVar[bool] = True
    is_verification: ClassVar[bool] = True
    waits_for_meetings: ClassVar[bool] = True

    ids: tuple[int, ...] = ()
    # How many there were when it was planned, for the title; 0: all.
    number: int = 0
    # The autoscaler is enabled and adds replacements.
    uncount: bool = False
    # Their names, for the title, when they are few.
    who: str = ""
    # Seconds that meetings may take. None: the cluster's drain deadline.
    limit: float | None = None
    # Seconds until an unanswered question keeps the cluster up, with new nodes. 0: never.
    gives_up: float = 0.0
    # Media nodes of the cluster that stay in service meanwhile.
    floor: int = 0
    # No node is in service afterwards: the last ones are drained too once they are empty.
    ends: bool = False

    def _remaining(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if not self.ids or n.id in self.ids]

    def _to_tag(self, cluster: Cluster) -> list[MediaNode]:
        kept = self._spared(cluster)
        return [
            n
            for n in self._remaining(cluster)
            if n.member_status is not None and not self._is_tagged(n) and n not in kept
        ]

    def _is_tagged(self, node: MediaNode) -> bool:
        return node.member_status == "deleting" and not (self.uncount and node.has_media_tag)

    def _spared(self, cluster: Cluster) -> tuple[MediaNode, ...]:
        return kept_in_service(cluster, self._remaining(cluster), self.floor, ends=self.ends)

    def title(self) -> str:
        nodes = count_of(self.number, "media node") if self.number else "the media nodes"
        return f"Drain and remove {self.who or nodes}"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._remaining(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return without(cluster, self._remaining(cluster))

    def deadline(self, cluster: Cluster) -> float:
        if self.limit is not None:
            return self.limit
        return super().deadline(cluster)

    def _held_by_deaf_agents(self, cluster: Cluster) -> list[MediaNode]:
        """Return drained nodes that wait forever for an agent that does not hear the signal.

        They would not delete themselves.
        """
        leaving = [
            n for n in self._remaining(cluster) if n.member_status == "deleting" and n.drained
        ]
        return [
            n for n in leaving if isinstance(n.look, NodeStatus) and n.look.start and n.look.running
        ]

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return bool(self._to_tag(cluster) or self._held_by_deaf_agents(cluster))

    @override
    def closing_nodes(self, cluster: Cluster) -> tuple[MediaNode, ...]:
        return tuple(n for n in self._to_tag(cluster) if not n.draining)

    @override
    def awaited_nodes(self, cluster: Cluster) -> tuple[MediaNode, ...]:
        return tuple(n for n in self._remaining(cluster) if n.draining)

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await request_each(
            world.tag_for_draining(n.id, uncount=self.uncount) for n in self._to_tag(cluster)
        )
        await request_each(world.delete_node(n.id) for n in self._held_by_deaf_agents(cluster))

    def effects(self, cluster: Cluster) -> Effects:
        leaving = self._remaining(cluster)
        if not leaving:
            return Effects()
        ids = {n.id for n in leaving}
        others = [n for n in cluster.media if n.id not in ids and n.serving]
        keeps = min(self.floor, len([n for n in leaving if n.serving])) if self.ends else 0
        return Effects(
            blocks=True,
            down=not others,
            irreversible=("a node that has started draining deletes itself and never returns",),
            special=self._special(cluster, len(others)),
            keeps=keeps,
        )

    def _special(self, cluster: Cluster, others: int) -> tuple[str, ...]:
        """Return what an approval must state when too few nodes stay in service."""
        leaving = self._remaining(cluster)
        enough = others >= cluster.min_serving or not any(n.serving for n in leaving)
        if not self.ids or (others and enough):
            return ()
        until = "until the autoscaler has added another media node"
        if not others:
            return (f"no one can meet on {cluster.name} {until}",)
        leaves = f"leaves {count_of(others, 'media node')} in service {until}"
        return (f"{leaves}; `min_serving` of {cluster.name} is {cluster.min_serving}",)

    def waits_for(self, cluster: Cluster) -> str:
        remaining = self._remaining(cluster)
        busy = [n for n in remaining if not n.drained]
        drained = [n for n in remaining if n.drained]
        parts = []
        if busy:
            parts.append(load_text(cluster, busy))
        if drained:
            itself = plural(len(drained), "itself", "themselves")
            parts.append(f"{node_names(cluster, drained)} to delete {itself}")
        if kept := self._spared(cluster):
            parts.append(in_service_until(cluster, kept, ends=self.ends))
        return ". ".join(filter(None, ("; ".join(parts), drain_ends(cluster, busy))))

    # The question at the deadline

    def timeout_question(self, cluster: Cluster) -> Question | None:
        remaining, kept = self._remaining(cluster), self._spared(cluster)
        leaving = [n for n in remaining if n not in kept]
        rest = STILL_SERVING
        if leaving:
            names = node_names(cluster, leaving)
            delete = plural(len(leaving), "deletes itself", "delete themselves")
            rest = f"{names} {delete} once drained"
        default = ""
        keep_up: tuple[Choice, ...] = ()
        if self.gives_up:
            default, keep_up = "up", (_keep_up(cluster),)
        return Question(
            id="leave-deadline",
            text=f"{not_finished(cluster, leaving)}. Still running: {self.waits_for(cluster)}. "
            f"{_cannot_delete_themselves(remaining)}No one is disconnected unless you choose it.",
            choices=(
                WAIT_MORE,
                *close_choice(kept, replace(self, floor=0), ends=self.ends),
                _force(cluster, remaining),
                *keep_up,
                Choice("stop", "Stop here", ends=f"stopped during the drain; {rest}"),
            ),
            meanwhile=True,
            default=default,
            default_after=self.gives_up,
            headline=still_there(cluster, leaving or remaining),
        ).with_stake(load_at_stake(cluster, remaining))

    def residue(self) -> str:
        return f"{self.who or 'media nodes'} drained and deleted"


def _cannot_delete_themselves(remaining: list[MediaNode]) -> str:
    if any(n.droplet.off for n in remaining):
        return "A node that is powered off cannot delete itself. "
    if all(n.drained for n in remaining):
        return (
            "They are drained but cannot delete themselves "
            "(their own token was refused, or doctl was not found). "
        )
    return ""


def _force(cluster: Cluster, remaining: list[MediaNode]) -> Choice:
    droplets = plural(len(remaining), "droplet", "droplets")
    carried = load_text(cluster, remaining)
    return Choice(
        "force",
        "Delete them now",
        steps=(Deleted(tuple(n.id for n in remaining)),),
        goes_on=True,
        loses=f"deletes the {droplets} and ends immediately what runs on {carried}",
    )


def _keep_up(cluster: Cluster) -> Choice:
    number = max(1, cluster.autoscaler_minimum or 1)
    steps: tuple[Step, ...] = (Autoscaling(on=True), Uncounted(), Arrived(number))
    return Choice(
        "up",
        f"Keep {cluster.name} in service",
        steps=steps,
        back=f"meetings continued; {cluster.name} stays in service",
    )


@dataclass(frozen=True)
class Uncounted(Step):
    """The autoscaler counts no leaving node, so that it adds replacements."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=5.0,
        deadline=lambda t: t.pool_deadline,
        retry_after=lambda t: t.pool_deadline / 4,
    )
    needs: ClassVar[frozenset[Fact]] = POOL_FACTS
    leaves_change: ClassVar[bool] = False

    def _remaining(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.member_status == "deleting" and n.has_media_tag]

    def title(self) -> str:
        return "Remove draining media nodes from the autoscaler's count"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._remaining(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_media(
            {n.id: replace(n, has_media_tag=False) for n in self._remaining(cluster)}
        )

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await request_each(world.remove_from_autoscaler(n.id) for n in self._remaining(cluster))

    def waits_for(self, cluster: Cluster) -> str:
        remaining = self._remaining(cluster)
        if not remaining:
            return ""
        return f"{node_names(cluster, remaining)} to lose the media tag"


@dataclass(frozen=True)
class Deleted(Step):
    """Media droplets are deleted, whatever runs there. Only people choose this.

    `ids` empty: all of them.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=lambda t: 10.0 + t.second_look,
        deadline=lambda t: t.pool_deadline,
        retry_after=lambda t: t.pool_deadline / 4,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS | {Fact.LOAD}
    confirm: ClassVar[bool] = True
    interruptible: ClassVar[bool] = False

    ids: tuple[int, ...] = ()

    def _remaining(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if not self.ids or n.id in self.ids]

    def title(self) -> str:
        if self.ids:
            return f"Delete {count_of(len(self.ids), 'media node')}"
        return "Delete the media nodes"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._remaining(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return without(cluster, self._remaining(cluster))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        own = [n for n in self._remaining(cluster) if n.member_status is not None]
        await request_each(world.delete_node(n.id) for n in own)

    def effects(self, cluster: Cluster) -> Effects:
        remaining = self._remaining(cluster)
        busy = [n for n in remaining if not n.drained]
        others = [n for n in cluster.media if n not in remaining and n.serving]
        special: tuple[str, ...] = ()
        if busy:
            nodes = count_of(len(busy), "media node")
            special = (f"deletes {nodes} without draining ({load_text(cluster, busy)} now)",)
        return Effects(blocks=True, cuts_off=bool(busy), down=not others, special=special)

    def waits_for(self, cluster: Cluster) -> str:
        remaining = self._remaining(cluster)
        if not remaining:
            return ""
        return f"{node_names(cluster, remaining)} to be deleted"

    def residue(self) -> str:
        return "media droplets deleted"


@dataclass(frozen=True)
class FleetGone(MediaGone):
    """No media droplet is left and the autoscaler is still paused, seen twice, a minute apart."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=lambda t: max(60.0, t.second_look),
        deadline=lambda t: t.members_gone_deadline,
        confirm_after=lambda t: max(60.0, t.second_look),
    )

    # People approved losing what still runs there.
    harsh: bool = False

    def title(self) -> str:
        return "Verify that media droplets are deleted and the autoscaler is paused"

    def is_done(self, cluster: Cluster) -> bool:
        return super().is_done(cluster) and not _is_enabled(cluster.autoscaler)

    def retry_after(self, cluster: Cluster) -> float | None:
        if self.harsh:
            return cluster.timings.look * 6
        return super().retry_after(cluster)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return self.harsh and bool(cluster.media)

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        own = [n for n in cluster.media if n.member_status is not None]
        await request_each(world.delete_node(n.id) for n in own)

    def waits_for(self, cluster: Cluster) -> str:
        if _is_enabled(cluster.autoscaler):
            return "the autoscaler to be paused again"
        return super().waits_for(cluster)


def _is_enabled(autoscaler: Autoscaler | None) -> bool:
    return autoscaler is not None and autoscaler.enabled
