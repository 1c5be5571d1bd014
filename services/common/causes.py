"""Why an external call failed: maps the exception of any library to a cause with its remedy.

No text of a library is repeated: some quote addresses with passwords, bodies or values. The texts
come from this module, from error numbers, and from OpenSSL's constants. Classes are compared by
name, so that no library is imported just to recognize its errors.
"""

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace

# Nested exceptions that are examined at most.
DEEPEST = 20


@dataclass(frozen=True)
class Cause:
    """What happened, as the end of a sentence, and what a person can do about it."""

    text: str
    remedy: str = ""
    # This machine does not trust the certificate, for this reason.
    untrusted: str = ""


ROUTE = "check network, firewall and VPC between this machine and that address"
RUNS = "check that it runs and listens on that port, and that no firewall refuses"
SCHEME = "correct scheme or port of the address"
PROXY = "correct HTTPS_PROXY, or add the host to NO_PROXY"
RESET = "the connection was reset"
# An answer of the host itself: it is up, and nothing listens on the port.
REFUSED = "connection refused"
CLOCK = "check this machine's clock; else replace the certificate"

# The other side was reached, and answered with a refusal.
ANSWERS = {
    "asyncssh.PermissionDenied": Cause(
        "the SSH key was refused", "use the private key of the deployment (<STACK>-ssh-key)"
    ),
    "asyncssh.KeyExchangeFailed": Cause(
        "no common SSH algorithm", "check the SSH server's configuration on the node"
    ),
    "asyncssh.HostKeyNotVerifiable": Cause(
        "the host key is not the expected one",
        "verify which server answers there before anything else",
    ),
    "asyncssh.ProtocolError": Cause("the server there does not speak SSH", "correct the SSH port"),
    "asyncssh.ProtocolNotSupported": Cause(
        "the server there does not speak SSH", "correct the SSH port"
    ),
    "asyncssh.ServiceNotAvailable": Cause(
        "the SSH server offers no login", "check the SSH server's configuration on the node"
    ),
    "asyncssh.ChannelOpenError": Cause(
        "the SSH server runs no command", "check the SSH server's configuration on the node"
    ),
    "redis.AuthenticationError": Cause(
        "Redis wants a password, or refused the one it got",
        "correct user and password in REDIS_URL",
    ),
    "redis.NoPermissionError": Cause(
        "no permission (NOPERM): this Redis user may not run what the bot needs",
        "grant that user the permissions",
    ),
    "redis.InvalidResponse": Cause(
        "the server there does not speak Redis",
        "correct host and port in REDIS_URL; rediss:// is for TLS",
    ),
    "redis.BusyLoadingError": Cause("Redis is still loading its data", "wait until it is loaded"),
    "redis.ReadOnlyError": Cause(
        "this Redis is a replica and takes no writes",
        "name the primary in REDIS_URL, or go through Sentinel",
    ),
    "redis.OutOfMemoryError": Cause("Redis is full", "give it more memory"),
    "redis.MaxConnectionsError": Cause(
        "Redis accepts no more connections", "raise maxclients, or find what uses them"
    ),
    "redis.MasterNotFoundError": Cause(
        "no Sentinel names a primary",
        "check that the Sentinels answer and know a service of that name",
    ),
    "redis.ResponseError": Cause("Redis answered with an error", "see Redis's log"),
    "aiohttp.ClientHttpProxyError": Cause("the proxy refused", PROXY),
    "aiohttp.WSServerHandshakeError": Cause("the server there opens no WebSocket", SCHEME),
    "aiohttp.InvalidURL": Cause("not a usable address", "correct the address"),
    "aiohttp.BadStatusLine": Cause("the server there does not speak HTTP", SCHEME),
    "botocore.NoCredentialsError": Cause(
        "there is no Spaces key", "set SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY"
    ),
    "botocore.ParamValidationError": Cause(
        "S3 does not accept the request", "check the bucket's name"
    ),
    "botocore.ResponseParserError": Cause(
        "the server there does not speak S3", "correct the endpoint"
    ),
    "azure.DecodeError": Cause(
        "the answer is not JSON", "check that no proxy answers instead of DigitalOcean"
    ),
    "slack_sdk.SlackRequestError": Cause("the request could not be made", "report it"),
    "json.JSONDecodeError": Cause("the answer is not JSON", "check that no proxy answers instead"),
}

