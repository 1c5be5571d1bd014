"""The Linux inside the droplets: boots, containers, signals and the unit `openvidu`."""

import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from simulators.estate import secrets
from simulators.estate.crashes import Crashes
from simulators.estate.things import (
    AGENT_LABEL,
    MEDIA_SERVERS,
    Cluster,
    Container,
    Droplet,
    Quits,
    docker_stamp,
)

if TYPE_CHECKING:
    from simulators.estate.estate import Estate

MASTER_CONTAINERS = ("openvidu-meet", "caddy", "dashboard", "grafana", "loki", "mimir", "minio", "mongo", "operator", "redis-sentinel",
                     "redis-server", "promtail")  # fmt: skip
MEDIA_CONTAINERS = ("openvidu", "ingress", "egress", "caddy", "prometheus", "promtail")
AGENT = "agent-speech-processing"
QUORUM = 3
MASTERS = 4
NEVER = float("inf")
FIRST_PID = 1200
STOPPING = ("SIGQUIT", "SIGTERM", "SIGINT")
RESTART_LOG = "/var/log/openvidu-restart.log"
GRACEFUL_POLL = 10.0
WATCH_EVERY = 120.0  # the tag watcher's cron: every even minute
VOLATILE = ("/run/", "/tmp/", "/var/run/")  # noqa: S108 - the node's, not ours


