"""One bucket at Spaces or another S3, with boto3. Blocks: `spaces` calls it in threads.

Importing this takes 34 MB: `spaces` does with its first call. No text raised here holds what was
stored.
"""

from collections.abc import Callable
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
) -> Any:
    """Return an S3 client that sends each request once."""
    key, secret = credentials
    # A session of its own: the default one is shared, and not safe to build from two threads.
    session = boto3.session.Session(
        aws_access_key_id=key, aws_secret_access_key=secret, region_name=region
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
    return session.client("s3", endpoint_url=endpoint, verify=ca_file, config=config)


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
    if meaning:
        why = f"{meaning} ({code})"
    return Rejected(f"{what}: {why}", **details, cause=why, remedy=remedy)
