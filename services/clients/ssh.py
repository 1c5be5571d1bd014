"""SSH to the nodes, with asyncssh.

Success is an exit status that arrived. A connection that is cut lets asyncssh return normally with no status at all, while the command
goes on over there: that is `Unreachable(sent=None)` here, and whoever asked has to look.

A host's key is pinned by its droplet's id at first sight: addresses are reused, droplet ids are not.
"""

import asyncio
import getpass
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from services.clients.channels import MAX_CHANNELS, Opening, let_in
from services.errors import BotError, Forbidden, Refused, Unreachable

if TYPE_CHECKING:
    import asyncssh

OUTPUT_LIMIT = 256 * 1024
CONNECT_SECONDS = 15.0
IDLE_SECONDS = 90.0
MAX_CONNECTIONS = 24
KEEPALIVE_SECONDS = 15
KEEPALIVES_MISSED = 3


@dataclass(frozen=True)
class Host:
    """Where to go, and who is expected there."""

    droplet_id: int
    address: str


@dataclass(frozen=True)
class Output:
    """What a command left. Each stream is cut at 256 KiB."""

    exit_status: int
    stdout: str = ""
    stderr: str = ""


class HostKeys(Protocol):
    """Remembers which key a droplet showed first."""

    async def get(self, droplet_id: int) -> str | None:
        """The key, as `algorithm base64`, or None for a droplet never seen."""
        ...

    async def put(self, droplet_id: int, key: str) -> None:
        """Remember it."""
        ...


