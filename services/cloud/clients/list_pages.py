"""Lists of several pages: what a page holds, and whether the pages read are the whole list.

Other clients create, delete and move entries between two answers. A list counts as read only when
it can be proved that nothing is missing: "no media droplets" is what allows the masters to be
stopped.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.common.errors import Unreachable, Unreadable

Json = dict[str, Any]
PER_PAGE = 200
MAX_PAGES = 50
# Attempts to read a list of several pages before it is given up: others may change it all the time.
PASSES = 3
IDENTITIES = ("id", "droplet_id", "history_event_id", "slug", "ip")
ReadPage = Callable[[int], Awaitable["ListPage"]]


@dataclass(frozen=True)
class ListPage:
    """One page of a list, as it was at one moment.

    `total`: how many entries the whole list had then; None when the answer did not say.
    """

    items: Mapping[str, Json]
    total: int | None
    is_last: bool


def requests_for(entries: int) -> int:
    """Return how many requests a list of that many entries takes while nothing changes in it."""
    pages = max(1, -(-entries // PER_PAGE))
    return 2 * pages - 1


def only(key: str, what: str, answer: object) -> Json:
    """Return the one object that an answer holds. Unreadable when there is none."""
    value = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(value, dict):
        raise Unreadable(what, key)
    return value


def entries_of(key: str, what: str, answer: object) -> list[Json]:
    """Return the entries of a list. Unreadable when it is missing: that is no empty list."""
    if not isinstance(answer, dict) or key not in answer:
        raise Unreadable(what, key)
    entries = answer[key]
    if entries is None:
        return []  # an empty list may come as null
    if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
        raise Unreadable(what, key)
    return entries


def page_of(key: str, what: str, number: int, answer: object) -> ListPage:
    """Return page `number` of a list. Unreadable when the answer contradicts itself."""
    entries = entries_of(key, what, answer)
    assert isinstance(answer, dict), "it holds the list"
    total, is_last = _total(answer), _is_last(what, answer)
    if number > 1 and total is None:
        raise Unreadable(what, "total")
    if number == 1 and is_last:
        if total is None and not entries:
            # Not even said to be empty: that does not prove that nothing is there.
            raise Unreadable(what, "total")
        if total is not None and total > PER_PAGE:
            raise Unreadable(what, "link to its next page")
        if total is not None and total > len(entries):
            # Its own number contradicts its entries: some are missing.
            raise Unreadable(what, key)
    return ListPage({_identity(item): item for item in entries}, total, is_last)


async def whole_list(what: str, read: ReadPage) -> list[Json]:
    """Return every entry of a list. Unreachable when it changed during each of several attempts."""
    pages = await _read_to_end(what, [], read)
    for _ in range(PASSES):
        if len(pages) == 1:
            return list(pages[0].items.values())
        second_read = [await read(number) for number in range(1, len(pages))]
        if (entries := _proved_whole(pages, second_read)) is not None:
            return entries
        pages = await _read_to_end(what, second_read, read)
    raise Unreachable(f"{what}: the list changed while it was being read, {PASSES} times")


async def _read_to_end(what: str, known: list[ListPage], read: ReadPage) -> list[ListPage]:
    """Return the known pages and those that follow them."""
    pages: list[ListPage] = []
    while not pages or not pages[-1].is_last:
        if len(pages) == MAX_PAGES:
            raise Unreachable(f"{what}: more than {MAX_PAGES} pages")
        if len(pages) < len(known):
            pages.append(known[len(pages)])
        else:
            pages.append(await read(len(pages) + 1))
    return pages


def _proved_whole(pages: list[ListPage], second_read: list[ListPage]) -> list[Json] | None:
    """Return the whole list if it can be proved; None when an entry may have moved between pages.

    The last page says how many entries there were when it was read. Everything on earlier pages was
    seen again after that, so it was there at that moment too: when that makes as many, none is
    missing. This needs no order, only that an id never comes back.
    """
    last = pages[-1]
    first_read = {key: item for page in pages for key, item in page.items.items()}
    seen_again = {key: item for page in second_read for key, item in page.items.items()}
    if len(first_read) != last.total:
        return None
    if not first_read.keys() <= seen_again.keys() | last.items.keys():
        return None
    return list((first_read | seen_again).values())


def _total(answer: Json) -> int | None:
    meta = answer.get("meta")
    total = meta.get("total") if isinstance(meta, dict) else None
    if isinstance(total, int) and not isinstance(total, bool):
        return total
    return None


def _is_last(what: str, answer: Json) -> bool:
    links = answer.get("links")
    pages = links.get("pages") if isinstance(links, dict) else links
    if not (pages is None or isinstance(pages, dict)):
        raise Unreadable(what, "links")
    return not (pages or {}).get("next")


def _identity(item: Json) -> str:
    for key in IDENTITIES:
        if isinstance(item.get(key), int | str):
            return f"{item[key]}"
    return json.dumps(item, sort_keys=True)
