"""TLS: whom this machine trusts, and what a certificate says."""

import ssl
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from services.cluster.certificates import Certificate, moment
from services.common.causes import Cause
from services.common.text import namelike

if TYPE_CHECKING:
    from cryptography import x509

NAMES = 5  # that are listed; a certificate may hold a hundred
_COMMON_NAME, _ORGANIZATION = "2.5.4.3", "2.5.4.10"
_CALLED = (_COMMON_NAME, _ORGANIZATION)


def trust(ca_file: str | None) -> ssl.SSLContext:
    """Checks certificates: against those of that file alone, else against this machine's authorities (or SSL_CERT_FILE's)."""
    context = ssl.create_default_context(cafile=ca_file)
    if ca_file is not None:
        # The file may hold a server's own certificate, and private authorities lack what the strict reading of Python 3.13 asks for.
        context.verify_flags = (
            context.verify_flags | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        ) & ~ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


def only_to_look() -> ssl.SSLContext:
    """Accepts any certificate, to read one that was refused. Nothing secret may be sent over it, and nothing that comes is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def watch(context: ssl.SSLContext) -> list[bytes]:
    """The certificates (DER) that handshakes under that context show from now on."""
    shown: list[bytes] = []

    class Watched(ssl.SSLObject):
        """Keeps what the other side showed."""

        def do_handshake(self) -> None:
            super().do_handshake()
            shown.append(self.getpeercert(binary_form=True) or b"")

    context.sslobject_class = Watched
    return shown


def read_certificate(der: bytes, address: str, refused: Cause | None, now: float) -> Certificate:
    """What it says. `refused`: why this machine does not accept it; dates and names are added to that."""
    from cryptography import x509  # noqa: PLC0415 - 10 MB, and asked for once an hour

    found = x509.load_der_x509_certificate(der)
    issuer = next(
        (str(a.value) for oid in _CALLED for a in found.issuer if a.oid.dotted_string == oid), ""
    )
    begins, ends = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
    seen = Certificate(address, _names(found), namelike(issuer), begins, ends)
    return (
        seen
        if refused is None
        else replace(seen, trouble=_trouble(seen, refused, now), remedy=refused.remedy)
    )


def host_of(address: str) -> str:
    """The host in an address."""
    return urlsplit(address).hostname or ""


def _names(certificate: "x509.Certificate") -> tuple[str, ...]:
    """Whom it is for; a certificate that says so in its subject alone is of the old kind, and is believed by that."""
    from cryptography import x509  # noqa: PLC0415 - see above

    try:
        said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [
            *said.get_values_for_type(x509.DNSName),
            *(str(a) for a in said.get_values_for_type(x509.IPAddress)),
        ]
    except (x509.ExtensionNotFound, ValueError):
        names = [str(a.value) for a in certificate.subject if a.oid.dotted_string == _COMMON_NAME]
    return tuple(
        namelike(name) if "*" not in name else f"*{namelike(name.replace('*', ''))}"
        for name in names
    )


def _trouble(seen: Certificate, refused: Cause, now: float) -> str:
    """List everything that is wrong with it, so that one fix does not only uncover the next problem."""
    host = host_of(seen.address)
    wrong = (
        [refused.said.removeprefix("certificate ")]
        if refused.said.startswith("certificate not trusted")
        else []
    )
    if seen.ends <= now:
        wrong.append(f"expired on {moment(seen.ends)}")
    if now < seen.begins:
        wrong.append(f"not valid before {moment(seen.begins)}")
    if not _is_for(host, seen.names):
        theirs = ", ".join(seen.names[:NAMES]) or "no name"
        more = f" and {len(seen.names) - NAMES} more" if len(seen.names) > NAMES else ""
        wrong.append(f"for another name ({theirs}{more}, not {host})")
    return f"certificate {', '.join(wrong)}" if wrong else refused.said


def _is_for(host: str, names: tuple[str, ...]) -> bool:
    try:
        return str(ip_address(host)) in names
    except ValueError:
        wild = f"*.{host.partition('.')[2]}"
        return any(
            name.casefold().rstrip(".") in (host.casefold().rstrip("."), wild.casefold())
            for name in names
        )