class Ssh:
    """Runs commands on nodes. One connection per droplet, kept for a while."""

    def __init__(
        self, user: str, port: int, key_file: str | None, known_hosts: str | None, pins: HostKeys, *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._user = user
        self._port = port
        self._key_file = key_file
        self._known_hosts = known_hosts
        self._pins = pins
        self._idle_seconds = idle_seconds
        self._lines: dict[int, _Line] = {}

    def __repr__(self) -> str:
        return f"Ssh({self._user}, port {self._port})"

    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output:
        """Run a command and wait for it. Sent once: whatever is left open by a lost answer is for the caller to look at."""
        what = f"running a command on droplet {host.droplet_id} ({host.address})"
        line = self._line(host)
        opening: Opening | None = None
        error: BotError
        try:
            async with asyncio.timeout(timeout), line.channels:
                connection = await self._connected(line, host, timeout)
                opening = Opening()
                process = await opening.process(connection, command)
                return await self._run(process, stdin, what)
        except TimeoutError:
            if line.busy == 1:  # others on it are left to the keepalive
                line.drop()
            error = Unreachable(f"{what}: not over within {timeout:g} s; it may go on there")
            if opening is None or opening.refused:
                error = Unreachable(f"{what}: not begun within {timeout:g} s: the node allows no further session now", sent=False)
        except BotError:
            raise
        except Exception as trouble:
            line.drop()
            if not _is_ssh_trouble(trouble):
                raise
            error = Unreachable(f"{what}: the connection was lost; it may go on there")
        finally:
            line.busy -= 1
            line.rest(self._idle_seconds)
        raise error

    async def aclose(self) -> None:
        """Close every connection. What runs detached on the nodes goes on."""
        lines, self._lines = list(self._lines.values()), {}
        for line in lines:
            line.drop()
        await asyncio.sleep(0)

    def _line(self, host: Host) -> "_Line":
        line = self._lines.get(host.droplet_id)
        if line is None or line.address != host.address:
            if line is not None:
                line.drop()
            line = self._lines[host.droplet_id] = _Line(host.address)
        line.busy += 1
        self._make_room()
        return line

    def _make_room(self) -> None:
        # The oldest idle one goes; a dict keeps the order in which droplets were first seen.
        for droplet_id, line in list(self._lines.items()):
            if len(self._lines) <= MAX_CONNECTIONS:
                return
            if not line.busy:
                line.drop()
                del self._lines[droplet_id]

    async def _connected(self, line: "_Line", host: Host, timeout: float) -> "asyncssh.SSHClientConnection":
        async with line.lock:
            if line.connection is None or line.connection.is_closed():
                line.connection = await self._connect(host, min(timeout, CONNECT_SECONDS))
            return line.connection

    async def _connect(self, host: Host, timeout: float) -> "asyncssh.SSHClientConnection":
        import asyncssh  # noqa: PLC0415 - 0.2 s and 14 MB

        pinned = None if self._known_hosts else await self._pins.get(host.droplet_id)
        # With a file of known hosts, asyncssh comes to the witness only with keys that the file does not know.
        witness = _Witness(pinned, trusting=not self._known_hosts)
        what = f"connecting to droplet {host.droplet_id} ({host.address})"
        error: BotError
        try:
            async with asyncio.timeout(timeout):
                options = self._options(pinned)
                connection, _ = await let_in(
                    lambda: asyncssh.create_connection(witness.client(), host.address, self._port, **options), timeout
                )
        except asyncssh.HostKeyNotVerifiable:
            error = Refused(f"{what}: {witness.objection() if not self._known_hosts else f'its host key is not in {self._known_hosts}'}")
        except asyncssh.PermissionDenied:
            error = Forbidden(f"{what}: the ssh key was refused for user {self._user}")
        except (TimeoutError, OSError, asyncssh.Error):
            error = Unreachable(f"{what}: no connection", sent=False)
        else:
            await self._pin(host, witness)
            return connection
        raise error

    def _options(self, pinned: str | None) -> dict[str, Any]:
        import asyncssh  # noqa: PLC0415

        _have_a_name()
        options: dict[str, Any] = {
            "username": self._user,
            "config": None,  # nobody's ~/.ssh/config decides here
            "keepalive_interval": KEEPALIVE_SECONDS,
            "keepalive_count_max": KEEPALIVES_MISSED,
            # Never None, which would switch checking off: an empty list sends every key to the witness.
            "known_hosts": self._known_hosts or ([], [], []),
        }
        if self._key_file:
            options |= {"client_keys": [self._key()], "agent_path": None, "preferred_auth": "publickey"}
        if pinned:
            # A host has several keys; ask for the kind that was pinned.
            options["server_host_key_algs"] = [name.decode() for name in asyncssh.import_public_key(pinned).sig_algorithms]
        return options

    def _key(self) -> "asyncssh.SSHKey":
        import asyncssh  # noqa: PLC0415

        try:
            return asyncssh.read_private_key(str(self._key_file))
        except (OSError, asyncssh.KeyImportError):
            error = Refused(f"reading the ssh key {self._key_file}: there is none, or it needs a passphrase")
        raise error

    async def _pin(self, host: Host, witness: "_Witness") -> None:
        if witness.seen and not witness.pinned and not self._known_hosts:
            await self._pins.put(host.droplet_id, witness.seen)

    async def _run(self, process: "asyncssh.SSHClientProcess[str]", stdin: str, what: str) -> Output:
        try:
            if stdin:
                process.stdin.write(stdin)
            process.stdin.write_eof()
            stdout, stderr = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
            await process.wait_closed()
            status = process.returncode
        finally:
            process.close()  # and no waiting for it: on a dead connection that would outlast the deadline
        if status is None:
            raise Unreachable(f"{what}: the connection was lost; it may go on there")
        return Output(status, stdout, stderr)


class _Line:
    """The connection to one droplet."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.lock = asyncio.Lock()
        self.channels = asyncio.Semaphore(MAX_CHANNELS)
        self.busy = 0
        self.connection: asyncssh.SSHClientConnection | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def rest(self, seconds: float) -> None:
        """Close the connection after a while, unless it is used again."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self.connection is not None:
            self._alarm = asyncio.get_running_loop().call_later(seconds, self._tired)

    def _tired(self) -> None:
        if not self.busy:
            self.drop()

    def drop(self) -> None:
        """Forget the connection now."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self.connection is not None:
            self.connection.abort()
            self.connection = None


class _Witness:
    """Compares the key that a host shows with the one that is pinned; without a pin, believes it, if it is trusting."""

    def __init__(self, pinned: str | None, *, trusting: bool) -> None:
        self.pinned = pinned
        self.trusting = trusting
        self.seen = ""

    def client(self) -> "type[asyncssh.SSHClient]":
        import asyncssh  # noqa: PLC0415

        witness = self

        class Client(asyncssh.SSHClient):
            """Lets the witness decide."""

            def validate_host_public_key(self, host: str, addr: str, port: int, key: "asyncssh.SSHKey") -> bool:  # noqa: ARG002
                return witness.accepts(_line_of(key))

        return Client

    def accepts(self, key: str) -> bool:
        """Whether this is the host that was expected."""
        self.seen = key
        return self.trusting if self.pinned is None else self.pinned == key

    def objection(self) -> str:
        """Why not, with both fingerprints."""
        if not self.seen or not self.pinned:
            return "its host key cannot be verified"
        return (
            f"its host key changed from {_fingerprint(self.pinned)} to {_fingerprint(self.seen)}; "
            "if the droplet was rebuilt, forget the old key, else somebody else answers there"
        )


def _line_of(key: "asyncssh.SSHKey") -> str:
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


def _fingerprint(line: str) -> str:
    import asyncssh  # noqa: PLC0415

    return asyncssh.import_public_key(line).get_fingerprint()


def _is_ssh_trouble(trouble: Exception) -> bool:
    import asyncssh  # noqa: PLC0415

    return isinstance(trouble, asyncssh.Error | OSError)


async def _bounded(stream: "asyncssh.SSHReader[str]") -> str:
    parts: list[str] = []
    room = OUTPUT_LIMIT
    # Read on past the limit: a command whose output nobody takes never ends.
    while part := await stream.read(64 * 1024):
        if room > 0:
            parts.append(part[:room])
            room -= len(part)
    return "".join(parts)


def _have_a_name() -> None:
    """In a container the user may be a mere number. asyncssh wants a name all the same, though it is the remote one that counts."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "openvidu-bot"
