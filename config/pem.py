"""Checks that a file holds certificates that OpenSSL can read."""

import ssl
from pathlib import Path

MAX_SIZE = 8 * 1024 * 1024  # bytes; a system's whole list of authorities has 0.3 MB
PEM = "certificates in PEM form"
CONVERT = "openssl x509 -inform der -in FILE -out FILE.pem"


def wrong_with_pem(file: Path) -> str:
    """Return what is wrong with a file as a clause ("which is empty"); "" if nothing is."""
    try:
        if file.is_symlink() and not file.exists():
            return "which is a link to nothing"
        if file.is_dir():
            return "which is a folder"
        if not file.is_file():
            return "which is not a file"
        if file.stat().st_size > MAX_SIZE:
            return "which is too large for certificates"
        content = file.read_bytes()
    except PermissionError:
        return "which this user may not read"
    except OSError:
        return "which cannot be read"
    if not content.strip():
        return "which is empty"
    if _holds_certificates(file):
        return ""
    return _what_it_is(content)


def _holds_certificates(file: Path) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=file)
    except (OSError, ValueError):
        return False
    return context.cert_store_stats()["x509"] > 0


def _what_it_is(content: bytes) -> str:
    if b"BEGIN CERTIFICATE REQUEST" in content or b"BEGIN NEW CERTIFICATE REQUEST" in content:
        return "which holds a certificate request, not a certificate"
    if b"BEGIN CERTIFICATE" in content or b"BEGIN TRUSTED CERTIFICATE" in content:
        return "whose certificates cannot be read (truncated?)"
    if b"PRIVATE KEY" in content:
        return "which holds a private key, not certificates"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=content)
    except (ssl.SSLError, ValueError):
        return "which holds no certificate"
    return f"which is a certificate in DER form ({CONVERT})"
