"""One bucket at Spaces or another S3, with boto3. Blocks: `spaces` calls it in threads.

Importing this and making a client takes 14 MB: `spaces` does with its first call. No text raised
here holds what was stored.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    SSLError,
)
from botocore.loaders import JSONFileLoader, Loader
from botocore.session import Session
from typing_extensions import override

from services.cloud.clients.read_only import refuse_bucket_writes
from services.common.causes import cause_of, is_certificate_error
from services.common.errors import BotError, Forbidden, NotFound, Rejected, Unreachable
from services.common.text import sanitize_name

T = TypeVar("T")

CONNECT_SECONDS = 5
READ_SECONDS = 20
# Errors after which the request may have been sent.
MAYBE_SENT = (HTTPClientError, IncompleteReadError, SSLError)
NEEDS = "it needs readwrite on this bucket"
NEEDS_REMEDY = "make a Spaces key with readwrite on this bucket"

# Another write of the same object was in progress: nothing was written, and a retry may be.
CONFLICTS = frozenset({"ConditionalRequestConflict", "OperationAborted"})

# What S3's codes mean here, and the remedy.
REFUSALS = {
    "InvalidAccessKeyId": ("Spaces does not know this key", "correct SPACES_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": (
        "the secret does not belong to the key",
        "correct SPACES_SECRET_ACCESS_KEY",
    ),
    "RequestTimeTooSkewed": (
        "this machine's clock is wrong",
        "run a time service on this machine (chrony, systemd-timesyncd)",
    ),
    "NoSuchBucket": (
        "there is no bucket of that name",
        "name the deployment's cluster-data bucket (<STACK>-space-clusterdata-...), "
        "and its region in spaces.endpoint",
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


def make_client(
    endpoint: str,
    credentials: tuple[str, str],
    region: str,
    ca_file: str | None,
    connections: int,
    *,
    reads_only: bool = False,
) -> Any:
    """Return an S3 client that sends each request once.

    `reads_only`: ObservesOnly for every request that is neither GET nor HEAD, before it is sent.
    """
    key, secret = credentials
    inner = Session()
    inner.register_component("data_loader", Loader(file_loader=SparingLoader()))
    # A session of its own: the default one is shared, and not safe to build from two threads.
    session = boto3.session.Session(
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name=region,
        botocore_session=inner,
    )
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=connections,
        # One attempt: a conditional PUT repeated after a lost answer would get 412 for its success.
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    client = session.client("s3", endpoint_url=endpoint, verify=ca_file, config=config)
    if reads_only:
        client.meta.events.register("before-send.s3", refuse_bucket_writes)
    return client


class SparingLoader(JSONFileLoader):
    """Loads botocore's data without its documentation, and of the endpoints only those of S3.

    As it is, the data takes 12 MB: the endpoints of 300 services, and texts for people.
    """

    @override
    def load_file(self, file_path: str) -> Any:
        for file, read in (
            (Path(f"{file_path}.json"), Path.read_bytes),
            (Path(f"{file_path}.json.gz"), _unpack),
        ):
            if file.is_file():
                return json.loads(read(file), object_pairs_hook=_spared)
        return None


def _unpack(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes())


def _spared(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of the data without what takes room and is never looked at."""
    spared = dict(pairs)
    if isinstance(spared.get("documentation"), str):
        spared["documentation"] = ""
    if isinstance(spared.get("services"), dict):
        spared["services"] = {k: v for k, v in spared["services"].items() if k == "s3"}
    return spared


def call(what: str, work: Callable[[], T]) -> T:
    """Return what `work` returns, with botocore's errors as ours.

    `what`: begins an error's text.
    """
    error: BotError
    try:
        return work()
    except ClientError as answered:
        error = _refusal(what, answered)
    except BotoCoreError as lost:
        error = _unreachable(what, lost)
    # Raised here, so that no chained exception is printed along.
    raise error


def _unreachable(what: str, lost: BotoCoreError) -> Unreachable:
    why = cause_of(lost, "SSL_CERT_FILE")
    sent: bool | None = False
    if isinstance(lost, MAYBE_SENT) and not is_certificate_error(lost):
        sent = None
    return Unreachable(f"{what}: {why.text}", sent=sent, cause=why.text, remedy=why.remedy)


def _refusal(what: str, answered: Any) -> BotError:
    error = answered.response.get("Error", {})
    meta = answered.response.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode") or 0)
    code = sanitize_name(str(error.get("Code") or ""))
    details: dict[str, Any] = {
        "status": status,
        "request_id": meta.get("RequestId"),
        "message": code,
    }
    meaning, remedy = REFUSALS.get(code, ("", ""))
    if status in {401, 403}:
        why = meaning or NEEDS
        return Forbidden(
            f"{what}: the Spaces key lacks the permission ({code or status}); {why}",
            **details,
            cause=why,
            remedy=remedy or NEEDS_REMEDY,
        )
    if status == 404:
        why = meaning or f"not found ({code or 404})"
        return NotFound(f"{what}: {why}", **details, cause=meaning, remedy=remedy)
    why = f"the bucket answered {code or status}"
    if status >= 500 or status in {0, 429}:
        return Unreachable(f"{what}: {why}")
    if code in CONFLICTS:
        return Unreachable(f"{what}: {why}", sent=False)
    if meaning:
        why = f"{meaning} ({code})"
    return Rejected(f"{what}: {why}", **details, cause=why, remedy=remedy)
