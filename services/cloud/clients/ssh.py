"""SSH to the nodes, with asyncssh.

Success is an exit status that arrived. A connection that is cut lets asyncssh return normally with no status at all, while the command
goes on over there: that is `Unreachable(sent=None)` here, and whoever asked has to look.

A host's key is pinned by its droplet's id at first sight: addresses are reused, droplet ids are not.
"""

import asyncio
import getpass
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from services.cloud.clients.channels import MAX_CHANNELS, Opening, let_in
from services.cloud.clients.keyfile import read_key
from services.common.causes import ROUTE, Cause, cause_of
from services.common.errors import BotError, Forbidden, Refused, Unreachable

if TYPE_CHECKING:
    import asyncssh

OUTPUT_LIMIT = 256 * 1024
CONNECT_SECONDS = 15.0
IDLE_SECONDS = 90.0
MAX_CONNECTIONS = 24
KEEPALIVE_SECONDS = 15
KEEPALIVES_MISSED = 3
USUAL_PORT = 22  # which files of known hosts do not name

# The kinds of host keys, and the signatures that each makes.
HOST_KEYS = {
    "ed25519": ["ssh-ed25519"],
    "ecdsa": ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"],
    "rsa": ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
}
EVERY_KIND = [name for names in HOST_KEYS.values() for name in names]


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
        self,
        user: str,
        port: int,
        key_file: str | None,
        known_hosts: str | None,
        pins: HostKeys,
        *,
        idle_seconds: float = IDLE_SECONDS,
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
        opening = Opening()
        error: BotError
        try:
            async with asyncio.timeout(timeout), line.channels:
                opening.stage = "connecting"
                connection = await self._connected(line, host, timeout)
                process = await opening.process(connection, command)
                return await self._run(process, stdin, what)
        except TimeoutError:
            if line.busy == 1:  # others on it are left to the keepalive
                line.drop()
            error = (
                _silent(host, timeout)
                if opening.stage == "connecting"
                else _late(what, opening, timeout)
            )
        except BotError:
            raise
        except Exception as trouble:
            line.drop()
            if not _is_ssh_trouble(trouble):
                raise
            error = _broken(what, trouble)
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

    async def _connected(
        self, line: "_Line", host: Host, timeout: float
    ) -> "asyncssh.SSHClientConnection":
        async with line.lock:
            if line.connection is None or line.connection.is_closed():
                line.connection = await self._connect(host, min(timeout, CONNECT_SECONDS))
            return line.connection

    async def _connect(self, host: Host, timeout: float) -> "asyncssh.SSHClientConnection":
        import asyncssh  # noqa: PLC0415 - 0.2 s and 14 MB

        pinned = None if self._known_hosts else await self._pins.get(host.droplet_id)
        # With a file of known hosts, asyncssh comes to the witness only with keys that the file does not know.
        witness = _Witness(pinned, trusting=not self._known_hosts)
        options = self._options(host, pinned)
        error: BotError
        try:
            async with asyncio.timeout(timeout):
                connection, _ = await let_in(
                    lambda: asyncssh.create_connection(
                        witness.client(), host.address, self._port, **options
                    ),
                    timeout,
                )
        except asyncssh.HostKeyNotVerifiable:
            error = self._another(host, pinned, (witness.seen,) if witness.seen else ())
        except asyncssh.PermissionDenied:
            error = self._not_let_in(host)
        except TimeoutError:
            error = _silent(host, timeout)
        except (OSError, asyncssh.Error) as trouble:
            error = _lost(host, trouble)
        else:
            await self._pin(host, witness)
            return connection
        raise error

    async def host_keys(self, host: Host, *, timeout: float) -> tuple[str, ...]:
        """The host keys that are offered there, one of each kind, as `algorithm base64`. Nothing is pinned, and there is no login."""
        import asyncssh  # noqa: PLC0415

        _have_a_name()
        found: list[str] = []
        kinds = list(HOST_KEYS)
        try:
            async with asyncio.timeout(timeout):
                while kinds:
                    # A server shows the first of the kinds it is asked for; those before it are not there, those behind it may be.
                    wanted = [name for kind in kinds for name in HOST_KEYS[kind]]
                    key = await asyncssh.get_server_host_key(
                        host.address, self._port, server_host_key_algs=wanted, config=None
                    )
                    if key is None:
                        break
                    found.append(_line_of(key))
                    kinds = kinds[
                        next(
                            (
                                n
                                for n, k in enumerate(kinds, 1)
                                if key.get_algorithm() in HOST_KEYS[k]
                            ),
                            len(kinds),
                        ) :
                    ]
        except TimeoutError:
            error = _silent(host, timeout)
        except (OSError, asyncssh.Error) as trouble:
            # A server that has no more of them hangs up, one way or another.
            error = _lost(host, trouble)
        else:
            return tuple(found)
        if found:
            return tuple(found)
        raise error

    def _another(self, host: Host, pinned: str | None, offered: tuple[str, ...]) -> Refused:
        """The alarm: another host answers than the expected one. Names both fingerprints."""
        where = f"droplet {host.droplet_id} ({host.address})"
        shows = ", ".join(described(key) for key in offered) or "none that can be read"
        if self._known_hosts:
            said = f"host key of {where} is not in {self._known_hosts}: it offers {shows}"
            return Refused(
                said,
                cause=said,
                remedy="compare it on the droplet's console; if it is right, add it to that file",
            )
        said = f"host key of {where} changed: pinned {described(pinned) if pinned else 'none'}, offers {shows}"
        remedy = "if you rebuilt that droplet, forget the old key (how-to on incidents); if not, find out who answers there first"
        return Refused(said, cause=said, remedy=remedy)

    def _not_let_in(self, host: Host) -> Forbidden:
        if self._key_file:
            why = f"the ssh key was refused for user {self._user}"
            remedy = "use the private key of the deployment, <STACK>-ssh-key (clusters.NAME.ssh.key_file), and the right ssh.user"
        else:
            why = f"none of this user's own SSH keys is taken for user {self._user}"
            remedy = "name the private key of the deployment, <STACK>-ssh-key, in clusters.NAME.ssh.key_file"
        return Forbidden(f"{_connecting(host)}: {why}", cause=why, remedy=remedy)

    def _options(self, host: Host, pinned: str | None) -> dict[str, Any]:
        import asyncssh  # noqa: PLC0415

        _have_a_name()
        options: dict[str, Any] = {
            "username": self._user,
            "config": None,  # nobody's ~/.ssh/config decides here
            "keepalive_interval": KEEPALIVE_SECONDS,
            "keepalive_count_max": KEEPALIVES_MISSED,
            # Never None, which would switch checking off: an empty list sends every key to the witness.
            "known_hosts": ([], [], []),
        }
        if self._key_file:
            options |= {
                "client_keys": [read_key(Path(self._key_file))],
                "agent_path": None,
                "preferred_auth": "publickey",
            }
        if self._known_hosts:
            known = _read_known_hosts(self._known_hosts)
            keys, authorities, *_ = asyncssh.match_known_hosts(
                known, host.address, host.address, self._port if self._port != USUAL_PORT else None
            )
            options["known_hosts"] = known
            if authorities:
                return options  # asked for certificates, as asyncssh does
            expected = [key.export_public_key().decode() for key in keys]
        else:
            expected = [pinned] if pinned else []
        # A host has several keys: the expected kinds come first. The others follow, so that a host which offers only those is recognized as
        # changed, and not taken for one that does not answer.
        options["server_host_key_algs"] = list(
            dict.fromkeys([*(name for key in expected for name in _signatures(key)), *EVERY_KIND])
        )
        return options

    async def _pin(self, host: Host, witness: "_Witness") -> None:
        if witness.seen and not witness.pinned and not self._known_hosts:
            await self._pins.put(host.droplet_id, witness.seen)

    async def _run(
        self, process: "asyncssh.SSHClientProcess[str]", stdin: str, what: str
    ) -> Output:
        try:
            if stdin:
                process.stdin.write(stdin)
            process.stdin.write_eof()
            stdout, stderr = await asyncio.gather(
                _bounded(process.stdout), _bounded(process.stderr)
            )
            await process.wait_closed()
            status = process.returncode
        finally:
            process.close()  # and no waiting for it: on a dead connection that would outlast the deadline
        if status is None:
            why = "the connection was lost"
            raise Unreachable(f"{what}: {why}; it may go on there", cause=why, remedy=ROUTE)
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

            def validate_host_public_key(
                self,
                host: str,  # noqa: ARG002
                addr: str,  # noqa: ARG002
                port: int,  # noqa: ARG002
                key: "asyncssh.SSHKey",
            ) -> bool:
                return witness.accepts(_line_of(key))

        return Client

    def accepts(self, key: str) -> bool:
        """Whether this is the host that was expected."""
        self.seen = key
        return self.trusting if self.pinned is None else self.pinned == key


