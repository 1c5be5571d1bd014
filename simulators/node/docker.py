"""The docker of a node."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import lru_cache

from simulators.estate import Container, Droplet, Estate
from simulators.node.shell import Shell
from simulators.node.streams import Streams

FIELD = re.compile(r"\{\{\s*(json\s+)?\.([\w.]+)(?:\s+\"([^\"]*)\")?\s*\}\}")


class Docker:
    """`docker` for one droplet."""

    def __init__(self, estate: Estate, droplet: Droplet) -> None:
        self.estate, self.droplet = estate, droplet
        self.verbs: dict[str, Callable[[list[str], Streams], int]] = {
            "ps": self.ps, "inspect": self.inspect, "kill": self.kill, "top": self.top, "logs": self.logs, "compose": self.compose,
            "stop": self.stop, "restart": self.restart, "start": self.restart,
        }  # fmt: skip

    def run(self, _shell: Shell, fields: list[str], streams: Streams) -> int:
        """Run one docker command line."""
        words = fields[1:]
        if words[:1] == ["container"]:
            words = ["ps" if w in ("ls", "list") and n == 0 else w for n, w in enumerate(words[1:])]
        if not words or words[0] not in self.verbs:
            streams.complain(f"docker: '{' '.join(words[:1])}' is not a docker command.")
            return 1
        return self.verbs[words[0]](words[1:], streams)

    def ps(self, words: list[str], streams: Streams) -> int:
        """`docker ps [-a] [-q] [--filter ...] [--format ...]`."""
        options, _ = _parse(words, ("--filter", "-f", "--format"))
        filters = options.get("--filter", []) + options.get("-f", [])
        asks_status = any(f.startswith("status=") for f in filters)
        found = [c for c in self._containers() if c.running or asks_status or "-a" in options or "--all" in options]
        for container in [c for c in found if all(_passes(c, f) for f in filters)]:
            form = options.get("--format", ["{{.ID}}   {{.Image}}   {{.Status}}   {{.Names}}"])[0]
            streams.say(_identity(container) if "-q" in options else self._fill(form, container))
        return 0

    def inspect(self, words: list[str], streams: Streams) -> int:
        """`docker inspect --format ... NAME`."""
        options, names = _parse(words, ("--format", "-f", "--type"))
        form = (options.get("--format") or options.get("-f") or ["{{.Name}}"])[0]
        status = 0
        for name in names:
            container = self.droplet.node.containers.get(name)
            streams.say(self._fill(form, container) if container else "")
            if container is None:
                streams.complain(f"Error: No such object: {name}")
                status = 1
        return status

    def kill(self, words: list[str], streams: Streams) -> int:
        """`docker container kill --signal=SIGQUIT NAME`."""
        options, names = _parse(words, ("--signal", "-s"))
        signal = (options.get("--signal") or options.get("-s") or ["SIGKILL"])[0]
        signal = {"3": "SIGQUIT", "15": "SIGTERM", "2": "SIGINT", "9": "SIGKILL"}.get(signal, signal)
        signal = signal if signal.startswith("SIG") else f"SIG{signal}"
        if not names:
            streams.complain('docker: "docker container kill" requires at least 1 argument.')
            return 1
        return max(self._kill(name, signal, streams) for name in names)

    def _kill(self, name: str, signal: str, streams: Streams) -> int:
        container = self.droplet.node.containers.get(name)
        if container is None:
            streams.complain(f"Error response from daemon: No such container: {name}")
            return 1
        if not self.estate.nodes.signal(self.droplet, name, signal):
            streams.complain(f"Error response from daemon: cannot kill container: {name}: container {_identity(container)} is not running")
            return 1
        streams.say(name)
        return 0

    def stop(self, words: list[str], streams: Streams) -> int:
        """`docker stop NAME`: a SIGTERM, and ten seconds later a SIGKILL."""
        _, names = _parse(words, ("-t", "--time", "--timeout"))
        for name in names:
            self.estate.nodes.signal(self.droplet, name, "SIGTERM")
            self.estate.nodes.signal(self.droplet, name, "SIGKILL")
            streams.say(name)
        return 0

    def restart(self, words: list[str], streams: Streams) -> int:
        """Not simulated for one container: the whole unit is what is restarted."""
        streams.complain(f"docker: restarting {' '.join(words)} alone is not simulated")
        return 1

    def top(self, words: list[str], streams: Streams) -> int:
        """`docker top NAME`: a line for the service and one for each of its jobs."""
        name = words[0]
        container = self.droplet.node.containers.get(name)
        if container is None or not container.running:
            what = f"container {name} is not running" if container else f"No such container: {name}"
            streams.complain(f"Error response from daemon: {what}")
            return 1
        jobs = self.estate.nodes.work(self.droplet, name) if name in ("egress", "ingress") else 0
        rows = [("UID", "PID", "PPID", "STIME", "CMD"), ("root", "1200", "1180", "10:00", name)]
        rows += [("root", str(1300 + n), "1200", "10:00", f"{name} run-handler --config-body ***") for n in range(jobs)]
        for row in rows:
            streams.say("".join(cell.ljust(20) for cell in row).rstrip())
        return 0

    def logs(self, words: list[str], streams: Streams) -> int:
        """`docker logs NAME`."""
        _, names = _parse(words, ("--since", "--tail", "-n", "--until"))
        container = self.droplet.node.containers.get(names[0]) if names else None
        if container is None:
            streams.complain(f"Error response from daemon: No such container: {' '.join(names)}")
            return 1
        if container.draining and self.estate.nodes.work(self.droplet, container.name):
            streams.complain("INFO\tlivekit\tservice/server.go:258\twaiting for participants to exit")
        return 0

    def compose(self, words: list[str], streams: Streams) -> int:
        """`docker compose ps`."""
        options, rest = _parse(words, ("-f", "--project-directory", "--format"))
        if rest[:1] != ["ps"]:
            streams.complain("docker compose: only ps is simulated")
            return 1
        if "-q" not in options:
            streams.say("NAME                IMAGE                                SERVICE             STATUS")
        for c in self._containers():
            if c.running:
                streams.say(_identity(c) if "-q" in options else f"{c.name:<20}{c.image:<37}{c.name:<20}Up")
        return 0

    def _containers(self) -> list[Container]:
        return list(self.droplet.node.containers.values())

    def _fill(self, form: str, container: Container) -> str:
        status = "running" if container.running else "exited"
        values = {
            "Names": container.name, "Name": f"/{container.name}", "ID": _identity(container), "Image": container.image, "State": status,
            "Status": "Up 2 hours" if container.running else f"Exited ({container.exit_code}) 1 minute ago", "State.Status": status,
            "State.StartedAt": container.started_at, "State.Running": str(container.running).lower(),
            "RestartCount": str(container.restarts), "State.ExitCode": str(container.exit_code), "State.Restarting": "false",
            "Id": _identity(container),
            "Labels": ",".join(f"{k}={v}" for k, v in container.labels.items()),
        }  # fmt: skip

        def value(match: re.Match[str]) -> str:
            text = container.labels.get(match[3], "") if match[2] == "Label" else values.get(match[2], "<no value>")
            return f'"{text}"' if match[1] else text

        return FIELD.sub(value, form)


def _identity(container: Container) -> str:
    return _hash(container.name + container.started_at)


@lru_cache(maxsize=1024)
def _hash(text: str) -> str:
    return f"{abs(sum(ord(c) * 31**n for n, c in enumerate(text))) % 16**12:012x}"


def _passes(container: Container, condition: str) -> bool:
    key, _, value = condition.partition("=")
    if key == "label":
        name, has_value, wanted = value.partition("=")
        return name in container.labels and (not has_value or container.labels[name] == wanted)
    if key == "name":
        return bool(re.search(value, container.name))
    return fnmatchcase("running" if container.running else "exited", value)


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
