"""The Linux inside the droplets: boots, the unit `openvidu`, and the quorum of the masters."""

import re
import uuid
from collections.abc import Callable

from simulators.cloud import boot_script
from simulators.cloud.configuration import Configuration
from simulators.cloud.containers import Containers, after_boot
from simulators.cloud.crashes import Crashes
from simulators.cloud.events import (
    CommandInSecrets,
    DropletTouched,
    Emit,
    MasterStopping,
)
from simulators.cloud.graceful_shutdown import GracefulShutdown
from simulators.cloud.meetings import Meetings
from simulators.cloud.model import QUORUMS, SimulatedCluster, SimulatedDroplet
from simulators.cloud.state import CloudState
from simulators.evidence import Source, rests_on

NEVER = float("inf")
INFO, FIRST_VERSION = "/opt/openvidu/deployment-info.yaml", "3.6.1"
RESTART_LOG = "/var/log/openvidu-restart.log"
VOLATILE = ("/run/", "/tmp/", "/var/run/")  # noqa: S108 - the node's, not ours
NO_SECRETS = (
    "fatal error: An error occurred (404) when calling the HeadObject operation: "
    'Key "secrets.env" does not exist'
)


class NodeSystem:
    """Boots droplets, and starts and stops OpenVidu on them."""

    def __init__(
        self,
        state: CloudState,
        emit: Emit,
        people: Meetings,
        containers: Containers,
        crashes: Crashes,
        graceful: GracefulShutdown,
        configuration: Configuration,
    ) -> None:
        self.configuration = configuration
        self.state, self.emit, self.people = state, emit, people
        self.containers, self.crashes, self.graceful = containers, crashes, graceful
        self.started: Callable[[SimulatedDroplet], None] = lambda _: None
        """Called when OpenVidu has been started on a master."""

    def power_up(self, droplet: SimulatedDroplet) -> None:
        """Give the droplet power and boot it."""
        self.emit(DropletTouched(droplet))
        droplet.on = True
        node = droplet.node
        node.boot_id = self.state.uuid()
        node.files = {
            path: data for path, data in node.files.items() if not path.startswith(VOLATILE)
        }
        if droplet.is_master:
            node.installed = True
            self.state.clusters[droplet.stack].started.add(droplet.id)
            self._boot_master(droplet)
        elif droplet.role == "media" and (node.starts_at_boot or not node.installed):
            delays = self.state.delays
            seconds = delays.media_install
            if node.installed:
                seconds = delays.media_boot
            after_boot(self.state, droplet, seconds, self._install)
        self.graceful.tags_changed(droplet)

    def power_down(self, droplet: SimulatedDroplet, why: str) -> None:
        """Cut the droplet's power, whatever runs on it."""
        if not droplet.on:
            return
        self.emit(DropletTouched(droplet))
        if droplet.is_master:
            self.emit(MasterStopping(droplet))
        self.containers.lose_meetings(droplet, why)
        droplet.on = False
        self.containers.stop_all(droplet)
        droplet.node.unit = "inactive"
        self._masters_changed(droplet)

    def start_unit(self, droplet: SimulatedDroplet) -> None:
        """Run `systemctl start openvidu`."""
        self.emit(DropletTouched(droplet))
        if droplet.is_master:
            self._start_master(droplet)
        else:
            droplet.node.unit = "active"
            self._start_containers(droplet)

    def stop_unit(self, droplet: SimulatedDroplet) -> None:
        """Run `systemctl stop openvidu`: every container gets a SIGTERM, and no time to finish."""
        if droplet.node.unit != "active":
            return
        if droplet.node.running("openvidu"):
            self.containers.signal(droplet, "openvidu", "SIGTERM")
        self.containers.lose_meetings(droplet, "the unit was stopped")
        self.containers.stop_all(droplet)
        droplet.node.unit = "inactive"
        self.log(droplet, "Stopped openvidu.service - OpenVidu.")
        self._masters_changed(droplet)

    def restart_unit(self, droplet: SimulatedDroplet) -> None:
        """Run `systemctl restart openvidu`."""
        self.stop_unit(droplet)
        self.start_unit(droplet)

    def read_secrets_and_start(self, droplet: SimulatedDroplet) -> None:
        """Run `/usr/local/bin/restart.sh`, as every boot of a master does."""
        self.stop_unit(droplet)
        self._boot_master(droplet)

    def log(self, droplet: SimulatedDroplet, line: str) -> None:
        """Add a line to the unit's journal."""
        droplet.node.journal.append(line)

    def _install(self, droplet: SimulatedDroplet) -> None:
        if not droplet.node.installed and self.state.install_fails(droplet):
            return
        first, droplet.node.installed = not droplet.node.installed, True
        if first:
            droplet.node.files[INFO] = self._info(droplet)
        if first and self.state.clusters[droplet.stack].kind == "autoscaler":
            droplet.node.has_tag_watcher = True
            self.graceful.tags_changed(droplet)
        self.start_unit(droplet)

    def _start_containers(self, droplet: SimulatedDroplet) -> None:
        started = self.containers.start_all(droplet)
        droplet.node.invocation = uuid.uuid5(uuid.NAMESPACE_OID, f"{droplet.id} {started}").hex
        droplet.node.unit_since = self.state.now
        self.crashes.begin_again(droplet)
        self.log(droplet, "Started openvidu.service - OpenVidu.")

    def _info(self, droplet: SimulatedDroplet) -> bytes:
        """Return what the installer of a media node notes: it takes the version of secrets.env."""
        reader = self.state.read_secrets
        source = (reader(droplet.stack) if reader is not None else None) or b""
        named = re.search(rb"^OPENVIDU_VERSION=(.*)$", source, re.MULTILINE)
        version = named[1].decode() if named else FIRST_VERSION
        return deployment_info(version)

    # --- masters

    def _boot_master(self, droplet: SimulatedDroplet) -> None:
        reason = self._configure(droplet)
        log = droplet.node.files.get(RESTART_LOG, b"")
        droplet.node.files[RESTART_LOG] = log + f"{reason or 'restarted'}\n".encode()
        if reason:
            self.log(droplet, reason)  # the script had stopped the unit, and ended before its start
        else:
            self._start_master(droplet)

    def _start_master(self, droplet: SimulatedDroplet) -> None:
        if not self.configuration.comes_back(droplet):
            droplet.node.unit = "failed"
            self.log(droplet, "Failed to start openvidu.service - OpenVidu.")
            self._masters_changed(droplet)
            return
        droplet.node.unit = "active"
        self._start_containers(droplet)
        delays = self.state.delays
        droplet.ready_at = self.state.now + delays.master_ready
        if not self.configuration.started(droplet):
            droplet.ready_at = NEVER
        if not boot_script.engine_is_known(droplet.node.files):
            droplet.ready_at = NEVER
            self.log(droplet, "openvidu-init: invalid value for OPENVIDU_RTC_ENGINE")
        self._masters_changed(droplet)
        self.started(droplet)
        self.state.timeline.after(delays.master_ready + delays.front, _something_to_look_at)

    def _configure(self, droplet: SimulatedDroplet) -> str:
        """Copy `secrets.env` into the configuration.

        Returns why the unit cannot start; "" when it can.
        """
        if droplet.role == "single":
            # Its script downloads nothing: what the bucket holds is a copy of the installation.
            source = droplet.node.files.get(boot_script.SECRETS)
        elif self.state.read_secrets is None:
            return ""
        else:
            source = self.state.read_secrets(droplet.stack)
        if source is None:
            return NO_SECRETS
        try:
            for key in boot_script.copy_into(droplet.node.files, source):
                self.emit(CommandInSecrets(droplet, key))
        except boot_script.SedError as error:
            return str(error)
        return ""

    def _masters_changed(self, droplet: SimulatedDroplet) -> None:
        if droplet.is_master:
            self._count_quorum(self.state.clusters[droplet.stack])

    def _count_quorum(self, cluster: SimulatedCluster) -> None:
        masters = self.state.masters(cluster.stack)
        needed, all_of_them = QUORUMS[cluster.deployment]
        if sum(self.state.up(m) for m in masters) < needed:
            cluster.started &= {m.id for m in masters if m.on}
            cluster.quorum_at = None
            why = f"{cluster.stack}: fewer than {needed} masters are up"
            self.people.throw_out(self.state.meetings_of(cluster.stack), why)
        elif cluster.quorum_at is None and len(cluster.started) == all_of_them:
            cluster.quorum_at = self.state.now + self.state.delays.master_ready


