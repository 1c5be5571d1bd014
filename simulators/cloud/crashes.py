"""Containers in a crash loop: they crash, docker restarts them, and they crash again.

The restart count grows.
"""

from simulators.cloud.meetings import Meetings
from simulators.cloud.model import SimulatedContainer, SimulatedDroplet, docker_stamp
from simulators.cloud.state import CloudState
from simulators.evidence import Source, rests_on

LIVES, WAITS = 3.0, 10.0


class Crashes:
    """Crash loops of containers. The world is the cause of what they cost."""

    def __init__(self, state: CloudState, people: Meetings) -> None:
        self.state, self.people = state, people

    def begin(
        self,
        droplet: SimulatedDroplet,
        name: str = "openvidu",
        lives: float = LIVES,
        waits: float = WAITS,
    ) -> None:
        """Crash a container now, and `lives` seconds after each restart.

        Docker waits `waits` seconds in between.
        """
        droplet.node.crash_loops[name] = (lives, waits)
        container = droplet.node.containers.get(name)
        if container is not None and container.up:
            self._crash(droplet, container)

    def end(self, droplet: SimulatedDroplet, name: str = "openvidu") -> None:
        """Remove the cause of the crashes.

        The present run of the container, or its next one, stays up.
        """
        droplet.node.crash_loops.pop(name, None)
        container = droplet.node.containers.get(name)
        if container is not None and container.up:
            container.ready_at = min(
                container.ready_at, self.state.now + self.state.delays.livekit_ready
            )

    def begin_again(self, droplet: SimulatedDroplet) -> None:
        """Resume the crash loops after a start of the unit."""
        for name in droplet.node.crash_loops:
            if name in droplet.node.containers:
                self._live(droplet, droplet.node.containers[name])

    def _live(self, droplet: SimulatedDroplet, container: SimulatedContainer) -> None:
        lives, _ = droplet.node.crash_loops[container.name]
        container.ready_at = float("inf")
        start = container.started_at

        def crash() -> None:
            same_start = container.up and container.started_at == start
            still_there = self._exists(droplet, container) and same_start
            if still_there and container.name in droplet.node.crash_loops:
                self._crash(droplet, container)

        self.state.timeline.after(lives, crash)

    def _crash(self, droplet: SimulatedDroplet, container: SimulatedContainer) -> None:
        with self.state.timeline.caused_by("world", f"{container.name} crashes"):
            if container.name == "openvidu":
                meetings = self.state.meetings_on(droplet.id)
                self.people.throw_out(meetings, f"{droplet.name}: {container.name} crashed")
            container.restarting, container.draining, container.exit_code = True, False, 1
            _, waits = droplet.node.crash_loops[container.name]
            self.state.timeline.after(waits, lambda: self._restart(droplet, container))

    def _restart(self, droplet: SimulatedDroplet, container: SimulatedContainer) -> None:
        if not self._exists(droplet, container) or not container.restarting:
            return  # it was stopped, or its unit was restarted
        container.restarting, container.signals = False, 0
        container.restarts += 1
        container.pid += 1
        container.started_at = docker_stamp(self.state.now, container.restarts)
        container.ready_at = self.state.now + self.state.delays.livekit_ready
        if container.name in droplet.node.crash_loops:
            self._live(droplet, container)

    def _exists(self, droplet: SimulatedDroplet, container: SimulatedContainer) -> bool:
        return (
            droplet.on
            and droplet.id in self.state.droplets
            and droplet.node.containers.get(container.name) is container
        )


rests_on(
    "containers",
    Source.SOURCE,
    "docker's restart policy in the deployment's compose files",
    "a container that crashes is started again",
)
