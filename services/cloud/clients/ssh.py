"""SSH to the nodes.

Success is an exit status that arrived. When a connection is lost, asyncssh returns normally without
a status while the command goes on: that is `Unreachable(sent=None)` here, and the caller has to
look.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from services.common.imports import import_once

if TYPE_CHECKING:
    from services.cloud.clients.ssh_pool import SshPool

IDLE_SECONDS = 90.0


@dataclass(frozen=True)
class Host:
    """A droplet and its address."""

    droplet_id: int
    address: str


@dataclass(frozen=True)
class Output:
    """What a command printed, and its exit status. Each stream is cut at 256 KiB."""

    exit_status: int
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True)
class Login:
    """How the bot logs in to the nodes of a cluster.

    `key_file`: None for the keys and agent of the bot's own user. `known_hosts`: a file of host
    keys to compare with; None to pin the key that each droplet shows first.
    """

    user: str
    port: int
    key_file: str | None
    known_hosts: str | None


class HostKeyPins(Protocol):
    """Remembers which key a droplet showed first."""

    async def get(self, droplet_id: int) -> str | None:
        """Return the key as `algorithm base64`, or None for a droplet that was never seen."""
        ...

    async def put(self, droplet_id: int, key: str) -> None:
        """Remember it."""
        ...


class SshClient:
    """Runs commands on nodes. One connection per droplet, kept for a while."""

    def __init__(
        self,
        user: str,
        port: int,
        key_file: str | None,
        known_hosts: str | None,
        pins: HostKeyPins,
        *,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._login = Login(user, port, key_file, known_hosts)
        self._pins = pins
        self._idle_seconds = idle_seconds
        self._opened: SshPool | None = None

    def __repr__(self) -> str:
        return f"Ssh({self._login.user}, port {self._login.port})"

    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output:
        """Run a command and wait for it. Sent once: after a lost answer, the caller has to look."""
        return await (await self._pool()).run(host, command, stdin, timeout)

    async def host_keys(self, host: Host, *, timeout: float) -> tuple[str, ...]:
        """Return the host keys offered there, one of each kind, as `algorithm base64`.

        Pins nothing and does not log in.
        """
        return await (await self._pool()).host_keys(host, timeout)

    async def aclose(self) -> None:
        """Close every connection. What runs detached on the nodes goes on."""
        if self._opened is not None:
            await self._opened.aclose()

    async def _pool(self) -> "SshPool":
        # With the first command and not at the start: asyncssh takes 11 MB and 0.1 s.
        await import_once("services.cloud.clients.ssh_pool")
        if self._opened is None:
            from services.cloud.clients.ssh_pool import SshPool  # noqa: PLC0415

            self._opened = SshPool(self._login, self._pins, self._idle_seconds)
        return self._opened
