"""Droplet actions (power, resize, snapshot) and the destruction of a droplet."""

from collections.abc import Callable
from typing import Any

from simulators.cloud.catalog import SIZES
from simulators.cloud.containers import Containers
from simulators.cloud.events import (
    DropletDestroyed,
    DropletDestroying,
    DropletStopped,
    Emit,
    GracefulShutdownEnded,
    MasterStopping,
)
from simulators.cloud.model import (
    SimulatedAction,
    SimulatedDroplet,
    SimulatedSnapshot,
    unprocessable,
)
from simulators.cloud.nodes import NodeSystem
from simulators.cloud.state import CloudState
from simulators.evidence import Source, rests_on

STOPS = ("shutdown", "power_off", "power_cycle", "reboot", "resize", "rebuild")
NEEDS_POWER = ("power_cycle", "reboot")
USED_GB = 5
REFUSED = ("restore", "password_reset", "rename", "enable_ipv6", "enable_backups",
    "disable_backups", "change_backup_policy",
           "change_kernel")  # fmt: skip


class ActionSimulation:
    """Runs droplet actions: one at a time, each with its duration.

    The status follows a little later.
    """

    def __init__(
        self, state: CloudState, emit: Emit, nodes: NodeSystem, containers: Containers
    ) -> None:
        self.state, self.emit, self.nodes, self.containers = state, emit, nodes, containers

    def request(
        self, droplet_id: int, kind: str, options: dict[str, Any] | None = None
    ) -> SimulatedAction:
        """Begin an action on a droplet.

        Raises:
            Refusal: when there is no such droplet, or the action is not possible now.
        """
        droplet = self.state.droplet(droplet_id)
        options = options or {}
        self._check(droplet, kind, options)
        if kind in STOPS and droplet.is_master and droplet.on:
            self.emit(MasterStopping(droplet))
        return self._begin(droplet, kind, options)

    def destroy(self, droplet_id: int, by: str = "") -> None:
        """Destroy a droplet at once. `by`: who does it; "" where that does not matter."""
        droplet = self.state.droplet(droplet_id)
        self.emit(DropletDestroying(droplet, by))
        self.nodes.power_down(droplet, "the droplet was destroyed")
        del self.state.droplets[droplet_id]
        network = self.state.networks.get(droplet.vpc_uuid)
        if network is not None:
            network.emptied_at = self.state.now
        self.emit(DropletDestroyed(droplet_id))

    def graceful_shutdown_ended(self, event: GracefulShutdownEnded) -> None:
        """Destroy the droplet that its own script deletes."""
        self.destroy(event.droplet.id, by="itself")

    def _check(self, droplet: SimulatedDroplet, kind: str, options: dict[str, Any]) -> None:
        if kind in REFUSED:
            raise unprocessable(f"{kind} is not available for this Droplet.")
        if kind not in ("power_on", "snapshot", *STOPS):
            raise unprocessable("Unrecognized action type.")
        if droplet.locked:
            raise unprocessable("Droplet already has a pending event.")
        if kind == "power_on" and droplet.on:
            raise unprocessable("Droplet is already powered on")
        if kind in ("shutdown", "power_off", *NEEDS_POWER) and not droplet.on:
            raise unprocessable("Droplet is already powered off")
        if kind == "snapshot" and not options.get("name"):
            raise unprocessable("Name can't be blank")
        if kind == "rebuild" and _image(options) not in self.state.snapshots:
            raise unprocessable(f"{kind} is not available for this Droplet.")
        if kind == "resize":
            self._check_resize(droplet, str(options.get("size", "")))

    def _check_resize(self, droplet: SimulatedDroplet, slug: str) -> None:
        size = SIZES.get(slug)
        if not self.state.resizes:
            raise unprocessable("Resizing is not available for this Droplet.")
        if size is None or not size.listed:
            raise unprocessable("You specified an invalid size for Droplet resize.")
        if slug == droplet.size:
            raise unprocessable("This Droplet is already this size.")
        if size.disk < droplet.disk:
            raise unprocessable("Size can not decrease size of Droplet's disk image")
        if droplet.on and not self.state.resize_powers_off:
            raise unprocessable("Droplet must be powered off before it can be resized.")

    def _begin(
        self, droplet: SimulatedDroplet, kind: str, options: dict[str, Any]
    ) -> SimulatedAction:
        state = self.state
        action = SimulatedAction(state.number(), droplet.id, kind, droplet.region, state.now)
        state.actions[action.id] = action
        droplet.action = action
        outcome = state.outcome(kind, droplet)
        if outcome == "done" and kind in ("shutdown", "reboot"):
            self.containers.term_all(droplet)
        if outcome == "done" and kind == "resize" and not state.resize_stays_on:
            self.nodes.power_down(droplet, "resized while it ran")
        seconds = self._duration(kind) * state.pace(kind, droplet)
        state.timeline.after(seconds, lambda: self._finish(droplet, action, options, outcome))
        return action

    def _duration(self, kind: str) -> float:
        delays = self.state.delays
        return {
            "power_on": delays.power_on, "shutdown": delays.shutdown, "power_off": delays.power_off,
            "power_cycle": delays.reboot, "reboot": delays.reboot,
            "resize": delays.resize + USED_GB * delays.resize_per_used_gb,
            "snapshot": delays.snapshot, "rebuild": delays.droplet_create,
        }[kind]  # fmt: skip

    def _finish(
        self,
        droplet: SimulatedDroplet,
        action: SimulatedAction,
        options: dict[str, Any],
        outcome: str,
    ) -> None:
        action.status = "completed"
        if outcome == "errored":
            action.status = "errored"
        action.completed_at = self.state.now
        if droplet.action is action:
            droplet.action = None
        if droplet.id not in self.state.droplets:
            action.status = "errored"
            return
        if outcome == "done":
            self._apply(droplet, action.type, options)
        self.state.timeline.after(self.state.delays.status_lag, lambda: self.show(droplet))

    def show(self, droplet: SimulatedDroplet) -> None:
        """Let the status in the API follow the true one."""
        droplet.status = "off"
        if droplet.on:
            droplet.status = "active"
        else:
            self.emit(DropletStopped(droplet.id))

    def _apply(self, droplet: SimulatedDroplet, kind: str, options: dict[str, Any]) -> None:
        effects: dict[str, Callable[[], None]] = {
            "power_on": lambda: self.nodes.power_up(droplet),
            "shutdown": lambda: self.nodes.power_down(droplet, "shut down"),
            "power_off": lambda: self.nodes.power_down(droplet, "powered off"),
            "power_cycle": lambda: self._reboot(droplet),
            "reboot": lambda: self._reboot(droplet),
            "resize": lambda: self._resize(droplet, options),
            "rebuild": lambda: self._rebuild(droplet, _image(options)),
            "snapshot": lambda: self._snapshot(droplet, str(options["name"])),
        }
        effects[kind]()

    def _reboot(self, droplet: SimulatedDroplet) -> None:
        self.nodes.power_down(droplet, "rebooted")
        self.nodes.power_up(droplet)

    def _rebuild(self, droplet: SimulatedDroplet, image: int) -> None:
        """Put a snapshot's disk into a droplet, which keeps its addresses, and start it."""
        snapshot = self.state.snapshots[image]
        self.nodes.power_down(droplet, "rebuilt")
        droplet.node.files = dict(snapshot.files)
        if droplet.is_master:
            self.state.clusters[droplet.stack].documents = dict(snapshot.documents)
        self.nodes.power_up(droplet)

    def _resize(self, droplet: SimulatedDroplet, options: dict[str, Any]) -> None:
        droplet.size = str(options["size"])
        if options.get("disk") is True:
            droplet.disk = SIZES[droplet.size].disk

    def _snapshot(self, droplet: SimulatedDroplet, name: str) -> None:
        state = self.state
        snapshot = SimulatedSnapshot(
            state.number(), name, droplet.id, droplet.region, droplet.disk, state.now
        )
        if droplet.is_master:
            snapshot.stack = droplet.stack
            snapshot.files = dict(droplet.node.files)
            snapshot.documents = dict(state.clusters[droplet.stack].documents)
        state.snapshots[snapshot.id] = snapshot
        droplet.snapshot_ids.append(snapshot.id)


rests_on(
    "droplets",
    Source.SCHEMA,
    "DigitalOcean's OpenAPI document: states of droplets and actions",
    "an action is in-progress, then completed or errored",
    "resize is refused while a droplet is on",
)


def _image(options: dict[str, Any]) -> int:
    image = str(options.get("image") or "")
    return int(image) if image.isdigit() else 0


rests_on(
    "droplets",
    Source.DOCUMENT,
    "DigitalOcean's reference of droplet actions: a rebuild replaces the disk by an image's and "
    "keeps the addresses",
    "rebuild from a snapshot",
)
rests_on(
    "droplets",
    Source.DOCUMENT,
    "digitalocean/api-v2#79: a shutdown may complete although the droplet stays on",
    "a shutdown that completes and does nothing",
    "one action at a time",
)
