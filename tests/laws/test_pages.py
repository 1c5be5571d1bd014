"""A list of several pages is complete or unknown, whatever changes between two pages."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.rehearsal.direct_api import use_direct_api
from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cloud.clients.list_pages import PASSES, PER_PAGE, requests_for
from services.common.clock import loop_clock
from services.common.errors import Unreachable, Unreadable
from simulators.responses import HttpResponse, json_response
from tests.support.clusters import law

TOKEN = "dop_v1_not_a_token"
A_PAGE = 3
Change = tuple[str, int, int]
Ask = Callable[[DigitalOceanClient], Awaitable[list[dict[str, Any]]]]
LISTS: dict[str, tuple[str, str, Ask]] = {
    "droplets": ("droplets", "id", lambda api: api.droplets()),
    "pools": ("autoscale_pools", "id", lambda api: api.pools()),
    "members": ("droplets", "droplet_id", lambda api: api.members("p")),
    "snapshots": ("snapshots", "id", lambda api: api.snapshots()),
    "actions": ("actions", "id", lambda api: api.actions(1)),
}


class Shelf:
    """A list at DigitalOcean in pages of three; others change it after the answers in `changes`."""

    def __init__(
        self, number: int, changes: list[list[Change]], key: str = "droplets", identity: str = "id"
    ) -> None:
        self.items = list(range(1, number + 1))
        self.stayed = set(self.items)  # during the whole listing
        self.ever = set(self.items)
        self.requests = 0
        self._changes = changes
        self._key, self._identity = key, identity

    def handle(
        self,
        _method: str,
        _path: str,
        query: Mapping[str, str],
        _headers: Mapping[str, str],
        _body: bytes,
    ) -> HttpResponse:
        page = int(query["page"])
        shown = [{self._identity: item} for item in self.items[(page - 1) * A_PAGE : page * A_PAGE]]
        pages = {"next": "there is more"} if page * A_PAGE < len(self.items) else {}
        answer = json_response(
            200, {self._key: shown, "links": {"pages": pages}, "meta": {"total": len(self.items)}}
        )
        for change in self._changes[self.requests] if self.requests < len(self._changes) else ():
            self._change(*change)
        self.requests += 1
        return answer

    def _change(self, what: str, one: int, other: int) -> None:
        if what == "create":
            self.ever.add(max(self.ever, default=0) + 1)
            self.items.insert(one % (len(self.items) + 1), max(self.ever))
        elif self.items and what == "delete":
            self.stayed.discard(self.items.pop(one % len(self.items)))
        elif self.items:
            item = self.items.pop(one % len(self.items))
            self.items.insert(other % (len(self.items) + 1), item)


def listed(shelf: Shelf, ask: Ask = LISTS["droplets"][2], identity: str = "id") -> list[int]:
    """What one listing makes of it."""

    async def call(_name: str, send: Callable[[], Awaitable[Any]]) -> Any:
        return await send()

    async def story() -> list[int]:
        api = DigitalOceanClient(
            TOKEN, endpoint="https://api.digitalocean.com", clock=loop_clock(0.0)
        )
        use_direct_api(api, TOKEN, shelf.handle, call)
        return [item[identity] for item in await ask(api)]

    return asyncio.run(story())


positions = st.integers(0, 20)
shelf_changes = st.lists(
    st.lists(
        st.tuples(st.sampled_from(("create", "delete", "delete", "move")), positions, positions),
        max_size=3,
    ),
    max_size=12,
)


@law
@given(st.integers(0, 13), shelf_changes)
def test_nothing_that_is_there_all_the_time_is_missing(
    number: int, changes: list[list[Change]]
) -> None:
    shelf = Shelf(number, changes)
    try:
        found = listed(shelf)
    except Unreachable:
        assert any(changes), "a list that nobody changes is read"
        return
    assert shelf.stayed <= set(found) <= shelf.ever
    assert len(found) == len(set(found))


@law
@given(
    st.integers(4, 13),
    st.lists(
        st.tuples(st.sampled_from(("create", "delete")), positions, positions),
        min_size=1,
        max_size=2,
    ),
)
def test_a_list_that_was_changed_once_is_read_all_the_same(
    number: int, change: list[Change]
) -> None:
    shelf = Shelf(number, [change])
    assert shelf.stayed <= set(listed(shelf))


@pytest.mark.parametrize("name", LISTS)
def test_a_deletion_between_two_pages_hides_nothing(name: str) -> None:
    """An item moves to the page that was read before, and the total number still agrees."""
    key, identity, ask = LISTS[name]
    shelf = Shelf(5, [[("delete", 0, 0)]], key, identity)
    assert set(listed(shelf, ask, identity)) >= {2, 3, 4, 5}


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        # One is added before the second page is read, and removed before the third: it is never
        # read, and the total number does not show it.
        (
            8,
            [
                [("create", 0, 0)],
                [("delete", 0, 0)],
                [],
                [],
                [("create", 0, 0)],
                [("delete", 0, 0)],
            ],
        ),
        # The last item moves to a page that was read; a new one moves it back to the last page
        # before the first page is read again.
        (4, [[("delete", 0, 0)], [("create", 0, 0)]]),
    ],
)
def test_a_creation_and_a_deletion_that_cancel_each_other_out_hide_nothing(
    number: int, changes: list[list[Change]]
) -> None:
    shelf = Shelf(number, changes)
    assert shelf.stayed <= set(listed(shelf))


@pytest.mark.parametrize(("number", "requests"), [(0, 1), (3, 1), (4, 3), (6, 3), (7, 5), (13, 9)])
def test_what_a_list_costs_while_nothing_changes(number: int, requests: int) -> None:
    shelf = Shelf(number, [])
    assert listed(shelf) == list(range(1, number + 1))
    assert shelf.requests == requests
    assert requests_for(number * PER_PAGE // A_PAGE) == requests


def test_a_list_that_changes_all_the_time_is_given_up() -> None:
    shelf = Shelf(7, [[("delete", 0, 0), ("create", 20, 0)]] * 50)
    with pytest.raises(Unreachable, match="the list changed while it was being read, 3 times"):
        listed(shelf)
    assert shelf.requests <= 3 + 3 * PASSES


NO_LISTS: tuple[object, ...] = ({}, "none", 0, False, [None], [1], [[]])
NO_ANSWERS: tuple[object, ...] = ([], "droplets", None, 3, {"Droplets": []})


def answering(body: object) -> Shelf:
    """A list that answers this, whatever is asked."""
    shelf = Shelf(0, [])
    shelf.handle = lambda *_: json_response(200, body)  # type: ignore[method-assign]
    return shelf


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"droplets": [], "meta": {"total": 4}}, "droplets"),
        ({"droplets": None, "meta": {"total": 4}}, "droplets"),
        ({"droplets": [{"id": 1}], "meta": {"total": 2}}, "droplets"),
        ({"droplets": []}, "total"),
        ({"droplets": None}, "total"),
        ({"droplets": [], "meta": None, "links": None}, "total"),
        ({"droplets": [{"id": 1}], "meta": {"total": 201}}, "link to its next page"),
        ({"droplets": [{"id": 1}], "links": {"pages": {"next": "more"}}}, "total"),
        (
            {
                "droplets": [{"id": 1}],
                "links": {"pages": {"next": "more"}},
                "meta": {"total": True},
            },
            "total",
        ),
        ({"droplets": [{"id": 1}], "links": "next"}, "links"),
        ({"droplets": [{"id": 1}], "links": {"pages": 2}}, "links"),
        *(({"droplets": odd}, "droplets") for odd in NO_LISTS),
        *((odd, "droplets") for odd in NO_ANSWERS),
    ],
)
def test_an_answer_that_contradicts_itself_or_is_no_list_is_not_read_as_an_empty_one(
    body: object, field: str
) -> None:
    with pytest.raises(Unreadable, match=f"^listing droplets: the answer has no readable {field}$"):
        listed(answering(body))


@pytest.mark.parametrize(
    "body",
    [
        {"droplets": [], "meta": {"total": 0}, "links": {}},
        {"droplets": None, "meta": {"total": 0}, "links": None},
    ],
)
def test_an_empty_list(body: object) -> None:
    assert listed(answering(body)) == []
