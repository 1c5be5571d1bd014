"""The methods of pydo that the bot's client calls, without pydo: straight to a simulated API.

For hundreds of simulated runs, where pydo's pipeline would take most of the time.

The client handles every answer itself; only the pipeline between it and the transport is left out.
"""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from azure.core.exceptions import ServiceRequestTimeoutError, ServiceResponseError

from services.cloud.clients.answers import UnsuccessfulAnswer, head, is_json
from services.cloud.clients.digitalocean import DigitalOceanClient


class Handle(Protocol):
    """`handle` of the pretend DigitalOcean: returns (or awaits to) a reply.

    A reply has `.status`, `.headers`, `.body` (bytes, text, a JSON value or None), and may have
    `.delay` (seconds) and `.fate`: REFUSED, LOST or HUNG are what the network does with it;
    anything else delivers it.
    """

    def __call__(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        headers: Mapping[str, str],
        body: bytes,
        /,
    ) -> Any:
        """Answer one request."""
        ...


REFUSED = frozenset({"refuse", "refused", "connect", "unsent"})
LOST = frozenset({"reset", "reset-after", "lost", "close", "closed", "drop", "dropped", "cut"})
HUNG = frozenset({"hang", "hung", "timeout", "silent"})


Call = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]
GETS = {
    "droplets.list": "droplets", "droplet_actions.list": "droplets/{}/actions",
    "autoscalepools.list": "droplets/autoscale", "autoscalepools.get": "droplets/autoscale/{}",
    "autoscalepools.list_members": "droplets/autoscale/{}/members",
    "autoscalepools.list_history": "droplets/autoscale/{}/history", "sizes.list": "sizes",
    "account.get": "account", "snapshots.list": "snapshots",
    "functions.list_namespaces": "functions/namespaces",
    "functions.get_trigger": "functions/namespaces/{}/triggers/{}", "tags.get": "tags/{}",
    "vpcs.list": "vpcs", "firewalls.list": "firewalls", "tags.list": "tags",
    "ssh_keys.list": "account/keys",
}  # fmt: skip
OTHERS = {
    "droplet_actions.post": ("POST", "droplets/{}/actions"), "autoscalepools.update": ("PUT",
    "droplets/autoscale/{}"), "snapshots.delete": ("DELETE", "snapshots/{}"),
    "functions.update_trigger": ("PUT", "functions/namespaces/{}/triggers/{}"),
    "tags.assign_resources": ("POST", "tags/{}/resources"),
    "tags.unassign_resources": ("DELETE", "tags/{}/resources"),
    "droplets.destroy": ("DELETE", "droplets/{}"), "droplets.create": ("POST", "droplets"),
    "vpcs.create": ("POST", "vpcs"), "vpcs.delete": ("DELETE", "vpcs/{}"),
    "firewalls.create": ("POST", "firewalls"), "firewalls.delete": ("DELETE", "firewalls/{}"),
    "tags.create": ("POST", "tags"), "tags.delete": ("DELETE", "tags/{}"),
}  # fmt: skip


@dataclass(frozen=True)
class _Http:
    status_code: int
    headers: Mapping[str, str]
    content: bytes


class _OperationGroup:
    """`client.droplets` and the like."""

    def __init__(self, client: "DirectApi", name: str) -> None:
        self._client, self._name = client, name

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        name = f"{self._name}.{verb}"
        if name not in GETS and name not in OTHERS:
            real: Callable[..., Awaitable[Any]] = getattr(
                getattr(self._client.whole(), self._name), verb
            )
            return real
        method, path = OTHERS.get(name) or ("GET", GETS[name])

        async def ask(*ids: object, body: Any = None, **query: object) -> Any:
            return await self._client.ask(
                method, "/v2/" + path.format(*ids), {k: str(v) for k, v in query.items()}, body
            )

        return ask


@lru_cache(maxsize=64)
def _value(content: bytes) -> Any:
    """Return what an answer says, once: most say what the one before said. No one changes it."""
    return json.loads(content)


class DirectApi:
    """Replaces `pydo.aio.Client`; `call` carries out each request, and may refuse to.

    `alone`: a method that is not in the tables is an error; otherwise the real client takes it.
    """

    def __init__(
        self,
        api: DigitalOceanClient,
        token: str,
        handle: Handle,
        call: Call,
        *,
        alone: bool = False,
    ) -> None:
        self._api, self._handle, self._call = api, handle, call
        self._headers = {"Authorization": f"Bearer {token}"}
        self._whole: Any = None
        self._alone = alone

    def __getattr__(self, group: str) -> _OperationGroup:
        return _OperationGroup(self, group)

    def whole(self) -> Any:
        """Return the real client, for calls so rare that their cost does not matter."""
        if self._alone:
            raise NotImplementedError("no request leaves a simulated world")
        self._whole = self._whole or self._api.requests.client().build()
        return self._whole

    async def close(self) -> None:
        """Close the real client, if it was needed."""
        if self._whole is not None:
            await self._whole.close()

    async def ask(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        """Make one request; errors are those of pydo's pipeline as the client builds it."""
        sent = b"" if body is None else json.dumps(body).encode()
        reply = await self._call(
            f"digitalocean {method}", lambda: self._carry(method, path, query, sent)
        )
        http = _Http(int(reply.status), reply.headers, reply.body)
        self._api.requests.note_budget(http.headers)
        if not 200 <= http.status_code < 300 or not is_json(http):
            raise UnsuccessfulAnswer(head(http))
        return _value(http.content) if http.content else None

    async def _carry(self, method: str, path: str, query: dict[str, str], sent: bytes) -> Any:
        reply = self._handle(method, path, query, self._headers, sent)
        if inspect.isawaitable(reply):
            reply = await reply
        await asyncio.sleep(reply.delay)
        if reply.fate in REFUSED:
            raise ServiceRequestTimeoutError("no connection")
        if reply.fate in LOST:
            raise ServiceResponseError("connection reset")
        if reply.fate in HUNG:
            await asyncio.sleep(3600)
        return reply


def use_direct_api(
    api: DigitalOceanClient, token: str, handle: Handle, call: Call, *, alone: bool = False
) -> None:
    """Let this client go straight to `handle` from now on; with `alone` nowhere else, ever."""
    api.requests.client().api = DirectApi(api, token, handle, call, alone=alone)
