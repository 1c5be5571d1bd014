"""The droplets of an account, as one listing that many clusters are looked up in. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from services.cloud.parse import DropletEntry, Listed
from services.cluster.drills import PREFIX
from services.cluster.fleet_kind import ResourceNames, stack_of
from services.cluster.model import Droplet


@dataclass(frozen=True)
class DropletListing(Listed[DropletEntry]):
    """A listing with an index, made once: a look at one cluster does not go through all others'.

    Without it, a thousand clusters cost a thousand times a thousand comparisons each minute.
    """

    @cached_property
    def ids(self) -> frozenset[int]:
        """Return the ids of all droplets that could be read."""
        return frozenset(self._by_id)

    @cached_property
    def drills(self) -> tuple[Droplet, ...]:
        """Return the throw-away droplets of restore drills, of all stacks."""
        return tuple(e.droplet for e in self.entries if e.droplet.name.startswith(PREFIX))

    @cached_property
    def _by_id(self) -> Mapping[int, int]:
        return {entry.droplet.id: place for place, entry in enumerate(self.entries)}

    @cached_property
    def _by_sign(self) -> Mapping[tuple[str, str], list[int]]:
        """The places of droplets by the stack that their names show, and by each tag."""
        places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for place, entry in enumerate(self.entries):
            places["stack", stack_of(entry.droplet.name)].append(place)
            for tag in entry.tags:
                places["tag", tag].append(place)
        return places

    def of(self, names: ResourceNames, members: Iterable[int] = ()) -> tuple[DropletEntry, ...]:
        """Return every droplet of a stack by its name or tags, and these members, in order."""
        signs = (
            ("stack", names.stack),
            ("tag", names.media_tag),
            ("tag", names.draining_tag),
        )
        found = {place for sign in signs for place in self._by_sign.get(sign, ())}
        found |= {self._by_id[member] for member in members if member in self._by_id}
        return tuple(self.entries[place] for place in sorted(found))