def _line_of(key: "asyncssh.SSHKey") -> str:
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


def described(key: str) -> str:
    """A host key (`algorithm base64`) as people compare it: `ed25519 SHA256:...`."""
    import asyncssh  # noqa: PLC0415

    kind = next(
        (name for name, algorithms in HOST_KEYS.items() if key.partition(" ")[0] in algorithms),
        key.partition(" ")[0],
    )
    try:
        return f"{kind} {asyncssh.import_public_key(key).get_fingerprint()}"
    except ValueError:
        return "a key that cannot be read"


def _connecting(host: Host) -> str:
    return f"connecting to droplet {host.droplet_id} ({host.address})"


def _silent(host: Host, seconds: float) -> Unreachable:
    why = f"no answer within {seconds:g} s"
    return Unreachable(f"{_connecting(host)}: {why}", sent=False, cause=why, remedy=ROUTE)


def _late(what: str, opening: Opening, seconds: float) -> Unreachable:
    """A command that is not over at its deadline; whether any of it was sent."""
    if opening.stage == "sent":
        why = f"not over within {seconds:g} s"
        return Unreachable(f"{what}: {why}; it may go on there", cause=why)
    reason = (
        "its sshd allows no further session now"
        if opening.stage == "refused"
        else f"{MAX_CHANNELS} other commands run there"
    )
    why = f"not begun within {seconds:g} s: {reason}"
    return Unreachable(f"{what}: {why}", sent=False, cause=why)


