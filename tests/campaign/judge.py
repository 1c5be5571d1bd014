"""What must be true, whatever went wrong: judged by the world, the state's text and what people can read, never by the bot's word."""

from collections import Counter

from tests.campaign.ledger import Ledger, Tale
from tests.campaign.plots import Wish
from tests.campaign.storm import Storm
from tests.support.scene import Scene

DONE = {
    "Shutdown": ("is down", "has no media nodes"), "Startup": ("serves",), "Scale": ("media node",), "DrainNodes": ("drained",),
    "ResizeMedia": ("has media nodes of",), "ResizeMasters": ("has its masters at",), "Restart": ("was restarted",),
    "BackupCreate": ("is backed up",), "BackupPrune": ("newest backups left",), "Configure": ("has its new configuration",),
    "AddWindow": ("has its window",), "Freeze": ("keeps the media nodes it has",), "Unfreeze": ("scales by itself again",),
    "Roll": ("has no media node of another size",), "Park": ("parked",), "Unpark": ("again",),
}  # fmt: skip
"""What a message says of a run that is done, by the name of its procedure."""
ENDS = {
    "cancelled": ("was cancelled",), "abandoned": ("was given up",), "left": ("left to be finished by hand",),
    "rolled back": ("did not work", "stays up"),
}  # fmt: skip
GOING_ON = ("In progress", "needs a decision", "has stopped")


class Judge:
    """Collects what is wrong with one story."""

    def __init__(self, scene: Scene, ledger: Ledger, storm: Storm) -> None:
        self._scene, self._ledger, self._storm = scene, ledger, storm
        self.wrong: list[str] = []

    def done(self, wish: Wish, tale: Tale) -> None:
        """A run says that it is done: then it must be so."""
        self._scene.estate.settle()
        if left := wish.goal(self._scene, tale):
            self.wrong.append(f"{tale.name} {wish.words} is done, and it is not so: {left}")

    def not_taken(self, wish: Wish) -> None:
        """Nobody gets what they want. That is as it should be where an autoscaler has done it already, or has replaced that very node."""
        said = "".join(m.text for m in self._scene.ana.sees("COPS")[-1:])
        if self._scene.estate.clusters["acme"].kind != "autoscaler" or not any(w in said for w in ("nothing to do", "has no media node")):
            self.wrong.append(f"{wish.words} was never taken: {said}")

    def messages_say_so(self) -> bool:
        """Whether every run's message says how it ended."""
        return not self._silent()

    def _silent(self) -> list[str]:
        texts = [m.text for m in self._scene.ana.sees("COPS") if not m.thread_ts or m.thread_ts == m.ts]
        return [t.name for t in self._ledger.tales() if not any(self._says(text, t) for text in texts)]

    def _says(self, text: str, tale: Tale) -> bool:
        if f"run {tale.name}." not in text and f"`{tale.name}`" not in text and f"{tale.name} " not in text:
            return False
        words = ENDS.get(tale.state) or DONE[tale.procedure]
        return any(w in text for w in words) and not any(w in text for w in GOING_ON)

    def staged(self) -> list[str]:
        """Secret files that wait beside the real one, though no request waits for them."""
        home, spaces = self._scene.estate.clusters["acme"].bucket, self._scene.town.spaces
        waited_for = [self._ledger.request(r)["plan"]["procedure"].get("staged", "") for r in self._ledger.pending()]
        there = [k for k in spaces.buckets[home].objects if "/staged/" in k and spaces.read(home, k) is not None]
        return [k for k in there if k.rpartition("/")[2] not in waited_for]

    def at_the_end(self) -> None:
        """Everything that can only be judged when all is over."""
        estate = self._scene.estate
        self.wrong += [f"{v.kind}: {v.text}" for v in estate.violations]
        self.wrong += [*self._ledger.faults(), *self._ledger.endings()]
        self.wrong += [f"no message says how {name} ended ({self._ledger.tale(name).state})" for name in self._silent()]
        self.wrong += [f"left behind: {key}" for key in self.staged()]
        twice = [what for what, n in Counter((s.droplet_id, s.name) for s in estate.snapshots.values()).items() if n > 1]
        self.wrong += [f"made twice: {what}" for what in twice]
        forgiven = self._storm.excuses()
        self.wrong += [p for p in self._scene.slack.journal.problems if not any(f in p for f in forgiven)]
