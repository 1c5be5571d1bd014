"""SSH host keys: which are offered, expected and accepted.

A host's key is pinned by its droplet's id when it is first seen: addresses are reused, droplet ids
are not.
"""

from collections.abc import Callable

import asyncssh
from typing_extensions import override

from services.common.causes import Cause, cause_of
from services.common.errors import Refused

# The kinds of host keys, and the signatures that each makes.
HOST_KEYS = {
    "ed25519": ["ssh-ed25519"],
    "ecdsa": ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"],
    "rsa": ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
}
EVERY_ALGORITHM = [name for names in HOST_KEYS.values() for name in names]


class HostKeyCheck:
    """Compares the key that a host shows with the pinned one.

    `trusting`: accepts any key where none is pinned.
    """

    def __init__(self, pinned: str | None, *, trusting: bool) -> None:
        self.pinned = pinned
        self.trusting = trusting
        self.seen = ""

    def client_factory(self) -> type[asyncssh.SSHClient]:
        """Return the class through which asyncssh asks this check."""
        accepts = self.accepts

        class Client(asyncssh.SSHClient):
            """Passes the host's key on to the check."""

            @override
            def validate_host_public_key(
                self, host: str, addr: str, port: int, key: asyncssh.SSHKey
            ) -> bool:
                return accepts(one_line(key))

        return Client

    def accepts(self, key: str) -> bool:
        """Whether this is the expected host."""
        self.seen = key
        if self.pinned is None:
            return self.trusting
        return self.pinned == key


def one_line(key: asyncssh.SSHKey) -> str:
    """Return a key as `algorithm base64`."""
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


def fingerprint_of(key: str) -> str:
    """Return a host key (`algorithm base64`) as people compare it: `ed25519 SHA256:...`."""
    algorithm = key.partition(" ")[0]
    kind = next((name for name, names in HOST_KEYS.items() if algorithm in names), algorithm)
    try:
        return f"{kind} {asyncssh.import_public_key(key).get_fingerprint()}"
    except ValueError:
        return "a key that cannot be read"


def preferred_algorithms(expected: list[str]) -> list[str]:
    """Return every signature algorithm, those of the expected keys first.

    A host has several keys. The other kinds follow, so that a host that offers only those is
    recognized as changed, and not as one that does not answer.
    """
    wanted = [name for key in expected for name in _signatures(key)]
    return list(dict.fromkeys([*wanted, *EVERY_ALGORITHM]))


async def offered_keys(address: str, port: int, found: Callable[[str], None]) -> None:
    """Report one host key of each kind that is offered there, as `algorithm base64`.

    Raises what asyncssh raises. A server without further keys closes the connection, which asyncssh
    reports as an error as well.
    """
    kinds = list(HOST_KEYS)
    while kinds:
        # A server shows the first of the requested kinds that it has: those before it are missing,
        # those behind it may exist.
        wanted = [name for kind in kinds for name in HOST_KEYS[kind]]
        key = await asyncssh.get_server_host_key(
            address, port, server_host_key_algs=wanted, config=None
        )
        if key is None:
            return
        found(one_line(key))
        kinds = _kinds_after(kinds, key.get_algorithm())


def read_known_hosts(file: str) -> asyncssh.SSHKnownHosts:
    """Return the content of a known_hosts file. Refused when it cannot be read."""
    try:
        return asyncssh.read_known_hosts(file)
    except OSError as error:
        why = cause_of(error)
    except ValueError:
        why = Cause("a line of it cannot be read", "write it as ssh-keyscan does: HOST KIND KEY")
    raise Refused(f"known hosts {file}: {why.text}", cause=why.text, remedy=why.remedy)


def _kinds_after(kinds: list[str], algorithm: str) -> list[str]:
    for number, kind in enumerate(kinds, 1):
        if algorithm in HOST_KEYS[kind]:
            return kinds[number:]
    return []


def _signatures(key: str) -> list[str]:
    """Return the signature algorithms of a host that has this key. Refused when it is damaged."""
    try:
        return [name.decode() for name in asyncssh.import_public_key(key).sig_algorithms]
    except ValueError:
        why = "its pinned host key cannot be read"
    raise Refused(
        why,
        cause=why,
        remedy="delete it (how-to on incidents) once you have verified which server answers there",
    )
