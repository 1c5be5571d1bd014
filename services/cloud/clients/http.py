"""HTTP to addresses of the settings, and the certificates that they show."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Generic, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from services.cloud.clients.tls import host_of, only_to_look, trust, watch
from services.cluster.certificates import Certificate, CertificateSeen, NoCertificate
from services.common.causes import RESET, SCHEME, Cause, cause_of, is_certificate_error
from services.common.errors import Unreachable

T = TypeVar("T")

BODY_LIMIT = 4 * 1024 * 1024
CONNECT_SECONDS = 5.0
# For a handshake that is made to look at the certificate.
LOOK_SECONDS = 5.0
# How long a certificate is remembered; and that there is none, or that it was refused.
SEEN_FOR = 3600.0
UNSEEN_FOR = 60.0
OK_BELOW = 201

# What aiohttp raises when no connection was ever made.
NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
# Answers to plain HTTP on a TLS port, by nginx and Go; others hang up or send a TLS alert.
WANTED_TLS = (b"HTTP request was sent to HTTPS port", b"HTTP request to an HTTPS server")
HUNG_UP = Cause(
    "it closed the connection during the TLS handshake",
    "check that this port speaks TLS, with a certificate for this name",
)
PLAIN = Cause("TLS mismatch: that port expects TLS, and the address says http://", SCHEME)


@dataclass(frozen=True)
class Reply:
    """An answer, whatever its status."""

    status: int
    body: bytes = b""


class HttpClient:
    """GET and POST with a deadline. Redirects are answers and not followed.

    `ca_file`: the only trusted certificates (PEM); None for those that this machine trusts.
    `setting`: the name of that setting, for remedies.
    """

    def __init__(self, ca_file: str | None = None, setting: str = "SSL_CERT_FILE") -> None:
        self._ca_file = ca_file
        self._setting = setting
        self._session: aiohttp.ClientSession | None = None
        self._others: dict[tuple[str | None, str], HttpClient] = {}
        self._certificates: _Looks[CertificateSeen] = _Looks()
        self._tls: _Looks[bool] = _Looks()

    def trusting(self, ca_file: str | None, setting: str) -> "HttpClient":
        """Return an `HttpClient` with that setting's trust, closed along with this one."""
        key = (ca_file, setting)
        if key not in self._others:
            self._others[key] = HttpClient(ca_file, setting)
        return self._others[key]

    async def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Reply:
        """Request a page."""
        return await self._send("GET", url, None, headers, timeout)

    async def post(
        self,
        url: str,
        json: object,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> Reply:
        """Send JSON, once."""
        return await self._send("POST", url, json, headers, timeout)

    async def why_down(
        self, url: str, *, below: int = OK_BELOW, timeout: float = 10.0
    ) -> Cause | None:
        """Return why a page does not answer with a status from 200 to `below`, or None."""
        try:
            reply = await self.get(url, timeout=timeout)
        except Unreachable as error:
            return Cause(error.cause or str(error), error.remedy)
        if 200 <= reply.status < below:
            return None
        if reply.status == 400 and any(words in reply.body for words in WANTED_TLS):
            return PLAIN
        return Cause(f"it answers {reply.status}")

    async def certificate_of(self, url: str) -> CertificateSeen:
        """Return the certificate that an address shows, or why none was seen.

        Looked at once an hour at most.
        """
        return await self._certificates.get(
            _origin(url), _remembered_for, partial(self._look_at, url)
        )

    async def aclose(self) -> None:
        """Close the connections."""
        for other in self._others.values():
            await other.aclose()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _send(
        self, method: str, url: str, json: object, headers: Mapping[str, str] | None, timeout: float
    ) -> Reply:
        what = f"{method.lower()} {url.split('?', maxsplit=1)[0]}"
        sent: bool | None = None
        try:
            if self._session is None:
                # Made here, since a session belongs to the loop it was made in.
                self._session = _session(trust(self._ca_file))
            limits = aiohttp.ClientTimeout(
                total=timeout, sock_connect=min(timeout, CONNECT_SECONDS)
            )
            async with self._session.request(
                method, url, json=json, headers=headers, timeout=limits, allow_redirects=False
            ) as answer:
                return Reply(answer.status, await _bounded(answer))
        except NEVER_CONNECTED as error:
            cause, sent = await self._cause(url, error), False
        except TimeoutError:
            cause = Cause(
                f"no answer within {timeout:g} s", "check network, firewall and load in between"
            )
        except (aiohttp.ClientError, OSError) as error:
            cause = await self._cause(url, error)
        raise Unreachable(f"{what}: {cause.text}", sent=sent, cause=cause.text, remedy=cause.remedy)

    async def _cause(self, url: str, error: Exception) -> Cause:
        """Return why a request failed.

        Of a refused certificate with its dates and names; of a lost plain connection, whether TLS
        was expected.
        """
        cause = cause_of(error, self._setting)
        parts, connected = urlsplit(url), not isinstance(error, NEVER_CONNECTED)
        if is_certificate_error(error):
            seen = await self._certificates.get(
                _origin(url), _refused_for, partial(self._look_at, url)
            )
            if isinstance(seen, Certificate) and seen.trouble:
                return Cause(seen.trouble, seen.remedy)
            return cause
        if cause.text == RESET and parts.scheme == "https" and not connected:
            return HUNG_UP  # a reset comes from a host that was reached
        if parts.scheme == "http" and connected and await self._expects_tls(url):
            return PLAIN
        return cause

    async def _look_at(self, url: str) -> CertificateSeen:
        parts = urlsplit(url)
        if parts.scheme != "https":
            needed = not _is_this_machine(parts.hostname or "")
            return NoCertificate("the address is not https://", needed=needed)
        refused: Cause | None = None
        try:
            shown = await _shake_hands(url, trust(self._ca_file))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            refused = cause_of(error, self._setting)
            if not is_certificate_error(error):
                return NoCertificate(refused.text, refused.remedy)
            try:
                shown = await _shake_hands(url, only_to_look())
            except (aiohttp.ClientError, OSError, TimeoutError):
                return NoCertificate(refused.text, refused.remedy)
        # With the first certificate and not at the start: cryptography takes 10 MB.
        from services.cloud.clients.x509 import read_certificate  # noqa: PLC0415

        try:
            return read_certificate(shown, url, refused, time.time())
        except ValueError:
            return NoCertificate("its certificate cannot be read")

    async def _expects_tls(self, url: str) -> bool:
        return await self._tls.get(
            _origin(url), lambda _: UNSEEN_FOR, partial(self._speaks_tls, url)
        )

    async def _speaks_tls(self, url: str) -> bool:
        tls_url = "https" + url.removeprefix("http")
        try:
            return bool(await _shake_hands(tls_url, only_to_look()))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False


class _Looks(Generic[T]):
    """Caches what was seen at each address; concurrent callers share one look."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, T]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(
        self, address: str, good_for: Callable[[T], float], look: Callable[[], Awaitable[T]]
    ) -> T:
        """Return what was seen there, looked at again when older than `good_for` (seconds)."""
        async with self._locks.setdefault(address, asyncio.Lock()):
            if address in self._seen:
                at, cached = self._seen[address]
                if time.monotonic() - at < good_for(cached):
                    return cached
            seen = await look()
            self._seen[address] = (time.monotonic(), seen)
            return seen


def _remembered_for(seen: CertificateSeen) -> float:
    return SEEN_FOR if _is_accepted(seen) else UNSEEN_FOR


def _refused_for(seen: CertificateSeen) -> float:
    """Return 0 for one that was accepted: it does not explain a refusal of this moment."""
    return 0.0 if _is_accepted(seen) else UNSEEN_FOR


def _is_accepted(seen: CertificateSeen) -> bool:
    return isinstance(seen, Certificate) and seen.accepted


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _origin(url: str) -> str:
    """Return scheme, host and port alone: paths and queries may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"


def _session(context: ssl.SSLContext, *, trust_env: bool = True) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=context)
    return aiohttp.ClientSession(
        connector=connector, trust_env=trust_env, cookie_jar=aiohttp.DummyCookieJar()
    )


async def _shake_hands(url: str, context: ssl.SSLContext) -> bytes:
    """Return the certificate (DER) that an address shows. Its answer to the request is ignored."""
    shown = watch(context)
    limits = aiohttp.ClientTimeout(total=LOOK_SECONDS)
    # Not from the environment: aiohttp would send the password that ~/.netrc has for that host.
    async with _session(context, trust_env=False) as session:
        try:
            async with session.get(
                _origin(url), timeout=limits, allow_redirects=False, proxy=_proxy(url)
            ):
                pass
        except (aiohttp.ClientError, OSError, TimeoutError):
            if not shown:
                raise
    return shown[-1]


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for that address."""
    if proxy_bypass(host_of(url)):
        return None
    return getproxies().get(urlsplit(url).scheme)


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    parts = bytearray()
    async for part in answer.content.iter_any():
        parts += part
        if len(parts) > BODY_LIMIT:
            break
    return bytes(parts[:BODY_LIMIT])
