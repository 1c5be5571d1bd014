"""The world's Spaces without sockets.

The interface of `services.cloud.clients.spaces.SpacesClient`, answered in process.
"""

import asyncio
import io
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from services.cloud.clients.spaces import SpacesClient
from simulators.environment import SimulatedEnvironment
from simulators.responses import HttpResponse
from tests.support.crash_injector import CrashInjector

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
SECONDS = 0.1
T = TypeVar("T")


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
