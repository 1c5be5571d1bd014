"""The docker of a node, as far as the scripts use it."""

from simulators.cloud import SimulatedContainer
from simulators.evidence import Source, rests_on
from simulators.faults import WorldFault
from simulators.node.session import NEVER_ENDS, Session

SOCKET = "unix:///var/run/docker.sock"
REFUSALS = {
    "docker-down": (
        f"Cannot connect to the Docker daemon at {SOCKET}. Is the docker daemon running?"
    ),
    "docker-denied": (
        "permission denied while trying to connect to the Docker daemon socket at "
        f"{SOCKET}: connect: permission denied"
    ),
}
REFUSALS["unprivileged"] = REFUSALS["docker-denied"]
NOT_INSTALLED = "sh: 1: docker: not found"
NOT_SENT = "permission denied: unknown"
NO_ANSWER = "context deadline exceeded"
DRAINING = "waiting for participants to exit"
LONGEST = 200
"""Characters of a complaint that a script passes on: `cut -c1-200`."""


class DockerError(Exception):
    """docker ends with an error.

    The text is the first line of its complaint, as the scripts pass it on.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text[:LONGEST])


class Docker:
    """`docker` in one session."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def ps(self) -> list[SimulatedContainer]:
        """Run `docker ps --all`: every container."""
        self._call()
        return self._containers()

    def inspect(self, name: str) -> SimulatedContainer:
        """Run `docker inspect NAME`."""
        self._call()
        return self._container(name, f"Error: No such object: {name}")

    def logs_say_draining(self, name: str) -> bool:
        """Run `docker logs --since 30s NAME`.

        Whether it says that it waits for its participants to leave.
        """
        try:
            self._call()
            container = self._container(name, "")
        except DockerError:
            return False
        return container.draining and self.session.estate.work(self.session.droplet, name) > 0

    def jobs(self, name: str) -> int:
        """Run `docker top NAME`: how many of its processes are handlers of a job."""
        self._call()
        if not self._container(name, f"Error response from daemon: No such container: {name}").up:
            raise DockerError(f"Error response from daemon: container {name} is not running")
        return self.session.estate.work(self.session.droplet, name)

    def kill(self, name: str, signal: str) -> None:
        """Run `docker container kill --signal=SIGNAL NAME`."""
        self._call()
        session = self.session
        container = self._container(name, f"Error response from daemon: No such container: {name}")
        cannot = f"Error response from daemon: cannot kill container: {name}"
        if self._befalls("kill-refused", name):
            raise DockerError(f"{cannot}: {NOT_SENT}")
        sent = session.estate.containers.signal(session.droplet, name, signal)
        if self._befalls("kill-lost", name):
            raise DockerError(f"{cannot}: {NO_ANSWER}")
        if not sent:
            raise DockerError(f"{cannot}: container {short_id(container)} is not running")

    def _call(self) -> None:
        """Start a docker command in a subshell.

        Raises:
            DockerError: when docker is not installed or does not answer.
        """
        session = self.session
        session.substitute()
        if not session.droplet.node.installed:
            raise DockerError(NOT_INSTALLED)
        if (fault := session.faults.get("docker-hangs")) is not None:
            session.spend(fault.seconds or NEVER_ENDS)
        elif (fault := session.faults.get("docker-slow")) is not None:
            session.spend(fault.seconds)
        for kind, text in REFUSALS.items():
            if kind in session.faults:
                raise DockerError(text)

    def _containers(self) -> list[SimulatedContainer]:
        if "docker-empty" in self.session.faults:
            return []
        return list(self.session.droplet.node.containers.values())

    def _container(self, name: str, complaint: str) -> SimulatedContainer:
        for container in self._containers():
            if container.name == name:
                return container
        raise DockerError(complaint)

    def _befalls(self, kind: str, name: str) -> bool:
        fault: WorldFault | None = self.session.faults.get(kind)
        return fault is not None and fault.container in ("", name)


def short_id(container: SimulatedContainer) -> str:
    """Return docker's short id of the container."""
    text = container.name + container.started_at
    return f"{abs(sum(ord(c) * 31**n for n, c in enumerate(text))) % 16**12:012x}"


def processes(container: SimulatedContainer) -> list[tuple[str, int]]:
    """Return name and caught signals of the first process and its children, as /proc shows."""
    name = container.name
    if container.labels:
        name = "python"
    match container.on_sigquit:
        case "drains":
            return [(name, 0x4006)]  # SIGINT, SIGQUIT and SIGTERM
        case "deaf":
            return [("python", 0x4002)]  # not SIGQUIT
        case "dies":
            # An init process hands every signal on to the program, its child, which does not catch
            # SIGQUIT.
            return [("docker-init", 0), ("python", 0x4002)]


rests_on(
    "scripts",
    Source.EXECUTED,
    "sshd and a stand-in for docker: messages of a daemon that is down, or denies",
    "docker's refusals",
)
