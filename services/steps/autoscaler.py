"""Steps about the function that adds and drains media nodes by itself: holding it still, and waiting for what it brings."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster.model import RUN_SECONDS, TURN_SECONDS, Cluster, Fact, MediaNode, short
from services.common.text import count, duration, listed
from services.steps.base import Choice, Question, Step, World
from services.steps.media_nodes import POOL_FACTS, MediaServing, in_service, newcomer

ANSWERS = 60.0
CONSOLE = "the Functions console shows why; not here, because what it shows holds credentials"


@dataclass(frozen=True)
class Autoscaling(Step):
    """The autoscaler runs by its clock; or it is paused, and nothing is added, drained or replaced."""

    on: bool
    frozen: bool = False  # paused for its own sake
    asks: bool = False  # somebody else paused it: people say whether it is resumed
    number: int = 0  # media nodes to wait for afterwards, when people say yes

    needs: ClassVar[frozenset[Fact]] = POOL_FACTS
    edits: ClassVar[tuple[str, ...]] = ("scaling",)
    breakable: ClassVar[bool] = False

    def title(self) -> str:
        return "Resume the autoscaler" if self.on else "Pause the autoscaler"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.autoscaler is None or cluster.autoscaler.enabled == self.on

    def after(self, cluster: Cluster) -> Cluster:
        if cluster.autoscaler is None or self.is_done(cluster):
            return cluster
        mine = ("", 0.0, False) if self.on else ("this run", cluster.seen_at, self.frozen)
        changed = replace(
            cluster.autoscaler,
            enabled=self.on,
            next_run=None,
            paused_by=mine[0],
            paused_at=mine[1],
            frozen=mine[2],
        )
        return replace(cluster, autoscaler=changed)

    def takes(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 2.0

    def deadline(self, cluster: Cluster) -> float:
        return ANSWERS if self.asks else cluster.timings.pool_deadline

    def nudge(self, cluster: Cluster) -> float | None:
        return None if self.asks else cluster.timings.pool_deadline / 4

    def wants(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return not self.asks and not self.is_done(cluster)

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        if self.on:
            await world.resume_autoscaler()
        else:
            await world.pause_autoscaler(frozen=self.frozen)

    def question(self, cluster: Cluster) -> Question | None:
        if not self.asks:
            return None
        way: tuple[Step, ...] = (Autoscaling(on=True),)
        if self.number:
            way += (Arrived(self.number),)
        return Question(
            id="autoscaler-paused",
            text=f"{paused_words(cluster)} Nothing brings media nodes until it is resumed.",
            choices=(
                Choice("resume", "Resume the autoscaler", steps=way),
                Choice(
                    "leave",
                    "Leave it paused",
                    ends="the autoscaler was left paused; [[command unfreeze]] resumes it",
                ),
            ),
            meanwhile=True,
        )

    def waits_for(self, cluster: Cluster) -> str:
        if self.is_done(cluster):
            return ""
        return (
            "somebody to say whether the autoscaler is resumed"
            if self.asks
            else "DigitalOcean to show it"
        )

    def stays(self) -> str:
        return (
            "the autoscaler running"
            if self.on
            else "the autoscaler paused, until [[command unfreeze]] or the next start-up"
        )


def paused_words(cluster: Cluster) -> str:
    """Who paused it and how, as far as that is known; "" while it runs."""
    seen = cluster.autoscaler
    if seen is None or seen.enabled:
        return ""
    if not seen.trigger:
        return (
            "The autoscaler's trigger was deleted, and Terraform does not notice: "
            "`terraform apply -replace='null_resource.deploy_autoscaler_function[0]'` makes it anew (read the plan first)."
        )
    if not seen.paused_by:
        return "The autoscaler is paused, and not by this bot."
    since = duration(max(0.0, cluster.seen_at - seen.paused_at))
    return f"The autoscaler was {'frozen' if seen.frozen else 'paused'} by `{seen.paused_by}` {since} ago."


@dataclass(frozen=True)
class RunsOver(Step):
    """No run of the autoscaler is under way any more: one that began before the pause may still add or drain nodes."""

    needs: ClassVar[frozenset[Fact]] = POOL_FACTS

    def title(self) -> str:
        return "Wait out a run of the autoscaler that may be under way"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.autoscaler is None or (
            not cluster.autoscaler.enabled and cluster.seen_at >= cluster.autoscaler.quiet_at
        )

    def after(self, cluster: Cluster) -> Cluster:
        if cluster.autoscaler is None:
            return cluster
        long_ago = cluster.seen_at - 10 * TURN_SECONDS
        return replace(
            cluster,
            autoscaler=replace(
                cluster.autoscaler, enabled=False, last_run=0.0, paused_at=long_ago, next_run=None
            ),
        )

    def takes(self, cluster: Cluster) -> float:  # noqa: ARG002
        return RUN_SECONDS + 60.0

    def deadline(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 2 * (RUN_SECONDS + TURN_SECONDS) + 300.0

    def wants(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return False

    def waits_for(self, cluster: Cluster) -> str:
        seen = cluster.autoscaler
        if seen is None or self.is_done(cluster):
            return ""
        if seen.enabled:
            return "the autoscaler to be paused"
        return f"a run of the autoscaler to end, {duration(seen.quiet_at - cluster.seen_at)}"

    def stays(self) -> str:
        return "no run of the autoscaler under way"


@dataclass(frozen=True)
class Arrived(MediaServing):
    """That many media nodes serve. The autoscaler brings them, one in each of its turns or all at once; nobody else can."""

    checks: ClassVar[bool] = True

    def title(self) -> str:
        return f"Wait until the autoscaler has brought {count(self.number, 'media node')} that {'serves' if self.number == 1 else 'serve'}"

    def after(self, cluster: Cluster) -> Cluster:
        media = tuple(
            in_service(n) if self._counts(n) and n.member_status == "active" else n
            for n in cluster.media
        )
        missing = self.number - len([n for n in media if n.serving and self._counts(n)])
        born = tuple(
            in_service(newcomer(cluster, len(media) + i, self.size)) for i in range(missing)
        )
        return replace(cluster, media=media + born)

    def takes(self, cluster: Cluster) -> float:
        missing = self.number - len(self._serving(cluster))
        return 5.0 if missing <= 0 else TURN_SECONDS * missing + 240.0

    def deadline(self, cluster: Cluster) -> float:  # noqa: ARG002
        return TURN_SECONDS * self.number + 1200.0

    def nudge(self, cluster: Cluster) -> float | None:  # noqa: ARG002
        return None

    def wants(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return False

    def lost(self, cluster: Cluster) -> str:  # noqa: ARG002
        return ""  # how many there are is the autoscaler's to change at any time

    def waits_for(self, cluster: Cluster) -> str:
        seen = cluster.autoscaler
        coming = [n for n in cluster.media if n.member_status == "active" and not n.serving]
        said = f"{len(self._serving(cluster))} of {count(self.number, 'media node')} serving"
        if coming:
            return f"{said}; {names(cluster, coming)} coming up"
        if seen is not None and not seen.enabled:
            return f"{said}; the autoscaler is paused, so none will come"
        if (
            not cluster.media
            and seen is not None
            and seen.last_run > seen.paused_at
            and seen.last_run
        ):
            return f"{said}; the autoscaler has run and brought none: its token, the account's droplet limit, or no capacity. {CONSOLE}"
        return f"{said}; the autoscaler to take its turn, within 4 min"


def names(cluster: Cluster, nodes: list[MediaNode]) -> str:
    """What people call them, all of them."""
    return listed(short(n.name, cluster.stack) for n in nodes)
