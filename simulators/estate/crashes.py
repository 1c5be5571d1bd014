"""Containers that crash, and are started again by docker, and crash: Running and Restarting take turns, and the count grows."""

from typing import TYPE_CHECKING

from simulators.estate.things import Container, Droplet, docker_stamp

if TYPE_CHECKING:
    from simulators.estate.estate import Estate
    from simulators.estate.nodes import Nodes

LIVES, WAITS = 3.0, 10.0


class Crashes:
    """Crash loops of containers. What they cost is the world's doing."""

    def __init__(self, estate: "Estate", nodes: "Nodes") -> None:
        self.estate, self.nodes = estate, nodes

    def begin(
        self, droplet: Droplet, name: str = "openvidu", lives: float = LIVES, waits: float = WAITS
    ) -> None:
        """It crashes now, and again `lives` seconds after each new start; docker waits `waits` seconds in between."""
        droplet.node.loops[name] = (lives, waits)
        container = droplet.node.containers.get(name)
        if container is not None and container.up:
            self._crash(droplet, container)

    def end(self, droplet: Droplet, name: str = "openvidu") -> None:
        """What made it crash is mended: its next start stays, or the present one."""
        droplet.node.loops.pop(name, None)
        container = droplet.node.containers.get(name)
        if container is not None and container.up:
            container.ready_at = min(
                container.ready_at, self.estate.moment + self.estate.delays.livekit_ready
            )

    def begin_again(self, droplet: Droplet) -> None:
        """The unit was started: what crashes goes on crashing."""
        for name in droplet.node.loops:
            if name in droplet.node.containers:
                self._live(droplet, droplet.node.containers[name])

    def _live(self, droplet: Droplet, container: Container) -> None:
        lives, _ = droplet.node.loops[container.name]
        container.ready_at = float("inf")
        start = container.started_at

        def crash() -> None:
            if (
                self._is(droplet, container)
                and container.up
                and container.started_at == start
                and container.name in droplet.node.loops
            ):
                self._crash(droplet, container)

        self.estate.timeline.after(lives, crash)

    def _crash(self, droplet: Droplet, container: Container) -> None:
        with self.estate.timeline.because("world", f"{container.name} crashes"):
            if container.name == "openvidu":
                self.estate.people.throw_out(
                    self.estate.meetings_on(droplet.id), f"{droplet.name}: {container.name} crashed"
                )
            container.restarting, container.draining, container.exit_code = True, False, 1
            _, waits = droplet.node.loops[container.name]
            self.estate.timeline.after(waits, lambda: self._return(droplet, container))

    def _return(self, droplet: Droplet, container: Container) -> None:
        if not self._is(droplet, container) or not container.restarting:
            return  # it was stopped, or its whole unit started anew
        container.restarting, container.signals = False, 0
        container.restarts += 1
        container.pid += 1
        container.started_at = docker_stamp(self.estate.moment, container.restarts)
        container.ready_at = self.estate.moment + self.estate.delays.livekit_ready
        if container.name in droplet.node.loops:
            self._live(droplet, container)

    def _is(self, droplet: Droplet, container: Container) -> bool:
        return (
            droplet.on
            and droplet.id in self.estate.droplets
            and droplet.node.containers.get(container.name) is container
        )
