"""systemctl, journalctl, curl and the vendor's own scripts, on one droplet."""

import re

from simulators.estate import Droplet, Estate
from simulators.node.docker import Docker
from simulators.node.shell import Program, Shell
from simulators.node.streams import Cut, Streams

BOOT_ID = "/proc/sys/kernel/random/boot_id"
GRACEFUL, RESTART = "/usr/local/bin/graceful_shutdown.sh", "/usr/local/bin/restart.sh"
REFUSED = 7
"""curl's exit status when nobody listens."""


class System:
    """The programs that know which droplet they run on."""

    def __init__(self, estate: Estate, droplet: Droplet) -> None:
        self.estate, self.droplet = estate, droplet

    def table(self) -> dict[str, Program]:
        """Programs by name: docker is there only once the node is installed."""
        table: dict[str, Program] = {
            "systemctl": self.systemctl, "journalctl": self.journalctl, "curl": self.curl, "hostname": self.hostname, "reboot": self.reboot,
        }  # fmt: skip
        if self.droplet.node.installed:
            table["docker"] = Docker(self.estate, self.droplet).run
        if self.droplet.role == "media":
            table |= {GRACEFUL: self.graceful, "graceful_shutdown.sh": self.graceful}
        if self.droplet.role == "master":
            table |= {RESTART: self.restart, "restart.sh": self.restart}
        return table

    def systemctl(self, _shell: Shell, fields: list[str], streams: Streams) -> int:
        """`systemctl is-active|start|stop|restart openvidu`, and `show --property=InvocationID --value`."""
        words = [w.removesuffix(".service") for w in fields[1:] if not w.startswith("-")]
        if words[1:] != ["openvidu"] or (not self.droplet.node.installed and words[:1] != ["is-active"]):
            streams.complain(f"Failed to {words[0]} {' '.join(words[1:])}.service: Unit {' '.join(words[1:])}.service not found.")
            return 5
        if words[0] == "show":
            streams.say(self.droplet.node.invocation if "--value" in fields else f"InvocationID={self.droplet.node.invocation}")
            return 0
        return self._unit(words[0], streams, quiet="--quiet" in fields or "-q" in fields)

    def _unit(self, verb: str, streams: Streams, *, quiet: bool) -> int:
        nodes, node = self.estate.nodes, self.droplet.node
        if verb == "is-enabled":
            streams.say("enabled" if node.boots else "disabled")
            return 0 if node.boots else 1
        if verb in ("is-active", "status"):
            if not quiet:
                streams.say(node.unit)
            return 0 if node.unit == "active" else 3
        if verb in ("stop", "restart"):
            nodes.stop_unit(self.droplet)
        if verb in ("start", "restart") and node.unit != "active":
            nodes.start_unit(self.droplet)
        return 0

    def journalctl(self, _shell: Shell, fields: list[str], streams: Streams) -> int:
        """`journalctl -u openvidu -n N`."""
        found = re.search(r"(?:-n|--lines)[ =]?(\d+)", " ".join(fields))
        for line in self.droplet.node.journal[-int(found[1]) if found else 0 :]:
            streams.say(line)
        return 0

    def hostname(self, _shell: Shell, _fields: list[str], streams: Streams) -> int:
        """The droplet's name."""
        streams.say(self.droplet.name)
        return 0

    def reboot(self, _shell: Shell, _fields: list[str], _streams: Streams) -> int:
        """The node reboots under the session."""
        self.estate.power.ask(self.droplet.id, "reboot")
        raise Cut("rebooting")

    def graceful(self, shell: Shell, _fields: list[str], _streams: Streams) -> int:
        """The vendor's script. In the foreground it holds the session until the droplet vanishes under it."""
        self.estate.nodes.graceful_shutdown(self.droplet)
        if self.droplet.id in self.estate.droplets and not shell.is_detached:
            raise Cut("it waits until everybody has left")
        return 0

    def restart(self, _shell: Shell, _fields: list[str], streams: Streams) -> int:
        """What runs at a master's boot."""
        self.estate.nodes.read_secrets_and_start(self.droplet)
        if self.droplet.node.unit == "active":
            return 0
        streams.complain(self.droplet.node.journal[-1])
        return 1

    def curl(self, _shell: Shell, fields: list[str], streams: Streams) -> int:
        """`curl` to the few addresses that answer on a node itself."""
        url = next((w for w in fields if w.startswith("http")), "")
        status, body = self._get(url)
        if not status:
            streams.complain(f"curl: ({REFUSED}) Failed to connect to {url}")
            return REFUSED
        fails = any(w.startswith("-") and not w.startswith("--") and "f" in w for w in fields[1:]) or "--fail" in fields
        if status >= 400 and fails:
            streams.complain(f"curl: (22) The requested URL returned error: {status}")
            return 22
        quiet = "/dev/null" in fields
        streams.out.append("" if quiet else body)
        if "-w" in fields:
            streams.out.append(fields[fields.index("-w") + 1].replace("%{http_code}", str(status)).replace("\\n", "\n"))
        return 0

    def _get(self, url: str) -> tuple[int, str]:
        found = re.fullmatch(r"http://([^/:]+)(?::(\d+))?(/.*)?", url)
        if found is None:
            return 0, ""
        host, port, path = found[1], found[2] or "80", found[3] or "/"
        if host == "169.254.169.254":
            return 200, str(self.droplet.id) if path.endswith("/id") else self.droplet.name
        if host in ("127.0.0.1", "localhost") and port == "6789" and self.droplet.node.running("openvidu"):
            return 200, self._metrics()
        if port == "7880" and self.droplet.role == "master" and self.estate.up(self.droplet):
            return (200, "OK") if self.estate.healthy(self.droplet) else (503, "")
        if port == "7880" and self.droplet.node.running("openvidu"):
            return 200, "OK"
        return 0, ""

    def _metrics(self) -> str:
        meetings = self.estate.meetings_on(self.droplet.id)
        node = f'node_id="ND_{self.droplet.id}",node_type="SERVER"'
        people = sum(m.people for m in meetings)
        return (
            f"# HELP livekit_room_total \n# TYPE livekit_room_total gauge\nlivekit_room_total{{{node}}} {len(meetings)}\n"
            f"# HELP livekit_participant_total \n# TYPE livekit_participant_total gauge\nlivekit_participant_total{{{node}}} {people}\n"
        )