def deployment_info(version: str) -> bytes:
    """Return the installer's notes about a deployment."""
    return f"edition: pro\nversion: {version}\n".encode()


def version_of(droplet: SimulatedDroplet) -> str:
    """Return the version that the node's own notes name; "" where there are none."""
    named = re.search(rb"^version: *(.*)$", droplet.node.files.get(INFO, b""), re.MULTILINE)
    return named[1].decode().strip("\"' ") if named else ""


def _something_to_look_at() -> None:
    """Do nothing: an entry in the timeline lets a virtual clock stop here."""


rests_on(
    "masters",
    Source.DOCUMENT,
    "OpenVidu's page on fault tolerance",
    "three of four masters are needed",
    "health waits for the quorum",
)
rests_on(
    "masters",
    Source.SOURCE,
    "openvidu-digitalocean 3.6.1: the masters' boot script",
    "secrets.env is read at each boot and restart",
)
rests_on(
    "masters",
    Source.SOURCE,
    "openvidu-digitalocean 3.6.1: the media nodes' user data",
    "a new media node installs the version that secrets.env names",
)
rests_on(
    "masters",
    Source.SOURCE,
    "openvidu-digitalocean pro/elastic d5bee4d8 and 963f1634: one master, the same boot script",
    "Elastic is out of service while its one master is down",
)
rests_on(
    "masters",
    Source.SOURCE,
    "openvidu-digitalocean pro/singlenode f3aab401 and 03a8592f, community/singlenode d5bee4d8",
    "Single Node reads its own secrets.env, never the bucket's",
)
