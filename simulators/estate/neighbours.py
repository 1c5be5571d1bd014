"""Droplets of the same account that belong to others: they fill pages, and come and go."""

from typing import TYPE_CHECKING

from simulators.estate.things import Droplet

if TYPE_CHECKING:
    from simulators.estate.estate import Estate

PAGE = 200


class Neighbours:
    """CI runners and the like."""

    def __init__(self, estate: "Estate") -> None:
        self.estate = estate

    def move_in(self, count: int, around: Droplet | None = None, page: int = PAGE) -> None:
        """So many more droplets, active at once; those of the stacks are listed last. `around`: that one is the first of page 2."""
        estate = self.estate
        mine = list(estate.droplets.values())
        estate.droplet_limit = max(estate.droplet_limit, len(mine) + 3 * count)
        template = {"size": "s-1vcpu-1gb", "region": "ams3", "tags": []}
        others = [estate.create_droplet(f"ci-{n}", template) for n in range(1, count + 1)]
        for droplet in others:
            droplet.creating, droplet.status, droplet.on = False, "active", True
        if around is None:
            listed = [*others, *mine]
        else:
            rest = [d for d in mine if d is not around]
            before = page - len(rest)
            listed = [*others[:before], *rest, around, *others[before:]]
        estate.droplets = {d.id: d for d in listed}

    def churn(self, *, creates: bool) -> None:
        """The first that is listed goes, so that all others move up by one; another comes at the end."""
        estate = self.estate
        with estate.by_hand("a neighbour"):
            gone = next((d for d in estate.droplets.values() if d.role == "other"), None)
            if gone is not None:
                estate.power.destroy(gone.id)
            if gone is not None and creates:
                estate.create_droplet(
                    gone.name, {"size": gone.size, "region": gone.region, "tags": []}
                )
