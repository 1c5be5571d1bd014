"""The step that drains media nodes, and what people can choose when meetings do not end in time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.model import Cluster, Fact, MediaNode, NodeStatus
from services.common.observed import Unobserved
from services.common.text import count_of, join_words, plural
from services.common.values import replace
from services.steps.base import (
    NODE_FACTS,
    Choice,
    Effects,
    Question,
    Step,
    StepTiming,
    WriteOperations,
    request_each,
    shown_by_nodes,
)
from services.steps.media_nodes import MediaServing, Revive, StopService
from services.steps.node_text import (
    drain_ends,
    in_service_until,
    load_at_stake,
    load_text,
    node_names,
    nodes_and_verb,
    still_there,
)
from services.steps.planned_nodes import drained
from services.steps.waves import kept_in_service

STILL_SERVING = "media nodes in service stay in service"
# Seconds after which people are asked about a node that could not be signalled, whatever the limit.
STUCK = 600.0
WAIT_MORE = Choice("wait", "Wait 30 min more", wait=1800.0)


@dataclass(frozen=True)
class Drain(Step):
    """Media nodes are drained: they take no new meetings, and running meetings have ended.

    `ids` empty: every media node. The methods that build the question belong together: each choice
    depends on what the drain is for.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=3.0,
        deadline=lambda t: t.drain_deadline,
        retry_after=lambda t: t.look * 6,
    )
    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    waits_for_meetings: ClassVar[bool] = True

    ids: tuple[int, ...] = ()
    # How many there were when it was planned, for the title.
    number: int = 0
    # They are removed afterwards by lowering the pool's number. False: they stay, drained.
    pool_follows: bool = True
    # OpenVidu is restarted on them afterwards.
    returns: bool = False
    # Nothing follows: they stay out of service.
    alone: bool = False
    # Their names, for the title, when they are few.
    who: str = ""
    # Seconds that meetings may take. None: the cluster's drain deadline.
    limit: float | None = None
    # Seconds until an unanswered question puts the nodes back into service. 0: never.
    gives_up: float = 0.0
    # Of those to be removed: the ones that stay, drained.
    stay: tuple[int, ...] = ()
    # Media nodes of the cluster that stay in service meanwhile.
    floor: int = 0
    # No node is in service afterwards: the last ones are drained too once they are empty.
    ends: bool = False
    # With `gives_up`: the steps that restore the capacity.
    back: tuple[Step, ...] = ()
    # Without `ids`: only the members after the first so many, oldest first.
    beyond: int = 0

    @override
    def watched_facts(self, cluster: Cluster) -> frozenset[Fact]:
        return shown_by_nodes(cluster)

    def _nodes(self, cluster: Cluster) -> list[MediaNode]:
        if self.beyond and not self.ids:
            return list(cluster.members[self.beyond :])
        selected = [n for n in cluster.media if not self.ids or n.id in self.ids]
        return [n for n in selected if n.member_status != "deleting"]

    def _remaining(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in self._nodes(cluster) if not self._finished(n)]

    def _spared(self, cluster: Cluster) -> tuple[MediaNode, ...]:
        return kept_in_service(cluster, self._remaining(cluster), self.floor, ends=self.ends)

    def is_conclusive(self, cluster: Cluster) -> bool:
        return super().is_conclusive(cluster) and len(self._nodes(cluster)) >= self.number

    def _finished(self, node: MediaNode) -> bool:
        # A node that is restarted afterwards need not wait for an agent: its meetings are over.
        if self.returns:
            return node.parked or node.restartable
        # A node that stays must not start serving by itself; a removed one need only be empty.
        if self._stays(node):
            return node.parked
        return node.drained

    def _stays(self, node: MediaNode) -> bool:
        return not self.pool_follows or node.id in self.stay

    def title(self) -> str:
        return f"Drain {self.who or count_of(self.number, 'media node')}"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._remaining(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_media({n.id: drained(n) for n in self._nodes(cluster)})

    def deadline(self, cluster: Cluster) -> float:
        limit = self.limit if self.limit is not None else super().deadline(cluster)
        if any(_is_stuck(n, cluster.seen_at) for n in self._remaining(cluster)):
            return min(limit, STUCK)
        return limit

    def retry_after(self, cluster: Cluster) -> float | None:
        looks = [n.look for n in self._remaining(cluster)]
        if any(isinstance(look, NodeStatus) and look.undelivered for look in looks):
            return cluster.timings.look * 24
        return super().retry_after(cluster)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return bool(self._to_signal(cluster))

    def _to_signal(self, cluster: Cluster) -> list[MediaNode]:
        kept = {n.id for n in self._spared(cluster)}
        return [n for n in self._remaining(cluster) if _may_be_signalled(n) and n.id not in kept]

    @override
    def closing_nodes(self, cluster: Cluster) -> tuple[MediaNode, ...]:
        return tuple(self._to_signal(cluster))

    @override
    def awaited_nodes(self, cluster: Cluster) -> tuple[MediaNode, ...]:
        return tuple(n for n in self._remaining(cluster) if n.draining)

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await request_each(
            world.drain(n.id, stays=self._stays(n)) for n in self._to_signal(cluster)
        )

    def effects(self, cluster: Cluster) -> Effects:
        nodes = self._nodes(cluster)
        # With `beyond` they replaced other nodes, which are in service again by then.
        if not nodes or self.beyond:
            return Effects()
        ids = {n.id for n in nodes}
        others = [n for n in cluster.media if n.id not in ids and n.serving]
        keeps = min(self.floor, len([n for n in nodes if n.serving])) if self.ends else 0
        return Effects(
            blocks=True,
            down=not others,
            irreversible=(
                "a node that has started draining must be restarted before it takes meetings again",
            ),
            special=self._special(cluster, nodes, len(others)),
            keeps=keeps,
        )

    def _special(self, cluster: Cluster, nodes: list[MediaNode], others: int) -> tuple[str, ...]:
        """Return what an approval must state when too few nodes stay in service."""
        enough = others >= cluster.min_serving or not any(n.serving for n in nodes)
        if not self.ids or (others and enough):
            return ()
        if not others:
            return (f"no one can meet on {cluster.name} {self._until()}",)
        leaves = f"leaves {count_of(others, 'media node')} in service {self._until()}"
        return (f"{leaves}; `min_serving` of {cluster.name} is {cluster.min_serving}",)

    def _until(self) -> str:
        if self.alone or self.returns:
            return "until OpenVidu is restarted there"
        if not self.pool_follows:
            return "until OpenVidu is started there"
        return "until another media node is in service"

    def regression(self, cluster: Cluster) -> str:
        serving = [n for n in self._nodes(cluster) if n.serving]
        if not serving:
            return ""
        return f"{nodes_and_verb(cluster, serving, 'takes', 'take')} meetings"

    def waits_for(self, cluster: Cluster) -> str:
        remaining, kept = self._remaining(cluster), self._spared(cluster)
        text = load_text(cluster, remaining)
        if kept:
            text += f"; {in_service_until(cluster, kept, ends=self.ends)}"
        return ". ".join(filter(None, (text, drain_ends(cluster, remaining))))

    # The question at the deadline

    def timeout_question(self, cluster: Cluster) -> Question | None:
        remaining, kept = self._remaining(cluster), self._spared(cluster)
        leaving = [n for n in remaining if n not in kept]
        head = not_finished(cluster, leaving)
        default = "up" if self.gives_up else ""
        return Question(
            id="drain-deadline",
            text=f"{head}. Still running: {self.waits_for(cluster)}. "
            "No one is disconnected unless you choose it.",
            choices=(
                WAIT_MORE,
                *close_choice(kept, replace(self, floor=0), ends=self.ends),
                self._force(cluster, remaining),
                *self._other_choices(cluster, leaving),
            ),
            meanwhile=True,
            default=default,
            default_after=self.gives_up,
            headline=still_there(cluster, leaving or remaining),
        ).with_stake(load_at_stake(cluster, remaining))

    def _other_choices(self, cluster: Cluster, leaving: list[MediaNode]) -> tuple[Choice, ...]:
        rest = STILL_SERVING
        if leaving:
            takes = nodes_and_verb(cluster, leaving, "takes", "take")
            rest = f"{takes} no new meetings until restarted"
        stop = Choice("stop", "Stop here", ends=f"stopped during the drain; {rest}")
        if not self.gives_up:
            return (stop,)
        nodes = [n for n in self._nodes(cluster) if not n.droplet.off]
        steps = self.back or (Revive(tuple(n.id for n in nodes)), MediaServing(len(nodes)))
        back = f"meetings continued; {cluster.name} stays in service"
        return (Choice("up", f"Keep {cluster.name} in service", steps=steps, back=back), stop)

    def _force(self, cluster: Cluster, remaining: list[MediaNode]) -> Choice:
        loses = f"ends immediately what runs on {load_text(cluster, remaining)}"
        label = "End these meetings"
        held = sorted({name for n in remaining for name in n.busy_with})
        all_held = bool(remaining) and all(n.busy_with for n in remaining)
        if all_held and not {"ingress", "egress"} & set(held):
            agents = plural(len(held), "agent", "agents")
            label = f"End the {agents}"
            loses = (
                f"ends {agents} {join_words(held)}; no meeting runs on these nodes: "
                "no one is disconnected"
            )
        if not (self.returns or self.alone):
            return Choice("force", label, skip=True, loses=loses)
        # No pool removes these nodes: stopping OpenVidu ends what runs on them.
        ids = tuple(n.id for n in remaining)
        steps: tuple[Step, ...] = (StopService(ids),)
        if not self.alone:
            steps += (Revive(ids),)
        return Choice("force", label, steps=steps, loses=loses)

    def residue(self) -> str:
        return f"{self._drained()} drained (no new meetings until OpenVidu is restarted there)"

    def _drained(self) -> str:
        if self.who or not self.number:
            return self.who or "media nodes"
        return count_of(self.number, "media node")


def not_finished(cluster: Cluster, leaving: list[MediaNode]) -> str:
    """Return which nodes did not finish in time."""
    if not leaving:
        return "Meetings did not end in time"
    return f"{node_names(cluster, leaving)} did not drain in time"


def close_choice(kept: Sequence[MediaNode], step: Step, *, ends: bool) -> tuple[Choice, ...]:
    """Return the choice to drain the last nodes in service too, although meetings run there.

    `step`: the drain without nodes that are kept in service. Empty when none is kept.
    """
    if not (kept and ends):
        return ()
    return (Choice("close", "Drain all, block new meetings", steps=(step,), goes_on=True),)


def _may_be_signalled(node: MediaNode) -> bool:
    """Return whether the node is seen with a media server that has had no drain signal.

    Never one that may have had it, that is not seen, or that is still installing.
    """
    look = node.look
    return (
        isinstance(look, NodeStatus)
        and bool(look.start)
        and (not look.drain_marked or bool(look.undelivered))
        and bool(look.containers_to_drain)
    )


def _is_stuck(node: MediaNode, now: float) -> bool:
    """Return whether waiting alone cannot help: unseen for long, or not signalled."""
    if isinstance(node.look, Unobserved):
        return bool(node.look.since) and now - node.look.since > STUCK
    return bool(node.look.undelivered) or bool(node.contradiction)
