"""DigitalOcean's API: one request at a time, within a deadline, with our errors.

What changes something is sent by `DigitalOceanWrites`, which calls a check of its owner right
before each request.

No text raised here holds a body, sent or received: a pool's `user_data` carries credentials.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.cloud.clients.answers import (
    Answer,
    RequestLost,
    UnsuccessfulAnswer,
    number,
    repeatable,
    seconds,
    secrets_in,
)
from services.cloud.clients.list_pages import (
    PER_PAGE,
    ListPage,
    entries_of,
    only,
    page_of,
    whole_list,
)
from services.cloud.clients.pace import SHARE, RequestPace
from services.common.clock import Clock
from services.common.errors import Forbidden, NotFound, Rejected, Unreachable, Unreadable
from services.common.imports import import_once

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AsyncHttpTransport

    from services.cloud.clients.exchanges import Listener
    from services.cloud.clients.pydo_client import PydoClient

Json = dict[str, Any]
Ask = Callable[[Any], Awaitable[Any]]

PYDO_CLIENT = "services.cloud.clients.pydo_client"
CALL_SECONDS = 35.0
DEFAULT_WAIT = 60.0

# What a token needs, by operation. PUT of a pool needs droplet:create and not droplet:update, as a
# resize does.
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


@dataclass(frozen=True)
class RequestBudget:
    """The token's requests left for the hour; None until known. `reset`: epoch seconds."""

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


class ApiRequests:
    """Sends single requests under one token; returns values or raises our errors."""

    def __init__(
        self,
        token: str,
        endpoint: str,
        clock: Clock,
        ca_file: str | None,
        transport: "AsyncHttpTransport[Any, Any] | None",
        share: float,
        listener: "Listener | None" = None,
        *,
        reads_only: bool = False,
    ) -> None:
        self._listener = listener
        self._token = token
        self._endpoint = endpoint
        self._reads_only = reads_only
        self._clock = clock
        self._ca_file = ca_file
        self._transport = transport
        self._client: PydoClient | None = None
        self.budget = RequestBudget()
        self.pace = RequestPace(clock, share)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def one(self, key: str, what: str, scope: str, ask: Ask) -> Json:
        """Read one object."""
        return only(key, what, await self.read(what, scope, ask))

    async def list(
        self,
        key: str,
        what: str,
        scope: str,
        pick: Callable[[Any], Any],
        *args: object,
        **kwargs: object,
    ) -> list[Json]:
        """Read a whole list. `pick` returns the method of pydo's client that reads a page of it."""

        async def read(number: int) -> ListPage:
            async def ask(api: Any) -> Any:
                return await pick(api)(*args, per_page=PER_PAGE, page=number, **kwargs)

            return page_of(key, what, number, await self.read(what, scope, ask))

        return await whole_list(what, read)

    async def read(self, what: str, scope: str, ask: Ask) -> Any:
        """Send one request that changes nothing, when it fits into the bot's share."""
        await self.pace.read(what)
        return await self.send(what, scope, ask)

    async def send(
        self, what: str, scope: str, ask: Ask, hide: frozenset[str] = frozenset()
    ) -> Any:
        """Send one request, which was counted. `hide`: texts that an error must not repeat."""
        await import_once(PYDO_CLIENT)
        client = self.client()
        error: Exception
        try:
            # In the loop's own time, not the clock's: a network is not faster in a simulated world.
            async with asyncio.timeout(CALL_SECONDS):
                return await client.send(ask)
        except UnsuccessfulAnswer as answered:
            error = self._error_of(answered.answer, what, scope, hide)
        except TimeoutError:
            error = Unreachable(f"{what}: no answer within {CALL_SECONDS:.0f} s")
        except (ValueError, RecursionError):
            error = Unreadable(what, "JSON")
        except RequestLost as lost:
            why = lost.cause
            error = Unreachable(
                f"{what}: {why.text}", sent=lost.sent, cause=why.text, remedy=why.remedy
            )
        # Raised here, so that no chained exception is printed along: some quote bodies.
        raise error

    def client(self) -> "PydoClient":
        """Return pydo's client."""
        if self._client is None:
            # With the first request and not at the start: it takes a tenth of a second.
            from services.cloud.clients.pydo_client import PydoClient  # noqa: PLC0415

            self._client = PydoClient(
                self._token,
                self._endpoint,
                self._ca_file,
                self._transport,
                self.note_budget,
                self._listener,
                reads_only=self._reads_only,
            )
        return self._client

    def note_budget(self, headers: Mapping[str, str]) -> None:
        """Note what an answer says about the hourly limit."""
        if "ratelimit-remaining" in headers:
            limit = _whole(number(headers.get("ratelimit-limit")))
            self.pace.note_limit(limit)
            self.budget = RequestBudget(
                limit=limit,
                remaining=_whole(number(headers.get("ratelimit-remaining"))),
                reset=number(headers.get("ratelimit-reset")),
            )

    def _error_of(self, answer: Answer, what: str, scope: str, hide: frozenset[str]) -> Exception:
        summary = f"{what}: DigitalOcean answered {answer.status}"
        if answer.status == 429:
            return Unreachable(
                f"{what}: too many requests", again_in=self._again_in(answer), sent=False
            )
        if not answer.is_json:
            # A page of HTML does not come from the API, whatever its status.
            return Unreachable(f"{summary}, not by the API", again_in=seconds(answer.headers))
        if answer.status >= 500 or answer.status < 400:
            return Unreachable(summary, again_in=seconds(answer.headers))
        message = repeatable(answer.message, hide | {self._token})
        details: dict[str, Any] = {
            "status": answer.status,
            "request_id": answer.request_id,
            "message": message,
        }
        match answer.status:
            case 401:
                return Forbidden(
                    f"{what}: the token was refused (401); this needs {scope}", **details
                )
            case 403:
                return Forbidden(f"{what}: the token lacks {scope} (403)", **details)
            case 404:
                return NotFound(f"{what}: not found (404)", **details)
            case _:
                return Rejected(
                    f"{summary}: {message or answer.id or 'no reason given'}", **details
                )

    def _again_in(self, answer: Answer) -> float:
        # Only the per-minute limit sends retry-after. The hourly one ends when the oldest request
        # is an hour old.
        retry_after = seconds(answer.headers)
        if retry_after is not None:
            return retry_after
        if self.budget.reset is None:
            return DEFAULT_WAIT
        return max(1.0, self.budget.reset - self._clock.now())


