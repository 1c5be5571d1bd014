"""Why a call to the outside failed: one function from any library's exception to a cause in words, with the remedy.

No text of a library is repeated: some quote addresses with passwords, bodies or values. What is said comes from this page, from error
numbers, and from OpenSSL's own constants. Classes are compared by name, so that no library is loaded to judge another's error.
"""

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

DEEPEST = 20  # exceptions that are looked through beneath one


@dataclass(frozen=True)
class Cause:
    """What happened, for the end of a sentence, and what a person does about it."""

    said: str
    remedy: str = ""


ROUTE = "check network, firewall and VPC between this machine and that address"
RUNS = "check that it runs and listens on that port, and that no firewall refuses"
SCHEME = "correct scheme or port of the address"
PROXY = "correct HTTPS_PROXY, or add the host to NO_PROXY"
RESET = "the connection was reset"
REFUSED = "connection refused"  # an answer of the host itself: it is there, and nothing listens
CLOCK = "check this machine's clock; else replace the certificate"

# The other side was reached, and refused.
ANSWERS = {
    "asyncssh.PermissionDenied": Cause(
        "the SSH key was refused", "use the private key of the deployment (<STACK>-ssh-key)"
    ),
    "asyncssh.KeyExchangeFailed": Cause(
        "no common SSH algorithm", "check the SSH server's configuration on the node"
    ),
    "asyncssh.HostKeyNotVerifiable": Cause(
        "the host key is not the expected one", "find out who answers there before anything else"
    ),
    "asyncssh.ProtocolError": Cause("what answers there is not SSH", "correct the SSH port"),
    "asyncssh.ProtocolNotSupported": Cause("what answers there is not SSH", "correct the SSH port"),
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
        "no rights (NOPERM): this Redis user may not run what the bot needs",
        "give that user the rights",
    ),
    "redis.InvalidResponse": Cause(
        "what answers there is not Redis",
        "correct host and port in REDIS_URL; rediss:// is for TLS",
    ),
    "redis.BusyLoadingError": Cause("Redis is still loading its data", "wait until it has"),
    "redis.ReadOnlyError": Cause(
        "this Redis is a replica and takes no writes",
        "name the primary in REDIS_URL, or go through Sentinel",
    ),
    "redis.OutOfMemoryError": Cause("Redis is full", "give it more memory"),
    "redis.MaxConnectionsError": Cause(
        "Redis takes no more connections", "raise maxclients, or find who holds them"
    ),
    "redis.MasterNotFoundError": Cause(
        "no Sentinel names a primary",
        "check that the Sentinels answer and know a service of that name",
    ),
    "redis.ResponseError": Cause("Redis answered with an error", "see Redis's log"),
    "aiohttp.ClientHttpProxyError": Cause("the proxy refused", PROXY),
    "aiohttp.WSServerHandshakeError": Cause("what answers there opens no socket", SCHEME),
    "aiohttp.InvalidURL": Cause("not an address that can be asked", "correct the address"),
    "aiohttp.BadStatusLine": Cause("what answers there is not HTTP", SCHEME),
    "botocore.NoCredentialsError": Cause(
        "there is no Spaces key", "set SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY"
    ),
    "botocore.ParamValidationError": Cause(
        "the request is not one that S3 knows", "check the bucket's name"
    ),
    "botocore.ResponseParserError": Cause("what answers there is not S3", "correct the endpoint"),
    "azure.DecodeError": Cause(
        "the answer is not JSON", "check that no proxy answers instead of DigitalOcean"
    ),
    "slack_sdk.SlackRequestError": Cause("the request could not be made", "report it"),
    "json.JSONDecodeError": Cause(
        "the answer is not JSON", "check that no proxy answers in its place"
    ),
}

# No answer; nothing more is known.
SILENCES = {
    "aiohttp.ClientProxyConnectionError": Cause("the proxy cannot be reached", PROXY),
    "aiohttp.ConnectionTimeoutError": Cause("connecting timed out", ROUTE),
    "aiohttp.ClientPayloadError": Cause("the answer was cut off", "try again"),
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
    "botocore.IncompleteReadError": Cause("the answer was cut off", "try again"),
    "asyncssh.ConnectionLost": Cause("the connection was lost", ROUTE),
    "asyncssh.DisconnectError": Cause(
        "the SSH server hung up", "check the SSH server's log on the node"
    ),
    "redis.TimeoutError": Cause("no answer in time", ROUTE),
    "builtins.TimeoutError": Cause("no answer in time", ROUTE),
    "http.RemoteDisconnected": Cause(
        "it closed the connection without an answer", "check what listens on that port"
    ),
    "builtins.ConnectionResetError": Cause(
        RESET, "check what listens on that port, and what stands in between"
    ),
}

