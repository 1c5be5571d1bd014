"""The function that scales media nodes every four minutes: its trigger, and one run of it word for word, faults included."""

import random
from collections.abc import Callable

from simulators.estate.droplets import Droplets
from simulators.estate.events import Emit, ScaledIn
from simulators.estate.state import CloudState
from simulators.estate.things import Autoscaler, Droplet, Namespace, Refusal, Trigger, not_found

CRON, EVERY = "*/4 * * * *", 240.0
LONGEST = 120.0


class Functions:
    """Namespaces, triggers, and what runs by them."""

    def __init__(self, state: CloudState, emit: Emit, droplets: Droplets) -> None:
        self.state, self.emit, self.droplets = state, emit, droplets
        self.dice = random.Random(f"functions {state.seed}")  # noqa: S311 - repeatable, not secret
        self.namespaces: dict[str, Namespace] = {}
        self.code: dict[str, Autoscaler] = {}
        """The deployed function of each stack."""
        self.run_seconds = 20.0
        """How long a run takes; it acts at its end."""
        self.running: set[str] = set()
        """Stacks of which a run is under way."""
        self.next_run_stays = False
        """Whether a paused trigger still shows a next run."""
        self.invisible = False
        """Whether the operator's token sees no namespaces."""
        self.cpu: Callable[[Droplet], float | None] = self._usual_cpu
        """What the metrics say of a node, in percent; None when they have no data."""
        self.answers: Callable[[str], bool] = lambda _what: True
        """Whether the API answers this call of a function, and with success."""

    def deploy(self, code: Autoscaler) -> Namespace:
        """The vendor's deployment: a namespace, a trigger that is enabled, and in the third generation a run at once."""
        moment = self.state.moment
        made = Namespace(
            f"fn-{self.state.uuid()}",
            f"{code.stack}-autoscaler",
            code.region,
            self.state.plant("nskey"),
            moment,
        )
        trigger = Trigger(f"{code.stack}-autoscale-cron", "autoscaler/check", CRON, moment, moment)
        made.triggers[trigger.name] = trigger
        self.namespaces[made.id] = made
        self.code[code.stack] = code
        self._await(code, made, trigger)
        if code.generation == 3:
            self._begin(code)
        return made

    def remove(self, stack: str) -> None:
        """Trigger, function and namespace are deleted. A run under way goes on to its end."""
        self.namespaces = {
            i: n for i, n in self.namespaces.items() if n.label != f"{stack}-autoscaler"
        }
        self.code.pop(stack, None)

    def namespace_of(self, stack: str) -> Namespace | None:
        """Where a stack's function lives."""
        return next((n for n in self.namespaces.values() if n.label == f"{stack}-autoscaler"), None)

    def trigger_of(self, stack: str) -> Trigger | None:
        """What starts a stack's function."""
        namespace = self.namespace_of(stack)
        return namespace.triggers.get(f"{stack}-autoscale-cron") if namespace else None

    def trigger(self, namespace: str, name: str) -> Trigger:
        """The trigger of that name, or a refusal."""
        if namespace not in self.namespaces:
            raise not_found("namespace not found")
        if name not in self.namespaces[namespace].triggers:
            raise not_found("trigger not found")
        return self.namespaces[namespace].triggers[name]

    def enable(self, stack: str, is_enabled: bool) -> None:
        """Somebody presses the switch in the console."""
        trigger = self.trigger_of(stack)
        assert trigger is not None, "it is there"
        trigger.is_enabled, trigger.updated_at = is_enabled, self.state.moment

    def scales(self, stack: str) -> bool:
        """Whether nodes may come or be drained by themselves: the trigger is on, or a run is under way."""
        trigger = self.trigger_of(stack)
        return (trigger is not None and trigger.is_enabled) or stack in self.running

    def next_run_at(self, trigger: Trigger) -> float | None:
        """When it will run, as the API shows it."""
        return self._next() if trigger.is_enabled or self.next_run_stays else None

    # One run

    def _next(self) -> float:
        return (self.state.moment // EVERY + 1) * EVERY

    def _await(self, code: Autoscaler, namespace: Namespace, trigger: Trigger) -> None:
        def strike() -> None:
            if (
                self.namespaces.get(namespace.id) is not namespace
                or trigger.name not in namespace.triggers
            ):
                return
            if trigger.is_enabled:
                trigger.last_run_at = self.state.moment
                self._begin(self.code.get(code.stack, code))
            self._await(code, namespace, trigger)

        self.state.timeline.after(self._next() - self.state.moment, strike)

    def _begin(self, code: Autoscaler) -> None:
        self.running.add(code.stack)
        self.state.timeline.after(min(self.run_seconds, LONGEST), lambda: self._finish(code))

    def _finish(self, code: Autoscaler) -> None:
        self.running.discard(code.stack)
        if self.run_seconds < LONGEST:  # a longer one is killed before it decides
            self.check(code)

    def check(self, code: Autoscaler) -> None:
        """What the function does in one run: at most one change, or in the third generation all that are missing."""
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

    def _asks(self, code: Autoscaler, what: str) -> bool:
        return code.token_works and self.answers(what)

    def _list(self, code: Autoscaler) -> list[Droplet]:
        """By tag, whatever their status. Any failure of this call is no node at all."""
        if not self._asks(code, "GET /v2/droplets"):
            return []
        return [d for d in self.state.droplets.values() if f"{code.stack}-media-node-tag" in d.tags]

    def _average(self, nodes: list[Droplet]) -> tuple[float, dict[int, float]]:
        measured = {d.id: cpu for d in nodes if (cpu := self.cpu(d)) is not None}
        return (sum(measured.values()) / len(measured) if measured else 0.0), measured

    def _usual_cpu(self, droplet: Droplet) -> float | None:
        if not droplet.on or not droplet.node.installed:
            return None
        return min(95.0, 3.0 + 4.0 * sum(m.people for m in self.state.meetings_on(droplet.id)))

    def _create(self, code: Autoscaler) -> None:
        if not self._asks(code, "POST /v2/droplets") or self.state.switched("no_capacity"):
            return
        name = f"{code.stack}-media-{int(self.state.moment)}-{self.dice.randint(1000, 9999)}"
        template = {
            "region": code.region,
            "size": code.size,
            "tags": [f"{code.stack}-media-node-tag"],
            "vpc_uuid": code.vpc_uuid,
        }
        try:
            self.droplets.create(name, template)
        except Refusal:
            return  # written to a log that nobody reads

    def _scale_in(self, code: Autoscaler, droplet_id: int) -> None:
        """First the media tag goes, then the draining tag comes; what goes wrong with either is swallowed."""
        droplet = self.state.droplets[droplet_id]
        if self._asks(code, f"DELETE /v2/tags/{code.stack}-media-node-tag/resources"):
            self.droplets.untag(droplet, f"{code.stack}-media-node-tag")
        if self._asks(code, f"POST /v2/tags/{code.stack}-draining/resources"):
            self.emit(ScaledIn(droplet))
            self.droplets.tag(droplet, f"{code.stack}-draining")
