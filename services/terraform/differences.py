"""What the Terraform variables say, against what a cluster is, and what an apply would do. Pure.

Only variables that an apply compares with droplets and pools are here. What is written into the
nodes at their first boot (token, licence, domain, engine) is never proposed: a change of it there
replaces every master. The version of OpenVidu is no variable: it is in the templates.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster, Droplet, Fact, FleetKind
from services.common.observed import Unobserved
from services.common.text import count_of, duration, join_words
from services.steps import Healthy, PowerOff, PowerOn, Resize, Step
from services.terraform.tfvars import Value, VariablesFile

VERSION = "OPENVIDU_VERSION"
_IN_TEMPLATE = re.compile(rf"^\s*{VERSION}=\"?v?([^\"\s]+)\"?\s*$", re.MULTILINE)
# What a comparison has to see.
SEES = frozenset({Fact.DROPLETS, Fact.POOL})
NUMBER, MEDIA_SIZE = "fixedNumberOfMediaNodes", "mediaNodeInstanceType"
MINIMUM = "minNumberOfMediaNodes"
MASTERS_SIZES = ("masterNodesInstanceType", "masterNodeInstanceType", "instanceType")
# Every variable that is read; no other one leaves the file.
READ = (*MASTERS_SIZES, MEDIA_SIZE, NUMBER, MINIMUM)
DEFAULT_SIZE = "s-4vcpu-8gb"
DEFAULTS: Mapping[str, Value] = dict.fromkeys((*MASTERS_SIZES, MEDIA_SIZE), DEFAULT_SIZE)
# Of the autoscale pool's generation alone; later ones differ.
DEFAULT_NUMBER = 4
DEFAULT_MINIMUM = 1


@dataclass(frozen=True)
class Difference:
    """One variable that differs from the cluster.

    `stated`: in the file, or its default. `actual`: in the cluster. `apply`: what an apply would
    do now. `unpatched`: why setting the variable is not the remedy; "" where it is. `passing`: it
    ends by itself, when the cluster is started again.
    """

    variable: str
    stated: Value
    actual: Value
    apply: str
    unpatched: str = ""
    passing: bool = False

    @property
    def key(self) -> str:
        """Return what names it among all that were ever reported."""
        return f"{self.variable}={self.stated}/{self.actual}"


@dataclass(frozen=True)
class Comparison:
    """The differences, and what is unknown. Without either, an apply changes nothing here."""

    differences: tuple[Difference, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def patch(self) -> dict[str, Value]:
        """Return the variables to set, so that an apply does nothing of this."""
        return {d.variable: d.actual for d in self.differences if not d.unpatched}

    @property
    def lasting(self) -> tuple[Difference, ...]:
        """Return those that do not end by themselves."""
        return tuple(d for d in self.differences if not d.passing)


def compare(file: VariablesFile, cluster: Cluster) -> Comparison:
    """Compare a variables file with a cluster as it was seen."""
    if unknown := _unseen(cluster):
        return Comparison(unknown=(unknown,))
    values = file.values(READ)
    found: list[Difference] = []
    unknown_parts: list[str] = []
    for part in (_masters(values, cluster), _media(values, cluster)):
        for one in part:
            if isinstance(one, Difference):
                found.append(one)
            else:
                unknown_parts.append(one)
    return Comparison(tuple(found), tuple(unknown_parts))


def compare_version(path: str, template: str, cluster: Cluster) -> Difference | str | None:
    """Compare the version in the vendor's template with that of the masters; None: the same.

    A text says why it is unknown.
    """
    stated = set(_IN_TEMPLATE.findall(template))
    if len(stated) != 1:
        return f"the version: {path} has {count_of(len(stated), 'value')} of {VERSION}"
    seen = set[str]()
    for master in cluster.masters:
        if isinstance(master.installation, Unobserved):
            return f"the version: {master.name} was not read ({master.installation.reason})"
        seen.add(master.installation.version)
    actual = join_words(sorted(seen))
    if not seen or seen == stated:
        return None
    version = stated.pop()
    return Difference(
        VERSION,
        version,
        actual,
        f"changes nothing by itself; a node that it creates or replaces gets {version}",
        "the version is in the templates. Those of another version replace every master: read the "
        "plan first",
    )


def as_it_is(cluster: Cluster) -> dict[str, Value]:
    """Return the variables that describe a cluster, where no file is known to compare with."""
    if _unseen(cluster):
        return {}
    values: dict[str, Value] = {}
    if size := _one_size(cluster.masters):
        values[control_plane_of(cluster).size_variable] = size
    if cluster.kind is FleetKind.POOL and cluster.pool is not None:
        values[MEDIA_SIZE] = cluster.pool.size
        if cluster.pool.target and not cluster.is_down:
            values[NUMBER] = cluster.pool.target
    nodes = _one_size(n.droplet for n in cluster.media)
    if cluster.kind is FleetKind.FIXED and nodes:
        values[MEDIA_SIZE] = nodes
    return values


def _unseen(cluster: Cluster) -> str:
    """Return why nothing can be compared; "" where it can."""
    if cluster.problem:
        return cluster.problem
    unread = [why for fact, why in cluster.unseen if fact in SEES]
    if unread:
        return unread[0]
    if not cluster.known >= SEES or control_plane_of(cluster).masters is None:
        return f"the droplets of {cluster.name} were not observed"
    return ""


Part = Iterator[Difference | str]


def _masters(values: Mapping[str, Value], cluster: Cluster) -> Part:
    plane = control_plane_of(cluster)
    variable = plane.size_variable
    stated = str(values.get(variable, DEFAULTS[variable]))
    wrong = [m for m in cluster.masters if m.size != stated]
    if not wrong:
        return
    if not all(m.size for m in cluster.masters):
        yield f"the size of {plane.all_masters} is unknown"
        return
    interrupted = duration(sum(s.expected_seconds(cluster) for s in _way_back(wrong, stated)))
    apply = (
        f"powers off {_masters_text(cluster, wrong)} and resizes {_them(wrong)} to {stated}, "
        f"disks included: about {interrupted} without service"
    )
    if cluster.is_down:
        apply = apply.partition(": about")[0] + ", and powers them on"
    size = _one_size(cluster.masters)
    why = "" if size else "the masters have different sizes: finish their resize first"
    sizes = join_words(sorted({m.size for m in cluster.masters}))
    yield Difference(variable, stated, size or sizes, apply, why)


def _way_back(masters: list[Droplet], size: str) -> Iterator[Step]:
    """Yield what an apply does with masters of another size, all of them at once."""
    names = tuple(m.name for m in masters)
    yield PowerOff(names)
    yield Resize(names, size)
    yield PowerOn(names[0])
    yield Healthy(names)


def _masters_text(cluster: Cluster, wrong: list[Droplet]) -> str:
    plane = control_plane_of(cluster)
    if len(cluster.masters) == 1:
        return plane.all_masters
    return f"{count_of(len(wrong), plane.noun)} at once"


def _them(droplets: Iterable[object]) -> str:
    return "it" if len(list(droplets)) == 1 else "them"


def _media(values: Mapping[str, Value], cluster: Cluster) -> Part:
    match cluster.kind:
        case FleetKind.POOL:
            return _pool(values, cluster)
        case FleetKind.FIXED:
            return _fixed(values, cluster)
        case FleetKind.AUTOSCALER:
            return _autoscaler(values, cluster)
        case FleetKind.CO_LOCATED:
            return iter(())
        case _:
            return iter((f"how {cluster.name} keeps its media nodes is unknown",))


def _pool(values: Mapping[str, Value], cluster: Cluster) -> Part:
    pool = cluster.pool
    if pool is None or not pool.size:
        yield "the autoscale pool was not observed"
        return
    size = str(values.get(MEDIA_SIZE, DEFAULT_SIZE))
    if size != pool.size:
        nodes = count_of(len(cluster.members), "media node")
        apply = f"sets the pool to {size}"
        if cluster.members:
            apply += f": DigitalOcean replaces {nodes} without draining, and meetings there end"
        yield Difference(MEDIA_SIZE, size, pool.size, apply)
    number = values.get(NUMBER, DEFAULT_NUMBER)
    if not isinstance(number, int):
        yield f"{NUMBER} is no number"
    elif number != pool.target:
        yield _pool_number(number, pool.target, cluster)


def _pool_number(stated: int, target: int, cluster: Cluster) -> Difference:
    apply = f"sets the pool from {target} to {stated}"
    if stated > target:
        apply += f": adds {count_of(stated - target, 'media node')}"
    else:
        removed = count_of(target - stated, "media node")
        apply += f": removes {removed} without draining, and meetings there end"
    if not stated:
        apply = "is refused: the provider takes no pool of 0"
    if not target or cluster.is_down:
        why = f"{cluster.name} is shut down. Apply nothing before [[command startup]]"
        return Difference(NUMBER, stated, target, apply, why, passing=True)
    return Difference(NUMBER, stated, target, apply)


def _fixed(values: Mapping[str, Value], cluster: Cluster) -> Part:
    nodes = [n.droplet for n in cluster.media if _index(n.droplet, cluster)]
    if not all(d.size for d in nodes):
        yield "the size of a media node is unknown"
        return
    size = str(values.get(MEDIA_SIZE, DEFAULT_SIZE))
    if wrong := [d for d in nodes if d.size != size]:
        apply = (
            f"powers off {count_of(len(wrong), 'media node')} at once and resizes {_them(wrong)} "
            f"to {size}, disks included: meetings there end"
        )
        one = _one_size(nodes)
        why = "" if one else "the media nodes have different sizes: finish their resize first"
        sizes = join_words(sorted({d.size for d in nodes}))
        yield Difference(MEDIA_SIZE, size, one or sizes, apply, why)
    number = values.get(NUMBER)
    if not isinstance(number, int):
        yield f"{NUMBER} is not set: how many fixed media nodes an apply makes is unknown"
        return
    if {_index(d, cluster) for d in nodes} != set(range(1, number + 1)):
        yield Difference(
            NUMBER,
            number,
            len(nodes),
            "creates or destroys media nodes, and replaces every one if the number was changed",
            "a change of this number replaces every media node: read the plan first",
        )


def _autoscaler(values: Mapping[str, Value], cluster: Cluster) -> Part:
    number = values.get(NUMBER, 0)
    if number:
        yield Difference(
            NUMBER,
            number,
            0,
            "removes the autoscaler, deletes every media node without draining and creates "
            f"{count_of(int(number), 'fixed media node')}",
        )
    declared, minimum = cluster.autoscaler_minimum, values.get(MINIMUM, DEFAULT_MINIMUM)
    if declared is not None and declared != minimum:
        yield Difference(
            MINIMUM,
            minimum,
            declared,
            "changes nothing",
            f"the bot's settings differ: set `autoscaler.minimum: {minimum}` of {cluster.name}, "
            "or the variable",
        )


def _index(droplet: Droplet, cluster: Cluster) -> int:
    number = droplet.name.removeprefix(f"{cluster.stack}-media-node-")
    return int(number) if number.isdigit() else 0


def _one_size(droplets: Iterable[Droplet]) -> str:
    """Return the size that all of them have; "" where they differ."""
    sizes = {d.size for d in droplets}
    return sizes.pop() if len(sizes) == 1 else ""
