"""The vendor's `update.sh` on a node: what it changes, how long it takes, and how it fails."""

import itertools

from simulators.cloud.containers import after_boot
from simulators.cloud.events import Emit, UpdateBegan, VersionsMixed
from simulators.cloud.model import SimulatedDroplet
from simulators.cloud.nodes import INFO, NodeSystem, version_of
from simulators.cloud.state import CloudState
from simulators.evidence import Source, rests_on

BACKUPS, BOT = "/opt/openvidu/backups", "/var/lib/openvidu-bot"
CONFIG, SECRETS = "/opt/openvidu/config/", "/opt/openvidu/secrets.env"
CLUSTER_ENV = "/opt/openvidu/config/cluster/openvidu.env"
RELEASES = ("3.6.0", "3.6.1", "3.7.0", "3.8.0")
FREE_MB = 92_160
EARLY, STATUS = 5.0, 1


class Updates:
    """Runs `update.sh` on the nodes of a cloud.

    `trouble` is what goes wrong, by the droplet's name:

    - `docker`: it stops OpenVidu, finds Docker too old and ends with status 1;
    - `middle`: it ends with status 1 after half of its changes;
    - `unchanged`: it ends with status 0 and has changed no version;
    - `endless`: it never ends.
    """

    def __init__(self, state: CloudState, emit: Emit, nodes: NodeSystem) -> None:
        self.state, self.emit, self.nodes = state, emit, nodes
        self.trouble: dict[str, str] = {}
        self.free: dict[str, int] = {}
        """MB left on the disk, by the droplet's name, where it is not the usual."""
        self.withdrawn: set[str] = set()
        """Releases that cannot be downloaded."""
        self.runs: list[tuple[str, str]] = []
        """Every run of `update.sh`: the droplet's name and the version."""
        nodes.started = self._started

    def script(self, version: str) -> str | None:
        """Return the `update.sh` of a version as it is downloaded; None when there is none."""
        if version not in RELEASES or version in self.withdrawn:
            return None
        known = RELEASES[: RELEASES.index(version) + 1]
        table = "".join(f'    "{was}") echo "{new}" ;;\n' for was, new in itertools.pairwise(known))
        return (
            f'export OPENVIDU_VERSION="${{OPENVIDU_VERSION:-{version}}}"\n'
            f'get_next_version() {{\n  case "$1" in\n{table}    *) echo "" ;;\n  esac\n}}\n'
        )

    def free_mb(self, droplet: SimulatedDroplet) -> int:
        """Return what is left on the disk, in MB."""
        return self.free.get(droplet.name, FREE_MB)

    def is_running(self, droplet: SimulatedDroplet, version: str) -> bool:
        """Return whether an `update.sh` of that version runs since the last boot."""
        return droplet.node.updating == (version, droplet.node.boot_id)

    def begin(self, droplet: SimulatedDroplet, version: str) -> None:
        """Begin what an update runs detached."""
        node, marker = droplet.node, f"{BOT}/update-{version}"
        again = (droplet.name, version) in self.runs and node.undone != version
        self.emit(UpdateBegan(droplet, version, again))
        self.runs.append((droplet.name, version))
        node.updating, node.undone = (version, node.boot_id), ""
        folders = sorted({p.split("/")[4] for p in node.files if p.startswith(BACKUPS + "/")})
        node.files |= {
            f"{marker}/before": "".join(f"{name}\n" for name in folders).encode(),
            f"{marker}/errors": f"{self._error_lines(droplet)}\n".encode(),
            f"{marker}/boot": f"{node.boot_id}\n".encode(),
            f"{marker}/pid": b"4711\n",
        }
        trouble, was = self.trouble.get(droplet.name, ""), version_of(droplet)
        if not self._leads(was, version):
            self._end(droplet, version, STATUS)
            return
        self.nodes.stop_unit(droplet)
        if trouble == "endless":
            return
        if trouble == "docker":
            after_boot(
                self.state, droplet, EARLY, lambda d: self._end_if_running(d, version, STATUS)
            )
            return
        seconds = self.state.delays.update
        after_boot(self.state, droplet, seconds / 3, lambda d: self._back_up(d, version, was))
        after_boot(self.state, droplet, seconds, lambda d: self._finish(d, version))

    def restore(self, droplet: SimulatedDroplet, folder: str) -> None:
        """Run `cp -r FOLDER/. /opt/openvidu`."""
        node, source = droplet.node, f"{BACKUPS}/{folder}/"
        node.files |= {
            f"/opt/openvidu/{path.removeprefix(source)}": data
            for path, data in node.files.items()
            if path.startswith(source)
        }

    def _leads(self, was: str, version: str) -> bool:
        if was not in RELEASES or version not in RELEASES:
            return False
        return RELEASES.index(was) < RELEASES.index(version)

    def _back_up(self, droplet: SimulatedDroplet, version: str, was: str) -> None:
        """Keep the files that change, then change the first of them."""
        if not self.is_running(droplet, version):
            return
        node = droplet.node
        folder = f"{BACKUPS}/{int(self.state.now)}_{was}"
        kept = {p: data for p, data in node.files.items() if p.startswith(CONFIG) or p == INFO}
        node.files |= {
            f"{folder}/{p.removeprefix('/opt/openvidu/')}": data for p, data in kept.items()
        }
        node.files[CLUSTER_ENV] = node.files.get(CLUSTER_ENV, b"") + f"NEW={version}\n".encode()
        if self.trouble.get(droplet.name) == "middle":
            self._end(droplet, version, STATUS)

    def _finish(self, droplet: SimulatedDroplet, version: str) -> None:
        if not self.is_running(droplet, version):
            return
        if self.trouble.get(droplet.name) != "unchanged":
            node = droplet.node
            node.files[INFO] = _with_version(node.files.get(INFO, b""), version)
            node.files[SECRETS] = _saved(node.files.get(SECRETS, b""), version)
        self._end(droplet, version, 0)

    def _end_if_running(self, droplet: SimulatedDroplet, version: str, status: int) -> None:
        if self.is_running(droplet, version):
            self._end(droplet, version, status)

    def _end(self, droplet: SimulatedDroplet, version: str, status: int) -> None:
        droplet.node.updating = None
        droplet.node.files[f"{BOT}/update-{version}/result"] = f"ended {status}\n".encode()

    def _error_lines(self, droplet: SimulatedDroplet) -> int:
        return droplet.node.files.get("/var/log/openvidu/nodes_errors.log", b"").count(b"\n")

    def _started(self, droplet: SimulatedDroplet) -> None:
        """Notice masters that run different versions at the same time."""
        running = [m for m in self.state.masters(droplet.stack) if m.node.unit == "active"]
        versions = sorted({version_of(m) for m in running})
        if len(versions) > 1:
            self.emit(VersionsMixed(droplet, tuple(versions)))


