"""TLS contexts: which certificates this machine trusts, and which one a server shows."""

import ssl
from urllib.parse import urlsplit

from typing_extensions import override


def trust(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that checks certificates: by that file alone, else as this machine does.

    This machine's authorities are OpenSSL's, or those of SSL_CERT_FILE.
    """
    context = ssl.create_default_context(cafile=ca_file)
    if ca_file is not None:
        # The file may hold a server's own certificate, and private authorities lack what the strict
        # check of Python 3.13 requires.
        partial_chain = context.verify_flags | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags = partial_chain & ~ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


def only_to_look() -> ssl.SSLContext:
    """Return a context that accepts any certificate, to read one that was refused.

    Nothing secret may be sent over it, and no answer may be believed.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def watch(context: ssl.SSLContext) -> list[bytes]:
    """Return a list that gets the certificates (DER) of this context's later handshakes."""
    shown: list[bytes] = []

    class Watched(ssl.SSLObject):
        """Keeps the certificate of the other side."""

        @override
        def do_handshake(self) -> None:
            super().do_handshake()
            shown.append(self.getpeercert(binary_form=True) or b"")

    context.sslobject_class = Watched
    return shown


def host_of(address: str) -> str:
    """Return the host in an address."""
    return urlsplit(address).hostname or ""
