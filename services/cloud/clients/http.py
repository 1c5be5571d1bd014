"""Plain HTTP: the one seam to it, small enough to put something else in its place."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from services.cloud.clients.tls import host_of, only_to_look, read_certificate, trust, watch
from services.cluster.certificates import Certificate, CertificateSeen, NoCertificate
from services.common.causes import RESET, SCHEME, Cause, cause_of, is_certificate
from services.common.errors import Unreachable

T = TypeVar("T")

BODY_LIMIT = 4 * 1024 * 1024
CONNECT_SECONDS = 5.0
LOOK_SECONDS = 5.0  # for a handshake that is made to look
SEEN_FOR = 3600.0  # seconds that a certificate is remembered
UNSEEN_FOR = 60.0  # and that there is none, or that it was refused

# What aiohttp says when no connection was ever made.
NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
# What an address answers with that wanted TLS and got plain words: nginx and Go say so, others hang up or send a TLS alert.
WANTED_TLS = (b"HTTP request was sent to HTTPS port", b"HTTP request to an HTTPS server")
HUNG_UP = Cause(
    "it hung up during the TLS handshake",
    "check that this port speaks TLS, with a certificate for this name",
)
PLAIN = Cause("TLS mismatch: that port expects TLS, and the address says http://", SCHEME)


@dataclass(frozen=True)
class Reply:
    """An answer, whatever its status."""

    status: int
    body: bytes = b""


class Http:
    """GET and POST with a deadline. Redirects are answers, not something to run after.

    `ca_file`: the only certificates that are trusted (PEM); `setting` is what people know it by. None: those that this machine trusts.
    """

    def __init__(self, ca_file: str | None = None, setting: str = "SSL_CERT_FILE") -> None:
        self._ca_file = ca_file
        self._setting = setting
        self._session: aiohttp.ClientSession | None = None
        self._others: dict[tuple[str | None, str], Http] = {}
        self._certificates: _Looks[CertificateSeen] = _Looks()
        self._tls: _Looks[bool] = _Looks()

    def trusting(self, ca_file: str | None, setting: str) -> "Http":
        """One that trusts as that setting says. It is closed along with this one."""
        key = (ca_file, setting)
        if key not in self._others:
            self._others[key] = Http(ca_file, setting)
        return self._others[key]

    async def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> Reply:
        """Ask for a page."""
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

    async def trouble_with(
        self, url: str, *, below: int = 201, timeout: float = 10.0
    ) -> Cause | None:
        """Why a page does not answer with a status from 200 to `below`; None when it does."""
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
        """The certificate that an address shows, looked at once an hour at most; or why none was seen."""
        return await self._certificates.get(
            _origin(url), _remembered_for, partial(self._look_at, url)
        )

    async def aclose(self) -> None:
        """Let go of the connections."""
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
                self._session = _session(
                    trust(self._ca_file)
                )  # here, since a session belongs to the loop it was made in
            limits = aiohttp.ClientTimeout(
                total=timeout, sock_connect=min(timeout, CONNECT_SECONDS)
            )
            async with self._session.request(
                method, url, json=json, headers=headers, timeout=limits, allow_redirects=False
            ) as answer:
                return Reply(answer.status, await _bounded(answer))
        except NEVER_CONNECTED as trouble:
            cause, sent = await self._cause(url, trouble), False
        except TimeoutError:
            cause = Cause(
                f"no answer within {timeout:g} s", "check network, firewall and load in between"
            )
        except (aiohttp.ClientError, OSError) as trouble:
            cause = await self._cause(url, trouble)
        raise Unreachable(f"{what}: {cause.said}", sent=sent, cause=cause.said, remedy=cause.remedy)

    async def _cause(self, url: str, trouble: Exception) -> Cause:
        """Why it failed; of a certificate that was refused with its date and names, of a lost plain connection whether TLS was wanted."""
        cause = cause_of(trouble, self._setting)
        if is_certificate(trouble):
            seen = await self._certificates.get(
                _origin(url), _refused_for, partial(self._look_at, url)
            )
            return (
                Cause(seen.trouble, seen.remedy)
                if isinstance(seen, Certificate) and seen.trouble
                else cause
            )
        if (
            cause.said == RESET
            and urlsplit(url).scheme == "https"
            and isinstance(trouble, NEVER_CONNECTED)
        ):
            return HUNG_UP  # a reset comes from a host that was reached
        plainly = urlsplit(url).scheme == "http" and not isinstance(trouble, NEVER_CONNECTED)
        if plainly and await self._tls.get(
            _origin(url), lambda _: UNSEEN_FOR, partial(self._speaks_tls, url)
        ):
            return PLAIN
        return cause

    async def _look_at(self, url: str) -> CertificateSeen:
        if urlsplit(url).scheme != "https":
            return NoCertificate("the address is not https://")
        refused: Cause | None = None
        try:
            shown = await _shake_hands(url, trust(self._ca_file))
        except (aiohttp.ClientError, OSError, TimeoutError) as trouble:
            refused = cause_of(trouble, self._setting)
            if not is_certificate(trouble):
                return NoCertificate(refused.said, refused.remedy)
            try:
                shown = await _shake_hands(url, only_to_look())
            except (aiohttp.ClientError, OSError, TimeoutError):
                return NoCertificate(refused.said, refused.remedy)
        try:
            return read_certificate(shown, url, refused, time.time())
        except ValueError:
            return NoCertificate("its certificate cannot be read")

    async def _speaks_tls(self, url: str) -> bool:
        try:
            return bool(await _shake_hands(f"https{url.removeprefix('http')}", only_to_look()))
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
        """What was seen there, unless that is older than it is good for (seconds)."""
        async with self._locks.setdefault(address, asyncio.Lock()):
            if address in self._seen:
                at, known = self._seen[address]
                if time.monotonic() - at < good_for(known):
                    return known
            found = await look()
            self._seen[address] = (time.monotonic(), found)
            return found


def _remembered_for(seen: CertificateSeen) -> float:
    return SEEN_FOR if isinstance(seen, Certificate) and seen.accepted else UNSEEN_FOR


def _refused_for(seen: CertificateSeen) -> float:
    """One that was accepted says nothing about a refusal of this moment."""
    return 0.0 if isinstance(seen, Certificate) and seen.accepted else UNSEEN_FOR


def _origin(url: str) -> str:
    """Scheme, host and port alone: paths and queries may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"


def _session(context: ssl.SSLContext, *, trust_env: bool = True) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=context)
    return aiohttp.ClientSession(
        connector=connector, trust_env=trust_env, cookie_jar=aiohttp.DummyCookieJar()
    )


async def _shake_hands(url: str, context: ssl.SSLContext) -> bytes:
    """The certificate (DER) that an address shows. What it answers to the request that comes along is not looked at."""
    shown = watch(context)
    limits = aiohttp.ClientTimeout(total=LOOK_SECONDS)
    # Not by the environment: with it aiohttp would send the password that ~/.netrc has for that host.
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
    """The proxy that the environment names for that address."""
    return None if proxy_bypass(host_of(url)) else getproxies().get(urlsplit(url).scheme)


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    parts = bytearray()
    async for part in answer.content.iter_any():
        parts += part
        if len(parts) > BODY_LIMIT:
            break
    return bytes(parts[:BODY_LIMIT])
