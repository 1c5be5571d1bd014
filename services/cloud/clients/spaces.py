"""Spaces (or any S3) through boto3, in a few threads of its own.

What is put is private, always. No text raised here holds what was stored.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from services.common.causes import cause_of, is_certificate
from services.common.errors import BotError, Forbidden, NotFound, Rejected, Unreachable
from services.common.text import namelike

T = TypeVar("T")

CONNECT_SECONDS = 5
READ_SECONDS = 20
CALL_SECONDS = 30.0
THREADS = 4
GET_LIMIT = 16 * 1024 * 1024
UNCHANGED = 304

# What S3's codes mean here, and what to do.
REFUSALS = {
    "InvalidAccessKeyId": ("no key of that name is known there", "correct SPACES_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": (
        "the secret does not belong to the key",
        "correct SPACES_SECRET_ACCESS_KEY",
    ),
    "RequestTimeTooSkewed": (
        "this machine's clock is wrong",
        "run a time service here (chrony, systemd-timesyncd)",
    ),
    "NoSuchBucket": (
        "there is no bucket of that name",
        "name the deployment's cluster-data bucket (<STACK>-space-clusterdata-...), and its region in spaces.endpoint",
    ),
    "PermanentRedirect": (
        "the bucket is in another region",
        "correct the region in clusters.NAME.spaces.endpoint",
    ),
    "AuthorizationHeaderMalformed": (
        "the bucket is in another region",
        "correct clusters.NAME.spaces.region",
    ),
}


@dataclass(frozen=True)
class Stored:
    """An object without its content."""

    key: str
    etag: str
    size: int
    modified: float


class Spaces:
    """One bucket. `ca_file`: the only certificates that are trusted; None: those that come with botocore."""

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        key: str,
        secret: str,
        region: str = "us-east-1",
        *,
        ca_file: str | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._bucket = bucket
        self._credentials = (key, secret)
        self._region = region
        self._ca_file = ca_file
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="spaces")
        self._s3: Any = None

    def __repr__(self) -> str:
        return f"Spaces({self._endpoint}, {self._bucket})"

    async def aclose(self) -> None:
        """Stop the threads; a call under way is left to its own time-out."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._s3 is not None:
            self._s3.close()
            self._s3 = None

    async def get(self, key: str) -> tuple[bytes, str]:
        """The content of an object and its etag."""

        def read() -> tuple[bytes, str]:
            answer = self._client().get_object(Bucket=self._bucket, Key=key)
            return answer["Body"].read(GET_LIMIT), _etag(answer)

        return await self._call(f"reading {key}", read)

    async def get_if_changed(self, key: str, etag: str) -> tuple[bytes, str] | None:
        """The same, or None when the object still has that etag; "" for none that is known."""
        condition = {"IfNoneMatch": f'"{etag}"'} if etag else {}

        def read() -> tuple[bytes, str]:
            answer = self._client().get_object(Bucket=self._bucket, Key=key, **condition)
            return answer["Body"].read(GET_LIMIT), _etag(answer)

        try:
            return await self._call(f"reading {key}", read)
        except Rejected as error:
            if error.status == UNCHANGED:
                return None
            raise

    async def put(
        self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False
    ) -> str:
        """Store an object, private; returns its etag. A condition that does not hold is `Rejected` with status 412."""
        # Spaces honours IfMatch only without the quotes that it sends its own etags with.
        conditions = (
            {"IfMatch": if_match.strip('"')}
            if if_match
            else {"IfNoneMatch": "*"}
            if if_none_match
            else {}
        )

        def write() -> str:
            return _etag(
                self._client().put_object(
                    Bucket=self._bucket, Key=key, Body=content, ACL="private", **conditions
                )
            )

        return await self._call(f"storing {key}", write)

    async def copy(self, source: str, target: str) -> str:
        """Copy an object within the bucket, private; returns the copy's etag."""

        def copy() -> str:
            origin = {"Bucket": self._bucket, "Key": source}
            answer = self._client().copy_object(
                Bucket=self._bucket, Key=target, CopySource=origin, ACL="private"
            )
            return _etag(answer["CopyObjectResult"])

        return await self._call(f"copying {source} to {target}", copy)

    async def delete(self, key: str) -> None:
        """Delete an object; one that is not there is deleted already."""
        await self._call(
            f"deleting {key}", lambda: self._client().delete_object(Bucket=self._bucket, Key=key)
        )

    async def head(self, key: str) -> Stored:
        """What an object is, without its content."""

        def look() -> Stored:
            answer = self._client().head_object(Bucket=self._bucket, Key=key)
            return Stored(
                key, _etag(answer), answer["ContentLength"], answer["LastModified"].timestamp()
            )

        return await self._call(f"looking at {key}", look)

    async def list(self, prefix: str = "") -> list[Stored]:
        """Every object whose key begins so."""

        def walk() -> list[Stored]:
            pages = (
                self._client()
                .get_paginator("list_objects_v2")
                .paginate(Bucket=self._bucket, Prefix=prefix)
            )
            return [
                Stored(found["Key"], _etag(found), found["Size"], found["LastModified"].timestamp())
                for page in pages
                for found in page.get("Contents", [])
            ]

        return await self._call(f"listing {prefix or 'everything'}", walk)

    def _client(self) -> Any:
        if self._s3 is None:
            import boto3  # noqa: PLC0415 - 34 MB
            from botocore.config import Config  # noqa: PLC0415

            key, secret = self._credentials
            # A session of its own: the default one is shared, and not safe to build from two threads.
            self._s3 = boto3.session.Session(
                aws_access_key_id=key, aws_secret_access_key=secret, region_name=self._region
            ).client(
                "s3",
                endpoint_url=self._endpoint,
                verify=self._ca_file,
                config=Config(
                    signature_version="s3v4",
                    s3={"addressing_style": "path"},
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    max_pool_connections=THREADS,
                    # One attempt: a conditional PUT repeated after a lost answer would be told 412 about its own success.
                    retries={"total_max_attempts": 1, "mode": "standard"},
                ),
            )
        return self._s3

    async def _call(self, doing: str, work: Callable[[], T]) -> T:
        what = f"{doing} in bucket {self._bucket}"
        error: BotError
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            error = Unreachable(f"{what}: no answer within {CALL_SECONDS:.0f} s")
        except Exception as trouble:  # botocore's errors have no common root; what is none of them goes on as it came
            translated = _translate(what, trouble)
            if translated is None:
                raise
            error = translated
        raise error


