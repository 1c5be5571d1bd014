"""A look finds its droplets in the listing's index as if it had gone through all of them."""

from hypothesis import given
from hypothesis import strategies as st

from services.cloud.droplet_listing import DropletListing
from services.cloud.parse import DropletEntry
from services.cluster.fleet_kind import ResourceNames, stack_of
from services.cluster.model import Droplet
from tests.support.clusters import law

STACKS = (
    *("acme", "acme-media", "acme-media-node", "b", "a.c"),
    *("acme-master-node-1", "acme-master-node", "acme-vm-ce"),
)
stacks = st.sampled_from(STACKS)
ENDS = (
    "-master-node-1",
    "-master-node-5",
    "-master-node",
    "-vm-ce",
    "-vm-ce-pro",
    "-media-node-7",
    "-media-node-0",
    "-media-1732550400-0042",
    "-media-173-0042",
    "-media-node-pool-x1",
    "",
)
names = st.builds("{}{}".format, stacks, st.sampled_from(ENDS))
tags = st.frozensets(
    st.builds("{}{}".format, stacks, st.sampled_from(("-media-node-tag", "-draining")))
)
entries = st.lists(st.tuples(names, tags), max_size=12)


@law
@given(entries, stacks, st.frozensets(st.integers(1, 14)))
def test_it_finds_what_all_of_them_would_show(
    listed: list[tuple[str, frozenset[str]]], stack: str, members: frozenset[int]
) -> None:
    found = tuple(
        DropletEntry(Droplet(number, name, "active"), of)
        for number, (name, of) in enumerate(listed, 1)
    )
    listing, ours = DropletListing(found), ResourceNames(stack)
    shown = listing.of(ours, members)
    wanted = [
        entry
        for entry in found
        if entry.droplet.id in members
        or ours.is_master(entry.droplet.name)
        or ours.is_media(entry.droplet.name, entry.tags)
    ]
    assert list(shown) == wanted, "in the listing's order"
    assert listing.ids == frozenset(range(1, len(listed) + 1))


@law
@given(names, stacks)
def test_a_name_shows_the_stack_that_its_pattern_is_of(name: str, stack: str) -> None:
    ours = ResourceNames(stack)
    is_ours = ours.is_master(name) or ours.is_media(name, ())
    assert (stack_of(name) == stack) is is_ours
