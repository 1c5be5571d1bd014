"""The operations facade: nothing is opened or shown without the authority of the actor."""

import pytest

from services.access.policy import Actor
from services.common.clock import loop_clock
from services.common.errors import Refused
from services.operations.assembly import Operations
from services.operations.opening import Opening, StandingAuthority
from services.procedures import Shutdown
from services.procedures.plan import Plan, make_plan
from services.store.sqlite import SqliteStore
from services.windows import Edge, edges, parse_window
from tests.support import virtual
from tests.support.instant_world import InstantWorld, instant_operations

NOW = 1_800_000_000.0
ANA, DORA = Actor("UANA"), Actor("UDORA")
NIGHTS = Actor("window:nights")


def edge() -> Edge:
    """The next closing of a window."""
    windows = (parse_window("nights Mon-Sun 20:00-07:00 UTC"),)
    return next(e for e in edges(windows, NOW, NOW + 2 * 86400.0) if e.kind == "close")


async def closing() -> tuple[Operations, Plan]:
    clock = loop_clock(NOW)
    worlds = {"acme": InstantWorld("acme", clock)}
    operations, _ = instant_operations(worlds, SqliteStore(None, clock, threaded=False), clock)
    cluster = await operations.reader.look("acme", Shutdown().required_facts)
    return operations, make_plan(cluster, Shutdown())


def test_only_a_window_opens_runs_at_an_edge_and_for_itself_only() -> None:
    async def story() -> None:
        operations, plan = await closing()
        authority = StandingAuthority(edge(), ())
        for actor, requester in ((ANA, ANA), (ANA, NIGHTS), (NIGHTS, ANA)):
            with pytest.raises(Refused, match="window"):
                await operations.service.open_at_edge(
                    actor, Opening(plan, requester, authority=authority)
                )
        assert await operations.reader.latest("acme", 5) == []
        await operations.service.open_at_edge(NIGHTS, Opening(plan, NIGHTS, authority=authority))
        assert await operations.reader.latest("acme", 5) == ["acme-1"]
        await operations.aclose()

    virtual.run(story())


def test_a_plan_that_needs_an_approval_is_not_opened_without_authority() -> None:
    async def story() -> None:
        operations, plan = await closing()
        for window_or_person in (NIGHTS, ANA, DORA):
            opening = Opening(plan, window_or_person)
            with pytest.raises(Refused):
                await operations.service._opener.open(opening)
        assert await operations.reader.latest("acme", 5) == []
        await operations.aclose()

    virtual.run(story())
