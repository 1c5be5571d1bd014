"""The world's Spaces without sockets.

The interface of `services.cloud.clients.spaces.SpacesClient`, answered in process.
"""

import asyncio
import io
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from services.cloud.clients.spaces import SpacesClient, Stored
from services.common.errors import NotFound, Rejected, Unreachable
from simulators.environment import SimulatedEnvironment
from simulators.responses import HttpResponse
from tests.support.crash_injector import CrashInjector

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
SECONDS = 0.1
T = TypeVar("T")


class InProcessBucket:
    """One bucket, as one process of a bot sees it."""

    def __init__(self, town: SimulatedEnvironment, bucket: str, life: CrashInjector) -> None:
        self._town = town
        self._bucket = bucket
        self._life = life

    async def _ask(
        self,
        method: str,
        key: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        **query: str,
    ) -> Any:
        async def call() -> Any:
            await asyncio.sleep(SECONDS)
            answer = self._town.spaces.handle(
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

        return await self._life.call(f"spaces {method}", call)

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
        return [_stored(c) for c in ET.fromstring(answer.body).iter(f"{NAMESPACE}Contents")]


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


class BotoBucket(SpacesClient):
    """The same bucket through the real client and all of boto3; only the socket is left out."""

    KEY, SECRET = "DO00PLANTEDSPACESKEY", "planted-spaces-secret-0123456789abcdefghij"

    def __init__(self, town: SimulatedEnvironment, bucket: str, life: CrashInjector) -> None:
        super().__init__("https://ams3.digitaloceanspaces.com", bucket, self.KEY, self.SECRET)
        self._town = town
        self._life = life
        self._loop = asyncio.get_running_loop()

    def _connect(self, make_client: Callable[..., Any]) -> Any:
        client = super()._connect(make_client)
        client.meta.events.register("before-send.s3", self._send)
        return client

    async def _call(self, doing: str, work: Callable[[Any], T]) -> T:
        return await self._life.call(
            f"spaces {doing}", lambda: super(BotoBucket, self)._call(doing, work)
        )

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        url = urlsplit(request.url)
        headers = {
            k: v.decode() if isinstance(v, bytes) else str(v) for k, v in request.headers.items()
        }
        body = request.body.read() if hasattr(request.body, "read") else request.body
        query = dict(parse_qsl(url.query, keep_blank_values=True))

        async def handle() -> (
            HttpResponse
        ):  # On the loop: the world lives there, and its clock too.
            return self._town.spaces.handle(request.method, url.path, query, headers, body)

        answer = asyncio.run_coroutine_threadsafe(handle(), self._loop).result(5)
        return AWSResponse(
            request.url, answer.status, HTTPHeaders.from_dict(answer.headers), Raw(answer.body)
        )


class Raw(io.BytesIO):
    """A body as urllib3 returns it."""

    def stream(self, amount: int = 65536, **_: Any) -> Iterator[bytes]:
        while piece := self.read(amount):
            yield piece
