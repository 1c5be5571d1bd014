"""Clients whose exchanges are heard, around the clients of the same interface."""

import time
from collections.abc import Awaitable, Mapping
from typing import Any

from typing_extensions import override

from services.cloud.clients.exchanges import Exchange, Listener, Party
from services.cloud.clients.http import HttpClient, Reply
from services.cloud.clients.read_only import ReadingShell
from services.cloud.clients.ssh import Host, Output, SshClient
from services.cloud.node_access import Shell
from services.cluster.certificates import CertificateSeen
from services.common.errors import BotError, Unreachable

TWIRP = "/twirp/"


class HeardHttp(HttpClient):
    """An `HttpClient` whose exchanges are heard."""

    def __init__(self, inner: HttpClient, listener: Listener) -> None:
        super().__init__()
        self._inner = inner
        self._listener = listener
        self._heard: dict[int, HeardHttp] = {}

    @override
    def trusting(self, ca_file: str | None, setting: str) -> HttpClient:
        other = self._inner.trusting(ca_file, setting)
        return self._heard.setdefault(id(other), HeardHttp(other, self._listener))

    @override
    async def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Reply:
        asking = self._inner.get(url, headers=headers, timeout=timeout)
        return await self._heard_asking("GET", url, None, asking)

    @override
    async def post(
        self,
        url: str,
        json: object,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> Reply:
        asking = self._inner.post(url, json, headers=headers, timeout=timeout)
        return await self._heard_asking("POST", url, json, asking)

    @override
    async def certificate_of(self, url: str) -> CertificateSeen:
        return await self._inner.certificate_of(url)

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _heard_asking(
        self, verb: str, url: str, sent: object, asking: Awaitable[Reply]
    ) -> Reply:
        began = time.monotonic()
        try:
            reply = await asking
        except BotError as error:
            self._hear(verb, url, sent, began, error)
            raise
        self._hear(verb, url, sent, began, reply)
        return reply

    def _hear(
        self, verb: str, url: str, sent: object, began: float, result: Reply | BotError
    ) -> None:
        party: Party = "livekit" if TWIRP in url else "http"
        seconds = time.monotonic() - began
        if isinstance(result, Reply):
            exchange = Exchange(party, verb, url, {}, sent, result.status, {}, result.body, seconds)
        else:
            exchange = Exchange(party, verb, url, {}, sent, seconds=seconds, lost=lost(result))
        self._listener(exchange)


class HeardShell:
    """A `Shell` whose exchanges are heard."""

    def __init__(self, inner: Shell, listener: Listener) -> None:
        self._inner = inner
        self._listener = listener

    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output:
        """Run a command and wait for it."""
        began, where = time.monotonic(), str(host.droplet_id)
        try:
            output = await self._inner.run(host, command, stdin=stdin, timeout=timeout)
        except BotError as error:
            seconds = time.monotonic() - began
            self._listener(Exchange("ssh", command, where, seconds=seconds, lost=lost(error)))
            raise
        self._listener(
            Exchange(
                "ssh",
                command,
                where,
                status=output.exit_status,
                answer={"stdout": output.stdout, "stderr": output.stderr},
                seconds=time.monotonic() - began,
            )
        )
        return output

    async def host_keys(self, host: Host, *, timeout: float) -> tuple[str, ...]:
        """Return the host keys offered there. Not heard: they name the host."""
        inner = self._inner
        assert isinstance(inner, SshClient | ReadingShell), "what the composition root makes"
        return await inner.host_keys(host, timeout=timeout)

    async def aclose(self) -> None:
        """Close every connection."""
        if isinstance(self._inner, SshClient | ReadingShell):
            await self._inner.aclose()


def lost(error: Exception) -> str:
    """Return the kind of a failure, without its text."""
    if isinstance(error, Unreachable):
        return {None: "unknown", False: "never sent", True: "sent"}[error.sent]
    return "refused" if isinstance(error, BotError) else "error"


class HeardBucket:
    """The exchanges of a botocore client, by its events."""

    def __init__(self, client: Any, listener: Listener) -> None:
        self._listener = listener
        events = client.meta.events
        events.register("before-call.s3", self._before)
        events.register("after-call.s3", self._after)
        events.register("after-call-error.s3", self._failed)

    def _before(self, model: Any, params: Any, context: Any, **_: object) -> None:
        context["heard"] = (time.monotonic(), model.name, params)

    def _after(self, http_response: Any, parsed: Any, context: Any, **_: object) -> None:
        began, name, params = context["heard"]
        self._listener(
            Exchange(
                "spaces",
                name,
                str(params.get("url_path", "")),
                {str(k): str(v) for k, v in (params.get("query_string") or {}).items()},
                None,
                int(http_response.status_code),
                dict(http_response.headers),
                # The content of an object is a stream here, and is not read.
                {k: v for k, v in parsed.items() if k not in {"Body", "ResponseMetadata"}},
                time.monotonic() - began,
            )
        )

    def _failed(self, context: Any, **_: object) -> None:
        began, name, params = context["heard"]
        self._listener(
            Exchange(
                "spaces",
                name,
                str(params.get("url_path", "")),
                seconds=time.monotonic() - began,
                lost="unknown",
            )
        )
