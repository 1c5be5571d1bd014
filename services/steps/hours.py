"""The step that writes a window into a cluster's book of hours."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster import Cluster, Fact
from services.steps.base import Effects, Step, World


@dataclass(frozen=True)
class SaveWindow(Step):
    """The window stands in the cluster's book, by these words."""

    words: str
    title_words: str

    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})

    def title(self) -> str:
        return f"Keep the window {self.title_words}"

    def is_done(self, cluster: Cluster) -> bool:
        return self.words in cluster.windows

    def after(self, cluster: Cluster) -> Cluster:
        name = self.words.split(" ", 1)[0]
        return replace(cluster, windows=(*(w for w in cluster.windows if w.split(" ", 1)[0] != name), self.words))

    def takes(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 1.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.pool_deadline

    def nudge(self, cluster: Cluster) -> float | None:
        return cluster.timings.look

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await world.save_window(self.words)

    def effects(self, cluster: Cluster) -> Effects:
        return Effects(
            standing=True,
            special=(
                f"{cluster.name} is closed by {self.title_words} every time from now on without asking again; "
                "always gracefully, never by force",
            ),
        )

    def stays(self) -> str:
        return f"the window {self.title_words} is kept"
