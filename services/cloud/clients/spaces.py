"""Spaces (or any S3) without blocking: each call runs in one of a few threads of its own.

Everything is stored private. No text raised here holds what was stored.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from services.common.errors import Rejected, Unreachable
from services.common.imports import freeze_again

T = TypeVar("T")
Client = Any

CALL_SECONDS = 30.0
THREADS = 4
GET_LIMIT = 16 * 1024 * 1024
UNCHANGED = 304


@dataclass(frozen=True)
class Stored:
    """An object without its content. `modified`: epoch seconds."""

    key: str
    etag: str
    size: int
    modified: float


class SpacesClient:
    """One bucket. `ca_file`: the only certificates that are trusted; None: those of botocore.

    `on_client` gets botocore's client when it is made.
    `reads_only`: its client refuses whatever is neither GET nor HEAD.
    """

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        key: str,
        secret: str,
        region: str = "us-east-1",
        *,
        ca_file: str | None = None,
        on_client: Callable[[Client], object] | None = None,
        reads_only: bool = False,
    ) -> None:
        self._on_client = on_client
        self._reads_only = reads_only
        self._endpoint = endpoint
        self._bucket = bucket
        self._credentials = (key, secret)
        self._region = region
        self._ca_file = ca_file
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="spaces")
        self._client: Client = None

    def __repr__(self) -> str:
        return f"Spaces({self._endpoint}, {self._bucket})"

    async def aclose(self) -> None:
        """Stop the threads; a call in progress is left to its own timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()
            self._client = None

    async def get(self, key: str) -> tuple[bytes, str]:
        """Return the content of an object and its etag."""
        return await self._call(f"reading {key}", lambda client: self._read(client, key))

    async def get_if_changed(self, key: str, etag: str) -> tuple[bytes, str] | None:
        """Return content and etag, or None when the object still has that etag ("": not known)."""
        condition = {"IfNoneMatch": f'"{etag}"'} if etag else {}
        try:
            return await self._call(
                f"reading {key}", lambda client: self._read(client, key, **condition)
            )
        except Rejected as error:
            if error.status == UNCHANGED:
                return None
            raise

    async def put(
        self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False
    ) -> str:
        """Store an object, private; return its etag.

        Rejected with status 412 if a condition fails.
        """
        conditions = {}
        if if_match:
            # Spaces honours IfMatch only without the quotes that it sends its own etags with.
            conditions = {"IfMatch": if_match.strip('"')}
        elif if_none_match:
            conditions = {"IfNoneMatch": "*"}

        def write(client: Client) -> str:
            return _etag(
                client.put_object(
                    Bucket=self._bucket, Key=key, Body=content, ACL="private", **conditions
                )
            )

        return await self._call(f"storing {key}", write)

    async def copy(self, source: str, target: str) -> str:
        """Copy an object within the bucket, private; return the copy's etag."""

        def copy(client: Client) -> str:
            origin = {"Bucket": self._bucket, "Key": source}
            answer = client.copy_object(
                Bucket=self._bucket, Key=target, CopySource=origin, ACL="private"
            )
            return _etag(answer["CopyObjectResult"])

        return await self._call(f"copying {source} to {target}", copy)

    async def delete(self, key: str) -> None:
        """Delete an object; one that is missing is deleted already."""
        await self._call(
            f"deleting {key}", lambda client: client.delete_object(Bucket=self._bucket, Key=key)
        )

    async def head(self, key: str) -> Stored:
        """Return what an object is, without its content."""

        def look(client: Client) -> Stored:
            answer = client.head_object(Bucket=self._bucket, Key=key)
            size, modified = answer["ContentLength"], answer["LastModified"]
            return Stored(key, _etag(answer), size, modified.timestamp())

        return await self._call(f"looking at {key}", look)

    async def list(self, prefix: str = "") -> list[Stored]:
        """List every object whose key begins with that."""

        def walk(client: Client) -> list[Stored]:
            paginator = client.get_paginator("list_objects_v2")
            pages = paginator.paginate(Bucket=self._bucket, Prefix=prefix)
            return [
                Stored(entry["Key"], _etag(entry), entry["Size"], entry["LastModified"].timestamp())
                for page in pages
                for entry in page.get("Contents", [])
            ]

        return await self._call(f"listing {prefix or 'everything'}", walk)

    def _read(self, client: Client, key: str, **condition: str) -> tuple[bytes, str]:
        answer = client.get_object(Bucket=self._bucket, Key=key, **condition)
        return answer["Body"].read(GET_LIMIT), _etag(answer)

    async def _call(self, doing: str, work: Callable[[Client], T]) -> T:
        what = f"{doing} in bucket {self._bucket}"
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(
                    self._threads, self._in_thread, what, work
                )
        except TimeoutError:
            error = Unreachable(f"{what}: no answer within {CALL_SECONDS:.0f} s")
        raise error

    def _in_thread(self, what: str, work: Callable[[Client], T]) -> T:
        # With the first call and not at the start, and in a thread: boto3 takes 14 MB.
        from services.cloud.clients import s3  # noqa: PLC0415

        def run() -> T:
            if self._client is None:
                self._client = self._connect(s3.make_client)
                freeze_again()
            return work(self._client)

        return s3.call(what, run)

    def _connect(self, make_client: Callable[..., Client]) -> Client:
        client = make_client(
            self._endpoint,
            self._credentials,
            self._region,
            self._ca_file,
            THREADS,
            reads_only=self._reads_only,
        )
        if self._on_client is not None:
            self._on_client(client)
        return client


def _etag(answer: dict[str, Any]) -> str:
    return str(answer["ETag"]).strip('"')
