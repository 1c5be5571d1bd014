"""Certificates of every kind, made on the spot, and servers that present them."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HERE = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class CertificateFiles:
    """A certificate and its key, in files."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    pem: Path
    key_pem: Path

    @property
    def ends(self) -> float:
        return self.certificate.not_valid_after_utc.timestamp()

    def context(self) -> ssl.SSLContext:
        """Return the context of a server that presents it."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.pem, self.key_pem)
        return context


def make_certificate(
    folder: Path,
    name: str = "own",
    names: tuple[str, ...] = HERE,
    *,
    days: tuple[float, float] = (-1, 60),
    by: CertificateFiles | None = None,
    authority: bool = False,
) -> CertificateFiles:
    """Make a certificate valid from and to so many days from now.

    Signed by itself, or `by` another.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"the {name} certificate")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(by.certificate.subject if by else own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
    )
    if authority:
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
    elif names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general(n) for n in names]), critical=False
        )
    certificate = builder.sign(by.key if by else key, SHA256())
    pem, key_pem = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return CertificateFiles(certificate, key, pem, key_pem)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@contextlib.asynccontextmanager
async def tls_in_front(url: str, made: CertificateFiles) -> AsyncIterator[str]:
    """Put TLS in front of the server of that http:// address, on the same host.

    Return its https:// address.
    """
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 80

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            theirs, ours = await asyncio.open_connection(host, port)
            with contextlib.suppress(OSError):
                await asyncio.gather(_pour(reader, ours), _pour(theirs, writer))
            ours.close()
        writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=made.context())
    try:
        yield f"https://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while part := await source.read(65536):
        target.write(part)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
