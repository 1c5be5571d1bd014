"""Redis addresses: REDIS_URL parsed, and a client for it.

One address or Sentinel, with or without TLS. Certificates are always checked.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialBackoff, NoBackoff

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
ALLOWED = (
    "redis://, rediss:// (TLS), unix://, redis+sentinel:// or "
    "rediss+sentinel://HOST:26379,HOST:26379/SERVICE"
)
SENTINEL_PORT = 26379
# Seconds after which the next Sentinel is asked.
SENTINEL_ANSWERS_WITHIN = 1.0
UNCHECKED = {"ssl_cert_reqs", "ssl_check_hostname"}
ENCODED = "# as %23, / as %2F, ? as %3F"


@dataclass(frozen=True)
class Address:
    """The address of a Redis: `url`, or the Sentinels that know the primary of `service`."""

    url: str = field(default="", repr=False)
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    db: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False


def parse_address(url: str) -> Address:
    """Parse REDIS_URL. ValueError with what is wrong; its text never repeats the password."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise ValueError(f"found an address of another kind; allowed: {ALLOWED}")
    if character := _not_encoded(scheme, rest):
        raise ValueError(
            f"found {character} in user or password; allowed: percent-encoded, {ENCODED}"
        )
    if scheme.endswith("+sentinel"):
        return _through_sentinel(rest, tls=scheme.startswith("rediss"))
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # Without `from`: urllib's own text quotes what it could not parse.
        raise ValueError(
            f"found no HOST:PORT after the password; allowed: {ALLOWED} "
            f"(a password percent-encoded, {ENCODED})"
        ) from None
    if off := UNCHECKED & parse_qs(parts.query, keep_blank_values=True).keys():
        raise ValueError(
            f"found {', '.join(sorted(off))}; allowed: none of it, certificates are always "
            "checked (state.redis_ca_file)"
        )
    return Address(url, tls=scheme == "rediss")


def _not_encoded(scheme: str, rest: str) -> str:
    """Return the first character that would end user and password too early, or ""."""
    if scheme == "unix" and rest.startswith("/"):
        return ""  # a path, which may hold any of them
    credentials = rest.rpartition("@")[0]
    character = next((c for c in credentials if c in "#/?[]" or c <= " "), "")
    if character and character <= " ":
        return "a blank or control character"
    return character


def _through_sentinel(rest: str, *, tls: bool) -> Address:
    where, _, path = rest.partition("/")
    credentials, _, hosts = where.rpartition("@")
    user, _, password = credentials.partition(":")
    service = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:/(\d+))?", path)
    if not service:
        raise ValueError(
            "found no service name after the hosts; "
            "allowed: redis+sentinel://HOST:26379,HOST:26379/SERVICE"
        )
    return Address(
        sentinels=tuple(_host(text) for text in hosts.split(",")),
        service=service[1],
        db=int(service[2] or 0),
        user=unquote(user) or None,
        password=unquote(password) or None,
        tls=tls,
    )


def _host(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or "?" in text:
        raise ValueError(
            "found something that is not HOST or HOST:PORT among the Sentinels; "
            "allowed: HOST:26379,HOST:26379"
        )
    return host, port or SENTINEL_PORT


def connect(
    address: Address,
    *,
    reply_within: float,
    connections: int,
    ca_file: str | None,
    sentinel_password: str | None,
) -> "tuple[redis.Redis, Sentinel | None]":
    """Return a client, which connects at its first call, and the Sentinels it asks, if any."""
    options: dict[str, Any] = {
        "socket_timeout": reply_within,
        "socket_connect_timeout": reply_within,
        "protocol": 2,
        "max_connections": connections,
        "decode_responses": True,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
    }
    secure = _tls_options(ca_file) if address.tls else {}
    if not address.sentinels:
        return _direct(address.url, options | secure), None
    if address.tls:
        secure = {"ssl": True, **secure}
    sentinel_options = {
        "socket_timeout": SENTINEL_ANSWERS_WITHIN,
        "socket_connect_timeout": SENTINEL_ANSWERS_WITHIN,
        "retry": Retry(NoBackoff(), 0),
        "password": sentinel_password,
        "decode_responses": True,
        **secure,
    }
    create = cast("Callable[..., Sentinel]", Sentinel)
    sentinel = create(list(address.sentinels), sentinel_kwargs=sentinel_options)
    client = sentinel.master_for(
        address.service,
        db=address.db,
        username=address.user,
        password=address.password,
        **options,
        **secure,
    )
    return client, sentinel


def _tls_options(ca_file: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    if ca_file is not None:
        options["ssl_ca_certs"] = ca_file
    return options


def _direct(url: str, options: dict[str, Any]) -> "redis.Redis":
    try:
        pool = redis.ConnectionPool.from_url(url, **options)
        # Connects nothing, but raises for an unknown option now and not at the first call.
        make_connection = cast("Callable[[], object]", pool.make_connection)
        make_connection()
    except (TypeError, ValueError):
        raise ValueError(
            "found an option after ? that Redis's client does not know or cannot read; "
            "allowed: none is needed"
        ) from None
    return redis.Redis.from_pool(pool)
