"""The step that writes a window into a cluster's book of hours."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster.model import Cluster, Fact
from services.steps.base import Effects, Step, World


@dataclass(frozen=True)
class SaveWindow(Step):
    """The window stands in the cluster's book, by these words."""

    words: str
    title_words: str
    opens: int = 0  # media nodes that it starts; 0: as many as before it closed
    was: int | None = None  # the version that is there with the same words, and is approved anew

    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})

    def title(self) -> str:
        return f"Keep the window {self.title_words}"

    def is_done(self, cluster: Cluster) -> bool:
        there = self.words in cluster.windows
        return there if self.was is None else there and self._version(cluster) > self.was

    @property
    def _name(self) -> str:
        return self.words.split(" ", 1)[0]

    def _version(self, cluster: Cluster) -> int:
        return dict(cluster.window_versions).get(self._name, 0)

    def after(self, cluster: Cluster) -> Cluster:
        windows = (*(w for w in cluster.windows if w.split(" ", 1)[0] != self._name), self.words)
        versions = {**dict(cluster.window_versions), self._name: self._version(cluster) + 1}
        return replace(cluster, windows=windows, window_versions=tuple(versions.items()))

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 1.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.pool_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.look

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await world.save_window(self.words)

    def effects(self, cluster: Cluster) -> Effects:
        return Effects(
            standing=True,
            opens=self.opens,
            special=(
                f"{cluster.name} is closed by {self.title_words} every time from now on without asking again; "
                "always gracefully, never by force",
            ),
        )

    def stays(self) -> str:
        return f"the window {self.title_words} is kept"
