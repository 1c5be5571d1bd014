"""The docker of a node."""

from collections.abc import Callable, Mapping

from simulators.estate import Container, Droplet, Estate
from simulators.faults import Fault
from simulators.node.docker_views import filled, identity, passes, process_status
from simulators.node.files import Files
from simulators.node.shell import Program, Shell
from simulators.node.streams import Streams

VERSION = "27.3.1"
SOCKET = "unix:///var/run/docker.sock"
HANGS = float("inf")
REFUSALS = {
    "docker-down": f"Cannot connect to the Docker daemon at {SOCKET}. Is the docker daemon running?",
    "docker-denied": f"permission denied while trying to connect to the Docker daemon socket at {SOCKET}: connect: permission denied",
}
NOT_SENT = "permission denied: unknown"
NO_ANSWER = "context deadline exceeded"
REFUSALS["unprivileged"] = REFUSALS["docker-denied"]


class Docker:
    """`docker` for one droplet; `troubles` are what is wrong with the node, by kind."""

    def __init__(
        self,
        estate: Estate,
        droplet: Droplet,
        troubles: Mapping[str, Fault],
        programs: Mapping[str, Program],
    ) -> None:
        self.estate, self.droplet, self.troubles, self.programs = (
            estate,
            droplet,
            troubles,
            programs,
        )
        self.verbs: dict[str, Callable[[list[str], Streams], int]] = {
            "ps": self.ps, "inspect": self.inspect, "kill": self.kill, "top": self.top, "logs": self.logs, "compose": self.compose,
            "stop": self.stop, "restart": self.restart, "start": self.restart, "version": self.version, "info": self.version,
            "exec": self.exec,
        }  # fmt: skip
        self._noun = "object"

    def run(self, shell: Shell, fields: list[str], streams: Streams) -> int:
        """Run one docker command line. Where docker does not answer, nothing stands on standard output, and the status is 1."""
        words = fields[1:]
        if words[:1] == ["container"]:
            self._noun = "container"
            words = ["ps" if w in ("ls", "list") and n == 0 else w for n, w in enumerate(words[1:])]
        if not words or words[0] not in self.verbs:
            streams.complain(f"docker: '{' '.join(words[:1])}' is not a docker command.")
            return 1
        if "docker-hangs" in self.troubles:
            shell.time.spend(self.troubles["docker-hangs"].seconds or HANGS)
        elif "docker-slow" in self.troubles:
            shell.time.spend(self.troubles["docker-slow"].seconds)
        if refused := next((REFUSALS[kind] for kind in REFUSALS if kind in self.troubles), ""):
            streams.complain(refused)
            return 1
        return self.verbs[words[0]](words[1:], streams)

    def version(self, words: list[str], streams: Streams) -> int:
        """`docker version`, `docker info`: whether the daemon answers."""
        options, _ = _parse(words, ("--format", "-f"))
        form = (options.get("--format") or options.get("-f") or [""])[0]
        streams.say(
            VERSION
            if form
            else f"Server: Docker Engine - Community\n Engine:\n  Version:  {VERSION}"
        )
        return 0

    def exec(self, words: list[str], streams: Streams) -> int:
        """`docker exec NAME cat /proc/1/status`: a program that only reads, inside of a container."""
        while words and words[0].startswith("-"):
            words = words[
                2 if words[0] in ("-u", "--user", "-w", "--workdir", "-e", "--env") else 1 :
            ]
        rest = words
        container = self._found(rest[0]) if rest else None
        if container is None or not container.up:
            what = (
                f"container {rest[0]} is not running"
                if container
                else f"No such container: {' '.join(rest[:1])}"
            )
            streams.complain(f"Error response from daemon: {what}")
            return 1
        inside = Files({}, {"/proc/1/status": lambda: process_status(container)})
        return Shell(inside, self.programs.get).execute(rest[1:], streams)

    def ps(self, words: list[str], streams: Streams) -> int:
        """`docker ps [-a] [-q] [--filter ...] [--format ...]`."""
        options, _ = _parse(words, ("--filter", "-f", "--format"))
        filters = options.get("--filter", []) + options.get("-f", [])
        asks_status = any(f.startswith("status=") for f in filters)
        found = [
            c
            for c in self._containers()
            if c.running or asks_status or "-a" in options or "--all" in options
        ]
        for container in [c for c in found if all(passes(c, f) for f in filters)]:
            form = options.get("--format", ["{{.ID}}   {{.Image}}   {{.Status}}   {{.Names}}"])[0]
            streams.say(identity(container) if "-q" in options else filled(form, container))
        return 0

    def inspect(self, words: list[str], streams: Streams) -> int:
        """`docker inspect --format ... NAME`."""
        options, names = _parse(words, ("--format", "-f", "--type"))
        form = (options.get("--format") or options.get("-f") or ["{{.Name}}"])[0]
        found = [c for name in names if (c := self._found(name)) is not None]
        for container in found:
            streams.say(filled(form, container))
        if not found:
            streams.say("")
        missing = [name for name in names if self._found(name) is None]
        for name in missing:
            streams.complain(f"Error: No such {self._noun}: {name}")
        return int(bool(missing))

    def kill(self, words: list[str], streams: Streams) -> int:
        """`docker container kill --signal=SIGQUIT NAME`."""
        options, names = _parse(words, ("--signal", "-s"))
        signal = (options.get("--signal") or options.get("-s") or ["SIGKILL"])[0]
        signal = {"3": "SIGQUIT", "15": "SIGTERM", "2": "SIGINT", "9": "SIGKILL"}.get(
            signal, signal
        )
        signal = signal if signal.startswith("SIG") else f"SIG{signal}"
        if not names:
            streams.complain('docker: "docker container kill" requires at least 1 argument.')
            return 1
        return max(self._kill(name, signal, streams) for name in names)

    def _kill(self, name: str, signal: str, streams: Streams) -> int:
        container = self._found(name)
        if container is None:
            streams.complain(f"Error response from daemon: No such container: {name}")
            return 1
        if self._refuses("kill-refused", name):
            streams.complain(
                f"Error response from daemon: cannot kill container: {name}: {NOT_SENT}"
            )
            return 1
        if self._refuses("kill-lost", name):
            self.estate.containers.signal(self.droplet, name, signal)
            streams.complain(
                f"Error response from daemon: cannot kill container: {name}: {NO_ANSWER}"
            )
            return 1
        if not self.estate.containers.signal(self.droplet, name, signal):
            streams.complain(
                f"Error response from daemon: cannot kill container: {name}: container {identity(container)} is not running"
            )
            return 1
        streams.say(name)
        return 0

    def stop(self, words: list[str], streams: Streams) -> int:
        """`docker stop NAME`: a SIGTERM, and ten seconds later a SIGKILL."""
        _, names = _parse(words, ("-t", "--time", "--timeout"))
        for name in names:
            self.estate.containers.signal(self.droplet, name, "SIGTERM")
            self.estate.containers.signal(self.droplet, name, "SIGKILL")
            streams.say(name)
        return 0

    def restart(self, words: list[str], streams: Streams) -> int:
        """Not simulated for one container: the whole unit is what is restarted."""
        streams.complain(f"docker: restarting {' '.join(words)} alone is not simulated")
        return 1

    def top(self, words: list[str], streams: Streams) -> int:
        """`docker top NAME`: a line for the service and one for each of its jobs."""
        name = words[0]
        container = self._found(name)
        if container is None or not container.up:
            what = f"container {name} is not running" if container else f"No such container: {name}"
            streams.complain(f"Error response from daemon: {what}")
            return 1
        jobs = self.estate.work(self.droplet, name) if name in ("egress", "ingress") else 0
        rows = [
            ("UID", "PID", "PPID", "STIME", "CMD"),
            ("root", str(container.pid), "1180", "10:00", name),
        ]
        rows += [
            (
                "root",
                str(1300 + n),
                str(container.pid),
                "10:00",
                f"{name} run-handler --config-body ***",
            )
            for n in range(jobs)
        ]
        for row in rows:
            streams.say("".join(cell.ljust(20) for cell in row).rstrip())
        return 0

    def logs(self, words: list[str], streams: Streams) -> int:
        """`docker logs NAME`."""
        _, names = _parse(words, ("--since", "--tail", "-n", "--until"))
        container = self._found(names[0]) if names else None
        if container is None:
            streams.complain(f"Error response from daemon: No such container: {' '.join(names)}")
            return 1
        if container.draining and self.estate.work(self.droplet, container.name):
            streams.complain(
                "INFO\tlivekit\tservice/server.go:258\twaiting for participants to exit"
            )
        return 0

    def compose(self, words: list[str], streams: Streams) -> int:
        """`docker compose ps`."""
        options, rest = _parse(words, ("-f", "--project-directory", "--format"))
        if rest[:1] != ["ps"]:
            streams.complain("docker compose: only ps is simulated")
            return 1
        if "-q" not in options:
            streams.say(
                "NAME                IMAGE                                SERVICE             STATUS"
            )
        for c in self._containers():
            if c.running:
                streams.say(
                    identity(c) if "-q" in options else f"{c.name:<20}{c.image:<37}{c.name:<20}Up"
                )
        return 0

    def _containers(self) -> list[Container]:
        return (
            [] if "docker-empty" in self.troubles else list(self.droplet.node.containers.values())
        )

    def _found(self, name: str) -> Container | None:
        return next((c for c in self._containers() if name in (c.name, identity(c))), None)

    def _refuses(self, kind: str, name: str) -> bool:
        return kind in self.troubles and self.troubles[kind].container in ("", name)


def _parse(words: list[str], with_value: tuple[str, ...]) -> tuple[dict[str, list[str]], list[str]]:
    options: dict[str, list[str]] = {}
    rest: list[str] = []
    remaining = iter(words)
    for word in remaining:
        name, is_joined, value = word.partition("=")
        if not word.startswith("-"):
            rest.append(word)
        elif name in with_value:
            options.setdefault(name, []).append(value if is_joined else next(remaining, ""))
        else:
            options.setdefault(word, []).append("")
    return options, rest
