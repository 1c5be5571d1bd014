"""The vendor's Terraform as an administrator runs it: what each apply does to the stack."""

from dataclasses import dataclass, replace

from simulators.cloud.cloud import Cloud
from simulators.cloud.model import SimulatedDroplet
from simulators.evidence import Source, rests_on


@dataclass(frozen=True)
class Variables:
    """The values in the administrator's tfvars."""

    fixed: int
    size: str
    masters_size: str


class Terraform:
    """A Terraform state, and the applies that an administrator runs on it."""

    def __init__(self, estate: Cloud, stack: str, variables: Variables) -> None:
        self.estate, self.stack, self.variables = estate, stack, variables

    def apply(self) -> None:
        """Apply with nothing changed.

        Sizes and tags go back to the variables, all droplets at once; a paused autoscaler stays
        paused.
        """
        self.estate.settle()
        masters = self.estate.masters(self.stack)
        sizes = dict.fromkeys((m.id for m in masters), self.variables.masters_size)
        for droplet in (*masters, *self._fixed()):
            wanted = sizes.get(droplet.id, self.variables.size)
            if droplet.size != wanted:
                self._restore_size(droplet, wanted)
        self._make_fixed()
        for droplet in self._fixed():
            droplet.tags = self._tags()

    def apply_count(self, number: int) -> None:
        """Apply another number of fixed nodes.

        It is part of their `user_data`, so that every one of them is replaced.
        """
        self.estate.settle()
        self.variables = replace(self.variables, fixed=number)
        for droplet in self._fixed():
            self._destroy(droplet)
        self._make_fixed()

    def apply_minimum(self, number: int) -> None:
        """Apply another minimum.

        Function, trigger and namespace are replaced, and the new trigger is enabled.
        """
        self.estate.settle()
        code = self.estate.functions.code[self.stack]
        self.estate.functions.remove(self.stack)
        self.estate.functions.deploy(replace(code, minimum=number))

    def destroy_function(self) -> None:
        """Run the vendor's shutdown.

        The function is deleted, and every media node with it, meetings or not.
        """
        self.estate.settle()
        self.estate.functions.remove(self.stack)
        for droplet in list(self.estate.media(self.stack)):
            self._destroy(droplet)

    def _fixed(self) -> list[SimulatedDroplet]:
        prefix = f"{self.stack}-media-node-"
        return [d for d in self.estate.media(self.stack) if d.name.startswith(prefix)]

    def _tags(self) -> list[str]:
        return ["openvidu", self.stack, "media-node", f"{self.stack}-media-node-tag"]

    def _make_fixed(self) -> None:
        existing = {d.name for d in self._fixed()}
        master = self.estate.masters(self.stack)[0]
        template = {
            "region": master.region,
            "size": self.variables.size,
            "tags": self._tags(),
            "vpc_uuid": master.vpc_uuid,
        }
        for n in range(1, self.variables.fixed + 1):
            if (name := f"{self.stack}-media-node-{n}") not in existing:
                self.estate.create_droplet(name, template)

    def _destroy(self, droplet: SimulatedDroplet) -> None:
        self.estate.power.destroy(droplet.id)

    def _restore_size(self, droplet: SimulatedDroplet, size: str) -> None:
        if droplet.on:
            self.estate.nodes.power_down(droplet, "an apply cut its power")
        droplet.size = size
        self.estate.nodes.power_up(droplet)
        self.estate.power.show(droplet)


rests_on(
    "autoscaler",
    Source.EXECUTED,
    "terraform plan with the vendor's templates 3.7.0",
    "an apply creates fixed nodes by name and number",
)