def _with_version(info: bytes, version: str) -> bytes:
    lines = [line for line in info.decode().splitlines() if not line.startswith("version:")]
    return "".join(f"{line}\n" for line in [*lines, f"version: {version}"]).encode()


def _saved(secrets: bytes, version: str) -> bytes:
    """Run `store_secret.sh save OPENVIDU_VERSION`: only the node's own copy changes."""
    lines = [
        line for line in secrets.decode().splitlines() if not line.startswith("OPENVIDU_VERSION=")
    ]
    return "".join(f"{line}\n" for line in [*lines, f"OPENVIDU_VERSION={version}"]).encode()


rests_on(
    "nodes",
    Source.SOURCE,
    "OpenVidu/openvidu: openvidu-deployment/update.sh of 3.7.0",
    "update.sh stops OpenVidu and leaves it stopped",
    "update.sh refuses a version to which its table does not lead, before it stops OpenVidu",
    "update.sh saves the version only in the master's own copy of secrets.env",
)
rests_on(
    "nodes",
    Source.DOCUMENT,
    "OpenVidu's page on upgrading High Availability on DigitalOcean",
    "update.sh keeps the changed files in /opt/openvidu/backups/DATE_VERSION",
    "copying a backup folder back restores the version",
)
rests_on(
    "nodes",
    Source.NOTHING,
    "the updater's image is not public: how it answers itself with --no-tty, what its backup "
    "holds beside the configuration, and in which order it changes files is a guess",
    "update.sh --no-tty takes its own answers",
    "update.sh fails between its changes",
)
