"""The step that writes a window into a cluster's schedule."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.model import Cluster, Fact
from services.common.markers import strong
from services.common.values import replace
from services.steps.base import Effects, Step, StepTiming, WriteOperations


@dataclass(frozen=True)
class SaveWindow(Step):
    """The window is in the cluster's schedule."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=1.0,
        deadline=lambda t: t.pool_deadline,
        retry_after=lambda t: t.look,
    )
    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})

    words: str
    title_words: str
    # Media nodes that it starts; 0: as many as before it closed.
    opens: int = 0
    # The version of an equal window that is there already and is approved again.
    was: int | None = None
    # When a window that closes only what is empty may close: its hours and its limits.
    when: str = ""

    def title(self) -> str:
        return f"Save the window {self.title_words}"

    def is_done(self, cluster: Cluster) -> bool:
        if self.words not in cluster.windows:
            return False
        return self.was is None or self._version(cluster) > self.was

    @property
    def _name(self) -> str:
        return self.words.split(" ", 1)[0]

    def _version(self, cluster: Cluster) -> int:
        return dict(cluster.window_versions).get(self._name, 0)

    def after(self, cluster: Cluster) -> Cluster:
        windows = (*(w for w in cluster.windows if w.split(" ", 1)[0] != self._name), self.words)
        versions = {**dict(cluster.window_versions), self._name: self._version(cluster) + 1}
        return replace(cluster, windows=windows, window_versions=tuple(versions.items()))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.save_window(self.words)

    def effects(self, cluster: Cluster) -> Effects:
        closes = f"{cluster.name} closes for {self.title_words}"
        if self.when:
            closes = f"{cluster.name} may close {self.when}"
        closes += ", every time without further approval. Running meetings are never ended"
        special = (closes, *(f"replaces the window {strong(w)}" for w in self._replaced(cluster)))
        return Effects(standing=True, opens=self.opens, special=special)

    def _replaced(self, cluster: Cluster) -> list[str]:
        """Return the other window of the same name, which this one replaces."""
        of_same_name = (w for w in cluster.windows if w.split(" ", 1)[0] == self._name)
        return [w for w in of_same_name if w != self.words]

    def residue(self) -> str:
        return f"window {self.title_words} saved"
