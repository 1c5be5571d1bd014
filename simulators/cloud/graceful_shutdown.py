"""The vendor's `graceful_shutdown.sh`, and the cron job that runs it by the draining tag."""

from simulators.cloud.containers import Containers, after_boot
from simulators.cloud.events import Emit, GracefulShutdownEnded
from simulators.cloud.model import SimulatedDroplet
from simulators.cloud.state import CloudState
from simulators.evidence import Source, rests_on

POLL = 10.0
WATCH_EVERY = 120.0
"""The tag watcher's cron: every even minute."""


class GracefulShutdown:
    """Drains a node, then deletes its droplet from inside."""

    def __init__(self, state: CloudState, emit: Emit, containers: Containers) -> None:
        self.state, self.emit, self.containers = state, emit, containers

    def tags_changed(self, droplet: SimulatedDroplet) -> None:
        """Let the node's watcher read its tags at the next even minute; also after a boot."""
        if droplet.node.has_tag_watcher:
            seen = self.state.now + self.state.delays.metadata
            next_look = (seen // WATCH_EVERY + 1) * WATCH_EVERY
            after_boot(self.state, droplet, next_look - self.state.now, self._look_at_tags)

    def run(self, droplet: SimulatedDroplet) -> None:
        """Signal every media server and agent, wait without limit, then delete the droplet."""
        if droplet.node.installed:
            self.containers.signal_workers(droplet, "SIGQUIT")
        self._delete_when_drained(droplet)

    def _look_at_tags(self, droplet: SimulatedDroplet) -> None:
        draining_tag = self.state.clusters[droplet.stack].draining_tag
        if droplet.node.has_tag_watcher and draining_tag in droplet.tags:
            droplet.node.has_tag_watcher = (
                False  # it deletes its cron file first, so that it acts once
            )
            self.run(droplet)

    def _delete_when_drained(self, droplet: SimulatedDroplet) -> None:
        if self.containers.work_remains(droplet):
            after_boot(self.state, droplet, POLL, self._delete_when_drained)
        elif self.state.deletes_itself(droplet):
            self.emit(GracefulShutdownEnded(droplet))


rests_on(
    "containers",
    Source.SOURCE,
    "openvidu-digitalocean 3.6.1: graceful_shutdown.sh",
    "the vendor's script drains and deletes its own droplet",
)