class Nodes:
    """Starts, stops and signals what runs on the droplets."""

    def __init__(self, estate: "Estate") -> None:
        self.estate = estate
        self.usual_agents: dict[str, Quits] = {AGENT: "drains"}
        """The agents of a node that has none of its own."""
        self.ails: Callable[[str], Mapping[str, object]] = lambda _name: {}
        """What is wrong with the node of that name until it is healed."""
        self.crashes = Crashes(estate, self)

    def power_up(self, droplet: Droplet) -> None:
        """The droplet gets power and boots."""
        self.estate.watch.touched(droplet)
        droplet.on = True
        node = droplet.node
        node.boot_id = self.estate.uuid()
        node.files = {
            path: data for path, data in node.files.items() if not path.startswith(VOLATILE)
        }
        if droplet.role == "master":
            node.installed = True
            self.estate.clusters[droplet.stack].started.add(droplet.id)
            self._boot_master(droplet)
        elif droplet.role == "media" and (node.boots or not node.installed):
            delays = self.estate.delays
            self._later(
                droplet,
                delays.media_boot if node.installed else delays.media_install,
                self._install,
            )
        self.tagged(droplet)

    def power_down(self, droplet: Droplet, why: str) -> None:
        """The droplet is off from now on, whatever ran on it."""
        if not droplet.on:
            return
        self.estate.watch.touched(droplet)
        if droplet.role == "master":
            self.estate.watch.master_stops(droplet)
        self._lose(droplet, why)
        droplet.on = False
        self._stop_containers(droplet)
        droplet.node.unit = "inactive"
        self._masters_changed(droplet)

    def start_unit(self, droplet: Droplet) -> None:
        """`systemctl start openvidu`."""
        self.estate.watch.touched(droplet)
        if droplet.role == "master":
            self._start_master(droplet)
        else:
            droplet.node.unit = "active"
            self._start_containers(droplet)

    def stop_unit(self, droplet: Droplet) -> None:
        """`systemctl stop openvidu`: everything gets a SIGTERM, and no time to finish."""
        if droplet.node.unit != "active":
            return
        if droplet.node.running("openvidu"):
            self.signal(droplet, "openvidu", "SIGTERM")
        self._lose(droplet, "the unit was stopped")
        self._stop_containers(droplet)
        droplet.node.unit = "inactive"
        self.log(droplet, "Stopped openvidu.service - OpenVidu.")
        self._masters_changed(droplet)

    def restart_unit(self, droplet: Droplet) -> None:
        """`systemctl restart openvidu`."""
        self.stop_unit(droplet)
        self.start_unit(droplet)

    def read_secrets_and_start(self, droplet: Droplet) -> None:
        """What `/usr/local/bin/restart.sh` does, at every boot of a master and by hand."""
        self.stop_unit(droplet)
        self._boot_master(droplet)

    def signal(self, droplet: Droplet, name: str, signal: str) -> bool:
        """`docker container kill --signal`: whether there was a running container to signal."""
        container = droplet.node.containers.get(name)
        if container is None or not container.running:
            return False
        if (
            container.restarting or signal == "SIGKILL"
        ):  # between two lives no process hears it: docker only starts no other
            self._die(droplet, container, "killed")
        elif signal in STOPPING:
            self._ask_to_leave(droplet, container, signal)
        return True

    def term_all(self, droplet: Droplet) -> None:
        """A shutdown begins: the media servers get their SIGTERM."""
        for name in (*MEDIA_SERVERS, *droplet.node.all_agents()):
            self.signal(droplet, name, "SIGTERM")

    def set_agents(self, droplet: Droplet, **agents: Quits) -> None:
        """From now on that node has these agents, and they do this at SIGQUIT; names are prefixed with `agent-`."""
        named = {f"agent-{name.replace('_', '-')}": quits for name, quits in agents.items()}
        for name in droplet.node.all_agents():
            del droplet.node.containers[name]
        droplet.node.agents = named
        self.start_agents(droplet)

    def start_agents(self, droplet: Droplet) -> None:
        """What agents belong on a node that runs already are started beside its media server."""
        server = droplet.node.containers.get("openvidu")
        agents = self.usual_agents if droplet.node.agents is None else droplet.node.agents
        if server is not None and droplet.node.unit == "active":
            for name in agents:
                self._start_container(droplet, name, server.started_at)

    def takes_meetings(self, droplet: Droplet) -> bool:
        """Whether its media server takes new meetings."""
        return self.answers(droplet) == 200 and not droplet.node.containers["openvidu"].draining

    def answers(self, droplet: Droplet) -> int:
        """What LiveKit says at 127.0.0.1:7880/ there: 200, 406 until it is ready, 0 when it does not listen."""
        container = droplet.node.containers.get("openvidu")
        if (
            not droplet.on
            or container is None
            or not container.up
            or "livekit-silent" in self.ails(droplet.name)
        ):
            return 0
        is_ready = container.ready_at <= self.estate.moment and "livekit-starting" not in self.ails(
            droplet.name
        )
        return 200 if is_ready else 406

    def tagged(self, droplet: Droplet) -> None:
        """Its tags changed, or it has booted: a node with a watcher looks at them on the next even minute."""
        if droplet.node.watcher:
            seen = self.estate.moment + self.estate.delays.metadata
            self._later(
                droplet,
                (seen // WATCH_EVERY + 1) * WATCH_EVERY - self.estate.moment,
                self._look_at_tags,
            )

    def _look_at_tags(self, droplet: Droplet) -> None:
        if (
            droplet.node.watcher
            and self.estate.clusters[droplet.stack].draining_tag in droplet.tags
        ):
            droplet.node.watcher = False  # its cron file goes first, so that it never acts twice
            self.graceful_shutdown(droplet)

    def graceful_shutdown(self, droplet: Droplet) -> None:
        """The vendor's script: signal everything, wait without end, destroy the droplet that it runs on."""
        if droplet.node.installed:
            for name in (*MEDIA_SERVERS, *droplet.node.all_agents()):
                self.signal(droplet, name, "SIGQUIT")
        self._destroy_when_drained(droplet)

    def _destroy_when_drained(self, droplet: Droplet) -> None:
        if any(droplet.node.running(name) for name in (*MEDIA_SERVERS, *droplet.node.all_agents())):
            self._later(droplet, GRACEFUL_POLL, self._destroy_when_drained)
        elif self.estate.deletes_itself(droplet):
            self.estate.power.destroy(droplet.id, by="itself")

    def work(self, droplet: Droplet, name: str) -> int:
        """How many jobs that container still has: meetings, recordings or ingresses."""
        meetings = self.estate.meetings_on(droplet.id)
        if name == "egress":
            return sum(m.recordings for m in meetings)
        return (
            sum(m.ingresses for m in meetings)
            if name == "ingress"
            else sum(not m.roomless for m in meetings)
        )

    def work_ended(self, droplet: Droplet) -> None:
        """A meeting has ended: draining containers that have nothing left to do leave soon."""
        if any(c.draining for c in droplet.node.containers.values()):
            self._later(droplet, self.estate.delays.drain_exit, self._leave_when_empty)

    def log(self, droplet: Droplet, line: str) -> None:
        """A line of the unit's journal."""
        droplet.node.journal.append(line)

    def _ask_to_leave(self, droplet: Droplet, container: Container, signal: str) -> None:
        container.signals += 1
        if signal == "SIGQUIT" and container.quits == "deaf":
            return
        is_server = container.name == "openvidu"
        if is_server:
            self.estate.watch.signalled(droplet, container.started_at)
        known = is_server or container.name in MEDIA_SERVERS or AGENT_LABEL in container.labels
        # A second signal means "now" to the media server; egress and ingress listen only once, but take SIGINT for "now" too.
        is_at_once = signal == "SIGQUIT" and container.quits == "dies"
        if (
            not known
            or is_at_once
            or (is_server and container.signals > 1)
            or (not is_server and signal == "SIGINT")
        ):
            self._die(droplet, container, f"{signal} number {container.signals}")
        elif not container.draining:
            container.draining = True
            self._later(droplet, self.estate.delays.drain_exit, self._leave_when_empty)

    def _leave_when_empty(self, droplet: Droplet) -> None:
        for container in droplet.node.containers.values():
            if container.up and container.draining and not self.work(droplet, container.name):
                container.running = container.draining = False

    def _die(self, droplet: Droplet, container: Container, why: str) -> None:
        if container.name == "openvidu":
            self._lose(droplet, why)
        elif container.name == "egress":
            self.estate.people.cut_recordings(
                self.estate.meetings_on(droplet.id), f"{droplet.name}: {why}"
            )
        elif AGENT_LABEL in container.labels and container.up:
            self.estate.watch.agent_gone(droplet, container.name, why)
        container.running = container.draining = container.restarting = False

    def _lose(self, droplet: Droplet, why: str) -> None:
        self.estate.people.throw_out(self.estate.meetings_on(droplet.id), f"{droplet.name}: {why}")

    def _install(self, droplet: Droplet) -> None:
        if not droplet.node.installed and self.estate.install_fails(droplet):
            return
        first, droplet.node.installed = not droplet.node.installed, True
        if first and self.estate.clusters[droplet.stack].kind == "autoscaler":
            droplet.node.watcher = True
            self.tagged(droplet)
        self.start_unit(droplet)

    def _start_containers(self, droplet: Droplet) -> None:
        node = droplet.node
        agents = self.usual_agents if node.agents is None else node.agents
        names = MASTER_CONTAINERS if droplet.role == "master" else (*MEDIA_CONTAINERS, *agents)
        started = docker_stamp(self.estate.moment, self.estate.number())
        node.invocation = uuid.uuid5(uuid.NAMESPACE_OID, f"{droplet.id} {started}").hex
        for name in names:
            self._start_container(droplet, name, started)
        self.crashes.begin_again(droplet)
        self.log(droplet, "Started openvidu.service - OpenVidu.")

    def _start_container(self, droplet: Droplet, name: str, started: str) -> None:
        node = droplet.node
        agents = self.usual_agents if node.agents is None else node.agents
        labels = {AGENT_LABEL: "true"} if name in agents else {}
        container = Container(
            name, f"docker.io/openvidu/{name}:3.6.1", labels, running=True, started_at=started
        )
        container.quits, container.pid = (
            agents.get(name, "drains"),
            FIRST_PID + 10 * len(node.containers),
        )
        container.ready_at = self.estate.moment + self.estate.delays.livekit_ready
        node.containers[name] = container

    def _stop_containers(self, droplet: Droplet) -> None:
        for container in droplet.node.containers.values():
            container.running = container.draining = container.restarting = False

    def _boot_master(self, droplet: Droplet) -> None:
        reason = self._configure(droplet)
        droplet.node.files[RESTART_LOG] = (
            droplet.node.files.get(RESTART_LOG, b"") + f"{reason or 'restarted'}\n".encode()
        )
        if reason:
            self.log(droplet, reason)  # the script stopped the unit, and never came to start it
        else:
            self._start_master(droplet)

    def _start_master(self, droplet: Droplet) -> None:
        droplet.node.unit = "active"
        self._start_containers(droplet)
        droplet.ready_at = self.estate.moment + self.estate.delays.master_ready
        if not secrets.engine_is_known(droplet.node.files):
            droplet.ready_at = NEVER
            self.log(droplet, "openvidu-init: invalid value for OPENVIDU_RTC_ENGINE")
        self._masters_changed(droplet)
        self.estate.timeline.after(
            self.estate.delays.master_ready + self.estate.delays.front, _nothing
        )

    def _configure(self, droplet: Droplet) -> str:
        """Why the unit cannot be started, if it cannot."""
        if self.estate.read_secrets is None:
            return ""
        source = self.estate.read_secrets(droplet.stack)
        if source is None:
            return 'fatal error: An error occurred (404) when calling the HeadObject operation: Key "secrets.env" does not exist'
        try:
            for key in secrets.copy_into(droplet.node.files, source):
                self.estate.watch.report(
                    "ran-as-root",
                    f"{droplet.name}: what stands in secrets.env behind {key} ran as a command",
                )
        except secrets.SedError as error:
            return str(error)
        return ""

    def _masters_changed(self, droplet: Droplet) -> None:
        if droplet.role == "master":
            self._count_quorum(self.estate.clusters[droplet.stack])

    def _count_quorum(self, cluster: Cluster) -> None:
        masters = [self.estate.droplets[i] for i in cluster.master_ids if i in self.estate.droplets]
        if sum(self.estate.up(m) for m in masters) < QUORUM:
            cluster.started &= {m.id for m in masters if m.on}
            cluster.quorum_at = None
            self.estate.people.throw_out(
                self.estate.meetings_of(cluster.stack),
                f"{cluster.stack}: fewer than {QUORUM} masters are up",
            )
        elif cluster.quorum_at is None and len(cluster.started) == MASTERS:
            cluster.quorum_at = self.estate.moment + self.estate.delays.master_ready

    def _later(self, droplet: Droplet, seconds: float, event: Callable[[Droplet], None]) -> None:
        boot = droplet.node.boot_id

        def if_still_booted() -> None:
            if droplet.on and droplet.node.boot_id == boot and droplet.id in self.estate.droplets:
                event(droplet)

        self.estate.timeline.after(seconds, if_still_booted)


def _nothing() -> None:
    """Something is due to be looked at."""
