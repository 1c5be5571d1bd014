"""The vendor's Terraform as somebody runs it: what each apply does to what is there."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simulators.estate.things import Droplet

if TYPE_CHECKING:
    from simulators.estate.estate import Estate


@dataclass(frozen=True)
class Variables:
    """What stands in somebody's tfvars."""

    fixed: int
    size: str
    masters_size: str


class Terraform:
    """The state and the hands of whoever applies it."""

    def __init__(self, estate: "Estate", stack: str, variables: Variables) -> None:
        self.estate, self.stack, self.variables = estate, stack, variables

    def apply(self) -> None:
        """With nothing changed: sizes and tags go back to what is written, all droplets at once and hard; a pause is left alone."""
        self.estate.settle()
        masters = self.estate.masters(self.stack)
        for droplet in (*masters, *self._fixed()):
            wanted = self.variables.masters_size if droplet in masters else self.variables.size
            if droplet.size != wanted:
                self._put_size_back(droplet, wanted)
        self._make_fixed()
        for droplet in self._fixed():
            droplet.tags = self._tags()

    def apply_count(self, number: int) -> None:
        """With another number of fixed nodes. It is written into their `user_data`, so that every one of them is replaced."""
        self.estate.settle()
        self.variables = replace(self.variables, fixed=number)
        for droplet in self._fixed():
            self._destroy(droplet)
        self._make_fixed()

    def apply_minimum(self, number: int) -> None:
        """With another minimum: function, trigger and namespace are replaced, and the new trigger is enabled."""
        self.estate.settle()
        code = self.estate.functions.code[self.stack]
        self.estate.functions.remove(self.stack)
        self.estate.functions.deploy(replace(code, minimum=number))

    def destroy_function(self) -> None:
        """The vendor's shutdown: the function goes, and every media node with it, whoever meets there."""
        self.estate.settle()
        self.estate.functions.remove(self.stack)
        for droplet in list(self.estate.media(self.stack)):
            self._destroy(droplet)

    def _fixed(self) -> list[Droplet]:
        return [
            d
            for d in self.estate.media(self.stack)
            if d.name.startswith(f"{self.stack}-media-node-")
        ]

    def _tags(self) -> list[str]:
        return ["openvidu", self.stack, "media-node", f"{self.stack}-media-node-tag"]

    def _make_fixed(self) -> None:
        here = {d.name for d in self._fixed()}
        master = self.estate.masters(self.stack)[0]
        template = {
            "region": master.region,
            "size": self.variables.size,
            "tags": self._tags(),
            "vpc_uuid": master.vpc_uuid,
        }
        for n in range(1, self.variables.fixed + 1):
            if (name := f"{self.stack}-media-node-{n}") not in here:
                self.estate.create_droplet(name, template)

    def _destroy(self, droplet: Droplet) -> None:
        self.estate.power.destroy(droplet.id)

    def _put_size_back(self, droplet: Droplet, size: str) -> None:
        if droplet.on:
            self.estate.nodes.power_down(droplet, "an apply cut its power")
        droplet.size = size
        self.estate.nodes.power_up(droplet)
        self.estate.power.show(droplet)