def _lost(host: Host, trouble: Exception) -> Unreachable:
    why = cause_of(trouble)
    return Unreachable(
        f"{_connecting(host)}: {why.said}", sent=False, cause=why.said, remedy=why.remedy
    )


def _broken(what: str, trouble: Exception) -> Unreachable:
    """A command that was on its way. Where no channel was opened for it, it never began."""
    import asyncssh  # noqa: PLC0415

    why, began = cause_of(trouble), not isinstance(trouble, asyncssh.ChannelOpenError)
    more = "; it may go on there" if began else ""
    return Unreachable(
        f"{what}: {why.said}{more}",
        sent=None if began else False,
        cause=why.said,
        remedy=why.remedy,
    )


def _signatures(pinned: str) -> list[str]:
    """What a host signs with that has this key. A host has several keys: it is asked for the kind that was pinned."""
    import asyncssh  # noqa: PLC0415

    try:
        return [name.decode() for name in asyncssh.import_public_key(pinned).sig_algorithms]
    except ValueError:
        why = "the host key that is pinned for it cannot be read"
    raise Refused(
        why, cause=why, remedy="forget it (how-to on incidents) once you know who answers there"
    )


def _read_known_hosts(file: str) -> "asyncssh.SSHKnownHosts":
    import asyncssh  # noqa: PLC0415

    try:
        return asyncssh.read_known_hosts(file)
    except OSError as trouble:
        why = cause_of(trouble)
    except ValueError:
        why = Cause("a line of it cannot be read", "write it as ssh-keyscan does: HOST KIND KEY")
    raise Refused(f"known hosts {file}: {why.said}", cause=why.said, remedy=why.remedy)


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
