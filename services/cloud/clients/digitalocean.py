"""DigitalOcean's API through pydo, tamed.

pydo as it comes repeats a POST up to four times, sleeps out a `Retry-After` inside the call, returns some 404s as if they were the
thing asked for, and waits five minutes for an answer. Here every method sends one request per page, once, within a deadline, and
either returns what was asked for or raises one of `services.common.errors`.

No text raised here holds a body, sent or received: a pool's `user_data` carries credentials.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp

from services.cloud.clients.answers import (
    Answer,
    Answered,
    cause,
    head,
    is_json,
    never_connected,
    number,
    repeatable,
    seconds,
    secrets_in,
)
from services.cloud.clients.tls import trust
from services.common.errors import Forbidden, NotFound, Rejected, Unreachable, Unreadable

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AsyncHttpTransport

Json = dict[str, Any]

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
CALL_SECONDS = 35.0
PER_PAGE = 200
MAX_PAGES = 50
PASSES = 3  # how often a list of several pages is read again before it is given up: others may change it all the time
MINUTE = 60.0
LOOKS_PER_MINUTE = (
    215  # of the 250 that are allowed; the rest is for changes, and for whoever else has the token
)

# What a token needs, by operation. The pool's PUT asks for droplet:create and not for droplet:update, as does a resize.
READ_DROPLETS = "droplet:read"
READ_FUNCTIONS = "function:read"
WRITE_POOL = (
    "droplet:create (with ssh_key:read, tag:read, vpc:read and project:read for the template)"
)
SCOPES_SEEN_BY_READING: dict[str, Callable[[Any], Any]] = {
    "droplet:read": lambda api: api.droplets.list,
    "account:read": lambda api: lambda **_: api.account.get(),
    "actions:read": lambda api: api.actions.list,
    "image:read": lambda api: api.images.list,
    "project:read": lambda api: api.projects.list,
    "regions:read": lambda api: api.regions.list,
    "sizes:read": lambda api: api.sizes.list,
    "snapshot:read": lambda api: api.snapshots.list,
    "ssh_key:read": lambda api: api.ssh_keys.list,
    "tag:read": lambda api: api.tags.list,
    "vpc:read": lambda api: api.vpcs.list,
}
SCOPE_OF_ACTION = {
    "resize": "droplet:create and droplet:update",
    "snapshot": "image:create and droplet:update",
}


class Time(Protocol):
    """Whatever tells the time."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True)
class Budget:
    """What is left of the token's requests for the hour; None when the API has not said yet."""

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


@dataclass(frozen=True)
class Page:
    """One page of a list, as it was at one moment. `total`: how many entries the whole list had then; None when it did not say."""

    items: Mapping[str, Json]
    total: int | None
    is_last: bool


