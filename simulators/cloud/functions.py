"""The vendor's function that scales media nodes every four minutes.

Its trigger, and one run with its known defects.
"""

from collections.abc import Callable

from simulators.cloud.droplets import Droplets
from simulators.cloud.events import Emit, ScaledIn
from simulators.cloud.model import (
    AutoscalerCode,
    Refusal,
    SimulatedDroplet,
    SimulatedNamespace,
    SimulatedTrigger,
    not_found,
)
from simulators.cloud.state import CloudState
from simulators.dice import dice_of
from simulators.evidence import Source, rests_on

CRON, EVERY = "*/4 * * * *", 240.0
LONGEST = 120.0


class Functions:
    """Namespaces, triggers, and the function runs they start."""

    def __init__(self, state: CloudState, emit: Emit, droplets: Droplets) -> None:
        self.state, self.emit, self.droplets = state, emit, droplets
        self.dice = dice_of(f"functions {state.seed}")
        self.namespaces: dict[str, SimulatedNamespace] = {}
        self.code: dict[str, AutoscalerCode] = {}
        """The deployed function of each stack."""
        self.run_seconds = 20.0
        """Seconds a run takes; it acts at its end."""
        self.running: set[str] = set()
        """Stacks with a run in progress."""
        self.next_run_stays = False
        """Whether a paused trigger still shows a next run."""
        self.trigger_scopes = frozenset({"function:update", "function:admin"})
        """What a token needs to enable or disable a trigger: one of these."""
        self.triggers_need_function = False
        """Whether a trigger is refused in a namespace that lacks its function."""
        self.invisible = False
        """Whether the operator's token sees no namespaces."""
        self.cpu: Callable[[SimulatedDroplet], float | None] = self._usual_cpu
        """What the metrics say of a node, in percent; None when they have no data."""
        self.answers: Callable[[str], bool] = lambda _what: True
        """Whether the API answers this call of a function with success."""

    def deploy(self, code: AutoscalerCode) -> SimulatedNamespace:
        """Deploy as the vendor does: a namespace and an enabled trigger.

        The third generation also runs at once.
        """
        moment = self.state.now
        namespace = SimulatedNamespace(
            f"fn-{self.state.uuid()}",
            f"{code.stack}-autoscaler",
            code.region,
            self.state.plant("nskey"),
            moment,
        )
        trigger = SimulatedTrigger(
            f"{code.stack}-autoscale-cron", "autoscaler/check", CRON, moment, moment
        )
        namespace.triggers[trigger.name] = trigger
        self.namespaces[namespace.id] = namespace
        self.code[code.stack] = code
        self._await(code, namespace, trigger)
        if code.generation == 3:
            self._begin(code)
        return namespace

    def create_namespace(self, label: str, region: str) -> SimulatedNamespace:
        """Create an empty namespace."""
        namespace = SimulatedNamespace(
            f"fn-{self.state.uuid()}", label, region, self.state.plant("nskey"), self.state.now
        )
        self.namespaces[namespace.id] = namespace
        return namespace

    def create_trigger(
        self, namespace: SimulatedNamespace, name: str, function: str, cron: str, *, enabled: bool
    ) -> SimulatedTrigger:
        """Create a trigger that runs nothing: its namespace has no code."""
        if self.triggers_need_function:
            raise not_found("function not found")
        moment = self.state.now
        trigger = SimulatedTrigger(name, function, cron, moment, moment, is_enabled=enabled)
        namespace.triggers[name] = trigger
        return trigger

    def remove(self, stack: str) -> None:
        """Delete trigger, function and namespace. A run in progress goes on to its end."""
        self.namespaces = {
            i: n for i, n in self.namespaces.items() if n.label != f"{stack}-autoscaler"
        }
        self.code.pop(stack, None)

    def namespace_of(self, stack: str) -> SimulatedNamespace | None:
        """Return the namespace of a stack's function."""
        return next((n for n in self.namespaces.values() if n.label == f"{stack}-autoscaler"), None)

    def trigger_of(self, stack: str) -> SimulatedTrigger | None:
        """Return the trigger of a stack's function."""
        namespace = self.namespace_of(stack)
        return namespace.triggers.get(f"{stack}-autoscale-cron") if namespace else None

    def trigger(self, namespace: str, name: str) -> SimulatedTrigger:
        """Return the trigger with that name, or refuse with 404."""
        if namespace not in self.namespaces:
            raise not_found("namespace not found")
        if name not in self.namespaces[namespace].triggers:
            raise not_found("trigger not found")
        return self.namespaces[namespace].triggers[name]

    def enable(self, stack: str, is_enabled: bool) -> None:
        """Enable or disable the trigger, as an administrator does in the console."""
        trigger = self.trigger_of(stack)
        assert trigger is not None, "it is there"
        trigger.is_enabled, trigger.updated_at = is_enabled, self.state.now

    def scales(self, stack: str) -> bool:
        """Return whether nodes may come or be drained by themselves.

        The trigger is enabled, or a run is in progress.
        """
        trigger = self.trigger_of(stack)
        return (trigger is not None and trigger.is_enabled) or stack in self.running

    def next_run_at(self, trigger: SimulatedTrigger) -> float | None:
        """Return when the trigger runs next, as the API shows it."""
        return self._next() if trigger.is_enabled or self.next_run_stays else None

    # --- one run

    def _next(self) -> float:
        return (self.state.now // EVERY + 1) * EVERY

    def _await(
        self, code: AutoscalerCode, namespace: SimulatedNamespace, trigger: SimulatedTrigger
    ) -> None:
        def strike() -> None:
            if (
                self.namespaces.get(namespace.id) is not namespace
                or trigger.name not in namespace.triggers
            ):
                return
            if trigger.is_enabled:
                trigger.last_run_at = self.state.now
                self._begin(self.code.get(code.stack, code))
            self._await(code, namespace, trigger)

        self.state.timeline.after(self._next() - self.state.now, strike)

    def _begin(self, code: AutoscalerCode) -> None:
        self.running.add(code.stack)
        self.state.timeline.after(min(self.run_seconds, LONGEST), lambda: self._finish(code))

    def _finish(self, code: AutoscalerCode) -> None:
        self.running.discard(code.stack)
        if self.run_seconds < LONGEST:  # A longer run is killed before it decides.
            self.check(code)

    def check(self, code: AutoscalerCode) -> None:
        """Run the function once: at most one change; in the third generation, all missing nodes."""
        nodes = self._list(code)
        number = len(nodes)
        floor = (
            max(code.minimum, code.initial)
            if code.generation == 3 and number == 0
            else code.minimum
        )
        if number < floor:
            for _ in range(floor - number if code.generation == 3 else 1):
                self._create(code)
            return
        average, measured = self._average(nodes)
        if average > code.target and number < code.maximum:
            self._create(code)
        elif (average < code.target and number > code.minimum) or number > code.maximum:
            self._scale_in(
                code, min(measured, key=lambda d: measured[d]) if measured else nodes[0].id
            )

    def _asks(self, code: AutoscalerCode, what: str) -> bool:
        return code.token_works and self.answers(what)

    def _list(self, code: AutoscalerCode) -> list[SimulatedDroplet]:
        """List droplets by tag, whatever their status. A failed call counts as no nodes at all."""
        if not self._asks(code, "GET /v2/droplets"):
            return []
        return [d for d in self.state.droplets.values() if f"{code.stack}-media-node-tag" in d.tags]

    def _average(self, nodes: list[SimulatedDroplet]) -> tuple[float, dict[int, float]]:
        measured = {d.id: cpu for d in nodes if (cpu := self.cpu(d)) is not None}
        return (sum(measured.values()) / len(measured) if measured else 0.0), measured

    def _usual_cpu(self, droplet: SimulatedDroplet) -> float | None:
        if not droplet.on or not droplet.node.installed:
            return None
        return min(95.0, 3.0 + 4.0 * sum(m.people for m in self.state.meetings_on(droplet.id)))

    def _create(self, code: AutoscalerCode) -> None:
        if not self._asks(code, "POST /v2/droplets") or self.state.switched("no_capacity"):
            return
        name = f"{code.stack}-media-{int(self.state.now)}-{self.dice.randint(1000, 9999)}"
        template = {
            "region": code.region,
            "size": code.size,
            "tags": [f"{code.stack}-media-node-tag"],
            "vpc_uuid": code.vpc_uuid,
        }
        try:
            self.droplets.create(name, template)
        except Refusal:
            return  # The function only writes a log line.

    def _scale_in(self, code: AutoscalerCode, droplet_id: int) -> None:
        """Take the media tag, then give the draining tag; errors of either call are swallowed."""
        droplet = self.state.droplets[droplet_id]
        if self._asks(code, f"DELETE /v2/tags/{code.stack}-media-node-tag/resources"):
            self.droplets.untag(droplet, f"{code.stack}-media-node-tag")
        if self._asks(code, f"POST /v2/tags/{code.stack}-draining/resources"):
            self.emit(ScaledIn(droplet))
            self.droplets.tag(droplet, f"{code.stack}-draining")


rests_on(
    "autoscaler",
    Source.SOURCE,
    "openvidu-digitalocean 3.7.0: the function's code",
    "the function adds and drains nodes every four minutes",
    "a paused trigger starts no run, and ends none",
)
