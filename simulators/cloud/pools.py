"""Fixed droplet autoscale pools."""

from functools import partial
from typing import Any, Literal

from simulators.cloud.catalog import IMAGES, SIZES
from simulators.cloud.containers import Containers
from simulators.cloud.droplets import Droplets
from simulators.cloud.events import (
    DropletDestroyed,
    Emit,
    PoolEdited,
    RemovalStarted,
    RemovedOutOfOrder,
)
from simulators.cloud.model import (
    PoolEvent,
    Refusal,
    RemovalOrder,
    SimulatedDroplet,
    SimulatedMember,
    SimulatedPool,
    ZeroMode,
    not_found,
    unprocessable,
)
from simulators.cloud.nodes import NodeSystem
from simulators.cloud.power import ActionSimulation
from simulators.cloud.state import CloudState
from simulators.dice import dice_of
from simulators.evidence import Source, rests_on

NEEDED = ("region", "image", "size", "ssh_keys")
MOST = 1000


class PoolScaler:
    """Keeps every pool at its target."""

    def __init__(
        self,
        state: CloudState,
        emit: Emit,
        droplets: Droplets,
        power: ActionSimulation,
        nodes: NodeSystem,
        containers: Containers,
    ) -> None:
        self.state, self.emit = state, emit
        self.droplets, self.power, self.nodes, self.containers = droplets, power, nodes, containers
        self.dice = dice_of(f"scaling {state.seed}")
        self.removal_order: RemovalOrder = "newest"

    def create(self, body: dict[str, Any], allow_zero: ZeroMode | None = None) -> SimulatedPool:
        """Create a pool from the body of a POST."""
        allow_zero = allow_zero or self.state.pool_zero
        target, template = _parsed(body)
        moment = self.state.now
        pool = SimulatedPool(
            self.state.uuid(), str(body["name"]), target, template, moment, moment, allow_zero
        )
        self._check_zero(pool, target)
        self.state.pools[pool.id] = pool
        self.reconcile(pool, "CONFIGURATION_CHANGE")
        return pool

    def edit(self, pool_id: str, body: dict[str, Any]) -> SimulatedPool:
        """Replace a pool by the full representation of a PUT."""
        pool = self.find(pool_id)
        if pool.status == "deleting":
            raise unprocessable("autoscale group is being deleted")
        target, template = _parsed(body)
        self._check_zero(pool, target)
        if target == 0 and pool.allow_zero == "ignored":
            target = pool.target
        is_new = _same_image(template) != _same_image(pool.template)
        if (is_new or target != pool.target) and self.state.cooldown_refuses_edits:
            self._check_cooldown(pool)
        self.emit(PoolEdited(pool, self.shown_template(pool), template))
        if not is_new and target == pool.target:
            return pool  # An identical template and number leave no trace, not even in updated_at.
        pool.target, pool.updated_at = target, self.state.now
        if is_new:
            pool.template = template
            pool.generation += 1
        self.state.timeline.after(
            self._edit_delay(pool), lambda: self.reconcile(pool, "CONFIGURATION_CHANGE")
        )
        self.state.timeline.settle()
        return pool

    def delete(self, pool_id: str, *, with_members: bool) -> None:
        """Delete the pool; its droplets only `with_members`."""
        pool = self.find(pool_id)
        pool.status = "deleting"
        if with_members:
            for member in pool.members:
                self._remove(pool, member)
        self.state.timeline.after(self.state.delays.pool_delete, lambda: self._forget(pool))

    def fail(self, pool: SimulatedPool, status: Literal["deleting", "error"] = "error") -> None:
        """Make the pool do nothing from now on; a GET still answers.

        A pool that is `deleting` like this never ends.
        """
        pool.status, pool.updated_at = status, self.state.now

    def recover(self, pool: SimulatedPool) -> None:
        """Let a failed pool work again, and catch up."""
        pool.status, pool.updated_at = "active", self.state.now
        self.reconcile(pool, "CONFIGURATION_CHANGE")

    def find(self, pool_id: str) -> SimulatedPool:
        """Return the pool with that id, or refuse with 404."""
        if pool_id not in self.state.pools:
            raise not_found(f"autoscale group with id {pool_id} not found")
        return self.state.pools[pool_id]

    def shown_template(self, pool: SimulatedPool) -> dict[str, Any]:
        """Return the template as a GET shows it: the slug of an image has become its number."""
        return pool.template | {"image": _same_image(pool.template)["image"]}

    def droplet_destroyed(self, event: DropletDestroyed) -> None:
        """Let the pool of a destroyed droplet notice after a while, and replace the droplet."""
        if self.state.refills_destroyed:
            self._notice(event.droplet_id)
        else:
            for pool in self.state.pools.values():
                pool.members = [m for m in pool.members if m.droplet_id != event.droplet_id]

    def droplet_stopped(self, droplet_id: int) -> None:
        """Let the pool of a droplet that was powered off replace it, where pools do that."""
        if self.state.refills_off:
            self._notice(droplet_id)

    def _notice(self, droplet_id: int) -> None:
        for pool in self.state.pools.values():
            if any(m.droplet_id == droplet_id and m.status != "deleting" for m in pool.members):
                self.state.timeline.after(
                    self.state.delays.pool_notice, partial(self._drop, pool, droplet_id)
                )

    def reconcile(self, pool: SimulatedPool, reason: str) -> None:
        """Bring the pool to its target."""
        if pool.status != "active":
            return
        old = [
            m for m in pool.members if m.generation != pool.generation and m.status != "deleting"
        ]
        live = pool.live()
        if len(live) == pool.target and not old:
            return
        pool.modified_at = self.state.now
        event = self._event(pool, len(live), reason)
        if len(live) < pool.target:
            self._grow(pool, event, pool.target - len(live))
        else:
            self._shrink(pool, event, len(live) - pool.target)
        if old:
            generation = pool.generation
            self.state.timeline.after(
                self.state.delays.pool_cooldown, lambda: self._retire(pool, generation)
            )

    def _check_zero(self, pool: SimulatedPool, target: int) -> None:
        if target == 0 and (pool.allow_zero == "refused" or self.state.switched("zero_refused")):
            raise unprocessable("target_number_instances must be at least 1")

    def _edit_delay(self, pool: SimulatedPool) -> float:
        if not self.state.cooldown_gates_edits:
            return 0.0
        return self._cooling(pool)

    def _cooling(self, pool: SimulatedPool) -> float:
        """Return for how many more seconds the pool's last change keeps others from happening."""
        return max(0.0, pool.modified_at + self.state.delays.pool_cooldown - self.state.now)

    def _check_cooldown(self, pool: SimulatedPool) -> None:
        if self._cooling(pool) > 0:
            raise unprocessable("autoscale group is in cooldown")

    def _event(self, pool: SimulatedPool, current: int, reason: str) -> PoolEvent:
        moment = self.state.now
        event = PoolEvent(self.state.uuid(), current, pool.target, reason, moment, moment)
        pool.history.append(event)
        return event

    def _end(self, event: PoolEvent, error: str = "") -> None:
        event.status, event.error_reason, event.updated_at = (
            ("error" if error else "success"),
            error,
            self.state.now,
        )

    def _grow(self, pool: SimulatedPool, event: PoolEvent, count: int) -> None:
        for _ in range(count):
            try:
                self._add(pool)
            except Refusal as refusal:
                self._end(event, refusal.text)
                self.state.timeline.after(
                    self.state.delays.pool_retry, lambda: self.reconcile(pool, "SCALE_UP")
                )
                return
        self.state.timeline.after(self.state.delays.droplet_create, lambda: self._end(event))

    def _add(self, pool: SimulatedPool) -> None:
        if not self.state.capacity or self.state.switched("no_capacity"):
            raise unprocessable(
                f"no capacity for {pool.template['size']} in {pool.template['region']}"
            )
        pool.serial += 1
        droplet = self.droplets.create(
            f"{pool.name}-{self.state.uuid()}-{pool.serial:03d}", pool.template
        )
        moment = self.state.now
        member = SimulatedMember(droplet.id, moment, moment, pool.generation, pool.serial)
        pool.members.append(member)
        self.state.timeline.after(self.state.delays.droplet_create, lambda: self._arrived(member))

    def _arrived(self, member: SimulatedMember) -> None:
        if member.status == "provisioning":
            member.status, member.updated_at = "active", self.state.now

    def _shrink(self, pool: SimulatedPool, event: PoolEvent, count: int) -> None:
        documented = sorted(pool.live(), key=lambda m: m.serial, reverse=True)[:count]
        chosen = self._choose(pool.live(), count)
        self.emit(RemovedOutOfOrder(frozenset(m.droplet_id for m in chosen if m not in documented)))
        for member in chosen:
            self._remove(pool, member)
        self.state.timeline.after(self.state.delays.pool_grace, lambda: self._end(event))

    def _choose(self, members: list[SimulatedMember], count: int) -> list[SimulatedMember]:
        if self.removal_order == "random":
            return self.dice.sample(members, count)
        if self.removal_order == "middle":
            middle = sorted(members, key=lambda m: m.serial)
            first = (len(middle) - 1) // 2  # of two, the oldest
            return middle[first : first + count]
        return sorted(members, key=lambda m: m.serial, reverse=self.removal_order == "newest")[
            :count
        ]

    def _remove(self, pool: SimulatedPool, member: SimulatedMember) -> None:
        if member.status == "deleting":
            return
        member.status, member.updated_at = "deleting", self.state.now
        droplet = self.state.droplets.get(member.droplet_id)
        if droplet is not None:
            self.emit(RemovalStarted(droplet))
            self.containers.term_all(droplet)
            self.state.timeline.after(self.state.delays.shutdown, lambda: self._switch_off(droplet))
        self.state.timeline.after(self.state.delays.pool_grace, lambda: self._destroy(pool, member))

    def _switch_off(self, droplet: SimulatedDroplet) -> None:
        self.nodes.power_down(droplet, "its pool shut it down")
        self.power.show(droplet)

    def _destroy(self, pool: SimulatedPool, member: SimulatedMember) -> None:
        if member.droplet_id in self.state.droplets:
            self.power.destroy(member.droplet_id)
        if member in pool.members:
            pool.members.remove(member)

    def _retire(self, pool: SimulatedPool, generation: int) -> None:
        for member in [m for m in pool.members if m.generation < generation]:
            self._remove(pool, member)

    def _drop(self, pool: SimulatedPool, droplet_id: int) -> None:
        if droplet_id in self.state.droplets:  # It was powered off, and is replaced.
            if pool.status == "active" and not self.state.droplets[droplet_id].on:
                self.power.destroy(droplet_id)
            else:
                return
        pool.members = [m for m in pool.members if m.droplet_id != droplet_id]
        self.reconcile(pool, "SCALE_UP")

    def _forget(self, pool: SimulatedPool) -> None:
        self.state.pools.pop(pool.id, None)