# What libraries say when they know as little as this.
VAGUE = {
    "redis.ConnectionError": Cause(
        "the connection was lost", "check that Redis runs, and whether it expects TLS (rediss://)"
    ),
    "redis.RedisError": Cause("Redis could not be asked", "see Redis's log"),
    "azure.AzureError": Cause("the connection was lost", ROUTE),
    "botocore.HTTPClientError": Cause("the connection was lost", ROUTE),
    "aiohttp.ClientError": Cause("the connection was lost", ROUTE),
    "builtins.ConnectionError": Cause("the connection was lost", ROUTE),
    "builtins.EOFError": Cause("the connection was lost", ROUTE),
    "builtins.ValueError": Cause("what came makes no sense", "check who answers there"),
    "builtins.LookupError": Cause("what came lacks a part", "check who answers there"),
    "builtins.TypeError": Cause("what came is of another shape", "check who answers there"),
}

NUMBERS = {
    errno.ECONNREFUSED: Cause(REFUSED, RUNS),
    errno.ENETUNREACH: Cause("no route to it", ROUTE),
    errno.EHOSTUNREACH: Cause("no route to it", ROUTE),
    errno.ENETDOWN: Cause("this machine has no network", "bring the network up"),
    errno.ECONNRESET: Cause(RESET, "check what listens on that port, and what stands in between"),
    errno.ECONNABORTED: Cause(RESET, "check what listens on that port, and what stands in between"),
    errno.EPIPE: Cause(RESET, "check what listens on that port, and what stands in between"),
    errno.ETIMEDOUT: Cause("connecting timed out", ROUTE),
    errno.EACCES: Cause(
        "no rights: this machine does not let the bot's user do that",
        "check file modes, sandbox and local firewall",
    ),
    errno.EPERM: Cause(
        "no rights: this machine does not let the bot's user do that",
        "check file modes, sandbox and local firewall",
    ),
    errno.EMFILE: Cause("too many open files in this process", "raise its limit of open files"),
    errno.ENFILE: Cause("too many open files on this machine", "raise its limit of open files"),
    errno.ENOSPC: Cause("no space left on the disk", "make room"),
    errno.ENOENT: Cause("no such file or socket", "correct the path"),
}

NO_TLS = re.compile(
    r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNKNOWN_PROTOCOL|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG|WRONG_SSL_VERSION"
)
OLD_TLS = re.compile(
    r"UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|NO_PROTOCOLS_AVAILABLE|VERSION_TOO_LOW|NO_SHARED_CIPHER|INSUFFICIENT_SECURITY"
)
WANTS_ONE = re.compile(r"CERTIFICATE_REQUIRED|ALERT_BAD_CERTIFICATE|PEER_DID_NOT_RETURN")
ALERT = re.compile(r"(?:SSLV3|TLSV1|TLSV1[0-3]|TLSV13)_(?:ALERT_)?([A-Z_]+)")
OPENSSL = ssl.SSLError.__module__  # libraries derive classes of their own, which know no reason
EXPIRED, NOT_YET, OTHER_HOST, OTHER_ADDRESS = 10, 9, 62, 64  # X509_V_ERR_*


def cause_of(trouble: BaseException, ca: str = "") -> Cause:
    """Why that call failed. `ca`: the setting that says whose certificates are trusted at that address."""
    chain = list(_beneath(trouble))
    if (answered := _by_class(trouble, ANSWERS)) is not None:
        return answered
    for rule in (_certificate, _tls, _name, _number):
        for each in chain:
            if (found := rule(each)) is not None:
                return _at_the_proxy(chain, _with_ca(found, ca))
    for table in (ANSWERS, SILENCES, VAGUE):
        for each in chain:
            if (found := _by_class(each, table)) is not None:
                return found
    return Cause(
        f"an error that the bot does not know ({_named(type(trouble))})",
        "report it, with what was being done",
    )


