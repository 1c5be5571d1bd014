"""systemctl, journalctl, curl and the vendor's own scripts, on one droplet."""

import re
from collections.abc import Mapping

from simulators.estate import Droplet, Estate
from simulators.faults import Fault
from simulators.node.docker import Docker
from simulators.node.shell import Program, Shell
from simulators.node.streams import Cut, Streams

BOOT_ID = "/proc/sys/kernel/random/boot_id"
GRACEFUL, RESTART = "/usr/local/bin/graceful_shutdown.sh", "/usr/local/bin/restart.sh"
REFUSED, TIMED_OUT = 7, 28
"""curl's exit statuses when nobody listens, and when nothing came in time."""
RIGHTS = "Interactive authentication required."


class System:
    """The programs that know which droplet they run on; `troubles` are what is wrong with it, by kind."""

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

    def table(self) -> dict[str, Program]:
        """Programs by name: docker is there only once the node is installed."""
        table: dict[str, Program] = {
            "systemctl": self.systemctl, "journalctl": self.journalctl, "curl": self.curl,
            "id": self.id, "hostname": self.hostname, "reboot": self.reboot,
        }  # fmt: skip
        if self.droplet.node.installed:
            table["docker"] = Docker(self.estate, self.droplet, self.troubles, self.programs).run
        if self.droplet.role == "media":
            table |= {GRACEFUL: self.graceful, "graceful_shutdown.sh": self.graceful}
        if self.droplet.role == "master":
            table |= {RESTART: self.restart, "restart.sh": self.restart}
        return table

    def systemctl(self, _shell: Shell, fields: list[str], streams: Streams) -> int:
        """`systemctl is-active|start|stop|restart openvidu`, and `show --property=InvocationID --value`."""
        words = [w.removesuffix(".service") for w in fields[1:] if not w.startswith("-")]
        if words[1:] != ["openvidu"] or (
            not self.droplet.node.installed and words[:1] != ["is-active"]
        ):
            streams.complain(
                f"Failed to {words[0]} {' '.join(words[1:])}.service: Unit {' '.join(words[1:])}.service not found."
            )
            return 5
        if words[0] in ("start", "stop", "restart") and "unprivileged" in self.troubles:
            streams.complain(f"Failed to {words[0]} openvidu.service: {RIGHTS}")
            return 1
        if words[0] == "show":
            streams.say(
                self.droplet.node.invocation
                if "--value" in fields
                else f"InvocationID={self.droplet.node.invocation}"
            )
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

    def id(self, _shell: Shell, _fields: list[str], streams: Streams) -> int:
        """`id -u`: root, or a user who may do little."""
        streams.say("1000" if "unprivileged" in self.troubles else "0")
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
        self.estate.graceful.run(self.droplet)
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

    def curl(self, shell: Shell, fields: list[str], streams: Streams) -> int:
        """`curl` to the few addresses that answer on a node itself."""
        url = next((w for w in fields if w.startswith("http")), "")
        status, body = self._get(url)
        letters = "".join(w[1:] for w in fields[1:] if re.fullmatch("-[a-zA-Z]+", w))
        if not status:
            shell.time.spend(
                float(fields[fields.index("-m") + 1]) if body and "-m" in fields else 0.0
            )
            failed, why = (
                (TIMED_OUT, "Operation timed out")
                if body
                else (REFUSED, f"Failed to connect to {url}")
            )
            _written(fields, 0, streams)
            if "s" not in letters or "S" in letters:
                streams.complain(f"curl: ({failed}) {why}")
            return failed
        if status >= 400 and ("f" in letters or "--fail" in fields):
            _written(fields, status, streams)
            streams.complain(f"curl: (22) The requested URL returned error: {status}")
            return 22
        quiet = "/dev/null" in fields
        streams.out.append("" if quiet else body)
        _written(fields, status, streams)
        return 0

    def _get(self, url: str) -> tuple[int, str]:
        """Status and body; 0 where nobody listens, with a word where it is only that nothing comes."""
        found = re.fullmatch(r"http://([^/:]+)(?::(\d+))?(/.*)?", url)
        if found is None:
            return 0, ""
        host, port, path = found[1], found[2] or "80", found[3] or "/"
        if host == "169.254.169.254":
            return 200, str(self.droplet.id) if path.endswith("/id") else self.droplet.name
        if (
            host in ("127.0.0.1", "localhost")
            and port == "6789"
            and self.droplet.node.running("openvidu")
        ):
            return (0, "silence") if "metrics-silent" in self.troubles else (200, self._metrics())
        if port == "7880" and self.droplet.role == "master" and self.estate.up(self.droplet):
            return (200, "OK") if self.estate.healthy(self.droplet) else (503, "")
        return self._livekit(path) if port == "7880" else (0, "")

    def _livekit(self, path: str) -> tuple[int, str]:
        status = self.estate.livekit_status(self.droplet)
        if status and "livekit-silent" in self.troubles:
            return 0, ""
        if status and "livekit-starting" in self.troubles:
            status = 406
        if status == 200 and path != "/":
            return 404, "404 page not found"
        return status, {200: "OK", 406: "Not Ready\nNode Updated At 2027-01-15 08:00:00"}.get(
            status, ""
        )

    def _metrics(self) -> str:
        meetings = [
            m
            for m in self.estate.meetings_on(self.droplet.id)
            if not m.roomless and "metrics-empty" not in self.troubles
        ]
        node = f'node_id="ND_{self.droplet.id}",node_type="SERVER"'
        people = sum(m.people + m.hidden for m in meetings)
        return (
            f"# HELP livekit_room_total \n# TYPE livekit_room_total gauge\nlivekit_room_total{{{node}}} {len(meetings)}\n"
            f"# HELP livekit_participant_total \n# TYPE livekit_participant_total gauge\nlivekit_participant_total{{{node}}} {people}\n"
        )


def _written(fields: list[str], status: int, streams: Streams) -> None:
    """What `-w` asks for."""
    if "-w" in fields:
        streams.out.append(
            fields[fields.index("-w") + 1]
            .replace("%{http_code}", f"{status:03d}")
            .replace("\\n", "\n")
        )