def _etag(answer: dict[str, Any]) -> str:
    return str(answer["ETag"]).strip('"')


def _translate(what: str, trouble: Exception) -> BotError | None:
    from botocore import exceptions  # noqa: PLC0415

    if isinstance(trouble, exceptions.ClientError):
        return _refusal(what, trouble)
    if not isinstance(trouble, exceptions.BotoCoreError):
        return None
    why = cause_of(trouble, "SSL_CERT_FILE")
    on_its_way = isinstance(
        trouble, exceptions.HTTPClientError | exceptions.IncompleteReadError | exceptions.SSLError
    )
    sent = None if on_its_way and not is_certificate(trouble) else False
    return Unreachable(f"{what}: {why.said}", sent=sent, cause=why.said, remedy=why.remedy)


def _refusal(what: str, trouble: Any) -> BotError:
    error, meta = trouble.response.get("Error", {}), trouble.response.get("ResponseMetadata", {})
    status, code = int(meta.get("HTTPStatusCode") or 0), namelike(str(error.get("Code") or ""))
    details: dict[str, Any] = {
        "status": status,
        "request_id": meta.get("RequestId"),
        "message": code,
    }
    said, remedy = REFUSALS.get(code, ("", ""))
    if status in {401, 403}:
        why = said or "it needs readwrite on this bucket"
        remedy = remedy or "make a Spaces key with readwrite on this bucket"
        return Forbidden(
            f"{what}: the spaces key may not ({code or status}); {why}",
            **details,
            cause=why,
            remedy=remedy,
        )
    if status == 404:
        return NotFound(
            f"{what}: {said or f'there is none ({code or 404})'}",
            **details,
            cause=said,
            remedy=remedy,
        )
    if status >= 500 or status in {0, 429}:
        return Unreachable(f"{what}: answered {code or status}")
    why = f"{said} ({code})" if said else f"answered {code or status}"
    return Rejected(f"{what}: {why}", **details, cause=why, remedy=remedy)
