"""Which deployment a stack is follows from the names of its droplets alone, or is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cluster.deployment import (
    CONTROL_PLANES,
    ControlPlane,
    Deployment,
    control_plane_of,
    detect_deployment,
)
from services.cluster.fleet_kind import ResourceNames
from services.cluster.model import Cluster, short_name
from services.steps.masters import master_names
from tests.support.clusters import law

STACKS = ("acme", "acme-master-node", "acme-master-node-1", "acme-vm-ce", "acm", "acme-vm")
ENDS = (
    *("-master-node-1", "-master-node-2", "-master-node-3", "-master-node-4"),
    *("-master-node", "-vm-ce-pro", "-vm-ce"),
    *("-master-node-5", "-master-node-0", "-master-node-11", "-vm-ce-pro-1", "-vm", "", "x"),
    *("-media-node-1", "-media-1732550400-0042", "-media-node-pool-x1", "-master-node-"),
)
stacks = st.sampled_from(STACKS)
names = st.builds("{}{}".format, stacks, st.sampled_from(ENDS))
# Whole control planes often, so that a known answer is no exception; then anything beside them.
PLANES = ([0, 1, 2, 3], [4], [5], [6], [])
mixes = st.builds(
    lambda stack, plane, others: [f"{stack}{ENDS[n]}" for n in plane] + others,
    stacks,
    st.sampled_from(PLANES),
    st.lists(names, max_size=4),
).flatmap(st.permutations)


def expected(stack: str, found: list[str]) -> Deployment | None:
    """Return the one answer that exactly these droplets allow; None: it has to be refused."""
    ours = sorted(name for name in found if name in {f"{stack}{end}" for end in ENDS[:7]})
    whole = {
        Deployment.HIGH_AVAILABILITY: [[f"{stack}{end}" for end in ENDS[:4]]],
        Deployment.ELASTIC: [[f"{stack}-master-node"]],
        Deployment.SINGLE_NODE: [[f"{stack}-vm-ce-pro"], [f"{stack}-vm-ce"]],
    }
    return next((kind for kind, planes in whole.items() if ours in planes), None)


@law
@given(stacks, mixes)
def test_any_mix_of_names_has_one_answer_or_a_refusal_that_names_what_was_found(
    stack: str, found: list[str]
) -> None:
    deployment, problem = detect_deployment(ResourceNames(stack), found)
    wanted = expected(stack, found)
    assert bool(problem) is (wanted is None)
    if wanted is not None:
        assert deployment is wanted
        return
    ours = [name for name in found if name in {f"{stack}{end}" for end in ENDS[:7]}]
    assert all(name in problem for name in ours), "it names what was found"
    assert ours or problem == f"no droplet of a stack named {stack} is visible to this token"


@law
@given(stacks, mixes)
def test_a_listing_that_was_not_read_whole_is_no_deployment(stack: str, found: list[str]) -> None:
    deployment, problem = detect_deployment(ResourceNames(stack), found, unread="one has no name")
    assert deployment is Deployment.UNKNOWN
    assert problem == f"not all droplets of {stack} were observed (one has no name)"


@pytest.mark.parametrize(
    ("found", "refusal"),
    [
        (["acme-master-node-1"], "acme has 1 master (acme-master-node-1); exactly four are needed"),
        (
            ["acme-master-node", "acme-master-node"],
            "acme has 2 masters (acme-master-node, acme-master-node); exactly one is needed",
        ),
        (
            [f"acme-master-node-{n}" for n in (1, 1, 2, 3)],
            "acme-master-node-1 exists more than once, so which one is meant is unknown",
        ),
        (
            ["acme-vm-ce", "acme-vm-ce-pro"],
            "acme has 2 nodes (acme-vm-ce, acme-vm-ce-pro); exactly one is needed",
        ),
        (
            ["acme-master-node", "acme-vm-ce-pro"],
            "acme has the droplets of 2 deployments at once: acme-master-node (Elastic) and "
            "acme-vm-ce-pro (Single Node)",
        ),
        (
            ["acme-master-node", "acme-master-node-2"],
            "acme-master-node-2 (High Availability) and acme-master-node (Elastic)",
        ),
    ],
)
def test_what_is_no_deployment_is_refused_by_name(found: list[str], refusal: str) -> None:
    assert refusal in detect_deployment(ResourceNames("acme"), found)[1]


@pytest.mark.parametrize(
    ("deployment", "droplets", "short"),
    [
        (Deployment.HIGH_AVAILABILITY, tuple(f"s-master-node-{n}" for n in range(1, 5)), None),
        (Deployment.ELASTIC, ("s-master-node",), "master"),
        (Deployment.SINGLE_NODE, ("s-vm-ce",), "node"),
        (Deployment.SINGLE_NODE, ("s-vm-ce-pro",), "node"),
    ],
)
def test_a_sentence_calls_the_masters_what_the_control_plane_calls_them(
    deployment: Deployment, droplets: tuple[str, ...], short: str | None
) -> None:
    plane = control_plane_of(Cluster("s", "s", deployment=deployment))
    assert plane.deployment is deployment
    assert plane.masters == len(droplets)
    assert master_names(droplets) == plane.all_masters
    assert short is None or short_name(droplets[0], "s") == short


@pytest.mark.parametrize("plane", CONTROL_PLANES.values(), ids=str)
def test_only_a_plane_with_other_masters_can_be_changed_one_by_one(plane: ControlPlane) -> None:
    assert plane.can_roll is ((plane.masters or 0) > 1)
    assert bool(plane.others) is plane.can_roll
    assert bool(plane.why_no_rolling) is not plane.can_roll
