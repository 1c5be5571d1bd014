"""The simulated bucket behind botocore, without a socket: answers are parsed as the bot's are."""

import io
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import BotoCoreError, ClientError

from services.cloud.clients.exchanges import Exchange
from services.cloud.clients.heard import HeardBucket
from services.cloud.clients.s3 import make_client
from simulators.spaces import SpacesApi

Json = dict[str, Any]
ENDPOINT = "https://ams3.digitaloceanspaces.com"
SECRETS = "secrets.env"


class PretendBucket:
    """Asks the simulated bucket what a recording has asked the real one."""

    def __init__(self, spaces: SpacesApi, bucket: str) -> None:
        self._spaces, self._bucket = spaces, bucket
        self._heard: list[Exchange] = []
        self._client = make_client(ENDPOINT, ("sim-spaces-key", "sim"), "us-east-1", None, 1)
        self._client.meta.events.register("before-send.s3", self._answer)
        HeardBucket(self._client, self._heard.append)

    def ask(self, line: Json) -> Exchange | None:
        """Return the exchange; None when it is of an operation that is not played."""
        key, name = str(line.get("params", {}).get("key", SECRETS)), line["ask"]
        status, client, bucket = line.get("status"), self._client, self._bucket
        have = key if status in (200, 304) and self._has(key) else SECRETS
        key = "missing" if status == 404 else have
        try:
            match name:
                case "GetObject" if status == 304:
                    etag = client.head_object(Bucket=bucket, Key=key).get("ETag", "")
                    client.get_object(Bucket=bucket, Key=key, IfNoneMatch=etag)
                case "GetObject":
                    client.get_object(Bucket=bucket, Key=key)
                case "HeadObject":
                    client.head_object(Bucket=bucket, Key=key)
                case "PutObject" if status == 412:
                    client.put_object(Bucket=bucket, Key=key, Body=b"x", IfMatch="0" * 32)
                case "PutObject":
                    client.put_object(Bucket=bucket, Key="recorded", Body=b"x")
                case "DeleteObject":
                    client.delete_object(Bucket=bucket, Key="recorded")
                case "ListObjectsV2":
                    self._list(line)
                case _:
                    return None
        except ClientError:
            pass  # an answer, heard as one
        except BotoCoreError:
            return None
        return self._heard[-1] if self._heard else None

    def _list(self, line: Json) -> None:
        answer = line.get("answer")
        empty = isinstance(answer, dict) and not answer.get("Contents")
        self._client.list_objects_v2(Bucket=self._bucket, Prefix="missing/" if empty else "")

    def _has(self, key: str) -> bool:
        return self._spaces.read(self._bucket, key) is not None

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        url = urlsplit(request.url)
        headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in request.headers.items()}
        body = request.body if isinstance(request.body, bytes) else b""
        if hasattr(request.body, "read"):
            body = request.body.read()
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        reply = self._spaces.handle(request.method, url.path, query, headers, body)
        kept = HTTPHeaders()
        kept["content-length"] = str(len(reply.body))  # as every server sends it
        for name, value in reply.headers.items():
            kept[name] = value
        return AWSResponse(request.url, reply.status, kept, _Raw(reply.body))


class _Raw(io.BytesIO):
    """A body as botocore reads it."""

    def stream(self, amt: int = 1024, decode_content: bool | None = None) -> Any:
        """Yield the body."""
        del decode_content
        while part := self.read(amt):
            yield part