class DigitalOceanClient:
    """Reads one account's droplets, pools, sizes and snapshots, under one token.

    `reads_only`: the transport refuses whatever would change something.
    """

    def __init__(
        self,
        token: str,
        *,
        endpoint: str,
        clock: Clock,
        ca_file: str | None = None,
        transport: "AsyncHttpTransport[Any, Any] | None" = None,
        share: float = SHARE,
        listener: "Listener | None" = None,
        reads_only: bool = False,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self.requests = ApiRequests(
            token,
            self._endpoint,
            clock,
            ca_file,
            transport,
            share,
            listener,
            reads_only=reads_only,
        )

    def __repr__(self) -> str:
        return f"DigitalOcean({self._endpoint})"

    @property
    def budget(self) -> RequestBudget:
        """The token's requests left for the hour."""
        return self.requests.budget

    async def aclose(self) -> None:
        """Close the connections."""
        await self.requests.aclose()

    def writes(self, check: Callable[[], None]) -> "DigitalOceanWrites":
        """Return the requests that change something.

        `check` is called before each, and may raise.
        """
        return DigitalOceanWrites(self.requests, check)

    async def droplets(self) -> list[Json]:
        """List every droplet of the account."""
        return await self.requests.list(
            "droplets", "listing droplets", READ_DROPLETS, lambda api: api.droplets.list
        )

    async def actions(self, droplet_id: int) -> list[Json]:
        """List the actions of a droplet, newest first."""
        what = f"listing actions of droplet {droplet_id}"
        return await self.requests.list(
            "actions", what, READ_DROPLETS, lambda api: api.droplet_actions.list, droplet_id
        )

    async def pools(self) -> list[Json]:
        """List every autoscale pool of the account. Each holds `user_data`: a secret."""
        what = "listing autoscale pools"
        return await self.requests.list(
            "autoscale_pools", what, READ_DROPLETS, lambda api: api.autoscalepools.list
        )

    async def pool(self, pool_id: str) -> Json:
        """Read one autoscale pool. It holds `user_data`: a secret."""
        what = f"reading autoscale pool {pool_id}"
        return await self.requests.one(
            "autoscale_pool", what, READ_DROPLETS, lambda api: api.autoscalepools.get(pool_id)
        )

    async def members(self, pool_id: str) -> list[Json]:
        """List the members of a pool: ids and states. Names and addresses are in `droplets`."""
        what = f"listing members of autoscale pool {pool_id}"
        return await self.requests.list(
            "droplets", what, READ_DROPLETS, lambda api: api.autoscalepools.list_members, pool_id
        )

    async def history(self, pool_id: str) -> list[Json]:
        """List the events of a pool: what it did and why."""
        what = f"listing the history of autoscale pool {pool_id}"
        return await self.requests.list(
            "history", what, READ_DROPLETS, lambda api: api.autoscalepools.list_history, pool_id
        )

    async def sizes(self) -> list[Json]:
        """List every droplet size with its price."""
        what, scope = "listing droplet sizes", "sizes:read and regions:read"
        return await self.requests.list("sizes", what, scope, lambda api: api.sizes.list)

    async def regions(self) -> list[Json]:
        """List every region."""
        return await self.requests.list(
            "regions", "listing regions", "regions:read", lambda api: api.regions.list
        )

    async def account(self) -> Json:
        """Read the account behind the token."""
        return await self.requests.one(
            "account", "reading the account", "account:read", lambda api: api.account.get()
        )

    async def snapshots(self) -> list[Json]:
        """List every droplet snapshot of the account."""
        return await self.requests.list(
            "snapshots",
            "listing snapshots",
            "snapshot:read",
            lambda api: api.snapshots.list,
            resource_type="droplet",
        )

    async def namespaces(self) -> list[Json]:
        """List the functions namespaces that the token's user sees: id, label and region.

        The key in each gives access to the namespace, and is dropped here.
        """
        what = "listing functions namespaces"
        answer = await self.requests.read(
            what, READ_FUNCTIONS, lambda api: api.functions.list_namespaces()
        )
        return [
            {key: entry.get(key) for key in ("namespace", "label", "region")}
            for entry in entries_of("namespaces", what, answer)
        ]

    async def trigger(self, namespace: str, name: str) -> Json:
        """Read the trigger that runs a function on a schedule."""
        what = f"reading the trigger {name}"
        return await self.requests.one(
            "trigger", what, READ_FUNCTIONS, lambda api: api.functions.get_trigger(namespace, name)
        )

    async def tag(self, name: str) -> Json:
        """Read a tag, and how many resources carry it."""
        return await self.requests.one(
            "tag", f"reading the tag {name}", "tag:read", lambda api: api.tags.get(name)
        )

    async def require_scope(self, scope: str) -> None:
        """Verify that the token has a scope by reading one object that needs it.

        Forbidden if not.
        """
        pick = SCOPES_SEEN_BY_READING[scope]
        await self.requests.read(
            f"trying {scope}", scope, lambda api: pick(api)(per_page=1, page=1)
        )


class DigitalOceanWrites:
    """The requests that change something. `check` is called right before each, and may raise."""

    def __init__(self, requests: ApiRequests, check: Callable[[], None]) -> None:
        self._requests = requests
        self._check = check

    async def droplet_action(self, droplet_id: int, kind: str, **options: object) -> Json:
        """Request an action on a droplet (shutdown, power_on, resize ...).

        Sent once. When the answer is lost, Unreachable with `sent` None.
        """
        what = f"asking for {kind} of droplet {droplet_id}"
        scope = SCOPE_OF_ACTION.get(kind, "droplet:update")
        body = {"type": kind, **options}
        answer = await self._send(
            what, scope, lambda api: api.droplet_actions.post(droplet_id, body=body)
        )
        return only("action", what, answer)

    async def put_pool(self, pool_id: str, body: Json) -> Json:
        """Replace a pool's whole definition; return the pool as the API now shows it."""
        what = f"changing autoscale pool {pool_id}"
        answer = await self._send(
            what,
            WRITE_POOL,
            lambda api: api.autoscalepools.update(pool_id, body=body),
            hide=secrets_in(body),
        )
        return only("autoscale_pool", what, answer)

    async def set_trigger(self, namespace: str, name: str, *, enabled: bool) -> Json:
        """Enable or pause a trigger; doing so again changes nothing."""
        verb = "resuming" if enabled else "pausing"
        what = f"{verb} the trigger {name}"
        body = {"is_enabled": enabled}
        answer = await self._send(
            what,
            "function:update",
            lambda api: api.functions.update_trigger(namespace, name, body=body),
        )
        return only("trigger", what, answer)

    async def add_tag(self, droplet_id: int, name: str) -> None:
        """Tag a droplet; doing so again changes nothing."""
        what = f"tagging droplet {droplet_id} with {name}"
        body = _resources(droplet_id)
        await self._send(
            what,
            "tag:create and droplet:update",
            lambda api: api.tags.assign_resources(name, body=body),
        )

    async def remove_tag(self, droplet_id: int, name: str) -> None:
        """Remove a tag from a droplet; doing so again changes nothing."""
        what = f"taking the tag {name} from droplet {droplet_id}"
        body = _resources(droplet_id)
        await self._send(
            what, "tag:delete", lambda api: api.tags.unassign_resources(name, body=body)
        )

    async def delete_droplet(self, droplet_id: int) -> None:
        """Delete one droplet by its id. Deleting by tag is not possible here, and must not be."""
        what = f"deleting droplet {droplet_id}"
        await self._send(what, "droplet:delete", lambda api: api.droplets.destroy(droplet_id))

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot."""
        what, scope = f"deleting snapshot {snapshot_id}", "snapshot:delete and image:delete"
        await self._send(what, scope, lambda api: api.snapshots.delete(snapshot_id))

    async def _send(
        self, what: str, scope: str, ask: Ask, hide: frozenset[str] = frozenset()
    ) -> Any:
        await import_once(PYDO_CLIENT)
        await self._requests.pace.write(what)
        # After the waits: the lease may be over by now.
        self._check()
        return await self._requests.send(what, scope, ask, hide)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _resources(droplet_id: int) -> Json:
    return {"resources": [{"resource_id": str(droplet_id), "resource_type": "droplet"}]}