# No answer, for a known reason.
SILENCES = {
    "aiohttp.ClientProxyConnectionError": Cause("the proxy cannot be reached", PROXY),
    "aiohttp.ConnectionTimeoutError": Cause("connecting timed out", ROUTE),
    "aiohttp.ClientPayloadError": Cause("the answer was truncated", "try again"),
    "aiohttp.ServerDisconnectedError": Cause(
        "it closed the connection without an answer", "check what listens on that port"
    ),
    "azure.ServiceRequestTimeoutError": Cause("connecting timed out", ROUTE),
    "azure.ServiceResponseTimeoutError": Cause("no answer in time", ROUTE),
    "botocore.ProxyConnectionError": Cause("the proxy cannot be reached", PROXY),
    "botocore.ConnectTimeoutError": Cause("connecting timed out", ROUTE),
    "botocore.ReadTimeoutError": Cause("no answer in time", ROUTE),
    "botocore.EndpointConnectionError": Cause("no connection", ROUTE),
    "botocore.ConnectionClosedError": Cause(
        "it closed the connection without an answer", "check what listens on that port"
    ),
    "botocore.IncompleteReadError": Cause("the answer was truncated", "try again"),
    "asyncssh.ConnectionLost": Cause("the connection was lost", ROUTE),
    "asyncssh.DisconnectError": Cause(
        "the SSH server closed the connection", "check the SSH server's log on the node"
    ),
    "redis.TimeoutError": Cause("no answer in time", ROUTE),
    "builtins.TimeoutError": Cause("no answer in time", ROUTE),
    "http.RemoteDisconnected": Cause(
        "it closed the connection without an answer", "check what listens on that port"
    ),
    "builtins.ConnectionResetError": Cause(
        RESET, "check what listens on that port, and any proxy in between"
    ),
}

# Base classes that libraries raise when they know no more themselves.
VAGUE = {
    "redis.ConnectionError": Cause(
        "the connection was lost", "check that Redis runs, and whether it expects TLS (rediss://)"
    ),
    "redis.RedisError": Cause("Redis could not be reached", "see Redis's log"),
    "azure.AzureError": Cause("the connection was lost", ROUTE),
    "botocore.HTTPClientError": Cause("the connection was lost", ROUTE),
    "aiohttp.ClientError": Cause("the connection was lost", ROUTE),
    "builtins.ConnectionError": Cause("the connection was lost", ROUTE),
    "builtins.EOFError": Cause("the connection was lost", ROUTE),
    "builtins.ValueError": Cause("the answer is invalid", "check which server answers there"),
    "builtins.LookupError": Cause("the answer is incomplete", "check which server answers there"),
    "builtins.TypeError": Cause(
        "the answer has an unexpected structure", "check which server answers there"
    ),
}

NUMBERS = {
    errno.ECONNREFUSED: Cause(REFUSED, RUNS),
    errno.ENETUNREACH: Cause("no route to it", ROUTE),
    errno.EHOSTUNREACH: Cause("no route to it", ROUTE),
    errno.ENETDOWN: Cause("this machine has no network", "enable the network"),
    errno.ECONNRESET: Cause(RESET, "check what listens on that port, and any proxy in between"),
    errno.ECONNABORTED: Cause(RESET, "check what listens on that port, and any proxy in between"),
    errno.EPIPE: Cause(RESET, "check what listens on that port, and any proxy in between"),
    errno.ETIMEDOUT: Cause("connecting timed out", ROUTE),
    errno.EACCES: Cause(
        "no permission: this machine does not allow the bot's user to do that",
        "check file modes, sandbox and local firewall",
    ),
    errno.EPERM: Cause(
        "no permission: this machine does not allow the bot's user to do that",
        "check file modes, sandbox and local firewall",
    ),
    errno.EMFILE: Cause("too many open files in this process", "raise its limit of open files"),
    errno.ENFILE: Cause("too many open files on this machine", "raise its limit of open files"),
    errno.ENOSPC: Cause("no space left on the disk", "free some space"),
    errno.ENOENT: Cause("no such file or socket", "correct the path"),
}

# OpenSSL's reasons.
NO_TLS = re.compile(
    "WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNKNOWN_PROTOCOL|HTTP_REQUEST"
    "|PACKET_LENGTH_TOO_LONG|WRONG_SSL_VERSION"
)
OLD_TLS = re.compile(
    "UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|NO_PROTOCOLS_AVAILABLE|VERSION_TOO_LOW"
    "|NO_SHARED_CIPHER|INSUFFICIENT_SECURITY"
)
WANTS_ONE = re.compile(r"CERTIFICATE_REQUIRED|ALERT_BAD_CERTIFICATE|PEER_DID_NOT_RETURN")
ALERT = re.compile(r"(?:SSLV3|TLSV1|TLSV1[0-3]|TLSV13)_(?:ALERT_)?([A-Z_]+)")
# Libraries derive classes of their own, which carry no reason.
OPENSSL = ssl.SSLError.__module__
# X509_V_ERR_*
EXPIRED, NOT_YET, OTHER_HOST, OTHER_ADDRESS = 10, 9, 62, 64
PROXIED = ("aiohttp.ClientProxyConnectionError", "botocore.ProxyConnectionError")


