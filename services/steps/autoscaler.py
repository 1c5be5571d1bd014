"""Steps that pause or resume the autoscaler, and wait for the media nodes that it adds."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.model import RUN_SECONDS, TURN_SECONDS, Cluster, Fact, MediaNode
from services.common.text import count_of, duration
from services.common.values import replace
from services.steps.base import POOL_FACTS, Choice, Question, Step, StepTiming, WriteOperations
from services.steps.media_nodes import NEW_NODE, MediaServing
from services.steps.node_text import node_names

ANSWER_DEADLINE = 60.0
CONSOLE = "The reason is in the Functions console (not shown here: it contains credentials)"


@dataclass(frozen=True)
class Autoscaling(Step):
    """The autoscaler is enabled, or paused so that it adds, drains and replaces no node."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=2.0,
        deadline=lambda t: t.pool_deadline,
        retry_after=lambda t: t.pool_deadline / 4,
    )
    needs: ClassVar[frozenset[Fact]] = POOL_FACTS
    changed_facts: ClassVar[tuple[str, ...]] = ("scaling",)
    interruptible: ClassVar[bool] = False

    on: bool
    # Paused by request, not as part of a shutdown.
    frozen: bool = False
    # Someone else paused it: people decide whether it is resumed.
    asks: bool = False
    # Media nodes to wait for after people have it resumed.
    number: int = 0

    def title(self) -> str:
        if self.on:
            return "Resume the autoscaler"
        return "Pause the autoscaler"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.autoscaler is None or cluster.autoscaler.enabled == self.on

    def after(self, cluster: Cluster) -> Cluster:
        if cluster.autoscaler is None or self.is_done(cluster):
            return cluster
        changed = replace(cluster.autoscaler, enabled=self.on, next_run=None)
        if self.on:
            changed = replace(changed, paused_by="", paused_at=0.0, frozen=False)
        else:
            changed = replace(
                changed, paused_by="this run", paused_at=cluster.seen_at, frozen=self.frozen
            )
        return replace(cluster, autoscaler=changed)

    def deadline(self, cluster: Cluster) -> float:
        if self.asks:
            return ANSWER_DEADLINE
        return super().deadline(cluster)

    def retry_after(self, cluster: Cluster) -> float | None:
        if self.asks:
            return None
        return super().retry_after(cluster)

    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return not self.asks and super().needs_ask(cluster, again)

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        if self.on:
            await world.resume_autoscaler()
        else:
            await world.pause_autoscaler(frozen=self.frozen)

    def timeout_question(self, cluster: Cluster) -> Question | None:
        if not self.asks:
            return None
        steps: tuple[Step, ...] = (Autoscaling(on=True),)
        if self.number:
            steps += (Arrived(self.number),)
        return Question(
            id="autoscaler-paused",
            text=f"{pause_text(cluster)} No media nodes are added until it is resumed.",
            choices=(
                Choice("resume", "Resume the autoscaler", steps=steps),
                Choice(
                    "leave",
                    "Leave it paused",
                    ends="the autoscaler stays paused; [[command unfreeze]] resumes it",
                ),
            ),
            meanwhile=True,
            headline="the autoscaler is paused",
        )

    def waits_for(self, cluster: Cluster) -> str:
        if self.is_done(cluster):
            return ""
        if self.asks:
            return "an operator to decide whether the autoscaler is resumed"
        return "DigitalOcean to confirm it"

    def residue(self) -> str:
        if self.on:
            return "autoscaler resumed"
        return "autoscaler paused until [[command unfreeze]] or the next start-up"


def pause_text(cluster: Cluster) -> str:
    """Return who paused the autoscaler and how, as far as known; "" while it is enabled."""
    autoscaler = cluster.autoscaler
    if autoscaler is None or autoscaler.enabled:
        return ""
    if not autoscaler.trigger:
        return (
            "The autoscaler's trigger was deleted, and Terraform does not notice. To create it "
            "again, run "
            "`terraform apply -replace='null_resource.deploy_autoscaler_function[0]'` "
            "(read its plan first)."
        )
    if not autoscaler.paused_by:
        return "The autoscaler was paused outside this bot."
    since = duration(max(0.0, cluster.seen_at - autoscaler.paused_at))
    verb = "frozen" if autoscaler.frozen else "paused"
    return f"The autoscaler was {verb} by `{autoscaler.paused_by}` {since} ago."


@dataclass(frozen=True)
class RunsOver(Step):
    """No run of the autoscaler is in progress.

    A run that began before the pause may still add or drain nodes.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=RUN_SECONDS + 60.0,
        deadline=2 * (RUN_SECONDS + TURN_SECONDS) + 300.0,
    )
    needs: ClassVar[frozenset[Fact]] = POOL_FACTS
    only_waits: ClassVar[bool] = True
    leaves_change: ClassVar[bool] = False

    def title(self) -> str:
        return "Wait for an autoscaler run in progress to end"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.autoscaler is None or (
            not cluster.autoscaler.enabled and cluster.seen_at >= cluster.autoscaler.quiet_at
        )

    def after(self, cluster: Cluster) -> Cluster:
        if cluster.autoscaler is None:
            return cluster
        long_ago = cluster.seen_at - 10 * TURN_SECONDS
        quiet = replace(
            cluster.autoscaler, enabled=False, last_run=0.0, paused_at=long_ago, next_run=None
        )
        return replace(cluster, autoscaler=quiet)

    def waits_for(self, cluster: Cluster) -> str:
        autoscaler = cluster.autoscaler
        if autoscaler is None or self.is_done(cluster):
            return ""
        if autoscaler.enabled:
            return "the autoscaler to be paused"
        left = duration(autoscaler.quiet_at - cluster.seen_at)
        return f"an autoscaler run to end, {left}"

    def residue(self) -> str:
        return "no autoscaler run in progress"


@dataclass(frozen=True)
class Arrived(MediaServing):
    """At least `number` media nodes are in service.

    Only the autoscaler adds them, one in each of its runs or all at once.
    """

    is_verification: ClassVar[bool] = True

    def title(self) -> str:
        nodes = count_of(self.number, "media node")
        return f"Wait until the autoscaler has {nodes} in service"

    def _comes_up(self, node: MediaNode) -> bool:
        return node.member_status == "active"

    def expected_seconds(self, cluster: Cluster) -> float:
        missing = self.number - len(self._serving(cluster))
        if missing <= 0:
            return 5.0
        return TURN_SECONDS * missing + NEW_NODE

    @override
    def deadline(self, cluster: Cluster) -> float:
        return TURN_SECONDS * self.number + 1200.0

    @override
    def retry_after(self, cluster: Cluster) -> float | None:
        return None

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return False

    @override
    def regression(self, cluster: Cluster) -> str:
        # The autoscaler may change the number at any time.
        return ""

    def waits_for(self, cluster: Cluster) -> str:
        number = count_of(self.number, "media node")
        serving = f"{len(self._serving(cluster))} of {number} in service"
        coming = [n for n in cluster.media if n.member_status == "active" and not n.serving]
        if coming:
            return f"{serving}; {node_names(cluster, coming)} starting"
        autoscaler = cluster.autoscaler
        if autoscaler is not None and not autoscaler.enabled:
            return f"{serving}; the autoscaler is paused and adds none"
        ran = (
            autoscaler is not None
            and autoscaler.last_run > autoscaler.paused_at
            and bool(autoscaler.last_run)
        )
        if ran and not cluster.media:
            return (
                f"{serving}; the autoscaler has run and added none: its token, the account's "
                f"droplet limit, or no capacity. {CONSOLE}"
            )
        return f"{serving}; the autoscaler runs within 4 min"
