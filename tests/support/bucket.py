"""The town's Spaces, without sockets: what `services.clients.spaces.Spaces` offers, answered by the same face."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from services.errors import NotFound, Rejected, Unreachable
from simulators.town import Town
from tests.support.life import Life

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
SECONDS = 0.1


@dataclass(frozen=True)
class Stored:
    key: str
    etag: str
    size: int
    modified: float


class TownBucket:
    """One bucket, seen by one life of a bot."""

    def __init__(self, town: Town, bucket: str, life: Life) -> None:
        self._town = town
        self._bucket = bucket
        self._life = life

    async def _ask(self, method: str, key: str, headers: dict[str, str] | None = None, body: bytes = b"", **query: str) -> Any:
        async def call() -> Any:
            await asyncio.sleep(SECONDS)
            answer = self._town.spaces.handle(
                method, f"/{self._bucket}/{key}", query, {"authorization": "AWS4-HMAC-SHA256 x", **(headers or {})}, body
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

    async def put(self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        headers = {"x-amz-acl": "private"}
        headers |= {"if-match": if_match} if if_match else {"if-none-match": "*"} if if_none_match else {}
        return _header(await self._ask("PUT", key, headers, content), "etag").strip('"')

    async def copy(self, source: str, target: str) -> str:
        content, _ = await self.get(source)
        return await self.put(target, content)

    async def delete(self, key: str) -> None:
        await self._ask("DELETE", key)

    async def head(self, key: str) -> Stored:
        found = [s for s in await self.list(key) if s.key == key]
        if not found:
            raise NotFound(f"HEAD {key}: there is none", status=404)
        return found[0]

    async def list(self, prefix: str = "") -> list[Stored]:
        query = {"list-type": "2", "prefix": prefix}
        answer = await self._ask("GET", "", None, b"", **query)
        return [_stored(c) for c in ET.fromstring(answer.body).iter(f"{NAMESPACE}Contents")]


def _header(answer: Any, name: str) -> str:
    return next((v for k, v in answer.headers.items() if k.lower() == name), "")


def _stored(found: ET.Element) -> Stored:
    def text(name: str) -> str:
        return found.findtext(f"{NAMESPACE}{name}") or ""

    return Stored(text("Key"), text("ETag").strip('"'), int(text("Size")), datetime.fromisoformat(text("LastModified")).timestamp())

