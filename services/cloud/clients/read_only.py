"""The ways out of a bot that only observes: each lets reading through and refuses the rest.

Every guard stands at the transport and refuses before anything leaves: before a byte is sent, a
connection opened or a thread started. It knows what reads, and refuses everything else, so that a
request that is added later is refused until someone lists it here. `WAYS_OUT` names every module
that can reach another machine; tests/laws/test_read_only.py compares it with what is imported.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from typing_extensions import override

from services.cloud import node_scripts
from services.cloud.clients.http import HttpClient, Reply
from services.cloud.clients.oncall import OnCallPage
from services.cloud.clients.spaces import Stored
from services.cloud.clients.ssh import Host, Output
from services.cluster.certificates import CertificateSeen
from services.common.errors import ObservesOnly

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AsyncHttpTransport

log = logging.getLogger(__name__)

READING_METHODS = frozenset({"GET"})
BUCKET_METHODS = frozenset({"GET", "HEAD"})
# LiveKit's API has POST alone; these calls return a list and change nothing.
LIVEKIT_READS = frozenset(
    {
        "/twirp/livekit.RoomService/ListRooms",
        "/twirp/livekit.Egress/ListEgress",
        "/twirp/livekit.Ingress/ListIngress",
    }
)


class Way(StrEnum):
    """A way out of the process. The value says how a bot that only observes uses it."""

    DIGITALOCEAN = "GET alone"
    SSH = "the scripts of node_scripts.reads_only"
    SPACES = "GET and HEAD alone"
    HTTP = "GET, TLS handshakes, and LiveKit's lists"
    ONCALL = "nothing: a page is logged"
    SLACK = "as always: the bot's own messages"
    STATE = "as always: the bot's own state store"
    MACHINE = "as always: this machine alone"
    CHECKS = "as always: lookups that change nothing"
    DEMO = "as always: the simulated world of demo, rehearsals and replay"


# By module: the way out that it is, or is a part of.
WAYS_OUT: Mapping[str, Way] = {
    "services.cloud.clients.pydo_client": Way.DIGITALOCEAN,
    "services.cloud.clients.pydo_loader": Way.DIGITALOCEAN,
    "services.cloud.clients.digitalocean": Way.DIGITALOCEAN,
    "services.cloud.clients.heard_transport": Way.DIGITALOCEAN,
    "services.cloud.clients.channels": Way.SSH,
    "services.cloud.clients.keyfile": Way.SSH,
    "services.cloud.clients.ssh_host_keys": Way.SSH,
    "services.cloud.clients.ssh_pool": Way.SSH,
    "services.cloud.clients.s3": Way.SPACES,
    "services.cloud.clients.http": Way.HTTP,
    "services.cloud.clients.oncall": Way.ONCALL,
    "services.store.address": Way.STATE,
    "services.store.redis": Way.STATE,
    "handlers.app": Way.SLACK,
    "handlers.slack.api": Way.SLACK,
    "handlers.slack.heard": Way.SLACK,
    "handlers.slack.client": Way.SLACK,
    "handlers.slack.users": Way.SLACK,
    "handlers.slack.user_groups": Way.SLACK,
    "bot.slack_http": Way.SLACK,
    "bot.slack_sockets": Way.SLACK,
    "bot.serve": Way.SLACK,
    "bot.app": Way.SLACK,
    "bot.doctor.slack": Way.SLACK,
    "bot.init.lookups": Way.SLACK,
    "bot.health": Way.MACHINE,
    "bot.watchdog": Way.MACHINE,
    "bot.terminal.socket": Way.MACHINE,
    "bot.init.discovery": Way.CHECKS,
    "bot.doctor.clocks": Way.CHECKS,
    "bot.doctor.context": Way.CHECKS,
    "bot.doctor.fixes": Way.SLACK,
    "bot.record.command": Way.SLACK,
    "bot.demo.world": Way.DEMO,
    "bot.rehearsal.direct_api": Way.DEMO,
    "bot.replay.bucket": Way.DEMO,
}


def transport_that_reads(
    transport: "AsyncHttpTransport[Any, Any]",
) -> "AsyncHttpTransport[Any, Any]":
    """Return pydo's transport with every method but GET refused before it is sent."""
    # azure-core is imported with the first request and not at the start: it takes 7 MB.
    from azure.core.pipeline.transport import AsyncHttpTransport  # noqa: PLC0415

    class ReadingTransport(AsyncHttpTransport[Any, Any]):
        """Passes GET on."""

        async def open(self) -> None:
            await transport.open()

        async def close(self) -> None:
            await transport.close()

        async def __aenter__(self) -> "ReadingTransport":
            await transport.__aenter__()
            return self

        async def __aexit__(self, *error: Any) -> None:
            await transport.__aexit__(*error)

        async def send(self, request: Any, **config: Any) -> Any:
            method = str(request.method)
            if method not in READING_METHODS:
                raise ObservesOnly(f"{method} {urlsplit(request.url).path} at DigitalOcean")
            return await transport.send(request, **config)

    return ReadingTransport()


