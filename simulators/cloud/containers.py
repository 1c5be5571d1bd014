"""The docker containers on a node: their start, their signals and how they leave."""

from collections.abc import Callable

from simulators.cloud.events import AgentEnded, DrainSignalled, Emit, MeetingEnded
from simulators.cloud.meetings import Meetings
from simulators.cloud.model import (
    AGENT_LABEL,
    MEDIA_SERVERS,
    SigquitBehaviour,
    SimulatedContainer,
    SimulatedDroplet,
    docker_stamp,
)
from simulators.cloud.state import CloudState
from simulators.evidence import Source, rests_on

MASTER_CONTAINERS = ("openvidu-meet", "caddy", "dashboard", "grafana", "loki", "mimir", "minio",
    "mongo", "operator", "redis-sentinel",
                     "redis-server", "promtail")  # fmt: skip
ELASTIC_CONTAINERS = ("openvidu-meet", "caddy", "dashboard", "grafana", "loki", "mimir", "minio",
    "mongo", "operator", "promtail",
                      "redis")  # fmt: skip
SINGLE_CONTAINERS = ("openvidu-meet", "caddy", "dashboard", "egress", "grafana", "ingress", "loki",
    "minio", "mongo", "openvidu", "prometheus", "promtail",
                     "redis")  # fmt: skip
MEDIA_CONTAINERS = ("openvidu", "ingress", "egress", "caddy", "prometheus", "promtail")
AGENT = "agent-speech-processing"
FIRST_PID = 1200
PRINTED = 50
"""Lines of a container's log that stay through a restart."""
STOPPING = ("SIGQUIT", "SIGTERM", "SIGINT")


class Containers:
    """Starts, signals and ends the containers of the droplets."""

    def __init__(self, state: CloudState, emit: Emit, people: Meetings) -> None:
        self.state, self.emit, self.people = state, emit, people
        self.usual_agents: dict[str, SigquitBehaviour] = {AGENT: "drains"}
        """The agents of a node that has no agents of its own."""

    def start_all(self, droplet: SimulatedDroplet) -> str:
        """Start every container of the node's role. Returns docker's start time."""
        names = self._names(droplet)
        started = docker_stamp(self.state.now, self.state.number())
        for name in names:
            self._start(droplet, name, started)
        return started

    def start_one(self, droplet: SimulatedDroplet, name: str) -> None:
        """Create one container anew, as a change of its configuration does."""
        self._start(droplet, name, docker_stamp(self.state.now, self.state.number()))

    def stop_all(self, droplet: SimulatedDroplet) -> None:
        """Stop every container of the node."""
        for container in droplet.node.containers.values():
            container.running = container.draining = container.restarting = False

    def set_agents(self, droplet: SimulatedDroplet, **agents: SigquitBehaviour) -> None:
        """Give the node these agents instead of its present ones, with what each does at SIGQUIT.

        Names get the prefix `agent-`.
        """
        named = {f"agent-{name.replace('_', '-')}": quits for name, quits in agents.items()}
        for name in droplet.node.all_agents():
            del droplet.node.containers[name]
        droplet.node.agents = named
        self.start_agents(droplet)

    def start_agents(self, droplet: SimulatedDroplet) -> None:
        """Start the agents of a node whose media server is running."""
        server = droplet.node.containers.get("openvidu")
        if server is not None and droplet.node.unit == "active":
            for name in self._agents(droplet):
                self._start(droplet, name, server.started_at)

    def signal(self, droplet: SimulatedDroplet, name: str, signal: str) -> bool:
        """Run `docker container kill --signal`.

        Returns whether there was a running container to signal.
        """
        container = droplet.node.containers.get(name)
        if container is None or not container.running:
            return False
        # Between two lives no process hears the signal: docker only does not start another one.
        if container.restarting or signal == "SIGKILL":
            self._die(droplet, container, "killed")
        elif signal in STOPPING:
            self._handle_stop(droplet, container, signal)
        return True

    def term_all(self, droplet: SimulatedDroplet) -> None:
        """Send SIGTERM to media servers and agents, as the start of a shutdown does."""
        self.signal_workers(droplet, "SIGTERM")

    def signal_workers(self, droplet: SimulatedDroplet, signal: str) -> None:
        """Send a signal to the media servers and agents of a node."""
        for name in (*MEDIA_SERVERS, *droplet.node.all_agents()):
            self.signal(droplet, name, signal)

    def work_remains(self, droplet: SimulatedDroplet) -> bool:
        """Return whether a media server or agent still runs on the node."""
        return any(
            droplet.node.running(name) for name in (*MEDIA_SERVERS, *droplet.node.all_agents())
        )

    def meeting_ended(self, event: MeetingEnded) -> None:
        """Let draining containers without work leave soon."""
        if any(c.draining for c in event.droplet.node.containers.values()):
            self._leave_soon(event.droplet)

    def lose_meetings(self, droplet: SimulatedDroplet, why: str) -> None:
        """Disconnect everyone who meets on the node."""
        self.people.throw_out(self.state.meetings_on(droplet.id), f"{droplet.name}: {why}")

    def _names(self, droplet: SimulatedDroplet) -> tuple[str, ...]:
        match droplet.role:
            case "single":
                return (*SINGLE_CONTAINERS, *self._agents(droplet))
            case "master" if self.state.clusters[droplet.stack].deployment == "elastic":
                return ELASTIC_CONTAINERS
            case "master":
                return MASTER_CONTAINERS
        return (*MEDIA_CONTAINERS, *self._agents(droplet))

    def _agents(self, droplet: SimulatedDroplet) -> dict[str, SigquitBehaviour]:
        if droplet.node.agents is None:
            return self.usual_agents
        return droplet.node.agents

    def _start(self, droplet: SimulatedDroplet, name: str, started: str) -> None:
        node, agents = droplet.node, self._agents(droplet)
        container = SimulatedContainer(
            name, f"docker.io/openvidu/{name}:3.6.1", {}, running=True, started_at=started
        )
        if name in agents:
            container.labels = {AGENT_LABEL: "true"}
        container.on_sigquit = agents.get(name, "drains")
        before = node.containers.get(name)
        container.printed = [] if before is None else before.printed[-PRINTED:]
        container.printed.append((self.state.now, f"{name}: started"))
        container.pid = FIRST_PID + 10 * len(node.containers)
        container.ready_at = self.state.now + self.state.delays.livekit_ready
        node.containers[name] = container

    def _handle_stop(
        self, droplet: SimulatedDroplet, container: SimulatedContainer, signal: str
    ) -> None:
        container.signals += 1
        if signal == "SIGQUIT" and container.on_sigquit == "deaf":
            return
        if container.name == "openvidu":
            self.emit(DrainSignalled(droplet, container.started_at))
        if _ends_at_once(container, signal):
            self._die(droplet, container, f"{signal} number {container.signals}")
        elif not container.draining:
            container.draining = True
            self._leave_soon(droplet)

    def _leave_soon(self, droplet: SimulatedDroplet) -> None:
        after_boot(self.state, droplet, self.state.delays.drain_exit, self._leave_when_idle)

    def _leave_when_idle(self, droplet: SimulatedDroplet) -> None:
        for container in droplet.node.containers.values():
            if container.up and container.draining and not self.state.work(droplet, container.name):
                container.running = container.draining = False

    def _die(self, droplet: SimulatedDroplet, container: SimulatedContainer, why: str) -> None:
        if container.name == "openvidu":
            self.lose_meetings(droplet, why)
        elif container.name == "egress":
            meetings = self.state.meetings_on(droplet.id)
            self.people.cut_recordings(meetings, f"{droplet.name}: {why}")
        elif AGENT_LABEL in container.labels and container.up:
            self.emit(AgentEnded(droplet, container.name, why))
        container.running = container.draining = container.restarting = False


