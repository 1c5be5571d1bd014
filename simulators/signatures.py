"""AWS signature version 4 in the `authorization` header, checked as S3 does."""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
UNRESERVED = "-_.~"


def is_signed_with(
    secret: str, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> bool:
    """Tell whether the `authorization` header was made with that secret.

    `path`: as it was meant, without percent-encoding; `headers`: with names in lower case.
    """
    algorithm, _, rest = headers.get("authorization", "").partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    scope = parts.get("Credential", "").partition("/")[2]
    names = parts.get("SignedHeaders", "").split(";")
    if algorithm != ALGORITHM or scope.count("/") != 3 or "host" not in names:
        return False
    canonical = "\n".join(
        [
            method,
            quote(path, safe=f"/{UNRESERVED}"),
            "&".join(
                f"{quote(k, safe=UNRESERVED)}={quote(v, safe=UNRESERVED)}"
                for k, v in sorted(query.items())
            ),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in names),
            "",
            ";".join(names),
            headers.get("x-amz-content-sha256", ""),
        ]
    )
    text = "\n".join(
        [
            ALGORITHM,
            headers.get("x-amz-date", ""),
            scope,
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _keyed(key, part)
    return hmac.compare_digest(_keyed(key, text).hex(), parts.get("Signature", ""))


def _keyed(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
