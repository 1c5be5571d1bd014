"""Where Redis is, and how it is reached: at one address, or through Sentinel; with or without TLS. Certificates are always checked."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialBackoff, NoBackoff

ALLOWED = "redis://, rediss:// (TLS), unix://, redis+sentinel:// or rediss+sentinel://HOST:26379,HOST:26379/SERVICE"
SENTINEL_PORT = 26379
SENTINEL_ANSWERS_WITHIN = 1.0  # seconds: the next one is asked then
UNCHECKED = {"ssl_cert_reqs", "ssl_check_hostname"}
ENCODED = "# as %23, / as %2F, ? as %3F"


@dataclass(frozen=True)
class Address:
    """One Redis. `sentinels` empty: at `url` itself; otherwise they know where the primary of `service` is at the moment."""

    url: str = field(default="", repr=False)
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    db: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False


def parse_address(url: str) -> Address:
    """Read REDIS_URL. ValueError with what is wrong, which never repeats the password."""
    scheme, there, rest = url.partition("://")
    if not there or scheme not in ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"):
        raise ValueError(f"found an address of another kind; allowed: {ALLOWED}")
    if odd := _not_encoded(scheme, rest):
        raise ValueError(f"found {odd} in user or password; allowed: percent-encoded, {ENCODED}")
    if scheme.endswith("+sentinel"):
        return _through_sentinel(rest, tls=scheme.startswith("rediss"))
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its own text quotes what it could not read
        raise ValueError(
            f"found no HOST:PORT behind the password; allowed: {ALLOWED} (a password percent-encoded, {ENCODED})"
        ) from None
    if off := UNCHECKED & parse_qs(parts.query, keep_blank_values=True).keys():
        raise ValueError(
            f"found {', '.join(sorted(off))}; allowed: none of it, certificates are always checked (state.redis_ca_file)"
        )
    return Address(url, tls=scheme == "rediss")


def _not_encoded(scheme: str, rest: str) -> str:
    """The first character of user and password that ends them too early: what comes behind it would be taken for something else."""
    if scheme == "unix" and rest.startswith("/"):
        return ""  # a path, which may hold any of them
    odd = next((c for c in rest.rpartition("@")[0] if c in "#/?[]" or c <= " "), "")
    return "a blank or control character" if odd and odd <= " " else odd


def _through_sentinel(rest: str, *, tls: bool) -> Address:
    where, _, path = rest.partition("/")
    credentials, _, hosts = where.rpartition("@")
    user, _, password = credentials.partition(":")
    found = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:/(\d+))?", path)
    if not found:
        raise ValueError(
            "found no name of a service behind the hosts; allowed: redis+sentinel://HOST:26379,HOST:26379/SERVICE"
        )
    sentinels = tuple(_host(text) for text in hosts.split(","))
    return Address(
        "",
        sentinels,
        found[1],
        int(found[2] or 0),
        unquote(user) or None,
        unquote(password) or None,
        tls,
    )


def _host(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or "?" in text:
        raise ValueError(
            "found something that is not HOST or HOST:PORT among the Sentinels; allowed: HOST:26379,HOST:26379"
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
    """A client for it, which connects at its first call; and the Sentinels that it asks, if any."""
    common: dict[str, Any] = {
        "socket_timeout": reply_within,
        "socket_connect_timeout": reply_within,
        "protocol": 2,
    }
    secure: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    if ca_file is not None:
        secure["ssl_ca_certs"] = ca_file
    if not address.sentinels:
        more = secure if address.tls else {}
        try:
            pool = redis.ConnectionPool.from_url(
                address.url,
                max_connections=connections,
                decode_responses=True,
                retry=_patience(),
                **common,
                **more,
            )
            # Connects nothing: an option that its client does not know shows here, and not at the first call.
            pool.make_connection()  # type: ignore[no-untyped-call]
        except (TypeError, ValueError):
            raise ValueError(
                "found an option behind ? that Redis's client does not know or cannot read; allowed: none is needed"
            ) from None
        return redis.Redis.from_pool(pool), None
    secure = {"ssl": True, **secure} if address.tls else {}
    asked = {
        "socket_timeout": SENTINEL_ANSWERS_WITHIN,
        "socket_connect_timeout": SENTINEL_ANSWERS_WITHIN,
        "retry": Retry(NoBackoff(), 0),
        "password": sentinel_password,
        "decode_responses": True,
        **secure,
    }
    sentinel = Sentinel(list(address.sentinels), sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
    client = sentinel.master_for(
        address.service,
        max_connections=connections,
        db=address.db,
        username=address.user,
        password=address.password,
        decode_responses=True,
        retry=_patience(),
        **common,
        **secure,
    )
    return client, sentinel


def _patience() -> Retry:
    return Retry(ExponentialBackoff(cap=0.5, base=0.05), 2)