def requests_for(entries: int) -> int:
    """How many requests a list of that many entries takes while nothing changes in it."""
    pages = max(1, -(-entries // PER_PAGE))
    return 2 * pages - 1


class DigitalOcean:
    """One account's droplets, pools, sizes and snapshots, under one token."""

    def __init__(
        self,
        token: str,
        *,
        endpoint: str,
        clock: Time,
        ca_file: str | None = None,
        transport: "AsyncHttpTransport[Any, Any] | None" = None,
    ) -> None:
        self._sent: deque[float] = deque(maxlen=1000)
        self._token = token
        self._endpoint = endpoint.rstrip("/")
        self._ca_file = ca_file
        self._clock = clock
        self._transport = transport
        self._session: aiohttp.ClientSession | None = None
        self._pydo: Any = None
        self.budget = Budget()

    def __repr__(self) -> str:
        return f"DigitalOcean({self._endpoint})"

    async def aclose(self) -> None:
        """Let go of the connections."""
        if self._pydo is not None:
            await self._pydo.close()
            self._pydo = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    # What is there

    async def droplets(self) -> list[Json]:
        """Every droplet of the account."""
        return await self._list(
            "droplets", "listing droplets", READ_DROPLETS, lambda api: api.droplets.list
        )

    async def droplet(self, droplet_id: int) -> Json:
        """One droplet."""
        return await self._one(
            "droplet",
            f"reading droplet {droplet_id}",
            READ_DROPLETS,
            lambda api: api.droplets.get(droplet_id),
        )

    async def actions(self, droplet_id: int) -> list[Json]:
        """What was ever asked of a droplet, newest first."""
        what = f"listing actions of droplet {droplet_id}"
        return await self._list(
            "actions", what, READ_DROPLETS, lambda api: api.droplet_actions.list, droplet_id
        )

    async def pools(self) -> list[Json]:
        """Every autoscale pool of the account. Each holds `user_data`: a secret."""
        return await self._list(
            "autoscale_pools",
            "listing autoscale pools",
            READ_DROPLETS,
            lambda api: api.autoscalepools.list,
        )

    async def pool(self, pool_id: str) -> Json:
        """One autoscale pool. It holds `user_data`: a secret."""
        what = f"reading autoscale pool {pool_id}"
        return await self._one(
            "autoscale_pool", what, READ_DROPLETS, lambda api: api.autoscalepools.get(pool_id)
        )

    async def members(self, pool_id: str) -> list[Json]:
        """The members of a pool (ids and states only; names and addresses stand in `droplets`)."""
        what = f"listing members of autoscale pool {pool_id}"
        return await self._list(
            "droplets", what, READ_DROPLETS, lambda api: api.autoscalepools.list_members, pool_id
        )

    async def history(self, pool_id: str) -> list[Json]:
        """What a pool did and why."""
        what = f"listing the history of autoscale pool {pool_id}"
        return await self._list(
            "history", what, READ_DROPLETS, lambda api: api.autoscalepools.list_history, pool_id
        )

    async def sizes(self) -> list[Json]:
        """Every droplet size with its price."""
        return await self._list(
            "sizes",
            "listing droplet sizes",
            "sizes:read and regions:read",
            lambda api: api.sizes.list,
        )

    async def regions(self) -> list[Json]:
        """Every region there is."""
        return await self._list(
            "regions", "listing regions", "regions:read", lambda api: api.regions.list
        )

    async def account(self) -> Json:
        """The account behind the token."""
        return await self._one(
            "account", "reading the account", "account:read", lambda api: api.account.get()
        )

    async def load_balancers(self) -> list[Json]:
        """Every load balancer of the account."""
        return await self._list(
            "load_balancers",
            "listing load balancers",
            "load_balancer:read",
            lambda api: api.load_balancers.list,
        )

    async def snapshots(self) -> list[Json]:
        """Every droplet snapshot of the account."""
        return await self._list(
            "snapshots",
            "listing snapshots",
            "snapshot:read",
            lambda api: api.snapshots.list,
            resource_type="droplet",
        )

    async def droplet_snapshots(self, droplet_id: int) -> list[Json]:
        """The snapshots taken of one droplet."""
        what = f"listing snapshots of droplet {droplet_id}"
        return await self._list(
            "snapshots", what, READ_DROPLETS, lambda api: api.droplets.list_snapshots, droplet_id
        )

    async def namespaces(self) -> list[Json]:
        """The functions namespaces that the token's user sees: id, label and region. The key in each opens it, and is dropped here."""
        what = "listing functions namespaces"
        await self._room()
        answer = await self._call(what, READ_FUNCTIONS, lambda api: api.functions.list_namespaces())
        return [
            {k: n.get(k) for k in ("namespace", "label", "region")}
            for n in _entries("namespaces", what, answer)
        ]

    async def trigger(self, namespace: str, name: str) -> Json:
        """What starts a function by the clock."""
        what = f"reading the trigger {name}"
        return await self._one(
            "trigger", what, READ_FUNCTIONS, lambda api: api.functions.get_trigger(namespace, name)
        )

    async def tag(self, name: str) -> Json:
        """A tag, and how much carries it."""
        return await self._one(
            "tag", f"reading the tag {name}", "tag:read", lambda api: api.tags.get(name)
        )

    async def may(self, scope: str) -> None:
        """See whether the token has a scope, by reading one thing that needs it. Forbidden when it has not."""
        await self._room()
        pick = SCOPES_SEEN_BY_READING[scope]
        await self._call(f"trying {scope}", scope, lambda api: pick(api)(per_page=1, page=1))

    # What can be asked for

    async def set_trigger(self, namespace: str, name: str, *, enabled: bool) -> Json:
        """Let a trigger run, or pause it; doing so again changes nothing."""
        what = f"{'resuming' if enabled else 'pausing'} the trigger {name}"
        body = {"is_enabled": enabled}
        ask = self._call(
            what,
            "function:update",
            lambda api: api.functions.update_trigger(namespace, name, body=body),
        )
        return _only("trigger", what, await ask)

    async def give_tag(self, droplet_id: int, name: str) -> None:
        """Tag a droplet; doing so again changes nothing."""
        what = f"tagging droplet {droplet_id} with {name}"
        body = _resources(droplet_id)
        await self._call(
            what,
            "tag:create and droplet:update",
            lambda api: api.tags.assign_resources(name, body=body),
        )

    async def take_tag(self, droplet_id: int, name: str) -> None:
        """Take a tag from a droplet; doing so again changes nothing."""
        what = f"taking the tag {name} from droplet {droplet_id}"
        body = _resources(droplet_id)
        await self._call(
            what, "tag:delete", lambda api: api.tags.unassign_resources(name, body=body)
        )

    async def delete_droplet(self, droplet_id: int) -> None:
        """Delete one droplet, by its id and for good. Deleting by tag is not in reach of this client, and must not be."""
        await self._call(
            f"deleting droplet {droplet_id}",
            "droplet:delete",
            lambda api: api.droplets.destroy(droplet_id),
        )

    async def act(self, droplet_id: int, type: str, **extra: object) -> Json:  # noqa: A002 - the API's own word
        """Ask for an action on a droplet (shutdown, power_on, resize ...). Sent once; a lost answer says so with `sent` None."""
        what = f"asking for {type} of droplet {droplet_id}"
        scope = SCOPE_OF_ACTION.get(type, "droplet:update")
        body = {"type": type, **extra}
        return await self._one(
            "action", what, scope, lambda api: api.droplet_actions.post(droplet_id, body=body)
        )

    async def put_pool(self, pool_id: str, body: Json) -> Json:
        """Replace a pool's whole definition; returns the pool as the API now sees it."""
        what = f"changing autoscale pool {pool_id}"
        ask = self._call(
            what,
            WRITE_POOL,
            lambda api: api.autoscalepools.update(pool_id, body=body),
            hide=secrets_in(body),
        )
        return _only("autoscale_pool", what, await ask)

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot."""
        what = f"deleting snapshot {snapshot_id}"
        await self._call(
            what, "snapshot:delete and image:delete", lambda api: api.snapshots.delete(snapshot_id)
        )

    # How it is asked

    async def _one(
        self, key: str, what: str, scope: str, ask: Callable[[Any], Awaitable[Any]]
    ) -> Json:
        await self._room()
        return _only(key, what, await self._call(what, scope, ask))

    async def _room(self) -> None:
        """Wait until a look fits into the minute: DigitalOcean refuses more than 250 requests, and a token serves many clusters.

        Only looks wait. What changes something is counted and sent at once: it has been decided on what was seen just now.
        """
        while True:
            now = self._clock.now()
            while self._sent and now - self._sent[0] >= MINUTE:
                self._sent.popleft()
            if len(self._sent) < LOOKS_PER_MINUTE:
                return
            await self._clock.sleep(MINUTE - (now - self._sent[0]) + 0.05)

    async def _list(
        self,
        key: str,
        what: str,
        scope: str,
        pick: Callable[[Any], Any],
        *args: object,
        **kwargs: object,
    ) -> list[Json]:
        async def read(page: int) -> Page:
            await self._room()
            return _page_of(
                key, what, page, await self._call(what, scope, _page(pick, page, args, kwargs))
            )

        pages = await _to_the_end(what, [], read)
        for _ in range(PASSES):
            if len(pages) == 1:
                return list(pages[0].items.values())
            again = [await read(number) for number in range(1, len(pages))]
            if (whole := _whole(pages, again)) is not None:
                return whole
            pages = await _to_the_end(what, again, read)
        raise Unreachable(f"{what}: the list changed while it was being read, {PASSES} times")

    async def _call(
        self,
        what: str,
        scope: str,
        ask: Callable[[Any], Awaitable[Any]],
        hide: frozenset[str] = frozenset(),
    ) -> Any:
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - pydo costs 60 MB; pay on the first call

        self._sent.append(self._clock.now())
        error: Exception
        try:
            # A wall of the loop's own time, not the clock's: patience with a network does not speed up with a pretend world.
            async with asyncio.timeout(CALL_SECONDS):
                return await ask(self._api())
        except Answered as answered:
            error = self._read(answered.answer, what, scope, hide)
        except TimeoutError:
            error = Unreachable(f"{what}: no answer within {CALL_SECONDS:.0f} s")
        except (ValueError, RecursionError):
            error = Unreadable(what, "JSON")
        except AzureError as trouble:
            why, sent = cause(trouble), False if never_connected(trouble) else None
            error = Unreachable(f"{what}: {why.said}", sent=sent, cause=why.said, remedy=why.remedy)
        # Raised out here so that no chained exception (some quote bodies) is printed along.
        raise error

    def _read(self, answer: Answer, what: str, scope: str, hide: frozenset[str]) -> Exception:
        said = f"{what}: answered {answer.status}"
        if answer.status == 429:
            return Unreachable(
                f"{what}: too many requests", again_in=self._again_in(answer), sent=False
            )
        if answer.status >= 500 or answer.status < 400 or not answer.is_json:
            # A page of HTML is not the API's word, whatever its status: something stands in between.
            return Unreachable(
                said if answer.is_json else f"{said}, not by the API",
                again_in=seconds(answer.headers),
            )
        message = repeatable(answer.message, hide | {self._token})
        details: dict[str, Any] = {
            "status": answer.status,
            "request_id": answer.request_id,
            "message": message,
        }
        if answer.status == 401:
            return Forbidden(
                f"{what}: the token was refused (401); it needs {scope} for this", **details
            )
        if answer.status == 403:
            return Forbidden(f"{what}: the token may not (403); it lacks {scope}", **details)
        if answer.status == 404:
            return NotFound(f"{what}: there is none (404)", **details)
        return Rejected(f"{said}: {message or answer.id or 'no reason given'}", **details)

    def _again_in(self, answer: Answer) -> float:
        # Only the per-minute limit sends retry-after; the hourly one is over when the oldest request is an hour old.
        told = seconds(answer.headers)
        if told is not None:
            return told
        reset = self.budget.reset
        return max(1.0, reset - self._clock.now()) if reset is not None else 60.0

    def _heard(self, headers: Mapping[str, str]) -> None:
        if "ratelimit-remaining" in headers:
            limit, remaining, reset = (
                number(headers.get(f"ratelimit-{name}")) for name in ("limit", "remaining", "reset")
            )
            self.budget = Budget(
                limit=None if limit is None else int(limit),
                remaining=None if remaining is None else int(remaining),
                reset=reset,
            )

    def _api(self) -> Any:
        if self._pydo is None:
            self._pydo = self._build()
        return self._pydo

    def _build(self) -> Any:
        from azure.core.pipeline.policies import (  # noqa: PLC0415
            AsyncRedirectPolicy,
            AsyncRetryPolicy,
            SansIOHTTPPolicy,
        )
        from pydo.aio import Client  # noqa: PLC0415

        token, heard = self._token, self._heard

        class Bearer(SansIOHTTPPolicy[Any, Any]):
            """Sends the token, and on a plain-http loopback address too: the SDK's own policy refuses those."""

            def on_request(self, request: Any) -> None:
                request.http_request.headers["Authorization"] = f"Bearer {token}"

        class Strict(SansIOHTTPPolicy[Any, Any]):
            """Takes every answer that is not a plain success out of pydo's hands."""

            def on_response(self, request: Any, response: Any) -> None:  # noqa: ARG002
                http = response.http_response
                heard(http.headers)
                if not 200 <= http.status_code < 300 or not is_json(http):
                    raise Answered(head(http))

        return Client(
            token,
            endpoint=self._endpoint,
            transport=self._transport or self._sockets(),
            authentication_policy=Bearer(),
            retry_policy=AsyncRetryPolicy.no_retries(),
            redirect_policy=AsyncRedirectPolicy.no_redirects(),
            per_call_policies=[Strict()],
            # The SDK's two logging policies can print headers and bodies; nothing here may.
            logging_policy=SansIOHTTPPolicy(),
            http_logging_policy=SansIOHTTPPolicy(),
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
        )

    def _sockets(self) -> "AsyncHttpTransport[Any, Any]":
        from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415

        connector = aiohttp.TCPConnector(ssl=trust(self._ca_file), limit=20)
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=True
        )
        transport: AsyncHttpTransport[Any, Any] = AioHttpTransport(
            session=self._session,
            session_owner=False,
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
        )
        return transport


def _page(
    pick: Callable[[Any], Any], page: int, args: tuple[object, ...], kwargs: dict[str, object]
) -> Callable[[Any], Awaitable[Any]]:
    def ask(api: Any) -> Awaitable[Any]:
        sent: Awaitable[Any] = pick(api)(*args, per_page=PER_PAGE, page=page, **kwargs)
        return sent

    return ask


def _resources(droplet_id: int) -> Json:
    return {"resources": [{"resource_id": str(droplet_id), "resource_type": "droplet"}]}


def _only(key: str, what: str, answer: object) -> Json:
    found = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(found, dict):
        raise Unreadable(what, key)
    return found


def _entries(key: str, what: str, answer: object) -> list[Json]:
    """The entries of a list. A list that is not there is not an empty list: "no media droplets" is what lets the masters go down."""
    if not isinstance(answer, dict) or key not in answer:
        raise Unreadable(what, key)
    found = [] if answer[key] is None else answer[key]  # an empty list may come as null
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Unreadable(what, key)
    return found


def _page_of(key: str, what: str, number: int, answer: object) -> Page:
    entries = _entries(key, what, answer)
    assert isinstance(answer, dict), "it holds the list"
    meta, links = answer.get("meta"), answer.get("links")
    pages = links.get("pages") if isinstance(links, dict) else links
    if not (pages is None or isinstance(pages, dict)):
        raise Unreadable(what, "links")
    total = meta.get("total") if isinstance(meta, dict) else None
    total = total if isinstance(total, int) and not isinstance(total, bool) else None
    if number > 1 and total is None:
        raise Unreadable(what, "total")
    is_last = not (pages or {}).get("next")
    if number == 1 and is_last and total is not None:
        # Its own number contradicts what it shows: that is no proof that nothing is there.
        if total > PER_PAGE:
            raise Unreadable(what, "link to its next page")
        if total > 0 and not entries:
            raise Unreadable(what, key)
    return Page({_identity(item): item for item in entries}, total, is_last)


async def _to_the_end(
    what: str, known: list[Page], read: Callable[[int], Awaitable[Page]]
) -> list[Page]:
    """These pages, and those that follow them."""
    pages: list[Page] = []
    while not pages or not pages[-1].is_last:
        if len(pages) == MAX_PAGES:
            raise Unreachable(f"{what}: more than {MAX_PAGES} pages")
        pages.append(known[len(pages)] if len(pages) < len(known) else await read(len(pages) + 1))
    return pages


def _whole(pages: list[Page], again: list[Page]) -> list[Json] | None:
    """The whole list, if it can be proved; None when an entry may have moved from one page to another between two answers.

    The last page says how many entries there were when it was read. Everything on earlier pages was seen again after that, so it was there
    too at that moment: when that makes as many, none is missing. This needs no order, only that an id never comes back.
    """
    last = pages[-1]
    found = {key: item for page in pages for key, item in page.items.items()}
    seen_again = {key: item for page in again for key, item in page.items.items()}
    if len(found) != last.total or not found.keys() <= seen_again.keys() | last.items.keys():
        return None
    return list((found | seen_again).values())


def _identity(item: Json) -> str:
    for key in ("id", "droplet_id", "history_event_id", "slug"):
        if isinstance(item.get(key), int | str):
            return f"{item[key]}"
    return json.dumps(item, sort_keys=True)