def is_certificate(trouble: BaseException) -> bool:
    """Whether it failed because this machine does not accept the certificate that was shown."""
    return any(isinstance(each, ssl.SSLCertVerificationError) for each in _beneath(trouble))


def _beneath(trouble: BaseException) -> Iterator[BaseException]:
    """That exception and those it was made of, the nearest first."""
    waiting, seen = [trouble], set[int]()
    while waiting and len(seen) < DEEPEST:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        kept = getattr(each, "kwargs", None)  # botocore's
        held = (
            getattr(each, "inner_exception", None),
            getattr(each, "os_error", None),
            *each.args,
            *getattr(each, "exceptions", ()),
        )
        inside = (*held, *(kept.values() if isinstance(kept, dict) else ()), each.__cause__)
        waiting += [e for e in inside if isinstance(e, BaseException)]
        if each.__context__ is not None and not each.__suppress_context__:
            waiting.append(each.__context__)


def _by_class(trouble: BaseException, table: dict[str, Cause]) -> Cause | None:
    return next(
        (table[name] for kind in type(trouble).__mro__ if (name := _named(kind)) in table), None
    )


def _named(kind: type) -> str:
    """`asyncssh.PermissionDenied`, wherever within its library a class is written."""
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def _certificate(trouble: BaseException) -> Cause | None:
    if not isinstance(trouble, ssl.SSLCertVerificationError) or type(trouble).__module__ != OPENSSL:
        return None
    code, said = getattr(trouble, "verify_code", 0), str(getattr(trouble, "verify_message", ""))
    if code == EXPIRED:
        return Cause("certificate expired", "renew it there")
    if code == NOT_YET:
        return Cause("certificate not valid yet", CLOCK)
    if code in (OTHER_HOST, OTHER_ADDRESS):
        wanted = re.search(r"not valid for '([\w.:-]{1,255})'", said)
        named = f", not for {wanted[1]}" if wanted else ""
        return Cause(
            f"certificate for another name{named}", "use the name that the certificate is for"
        )
    why = re.sub(r"[^a-z0-9 -]", "", said.lower())[:80]
    words = f"certificate not trusted ({why})" if why else "certificate not trusted"
    return Cause(words, "put its authority's certificate (PEM) into a ca_file")


def _tls(trouble: BaseException) -> Cause | None:
    if not isinstance(trouble, ssl.SSLError) or type(trouble).__module__ != OPENSSL:
        return None
    reason = str(getattr(trouble, "reason", None) or "")
    if NO_TLS.search(reason):
        return Cause("TLS mismatch: that port answers without TLS", SCHEME)
    if OLD_TLS.search(reason):
        return Cause(
            "TLS mismatch: no version or cipher in common",
            "bring the older side up to date (TLS 1.2 at least)",
        )
    if WANTS_ONE.search(reason):
        return Cause(
            "TLS mismatch: it asks for a client certificate", "use an address that asks for none"
        )
    if isinstance(trouble, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Cause(
            "it hung up during the TLS handshake",
            "check that this port speaks TLS, and for this name",
        )
    alert = ALERT.fullmatch(reason)
    words = f" ({alert[1].lower().replace('_', ' ')})" if alert else ""
    return Cause(
        f"it refused the TLS handshake{words}", "check that it has a certificate for this name"
    )


def _name(trouble: BaseException) -> Cause | None:
    if not isinstance(trouble, socket.gaierror):
        return None
    if trouble.errno == socket.EAI_AGAIN:
        return Cause("the name server does not answer", "check DNS on this machine")
    return Cause("no such host", "correct the host's name, or its DNS entry")


def _number(trouble: BaseException) -> Cause | None:
    """By the system's own error number. A library's class may carry one that means something else."""
    plain = type(trouble).__module__ == "builtins" and isinstance(trouble, OSError)
    return NUMBERS.get(getattr(trouble, "errno", None) or 0) if plain else None


def _with_ca(found: Cause, ca: str) -> Cause:
    return Cause(found.said, found.remedy.replace("a ca_file", ca)) if ca else found


def _at_the_proxy(chain: list[BaseException], found: Cause) -> Cause:
    proxied = ("aiohttp.ClientProxyConnectionError", "botocore.ProxyConnectionError")
    if any(_named(type(each)) in proxied for each in chain):
        return Cause(f"the proxy cannot be reached ({found.said})", PROXY)
    return found
