"""The clients of a bot, answered by a simulated world in the same process, without sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from json import dumps
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

from services.cloud.clients.http import HttpClient, Reply
from services.cloud.clients.spaces import Stored
from services.cloud.clients.ssh import Host, Output
from services.cluster.certificates import CertificateSeen, NoCertificate
from services.common.causes import REFUSED, RESET
from services.common.errors import Forbidden, NotFound, Rejected, Unreachable
from simulators.environment import SimulatedEnvironment
from simulators.node import KeyRefused

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
GITHUB = "api.github.com"
TIMED_OUT = "connecting timed out"
SSH_SECONDS, HTTP_SECONDS, BUCKET_SECONDS = 0.2, 0.05, 0.1


class Calls(Protocol):
    """Makes each call to the outside, or refuses to: a bot that a test has killed makes none."""

    async def call(self, what: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Make one call; `what` names it."""
        ...


class PlainCalls:
    """Makes every call."""

    async def call(self, _what: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Make one call."""
        return await work()


class InProcessHttp(HttpClient):
    """Plain HTTP into a simulated world, without sockets."""

    def __init__(self, world: SimulatedEnvironment) -> None:
        super().__init__()
        self._world = world
        self.certificate: CertificateSeen = NoCertificate("no socket, no certificate")

    def trusting(self, ca_file: str | None, setting: str) -> HttpClient:
        return self

    async def certificate_of(self, url: str) -> CertificateSeen:
        return self.certificate

    async def get(self, url: str, *, headers: Any = None, timeout: float = 10.0) -> Reply:
        await asyncio.sleep(HTTP_SECONDS)
        parts = urlsplit(url)
        if parts.hostname == GITHUB:
            return self._github("GET", url, headers)
        try:
            return Reply(
                self._world.web.handle(parts.hostname or "", parts.port or 443, parts.path)
            )
        except ConnectionRefusedError:
            raise Unreachable(f"get {url}: {REFUSED}", sent=False, cause=REFUSED) from None
        except TimeoutError:
            raise Unreachable(f"get {url}: {TIMED_OUT}", sent=False, cause=TIMED_OUT) from None

    async def post(
        self, url: str, json: object, *, headers: Any = None, timeout: float = 10.0
    ) -> Reply:
        await asyncio.sleep(HTTP_SECONDS)
        parts = urlsplit(url)
        if parts.hostname == GITHUB:
            return self._github("POST", url, headers, dumps(json).encode())
        stack = next(
            c.stack for c in self._world.estate.clusters.values() if c.domain == parts.hostname
        )
        body = b"{}" if not json else str(json).replace("'", '"').replace("True", "true").encode()
        try:
            answer = self._world.livekit[stack].handle("POST", parts.path, headers or {}, body)
        except ConnectionRefusedError:
            raise Unreachable(f"post {url}: {REFUSED}", sent=False, cause=REFUSED) from None
        await asyncio.sleep(min(answer.delay, timeout))
        if answer.delay > timeout or answer.fate != "answer":
            raise Unreachable(f"post {url}: no answer")
        return Reply(answer.status, answer.body)

    def _github(self, method: str, url: str, headers: Any, body: bytes = b"") -> Reply:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        try:
            answer = self._world.github.handle(method, parts.path, query, headers or {}, body)
        except ConnectionResetError:
            what = f"{method.lower()} {url.partition('?')[0]}"
            raise Unreachable(f"{what}: {RESET}", cause=RESET) from None
        return Reply(answer.status, answer.body)


class InProcessShell:
    """SSH into a simulated world's nodes, without sockets."""

    def __init__(self, world: SimulatedEnvironment) -> None:
        self._world = world

    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output:
        await asyncio.sleep(SSH_SECONDS / 2)
        try:
            output = self._world.shell.execute(host.droplet_id, command, stdin)
        except ConnectionRefusedError as error:
            raise Unreachable(str(error), sent=False) from None
        except KeyRefused:
            raise Forbidden(
                f"connecting to droplet {host.droplet_id} ({host.address}): "
                "the ssh key was refused for user root"
            ) from None
        await asyncio.sleep(SSH_SECONDS / 2 + min(output.seconds, timeout))
        if output.seconds > timeout:
            raise Unreachable(
                f"running a command on droplet {host.droplet_id}: "
                f"not finished within {timeout:g} s; it may continue there"
            )
        if output.exit_status is None:
            raise Unreachable(
                f"running a command on droplet {host.droplet_id}: the connection was lost"
            )
        return Output(output.exit_status, output.stdout, output.stderr)


class InProcessBucket:
    """One bucket of a simulated world, as one process of a bot sees it.

    The interface of `services.cloud.clients.spaces.SpacesClient`.
    """

    def __init__(self, world: SimulatedEnvironment, bucket: str, calls: Calls) -> None:
        self._world = world
        self._bucket = bucket
        self._calls = calls

    async def _ask(
        self,
        method: str,
        key: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        **query: str,
    ) -> Any:
        async def call() -> Any:
            await asyncio.sleep(BUCKET_SECONDS)
            answer = self._world.spaces.handle(
                method,
                f"/{self._bucket}/{key}",
                query,
                {"authorization": "AWS4-HMAC-SHA256 x", **(headers or {})},
                body,
            )
            if answer.status == 404:
                raise NotFound(f"{method} {key}: there is none", status=404)
            if answer.status >= 500:
                raise Unreachable(f"{method} {key}: {answer.status}")
            if answer.status >= 400:
                raise Rejected(f"{method} {key}: {answer.status}", status=answer.status)
            return answer

        return await self._calls.call(f"spaces {method}", call)

    async def get(self, key: str) -> tuple[bytes, str]:
        answer = await self._ask("GET", key)
        return answer.body, _header(answer, "etag").strip('"')

    async def get_if_changed(self, key: str, etag: str) -> tuple[bytes, str] | None:
        headers = {"if-none-match": f'"{etag}"'}
        if not etag:
            headers = {}
        answer = await self._ask("GET", key, headers)
        if answer.status == 304:
            return None
        return answer.body, _header(answer, "etag").strip('"')

    async def put(
        self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False
    ) -> str:
        headers = {"x-amz-acl": "private"}
        if if_match:
            headers["if-match"] = if_match
        elif if_none_match:
            headers["if-none-match"] = "*"
        return _header(await self._ask("PUT", key, headers, content), "etag").strip('"')

    async def copy(self, source: str, target: str) -> str:
        content, _ = await self.get(source)
        return await self.put(target, content)

    async def delete(self, key: str) -> None:
        await self._ask("DELETE", key)

    async def head(self, key: str) -> Stored:
        stored = [s for s in await self.list(key) if s.key == key]
        if not stored:
            raise NotFound(f"HEAD {key}: there is none", status=404)
        return stored[0]

    async def list(self, prefix: str = "") -> list[Stored]:
        query = {"list-type": "2", "prefix": prefix}
        answer = await self._ask("GET", "", None, b"", **query)
        found = ET.fromstring(answer.body)
        return [_stored(c) for c in found.iter(f"{NAMESPACE}Contents")]


def _header(answer: Any, name: str) -> str:
    return next((v for k, v in answer.headers.items() if k.lower() == name), "")


def _stored(found: ET.Element) -> Stored:
    def text(name: str) -> str:
        return found.findtext(f"{NAMESPACE}{name}") or ""

    return Stored(
        text("Key"),
        text("ETag").strip('"'),
        int(text("Size")),
        datetime.fromisoformat(text("LastModified")).timestamp(),
    )