def _ends_at_once(container: SimulatedContainer, signal: str) -> bool:
    """Return whether the container ends without draining.

    A second signal means "now" to the media server; egress and ingress listen only once, but take
    SIGINT for "now" too.
    """
    is_server = container.name == "openvidu"
    if not (container.name in MEDIA_SERVERS or AGENT_LABEL in container.labels):
        return True
    if signal == "SIGQUIT" and container.on_sigquit == "dies":
        return True
    if is_server:
        return container.signals > 1
    return signal == "SIGINT"


def after_boot(
    state: CloudState,
    droplet: SimulatedDroplet,
    seconds: float,
    event: Callable[[SimulatedDroplet], None],
) -> None:
    """Call `event` after so many seconds, unless the droplet lost its power or rebooted by then."""
    boot = droplet.node.boot_id

    def if_still_booted() -> None:
        if droplet.on and droplet.node.boot_id == boot and droplet.id in state.droplets:
            event(droplet)

    state.timeline.after(seconds, if_still_booted)


rests_on(
    "containers",
    Source.SOURCE,
    "livekit 1.13.5 cmd/server/main.go: signals share a handler, the second forces",
    "a draining media server leaves after its last participant",
    "a second signal ends running meetings",
)
rests_on(
    "containers",
    Source.SOURCE,
    "livekit egress and ingress cmd/server/main.go",
    "egress and ingress finish their jobs and leave",
)
rests_on(
    "containers",
    Source.SOURCE,
    "openvidu-agents speech-processing/main.py, livekit-agents 1.6.5",
    "an agent that drains",
    "an agent that ignores SIGQUIT",
    "an agent that ends at once",
)
rests_on(
    "containers",
    Source.DOCUMENT,
    "OpenVidu's on-premises administration pages of Single Node and Elastic: docker compose ps",
    "Single Node runs the containers of a master and of a media node",
    "the one master of Elastic has no sentinel",
)
