"""What a certificate contains: names, issuer, dates.

Importing this takes 10 MB: `http` does when it looks at its first certificate.
"""

from dataclasses import replace
from ipaddress import ip_address

from cryptography import x509

from services.cloud.clients.tls import host_of
from services.cluster.certificates import Certificate, utc_text
from services.common.causes import Cause
from services.common.text import sanitize_name

# Names that are listed; a certificate may hold a hundred.
NAMES = 5
_COMMON_NAME, _ORGANIZATION = "2.5.4.3", "2.5.4.10"
_ISSUER_FIELDS = (_COMMON_NAME, _ORGANIZATION)


def read_certificate(der: bytes, address: str, refused: Cause | None, now: float) -> Certificate:
    """Return what a certificate contains. ValueError when it cannot be read.

    `refused`: why this machine does not accept it; dates and names are added to that.
    """
    parsed = x509.load_der_x509_certificate(der)
    certificate = Certificate(
        address,
        _names(parsed),
        sanitize_name(_issuer(parsed)),
        parsed.not_valid_before_utc.timestamp(),
        parsed.not_valid_after_utc.timestamp(),
    )
    if refused is None:
        return certificate
    trouble = _trouble(certificate, refused, now)
    return replace(certificate, trouble=trouble, remedy=refused.remedy)


def _issuer(parsed: x509.Certificate) -> str:
    for oid in _ISSUER_FIELDS:
        for attribute in parsed.issuer:
            if attribute.oid.dotted_string == oid:
                return str(attribute.value)
    return ""


def _names(parsed: x509.Certificate) -> tuple[str, ...]:
    """Return the names it is valid for; of an old one without a list, the name in its subject."""
    try:
        extension = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        hosts = extension.value.get_values_for_type(x509.DNSName)
        addresses = extension.value.get_values_for_type(x509.IPAddress)
        names = [*hosts, *(str(address) for address in addresses)]
    except (x509.ExtensionNotFound, ValueError):
        names = [str(a.value) for a in parsed.subject if a.oid.dotted_string == _COMMON_NAME]
    return tuple(_safe_name(name) for name in names)


def _safe_name(name: str) -> str:
    if "*" not in name:
        return sanitize_name(name)
    without_star = sanitize_name(name.replace("*", ""))
    return f"*{without_star}"


def _trouble(certificate: Certificate, refused: Cause, now: float) -> str:
    """List everything that is wrong, so that one fix does not only uncover the next problem."""
    host = host_of(certificate.address)
    problems: list[str] = []
    if refused.untrusted:
        problems.append(refused.untrusted)
    if certificate.ends <= now:
        problems.append(f"expired on {utc_text(certificate.ends)}")
    if now < certificate.begins:
        problems.append(f"not valid before {utc_text(certificate.begins)}")
    if not _is_for(host, certificate.names):
        problems.append(f"for another name ({_listed(certificate.names)}, not {host})")
    if not problems:
        return refused.text
    return f"certificate {', '.join(problems)}"


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:NAMES]) or "no name"
    if len(names) > NAMES:
        return f"{shown} and {len(names) - NAMES} more"
    return shown


def _is_for(host: str, names: tuple[str, ...]) -> bool:
    try:
        return str(ip_address(host)) in names
    except ValueError:
        wildcard = f"*.{host.partition('.')[2]}"
    accepted = (host.casefold().rstrip("."), wildcard.casefold())
    return any(name.casefold().rstrip(".") in accepted for name in names)
