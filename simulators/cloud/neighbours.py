"""Droplets of others in the same account: they fill pages of the list, and come and go."""

from simulators.cloud.droplets import Droplets
from simulators.cloud.model import SimulatedDroplet
from simulators.cloud.power import ActionSimulation
from simulators.cloud.state import CloudState
from simulators.evidence import Source, rests_on

PAGE = 200


class Neighbours:
    """CI runners and the like."""

    def __init__(self, state: CloudState, droplets: Droplets, power: ActionSimulation) -> None:
        self.state, self.droplets, self.power = state, droplets, power

    def move_in(self, count: int, around: SimulatedDroplet | None = None, page: int = PAGE) -> None:
        """Add so many droplets, active at once; those of the stacks are listed last.

        `around`: the first one on page 2.
        """
        state = self.state
        present = list(state.droplets.values())
        state.droplet_limit = max(state.droplet_limit, len(present) + 3 * count)
        template = {"size": "s-1vcpu-1gb", "region": "ams3", "tags": []}
        others = [self.droplets.create(f"ci-{n}", template) for n in range(1, count + 1)]
        for droplet in others:
            droplet.creating, droplet.status, droplet.on = False, "active", True
        listed = [*others, *present]
        if around is not None:
            rest = [d for d in present if d is not around]
            before = page - len(rest)
            listed = [*others[:before], *rest, around, *others[before:]]
        state.droplets = {d.id: d for d in listed}

    def churn(self, *, creates: bool) -> None:
        """Destroy the first one in the list, so that all others move up; `creates`.

        Then add one at the end.
        """
        state = self.state
        state.settle()
        with state.timeline.caused_by("hand", "a neighbour"):
            first = next((d for d in state.droplets.values() if d.role == "other"), None)
            if first is not None:
                self.power.destroy(first.id)
            if first is not None and creates:
                self.droplets.create(
                    first.name, {"size": first.size, "region": first.region, "tags": []}
                )


rests_on(
    "droplets",
    Source.NOTHING,
    "whether a list moves while it is paged",
    "droplets of others come and go between two pages",
)
