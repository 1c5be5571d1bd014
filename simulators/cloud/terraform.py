"""The vendor's Terraform as an administrator runs it: what each apply does to the stack."""

import re
from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True)
class PlannedChange:
    """One change that a plan shows: `update`, `create`, `destroy`, `replace`, or `refused`."""

    action: str
    address: str
    attribute: str = ""
    was: str | int = ""
    becomes: str | int = ""


SIZE = "s-4vcpu-8gb"
MASTERS_VARIABLES = {
    "high availability": "masterNodesInstanceType",
    "elastic": "masterNodeInstanceType",
    "single node": "instanceType",
}
ASSIGNMENT = re.compile(r'^\s*(\w+)\s*=\s*(?:"([^"]*)"|(\d+))', re.MULTILINE)
EXAMPLE = """\
# Name to identify your deployment, and the token (which must never be shown).
doToken = "{token}"
openviduLicense = "LICENSE-{stack}"
stackName       = "{stack}"

# Masters
{masters} = "{masters_size}"
"""
MEDIA_EXAMPLE = """
# Media nodes
mediaNodeInstanceType    = "{size}" # see the price list
fixedNumberOfMediaNodes  = {number}
minNumberOfMediaNodes    = {minimum}
"""


def values_in(text: str) -> dict[str, str | int]:
    """Return the variables of a tfvars file, as far as this model needs them."""
    found = ASSIGNMENT.finditer(text)
    return {m[1]: int(m[3]) if m[3] else m[2] for m in found}


def variables_text(estate: Cloud, stack: str) -> str:
    """Return the tfvars file that describes a stack as it is."""
    cluster = estate.clusters[stack]
    values: dict[str, str | int] = {
        "stack": stack,
        "token": estate.plant("dop_v1"),
        "masters": MASTERS_VARIABLES[cluster.deployment],
        "masters_size": estate.masters(stack)[0].size,
        "size": SIZE,
        "number": 0,
        "minimum": 1,
    }
    if cluster.kind == "co-located":
        return EXAMPLE.format(**values)
    if cluster.kind == "pool":
        pool = estate.pools[cluster.pool_id]
        values |= {"size": pool.template["size"], "number": pool.target}
    elif cluster.kind == "fixed":
        nodes = estate.media(stack)
        values |= {"size": nodes[0].size, "number": len(nodes)}
    else:
        code = estate.functions.code[stack]
        values |= {"size": code.size, "minimum": code.minimum}
    return f"{EXAMPLE}{MEDIA_EXAMPLE}".format(**values)


class Terraform:
    """A Terraform state, and the applies that an administrator runs on it."""

    def __init__(self, estate: Cloud, stack: str, variables: Variables) -> None:
        self.estate, self.stack, self.variables = estate, stack, variables

    def plan(self, text: str) -> tuple[PlannedChange, ...]:
        """Return what an apply of these variables would change. Nothing is changed."""
        self.estate.settle()
        cluster, values = self.estate.clusters[self.stack], values_in(text)
        masters_size = values.get(MASTERS_VARIABLES[cluster.deployment], SIZE)
        changes = [
            PlannedChange("update", m.name, "size", m.size, masters_size)
            for m in self.estate.masters(self.stack)
            if m.size != masters_size
        ]
        size = values.get("mediaNodeInstanceType", SIZE)
        match cluster.kind:
            case "pool":
                number = int(values.get("fixedNumberOfMediaNodes", 4))
                changes += self._pool_changes(cluster.pool_id, size, number)
            case "fixed":
                number = int(values.get("fixedNumberOfMediaNodes", 0))
                changes += self._fixed_changes(size, number)
            case "autoscaler":
                changes += self._function_changes(values)
        return tuple(changes)

    def _pool_changes(self, pool_id: str, size: str | int, number: int) -> Iterator[PlannedChange]:
        pool = self.estate.pools[pool_id]
        if not number:
            yield PlannedChange("refused", pool.name, "target", pool.target, 0)
        elif number != pool.target:
            yield PlannedChange("update", pool.name, "target", pool.target, number)
        if size != pool.template["size"]:
            yield PlannedChange("update", pool.name, "size", pool.template["size"], size)

    def _fixed_changes(self, size: str | int, number: int) -> Iterator[PlannedChange]:
        nodes = {d.name: d for d in self._fixed()}
        wanted = [f"{self.stack}-media-node-{n}" for n in range(1, number + 1)]
        for name, node in nodes.items():
            if name not in wanted:
                yield PlannedChange("destroy", name)
            elif number != self.variables.fixed:
                yield PlannedChange("replace", name)
            elif node.size != size:
                yield PlannedChange("update", name, "size", node.size, size)
        for name in wanted:
            if name not in nodes:
                yield PlannedChange("create", name)

    def _function_changes(self, values: Mapping[str, str | int]) -> Iterator[PlannedChange]:
        code, name = self.estate.functions.code[self.stack], f"{self.stack}-autoscaler"
        number = int(values.get("fixedNumberOfMediaNodes", 0))
        if number:
            yield PlannedChange("destroy", name)
            for droplet in self.estate.media(self.stack):
                yield PlannedChange("destroy", droplet.name)
            for n in range(1, number + 1):
                yield PlannedChange("create", f"{self.stack}-media-node-{n}")
            return
        size = values.get("mediaNodeInstanceType", SIZE)
        if size != code.size:
            yield PlannedChange("replace", name, "size", code.size, size)
        minimum = values.get("minNumberOfMediaNodes", 1)
        if minimum != code.minimum:
            yield PlannedChange("replace", name, "minimum", code.minimum, minimum)

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
rests_on(
    "Terraform",
    Source.EXECUTED,
    "terraform plan with the vendor's templates 3.7.0",
    "a droplet of another size is resized in place, all of them at once",
    "another number of fixed nodes replaces every one",
    "whether a droplet is on is not compared",
)
rests_on(
    "Terraform",
    Source.SOURCE,
    "terraform-provider-digitalocean: droplet_autoscale; the vendor's pro/ha/variables.tf",
    "a pool's target and template size are compared, and a target of 0 is refused",
    "defaults of variables",
)