class ReadingHttp(HttpClient):
    """HTTP that changes nothing: GET, a look at certificates, and LiveKit's lists."""

    def __init__(self, http: HttpClient) -> None:
        super().__init__()
        self._http = http

    @override
    def trusting(self, ca_file: str | None, setting: str) -> HttpClient:
        return ReadingHttp(self._http.trusting(ca_file, setting))

    @override
    async def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Reply:
        return await self._http.get(url, headers=headers, timeout=timeout)

    @override
    async def post(
        self,
        url: str,
        json: object,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> Reply:
        parts = urlsplit(url)
        if parts.path not in LIVEKIT_READS or parts.query:
            raise ObservesOnly(f"POST {parts.path} at {parts.hostname}")
        return await self._http.post(url, json, headers=headers, timeout=timeout)

    @override
    async def certificate_of(self, url: str) -> CertificateSeen:
        return await self._http.certificate_of(url)

    @override
    async def aclose(self) -> None:
        await self._http.aclose()

    @override
    async def _send(self, method: str, url: str, *_: Any) -> Reply:
        """Refuse what comes neither through `get` nor `post`."""
        raise ObservesOnly(f"{method} {urlsplit(url).path} at {urlsplit(url).hostname}")


class _Shell(Protocol):
    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output: ...


class ReadingShell:
    """SSH that runs the scripts of `node_scripts.reads_only` alone, letter for letter."""

    def __init__(self, shell: _Shell) -> None:
        self._shell = shell

    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output:
        """Run a script that reads. ObservesOnly for another, before a connection is opened."""
        if not node_scripts.reads_only(command) or stdin:
            raise ObservesOnly(f"running a command on droplet {host.droplet_id}")
        return await self._shell.run(host, command, timeout=timeout)

    async def host_keys(self, host: Host, *, timeout: float) -> tuple[str, ...]:
        """Return the host keys offered there; does not log in."""
        offered = getattr(self._shell, "host_keys", None)
        if offered is None:
            return ()
        keys: tuple[str, ...] = await offered(host, timeout=timeout)
        return keys

    async def aclose(self) -> None:
        """Close the connections."""
        if (close := getattr(self._shell, "aclose", None)) is not None:
            await close()


class _Bucket(Protocol):
    async def get(self, key: str) -> tuple[bytes, str]: ...
    async def get_if_changed(self, key: str, etag: str) -> tuple[bytes, str] | None: ...
    async def head(self, key: str) -> Stored: ...
    async def list(self, prefix: str = "") -> Sequence[Stored]: ...


class ReadingBucket:
    """A bucket without its writes. `SpacesClient` refuses the methods of HTTP besides."""

    def __init__(self, bucket: _Bucket) -> None:
        self._bucket = bucket

    async def get(self, key: str) -> tuple[bytes, str]:
        """Return the content of an object and its etag."""
        return await self._bucket.get(key)

    async def get_if_changed(self, key: str, etag: str) -> tuple[bytes, str] | None:
        """Return content and etag, or None when the object still has that etag."""
        return await self._bucket.get_if_changed(key, etag)

    async def head(self, key: str) -> Stored:
        """Return what an object is, without its content."""
        return await self._bucket.head(key)

    async def list(self, prefix: str = "") -> Sequence[Stored]:
        """List every object whose key begins with that."""
        return await self._bucket.list(prefix)

    async def put(
        self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False
    ) -> str:
        """Refuse."""
        del content, if_match, if_none_match
        raise ObservesOnly(f"storing {key} in the bucket")

    async def copy(self, source: str, target: str) -> str:
        """Refuse."""
        raise ObservesOnly(f"copying {source} to {target} in the bucket")

    async def delete(self, key: str) -> None:
        """Refuse."""
        raise ObservesOnly(f"deleting {key} in the bucket")

    async def aclose(self) -> None:
        """Stop the bucket's threads."""
        if (close := getattr(self._bucket, "aclose", None)) is not None:
            await close()


def refuse_bucket_writes(request: Any, **_: Any) -> None:
    """Handle botocore's `before-send`: raise for a method that may change something."""
    if request.method not in BUCKET_METHODS:
        raise ObservesOnly(f"{request.method} {urlsplit(request.url).path} in the bucket")


@dataclass(frozen=True)
class SilentPager:
    """Replaces the on-call service, which is never called: each page is logged."""

    kind: str

    async def send(self, page: OnCallPage) -> None:
        """Log what would have been sent."""
        log.warning(
            "on-call (%s) is not called, because this bot only observes: %s %s: %s",
            self.kind,
            page.action,
            page.key,
            page.summary,
        )
