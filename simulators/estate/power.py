"""What can be asked of a droplet, and what comes of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simulators.estate.catalog import SIZES
from simulators.estate.things import Action, Droplet, Snapshot, unprocessable

if TYPE_CHECKING:
    from simulators.estate.estate import Estate

STOPS = ("shutdown", "power_off", "power_cycle", "reboot", "resize")
NEEDS_POWER = ("power_cycle", "reboot")
USED_GB = 5
REFUSED = ("restore", "password_reset", "rebuild", "rename", "enable_ipv6", "enable_backups", "disable_backups", "change_backup_policy",
           "change_kernel")  # fmt: skip


class Power:
    """Droplet actions: one at a time, each with its duration, and a status that follows a little later."""

    def __init__(self, estate: "Estate") -> None:
        self.estate = estate

    def ask(self, droplet_id: int, kind: str, options: dict[str, Any] | None = None) -> Action:
        """Ask a droplet for an action.

        Raises:
            Refusal: when there is no such droplet, or it cannot be done now.
        """
        droplet = self.estate.droplet(droplet_id)
        options = options or {}
        self._check(droplet, kind, options)
        if kind in STOPS and droplet.role == "master" and droplet.on:
            self.estate.watch.master_stops(droplet)
        return self._begin(droplet, kind, options)

    def destroy(self, droplet_id: int, by: str = "") -> None:
        """Destroy a droplet: at once, and for good. `by`: who, when it matters."""
        droplet = self.estate.droplet(droplet_id)
        if by:
            self.estate.watch.destroyed(droplet, by)
        self.estate.nodes.power_down(droplet, "the droplet was destroyed")
        del self.estate.droplets[droplet_id]
        self.estate.scaling.droplet_is_gone(droplet_id)

    def _check(self, droplet: Droplet, kind: str, options: dict[str, Any]) -> None:
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
        if kind == "resize":
            self._check_resize(droplet, str(options.get("size", "")))

    def _check_resize(self, droplet: Droplet, slug: str) -> None:
        size = SIZES.get(slug)
        if size is None or not size.listed:
            raise unprocessable("You specified an invalid size for Droplet resize.")
        if slug == droplet.size:
            raise unprocessable("This Droplet is already this size.")
        if size.disk < droplet.disk:
            raise unprocessable("Size can not decrease size of Droplet's disk image")
        if droplet.on and not self.estate.resize_powers_off:
            raise unprocessable("Droplet must be powered off before it can be resized.")

    def _begin(self, droplet: Droplet, kind: str, options: dict[str, Any]) -> Action:
        estate = self.estate
        action = Action(estate.number(), droplet.id, kind, droplet.region, estate.moment)
        estate.actions[action.id] = action
        droplet.action = action
        outcome = estate.outcome(kind, droplet)
        if outcome == "done" and kind in ("shutdown", "reboot"):
            estate.nodes.term_all(droplet)
        if outcome == "done" and kind == "resize":
            estate.nodes.power_down(droplet, "resized while it ran")
        estate.timeline.after(
            self._duration(kind), lambda: self._finish(droplet, action, options, outcome)
        )
        return action

    def _duration(self, kind: str) -> float:
        delays = self.estate.delays
        return {
            "power_on": delays.power_on, "shutdown": delays.shutdown, "power_off": delays.power_off, "power_cycle": delays.reboot,
            "reboot": delays.reboot, "resize": delays.resize + USED_GB * delays.resize_per_used_gb, "snapshot": delays.snapshot,
        }[kind]  # fmt: skip

    def _finish(
        self, droplet: Droplet, action: Action, options: dict[str, Any], outcome: str
    ) -> None:
        action.status = "errored" if outcome == "errored" else "completed"
        action.completed_at = self.estate.moment
        if droplet.action is action:
            droplet.action = None
        if droplet.id not in self.estate.droplets:
            action.status = "errored"
            return
        if outcome == "done":
            self._apply(droplet, action.type, options)
        self.estate.timeline.after(self.estate.delays.status_lag, lambda: self.show(droplet))

    def show(self, droplet: Droplet) -> None:
        """Let the API's status catch up with the truth."""
        droplet.status = "active" if droplet.on else "off"

    def _apply(self, droplet: Droplet, kind: str, options: dict[str, Any]) -> None:
        effects: dict[str, Callable[[], None]] = {
            "power_on": lambda: self.estate.nodes.power_up(droplet),
            "shutdown": lambda: self.estate.nodes.power_down(droplet, "shut down"),
            "power_off": lambda: self.estate.nodes.power_down(droplet, "powered off"),
            "power_cycle": lambda: self._reboot(droplet),
            "reboot": lambda: self._reboot(droplet),
            "resize": lambda: self._resize(droplet, options),
            "snapshot": lambda: self._snapshot(droplet, str(options["name"])),
        }
        effects[kind]()

    def _reboot(self, droplet: Droplet) -> None:
        self.estate.nodes.power_down(droplet, "rebooted")
        self.estate.nodes.power_up(droplet)

    def _resize(self, droplet: Droplet, options: dict[str, Any]) -> None:
        droplet.size = str(options["size"])
        if options.get("disk") is True:
            droplet.disk = SIZES[droplet.size].disk

    def _snapshot(self, droplet: Droplet, name: str) -> None:
        estate = self.estate
        snapshot = Snapshot(
            estate.number(), name, droplet.id, droplet.region, droplet.disk, estate.moment
        )
        estate.snapshots[snapshot.id] = snapshot
        droplet.snapshot_ids.append(snapshot.id)
