"""TLS of all clients, against real servers on this machine.

The servers show every certificate that a deployment may show, or none.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.cloud.clients import http as http_module
from services.cloud.clients import x509
from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cloud.clients.http import HttpClient
from services.cloud.clients.livekit import LivekitClient
from services.cloud.clients.spaces import SpacesClient
from services.cluster.certificates import Certificate, NoCertificate
from services.common.causes import Cause
from services.common.clock import Clock
from services.common.errors import BotError, Unreachable
from services.store.redis import RedisStore
from tests.support.certificates import HERE, CertificateFiles, make_certificate

CLOCK = Clock(read=lambda: 1_800_000_000.0)
SETTING = "clusters.acme.ca_file"


class Site:
    """A web server that counts handshakes and records its requests."""

    def __init__(self, issued: CertificateFiles | None, status: int = 200) -> None:
        self.requests: list[web.Request] = []
        self.handshakes = 0
        self._status = status
        self._context = issued.context() if issued else None
        if self._context is not None:
            self._context.sni_callback = self._greet

    def _greet(self, *_: object) -> None:
        self.handshakes += 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if request.method == "DELETE":
            return web.Response(status=204)
        return web.Response(status=self._status, text="{}", content_type="application/json")

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Its port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context).start()
        try:
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()


async def _refusal(http: HttpClient, url: str, timeout: float = 5.0) -> Unreachable:
    with pytest.raises(Unreachable) as raised:
        await http.get(url, timeout=timeout)
    return raised.value


def asked(
    issued: CertificateFiles | None,
    ask: Callable[[HttpClient, int], Awaitable[Any]],
    ca: Path | None = None,
    site: Site | None = None,
) -> Any:
    """Return what `ask` returns: a server with that certificate, a client with that CA file."""

    async def run() -> Any:
        root = HttpClient()
        http = root.trusting(str(ca) if ca else None, SETTING)
        async with (site or Site(issued)).open() as port:
            try:
                return await ask(http, port)
            finally:
                await root.aclose()

    return asyncio.run(run())


def refused(
    issued: CertificateFiles | None, ca: Path | None = None, url: str = "https://127.0.0.1:{port}/"
) -> Unreachable:
    """Return why a page cannot be read."""
    error = asked(issued, lambda http, port: _refusal(http, url.format(port=port)), ca)
    assert isinstance(error, Unreachable)
    assert error.cause in str(error)
    assert error.remedy
    return error


# What is wrong with a certificate, by name


def test_a_self_signed_one_is_not_trusted_and_its_remedy_names_the_setting(
    tmp_path: Path,
) -> None:
    error = refused(make_certificate(tmp_path))
    assert error.cause == "certificate not trusted (self-signed certificate)"
    assert SETTING in error.remedy
    assert error.sent is False, "nothing of the request went over it"


def test_one_of_a_private_authority_is_not_trusted(tmp_path: Path) -> None:
    authority = make_certificate(tmp_path, "authority", authority=True)
    assert (
        "certificate not trusted (unable to get local issuer certificate)"
        in refused(make_certificate(tmp_path, by=authority)).cause
    )


def test_an_expired_one_is_reported_with_the_date(tmp_path: Path) -> None:
    issued = make_certificate(tmp_path, days=(-30, -2))
    date = issued.certificate.not_valid_after_utc.strftime("%Y-%m-%d %H:%M UTC")
    assert refused(issued, issued.pem).cause == f"certificate expired on {date}"


def test_one_that_is_not_valid_yet_is_reported_with_the_date_and_the_clock(tmp_path: Path) -> None:
    issued = make_certificate(tmp_path, days=(2, 30))
    error = refused(issued, issued.pem)
    begins = issued.certificate.not_valid_before_utc.strftime("%Y-%m-%d %H:%M UTC")
    assert error.cause == f"certificate not valid before {begins}"
    assert "clock" in error.remedy


@pytest.mark.parametrize(
    ("names", "host", "theirs"),
    [
        (("other.example.com", "10.0.0.9"), "127.0.0.1", "other.example.com, 10.0.0.9"),
        (("*.example.com",), "localhost", "*.example.com"),
        (tuple(f"n{n}.example.com" for n in range(7)), "localhost",
            "n0.example.com, n1.example.com, n2.example.com, n3.example.com, "
         "n4.example.com and 2 more"),
        ((), "localhost", "the own certificate"),
    ],
)  # fmt: skip
def test_one_for_another_name_is_reported_with_both(
    tmp_path: Path, names: tuple[str, ...], host: str, theirs: str
) -> None:
    issued = make_certificate(tmp_path, names=names)
    error = refused(issued, issued.pem, f"https://{host}:{{port}}/")
    assert error.cause == f"certificate for another name ({theirs}, not {host})"


def test_everything_that_is_wrong_with_one_is_reported_at_once(tmp_path: Path) -> None:
    issued = make_certificate(tmp_path, names=("old.example.com",), days=(-90, -2))
    cause = refused(issued).cause
    assert cause.startswith("certificate not trusted (self-signed certificate), expired on 20")
    assert cause.endswith("for another name (old.example.com, not 127.0.0.1)")


def test_nothing_hostile_in_a_name_is_repeated(tmp_path: Path) -> None:
    issued = make_certificate(tmp_path, names=("<!channel>.example.com",))
    cause = refused(issued, issued.pem).cause
    assert "<" not in cause
    assert "!" not in cause


# What is trusted


@pytest.mark.parametrize("host", HERE)
def test_a_server_s_own_certificate_in_the_file_is_enough(tmp_path: Path, host: str) -> None:
    issued = make_certificate(tmp_path)
    assert (
        asked(issued, lambda http, port: http.get(f"https://{host}:{port}/"), issued.pem).status
        == 200
    )


def test_an_authority_in_the_file_vouches_for_what_it_signed_alone(tmp_path: Path) -> None:
    authority = make_certificate(tmp_path, "authority", authority=True)
    issued = make_certificate(tmp_path, by=authority)
    assert (
        asked(
            issued, lambda http, port: http.get(f"https://127.0.0.1:{port}/"), authority.pem
        ).status
        == 200
    )
    assert "not trusted" in refused(make_certificate(tmp_path, "stranger"), authority.pem).cause


def test_several_in_one_file(tmp_path: Path) -> None:
    """Each master may have a certificate of its own."""
    issued = [make_certificate(tmp_path, f"master-{n}") for n in range(3)]
    together = tmp_path / "ca.pem"
    together.write_text("".join(m.pem.read_text() for m in issued))
    for each in issued:
        assert (
            asked(each, lambda http, port: http.get(f"https://127.0.0.1:{port}/"), together).status
            == 200
        )


def test_the_machines_own_variable_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issued = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(issued.pem))
    assert asked(issued, lambda http, port: http.get(f"https://127.0.0.1:{port}/")).status == 200


def test_a_cluster_s_file_is_its_own(tmp_path: Path) -> None:
    issued = make_certificate(tmp_path)

    async def run() -> None:
        root = HttpClient()
        async with Site(issued).open() as port:
            assert (
                await root.trusting(str(issued.pem), "clusters.a.ca_file").get(
                    f"https://127.0.0.1:{port}/"
                )
            ).status == 200
            assert (
                "not trusted"
                in (
                    await _refusal(
                        root.trusting(None, "clusters.b.ca_file"), f"https://127.0.0.1:{port}/"
                    )
                ).cause
            )
        await root.aclose()

    asyncio.run(run())


# TLS to a plain port, and plain HTTP to a TLS port


def test_https_at_a_port_that_speaks_plainly() -> None:
    error = refused(None)
    assert error.cause == "TLS mismatch: that port answers without TLS"
    assert "scheme or port" in error.remedy


def test_http_at_a_port_that_wants_tls(tmp_path: Path) -> None:
    error = refused(make_certificate(tmp_path), url="http://127.0.0.1:{port}/")
    assert error.cause == "TLS mismatch: that port expects TLS, and the address says http://"


@pytest.mark.parametrize(
    "words",
    [
        "Client sent an HTTP request to an HTTPS server.",
        "The plain HTTP request was sent to HTTPS port",
    ],
)
def test_http_at_a_port_that_answers_in_plain_text_that_it_expects_tls(words: str) -> None:
    async def run() -> Cause | None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                f"HTTP/1.0 400 Bad Request\r\nContent-Length: {len(words)}\r\n\r\n{words}".encode()
            )
            writer.close()

        server, http = await asyncio.start_server(answer, "127.0.0.1", 0), HttpClient()
        async with server:
            cause = await http.why_down(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        await http.aclose()
        return cause

    cause = asyncio.run(run())
    assert cause is not None
    assert cause.text.startswith("TLS mismatch: that port expects TLS")


def test_tls_that_has_nothing_in_common_with_ours(tmp_path: Path) -> None:
    issued = make_certificate(tmp_path)
    site = Site(issued)
    assert site._context is not None
    site._context.maximum_version = ssl.TLSVersion.TLSv1_2
    site._context.set_ciphers("AES128-SHA:@SECLEVEL=0")
    error = asked(
        issued, lambda http, port: _refusal(http, f"https://127.0.0.1:{port}/"), issued.pem, site
    )
    assert error.cause == "it closed the connection during the TLS handshake"


def test_a_closed_or_silent_connection(tmp_path: Path) -> None:
    async def run() -> list[str]:
        quiet = asyncio.Event()

        async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await quiet.wait()
            writer.close()

        found, http = [], HttpClient()
        for each in (hang_up, say_nothing):
            server = await asyncio.start_server(each, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            found += [
                (await _refusal(http, f"{scheme}://127.0.0.1:{port}/", timeout=0.3)).cause
                for scheme in ("https", "http")
            ]
            server.close()
        quiet.set()
        await http.aclose()
        return found

    closed = {
        "it closed the connection during the TLS handshake",
        "it closed the connection without an answer",
    }
    https_closed, http_closed, https_quiet, http_quiet = asyncio.run(run())
    assert https_closed in closed
    assert http_closed in {*closed, "the connection was reset"}
    assert https_quiet in {"no answer within 0.3 s", "connecting timed out"}
    assert http_quiet == "no answer within 0.3 s"


@pytest.mark.parametrize(
    ("url", "cause", "remedy"),
    [
        ("https://127.0.0.1:1/", "connection refused", "listens on that port"),
        ("https://no-such-host.invalid/", "no such host", "DNS"),
        ("http://no-such-host.invalid/", "no such host", "DNS"),
        ("http://127.0.0.1:99999/", "not a usable address", "address"),
    ],
)
def test_no_host_there(url: str, cause: str, remedy: str) -> None:
    async def run() -> Unreachable:
        http = HttpClient()
        try:
            return await _refusal(http, url)
        finally:
            await http.aclose()

    error = asyncio.run(run())
    assert (error.cause, error.sent) == (cause, False)
    assert remedy in error.remedy


def test_a_page_with_another_answer_is_reported_with_it() -> None:
    async def run() -> list[Cause | None]:
        http = HttpClient()
        async with Site(None, 503).open() as ill, Site(None, 302).open() as moved:
            pages = (
                (f"http://127.0.0.1:{ill}/", 201),
                (f"http://127.0.0.1:{moved}/", 201),
                (f"http://127.0.0.1:{moved}/", 400),
            )
            causes = [await http.why_down(url, below=below) for url, below in pages]
        await http.aclose()
        return causes

    assert asyncio.run(run()) == [Cause("it answers 503"), Cause("it answers 302"), None]


# The certificate as a value


def test_the_certificate_of_an_address_is_a_value(tmp_path: Path) -> None:
    issued = make_certificate(
        tmp_path,
        names=("meet.example.com", *HERE),
        by=make_certificate(tmp_path, "authority", authority=True),
    )
    seen = asked(
        issued,
        lambda http, port: http.certificate_of(f"https://127.0.0.1:{port}/room?key=secret"),
        tmp_path / "authority.pem",
    )
    assert isinstance(seen, Certificate)
    assert (seen.accepted, seen.ends, seen.issuer) == (
        True,
        issued.ends,
        "the authority certificate",
    )
    assert set(seen.names) == {"meet.example.com", *HERE}
    assert not seen.ends_soon(time.time())
    assert seen.ends_soon(issued.ends - 13 * 86400)


def test_one_that_is_refused_is_a_value_too_with_its_end(tmp_path: Path) -> None:
    issued = make_certificate(tmp_path, days=(-9, -2))
    seen = asked(
        issued, lambda http, port: http.certificate_of(f"https://127.0.0.1:{port}/"), issued.pem
    )
    assert isinstance(seen, Certificate)
    assert (seen.accepted, seen.ends) == (False, issued.ends)
    assert seen.trouble.startswith("certificate expired on ")
    assert seen.left(time.time()) < 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:{port}/", "the address is not https://"),
        ("https://127.0.0.1:1/", "connection refused"),
    ],
)
def test_none_that_is_seen_has_a_reason(url: str, reason: str) -> None:
    assert (
        asked(None, lambda http, port: http.certificate_of(url.format(port=port))).reason == reason
    )


@pytest.mark.parametrize(
    ("url", "needed"), [("http://127.0.0.1:{port}/", False), ("http://meet.example.com/", True)]
)
def test_plain_http_needs_none_on_this_machine_only(url: str, needed: bool) -> None:
    seen = asked(None, lambda http, port: http.certificate_of(url.format(port=port)))
    assert (isinstance(seen, NoCertificate), seen.needed) == (True, needed)


def test_it_is_looked_at_once_an_hour_and_sends_nothing_that_is_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ana password hunter2\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    now = [1000.0]
    monkeypatch.setattr("services.cloud.clients.http.time.monotonic", lambda: now[0])
    for name, trusted, handshakes in (("good", True, 1), ("strange", False, 2)):
        issued = make_certificate(tmp_path, name)
        site = Site(issued)

        async def look(
            http: HttpClient, port: int, site: Site = site, handshakes: int = handshakes
        ) -> None:
            url = f"https://localhost:{port}/room?token=hunter2"
            await asyncio.gather(*(http.certificate_of(url) for _ in range(5)))
            now[0] += 50.0
            await http.certificate_of(url)
            assert site.handshakes == handshakes
            now[0] += 3600.0
            await http.certificate_of(url)
            assert site.handshakes == 2 * handshakes

        asked(issued, look, issued.pem if trusted else None, site)
        for request in site.requests:
            assert request.path_qs == "/"
            assert "authorization" not in request.headers
            assert "hunter2" not in str(request.headers)


def test_a_server_in_trouble_is_not_asked_for_its_certificate_at_every_look(tmp_path: Path) -> None:
    issued = make_certificate(tmp_path)
    site = Site(issued)

    async def wait(http: HttpClient, port: int) -> None:
        for _ in range(10):
            await _refusal(http, f"https://localhost:{port}/")

    asked(issued, wait, None, site)
    assert site.handshakes == 10 + 2


def test_one_that_was_good_an_hour_ago_and_is_refused_now_is_looked_at_anew(tmp_path: Path) -> None:
    good, bad = make_certificate(tmp_path), make_certificate(tmp_path, "bad", days=(-9, -2))
    ca = tmp_path / "ca.pem"
    ca.write_text(good.pem.read_text() + bad.pem.read_text())
    site = Site(good)

    async def renew(http: HttpClient, port: int) -> str:
        url = f"https://localhost:{port}/"
        seen = await http.certificate_of(url)
        assert isinstance(seen, Certificate)
        assert seen.accepted
        assert site._context is not None
        site._context.load_cert_chain(bad.pem, bad.key_pem)
        return (await _refusal(http, url)).cause

    assert asked(good, renew, ca, site).startswith("certificate expired on ")


def test_an_unchecked_handshake_is_made_in_one_place_to_look() -> None:
    root, tls, http = (
        Path(http_module.__file__).parents[3],
        "services/cloud/clients/tls.py",
        "services/cloud/clients/http.py",
    )
    texts = {
        p.relative_to(root).as_posix(): p.read_text()
        for f in ("bot", "handlers", "services")
        for p in (root / f).rglob("*.py")
    }
    assert [
        name
        for name, text in texts.items()
        if "CERT_NONE" in text or "check_hostname = False" in text
    ] == [tls]
    assert {name for name, text in texts.items() if "only_to_look" in text} == {tls, http}


# The other clients report it as well


def _told(error: BotError, cause: str) -> None:
    assert error.cause.startswith(cause)
    assert error.remedy


def test_livekit_reports_the_cause(tmp_path: Path) -> None:
    issued = make_certificate(tmp_path)

    async def load(http: HttpClient, port: int) -> Any:
        return await LivekitClient(
            f"wss://127.0.0.1:{port}", "APIkey", "s" * 44, http, CLOCK
        ).load()

    assert asked(issued, load, issued.pem)["rooms"] == 0
    with pytest.raises(Unreachable, match="certificate not trusted") as raised:
        asked(issued, load)
    _told(raised.value, "certificate not trusted (self-signed certificate)")
    assert SETTING in raised.value.remedy


@pytest.mark.parametrize(
    ("scheme", "tls", "cause"),
    [
        ("https", True, "certificate not trusted (self-signed certificate)"),
        ("https", False, "TLS mismatch: that port answers without TLS"),
        ("http", True, "it closed the connection without an answer"),
    ],
)
def test_spaces_and_digitalocean_say_why(
    tmp_path: Path, scheme: str, tls: bool, cause: str
) -> None:
    async def run() -> None:
        async with Site(make_certificate(tmp_path) if tls else None).open() as port:
            url = f"{scheme}://127.0.0.1:{port}"
            spaces, cloud = (
                SpacesClient(url, "bucket", "key", "secret-secret"),
                DigitalOceanClient("token", endpoint=url, clock=CLOCK),
            )
            for ask in (spaces.get("k"), cloud.droplets()):
                with pytest.raises(Unreachable) as raised:
                    await ask
                _told(raised.value, cause)
                assert raised.value.sent is (
                    False if tls and scheme == "https" else raised.value.sent
                )
            await spaces.aclose()
            await cloud.aclose()

    asyncio.run(run())


def test_spaces_and_digitalocean_trust_a_file(tmp_path: Path) -> None:
    issued = make_certificate(tmp_path)

    async def run() -> None:
        site = Site(issued)
        async with site.open() as port:
            url = f"https://127.0.0.1:{port}"
            spaces = SpacesClient(url, "bucket", "key", "secret-secret", ca_file=str(issued.pem))
            cloud = DigitalOceanClient("token", endpoint=url, clock=CLOCK, ca_file=str(issued.pem))
            await spaces.delete("k")
            with pytest.raises(Unreachable, match="has no readable droplets"):
                await cloud.droplets()
            await spaces.aclose()
            await cloud.aclose()
        assert [r.method for r in site.requests] == ["DELETE", "GET"]

    asyncio.run(run())


def test_redis_reports_the_cause(tmp_path: Path) -> None:
    async def why(url: str) -> Unreachable:
        store = RedisStore(url, reply_within=2.0)
        with pytest.raises(Unreachable) as raised:
            await store.get("x")
        await store.aclose()
        return raised.value

    async def run() -> list[Unreachable]:
        async with Site(make_certificate(tmp_path)).open() as tls, Site(None).open() as plain:
            return [
                await why(url)
                for url in (
                    f"rediss://:hunter2@127.0.0.1:{tls}",
                    f"rediss://:hunter2@127.0.0.1:{plain}",
                    f"redis://:hunter2@127.0.0.1:{plain}",
                    "redis://:hunter2@127.0.0.1:1",
                    "redis://:hunter2@no-such-host.invalid",
                )
            ]

    errors = asyncio.run(run())
    assert [e.cause for e in errors] == [
        "certificate not trusted (self-signed certificate)",
        "TLS mismatch: that port answers without TLS",
        "the server there does not speak Redis",
        "connection refused",
        "no such host",
    ]
    assert "state.redis_ca_file" in errors[0].remedy
    assert "hunter2" not in str([(str(e), e.remedy) for e in errors])


def test_a_certificate_that_cannot_be_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = make_certificate(tmp_path)

    def damaged(*_: object) -> None:
        raise ValueError("bad DER")

    monkeypatch.setattr(x509, "read_certificate", damaged)
    seen = asked(
        issued, lambda http, port: http.certificate_of(f"https://127.0.0.1:{port}/"), issued.pem
    )
    assert seen == NoCertificate("its certificate cannot be read")