def _same_image(template: dict[str, Any]) -> dict[str, Any]:
    return template | {"image": str(IMAGES.get(str(template["image"]), template["image"]))}


def _parsed(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return target and template of a body, or refuse it."""
    config, template = body.get("config"), body.get("droplet_template")
    if not body.get("name") or not isinstance(config, dict) or not isinstance(template, dict):
        raise unprocessable("name, config and droplet_template are required")
    missing = [key for key in NEEDED if not template.get(key)]
    if missing or template["size"] not in SIZES:
        raise unprocessable(f"droplet_template is invalid: {', '.join(missing) or 'size'}")
    target = config.get("target_number_instances", 0)
    if (
        "min_instances" in config
        or isinstance(target, bool)
        or not isinstance(target, int)
        or not 0 <= target <= MOST
    ):
        raise unprocessable("config is invalid")
    return target, template


rests_on(
    "pools",
    Source.DOCUMENT,
    "DigitalOcean's pages on autoscale pools, 2025",
    "the newest members go first",
    "a shutdown event and destruction 60 s later",
    "a changed template replaces every member",
)
rests_on(
    "pools",
    Source.NOTHING,
    "the schema's minimum is 1, the vendor's page says 0",
    "a pool of zero is accepted, refused, or shown without its number",
)
rests_on(
    "pools",
    Source.NOTHING,
    "documents say both",
    "an edit within the cooldown waits",
    "a member that vanished is replaced",
)