def cause_of(error: BaseException, ca: str = "") -> Cause:
    """Return why a call failed. `ca`: the setting that names the CA file for that address."""
    chain = list(_nested(error))
    if (answered := _by_class(error, ANSWERS)) is not None:
        return answered
    for rule in (_certificate, _tls, _name, _number):
        for each in chain:
            if (cause := rule(each)) is not None:
                return _at_the_proxy(chain, _with_ca(cause, ca))
    for table in (ANSWERS, SILENCES, VAGUE):
        for each in chain:
            if (cause := _by_class(each, table)) is not None:
                return cause
    return Cause(
        f"an unknown error ({_class_name(type(error))})",
        "report it, with what you did",
    )


def is_certificate_error(error: BaseException) -> bool:
    """Return whether a call failed because this machine does not accept the peer's certificate."""
    return any(isinstance(each, ssl.SSLCertVerificationError) for each in _nested(error))


def _nested(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those it was made from, the nearest first."""
    queue, seen = [error], set[int]()
    while queue and len(seen) < DEEPEST:
        each = queue.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        queue += [e for e in _held(each) if isinstance(e, BaseException)]
        if each.__context__ is not None and not each.__suppress_context__:
            queue.append(each.__context__)


def _held(error: BaseException) -> Iterator[object]:
    """Yield everything that may be an exception inside of this one."""
    yield getattr(error, "inner_exception", None)
    yield getattr(error, "os_error", None)
    yield from error.args
    yield from getattr(error, "exceptions", ())
    botocore_arguments = getattr(error, "kwargs", None)
    if isinstance(botocore_arguments, dict):
        yield from botocore_arguments.values()
    yield error.__cause__


def _by_class(error: BaseException, table: dict[str, Cause]) -> Cause | None:
    names = (_class_name(kind) for kind in type(error).__mro__)
    return next((table[name] for name in names if name in table), None)


def _class_name(kind: type) -> str:
    """Return `asyncssh.PermissionDenied`, in whichever module of its library it is defined."""
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def _certificate(error: BaseException) -> Cause | None:
    if not isinstance(error, ssl.SSLCertVerificationError) or type(error).__module__ != OPENSSL:
        return None
    code, message = getattr(error, "verify_code", 0), str(getattr(error, "verify_message", ""))
    if code == EXPIRED:
        return Cause("certificate expired", "renew it on that server")
    if code == NOT_YET:
        return Cause("certificate not valid yet", CLOCK)
    if code in (OTHER_HOST, OTHER_ADDRESS):
        wanted = re.search(r"not valid for '([\w.:-]{1,255})'", message)
        named = f", not for {wanted[1]}" if wanted else ""
        return Cause(
            f"certificate for another name{named}", "use the name that the certificate is for"
        )
    why = re.sub(r"[^a-z0-9 -]", "", message.lower())[:80]
    untrusted = f"not trusted ({why})" if why else "not trusted"
    return Cause(
        f"certificate {untrusted}",
        "add the certificate (PEM) of its authority to a ca_file",
        untrusted,
    )


def _tls(error: BaseException) -> Cause | None:
    if not isinstance(error, ssl.SSLError) or type(error).__module__ != OPENSSL:
        return None
    reason = str(getattr(error, "reason", None) or "")
    if NO_TLS.search(reason):
        return Cause("TLS mismatch: that port answers without TLS", SCHEME)
    if OLD_TLS.search(reason):
        return Cause(
            "TLS mismatch: no version or cipher in common",
            "update the older side (TLS 1.2 at least)",
        )
    if WANTS_ONE.search(reason):
        return Cause(
            "TLS mismatch: it requires a client certificate", "use an address that requires none"
        )
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Cause(
            "it closed the connection during the TLS handshake",
            "check that this port speaks TLS, and for this name",
        )
    alert = ALERT.fullmatch(reason)
    detail = f" ({alert[1].lower().replace('_', ' ')})" if alert else ""
    return Cause(
        f"it refused the TLS handshake{detail}", "check that it has a certificate for this name"
    )


def _name(error: BaseException) -> Cause | None:
    if not isinstance(error, socket.gaierror):
        return None
    if error.errno == socket.EAI_AGAIN:
        return Cause("the name server does not answer", "check DNS on this machine")
    return Cause("no such host", "correct the host's name, or its DNS entry")


def _number(error: BaseException) -> Cause | None:
    """Look up the system's error number; in a library's class `errno` may mean something else."""
    if type(error).__module__ != "builtins" or not isinstance(error, OSError):
        return None
    return NUMBERS.get(error.errno or 0)


def _with_ca(cause: Cause, ca: str) -> Cause:
    if not ca:
        return cause
    return replace(cause, remedy=cause.remedy.replace("a ca_file", ca))


def _at_the_proxy(chain: list[BaseException], cause: Cause) -> Cause:
    if any(_class_name(type(each)) in PROXIED for each in chain):
        return Cause(f"the proxy cannot be reached ({cause.text})", PROXY)
    return cause
