"""Connections to the nodes, with asyncssh.

Importing this takes 11 MB: `ssh` does with its first command.
"""

import asyncio
import getpass
import os
from pathlib import Path
from typing import Any

import asyncssh

from services.cloud.clients.channels import MAX_CHANNELS, ChannelOpener, let_in
from services.cloud.clients.keyfile import read_key
from services.cloud.clients.ssh import Host, HostKeyPins, Login, Output
from services.cloud.clients.ssh_host_keys import (
    HostKeyCheck,
    fingerprint_of,
    offered_keys,
    preferred_algorithms,
    read_known_hosts,
)
from services.common.causes import ROUTE, cause_of
from services.common.errors import BotError, Forbidden, Refused, Unreachable

OUTPUT_LIMIT = 256 * 1024
READ_SIZE = 64 * 1024
CONNECT_SECONDS = 15.0
MAX_CONNECTIONS = 24
KEEPALIVE_SECONDS = 15
KEEPALIVES_MISSED = 3
# The port that files of known hosts do not name.
DEFAULT_PORT = 22


class SshPool:
    """One connection per droplet, kept for `idle_seconds` after its last command."""

    def __init__(self, login: Login, pins: HostKeyPins, idle_seconds: float) -> None:
        self._login = login
        self._pins = pins
        self._idle_seconds = idle_seconds
        # In the order in which droplets were first seen.
        self._lines: dict[int, _PooledConnection] = {}

    async def run(self, host: Host, command: str, stdin: str, timeout: float) -> Output:
        """Run a command and wait for it."""
        what = f"running a command on droplet {host.droplet_id} ({host.address})"
        line = self._line(host)
        opener = ChannelOpener()
        error: BotError
        try:
            async with asyncio.timeout(timeout), line.channels:
                opener.stage = "connecting"
                connection = await self._connected(line, host, timeout)
                process = await opener.process(connection, command)
                return await _run(process, stdin, what)
        except TimeoutError:
            if line.busy == 1:  # other commands on it are left to the keepalive
                line.drop()
            error = _timed_out(host, what, opener, timeout)
        except BotError:
            raise
        except (asyncssh.Error, OSError) as lost:
            line.drop()
            error = _broken(what, lost)
        except Exception:
            line.drop()
            raise
        finally:
            line.busy -= 1
            line.close_later(self._idle_seconds)
        # Raised here, so that asyncssh's exception is not printed along.
        raise error

    async def host_keys(self, host: Host, timeout: float) -> tuple[str, ...]:
        """Return the host keys offered there, one of each kind, as `algorithm base64`."""
        _ensure_user_name()
        keys: list[str] = []
        try:
            async with asyncio.timeout(timeout):
                await offered_keys(host.address, self._login.port, keys.append)
        except TimeoutError:
            error = _silent(host, timeout)
        except (OSError, asyncssh.Error) as lost:
            # A server without further keys closes the connection, one way or another.
            error = _lost(host, lost)
        else:
            return tuple(keys)
        if keys:
            return tuple(keys)
        raise error

    async def aclose(self) -> None:
        """Close every connection. What runs detached on the nodes goes on."""
        lines, self._lines = list(self._lines.values()), {}
        for line in lines:
            line.drop()
        await asyncio.sleep(0)

    def _line(self, host: Host) -> "_PooledConnection":
        line = self._lines.get(host.droplet_id)
        if line is None or line.address != host.address:
            if line is not None:
                line.drop()
            line = self._lines[host.droplet_id] = _PooledConnection(host.address)
        line.busy += 1
        self._drop_oldest_idle()
        return line

    def _drop_oldest_idle(self) -> None:
        for droplet_id, line in list(self._lines.items()):
            if len(self._lines) <= MAX_CONNECTIONS:
                return
            if not line.busy:
                line.drop()
                del self._lines[droplet_id]

    async def _connected(
        self, line: "_PooledConnection", host: Host, timeout: float
    ) -> asyncssh.SSHClientConnection:
        async with line.lock:
            if line.connection is None or line.connection.is_closed():
                line.connection = await self._connect(host, min(timeout, CONNECT_SECONDS))
            return line.connection

    async def _connect(self, host: Host, timeout: float) -> asyncssh.SSHClientConnection:
        pinned = None
        if not self._login.known_hosts:
            pinned = await self._pins.get(host.droplet_id)
        # With a file of known hosts, asyncssh asks the check only about keys missing from the file.
        check = HostKeyCheck(pinned, trusting=not self._login.known_hosts)
        options = self._options(host, pinned)
        error: BotError
        try:
            async with asyncio.timeout(timeout):
                connection, _ = await let_in(
                    lambda: asyncssh.create_connection(
                        check.client_factory(), host.address, self._login.port, **options
                    ),
                    timeout,
                )
        except asyncssh.HostKeyNotVerifiable:
            error = self._unexpected_key(host, pinned, check.seen)
        except asyncssh.PermissionDenied:
            error = self._login_refused(host)
        except TimeoutError:
            error = _silent(host, timeout)
        except (OSError, asyncssh.Error) as lost:
            error = _lost(host, lost)
        else:
            await self._pin(host, check)
            return connection
        raise error

    def _options(self, host: Host, pinned: str | None) -> dict[str, Any]:
        _ensure_user_name()
        login = self._login
        options: dict[str, Any] = {
            "username": login.user,
            "config": None,  # no user's ~/.ssh/config counts here
            "keepalive_interval": KEEPALIVE_SECONDS,
            "keepalive_count_max": KEEPALIVES_MISSED,
            # Never None, which switches checking off: with empty lists every key is checked here.
            "known_hosts": ([], [], []),
        }
        if login.key_file:
            options |= {
                "client_keys": [read_key(Path(login.key_file))],
                "agent_path": None,
                "preferred_auth": "publickey",
            }
        expected = [pinned] if pinned else []
        if login.known_hosts:
            known = read_known_hosts(login.known_hosts)
            port = login.port if login.port != DEFAULT_PORT else None
            keys, authorities, *_ = asyncssh.match_known_hosts(
                known, host.address, host.address, port
            )
            options["known_hosts"] = known
            if authorities:
                return options  # asyncssh itself requests certificates
            expected = [key.export_public_key().decode() for key in keys]
        options["server_host_key_algs"] = preferred_algorithms(expected)
        return options

    async def _pin(self, host: Host, check: HostKeyCheck) -> None:
        if check.seen and not check.pinned and not self._login.known_hosts:
            await self._pins.put(host.droplet_id, check.seen)

    def _unexpected_key(self, host: Host, pinned: str | None, offered: str) -> Refused:
        """Return the error for an unexpected host, with both fingerprints."""
        where = f"droplet {host.droplet_id} ({host.address})"
        shows = fingerprint_of(offered) if offered else "none that can be read"
        if self._login.known_hosts:
            why = f"host key of {where} is not in {self._login.known_hosts}: it offers {shows}"
            remedy = "compare it on the droplet's console. If it is right, add it to that file"
            return Refused(why, cause=why, remedy=remedy)
        expected = fingerprint_of(pinned) if pinned else "none"
        why = f"host key of {where} changed: pinned {expected}, offers {shows}"
        remedy = (
            "if you rebuilt that droplet, delete the old key (how-to on incidents). "
            "If not, verify which server answers there first"
        )
        return Refused(why, cause=why, remedy=remedy)

    def _login_refused(self, host: Host) -> Forbidden:
        user = self._login.user
        if self._login.key_file:
            why = f"the ssh key was refused for user {user}"
            remedy = (
                "use the private key of the deployment, <STACK>-ssh-key "
                "(clusters.NAME.ssh.key_file), and the right ssh.user"
            )
        else:
            why = f"none of this user's own SSH keys is taken for user {user}"
            remedy = (
                "name the private key of the deployment, <STACK>-ssh-key, "
                "in clusters.NAME.ssh.key_file"
            )
        return Forbidden(f"{_connecting(host)}: {why}", cause=why, remedy=remedy)


class _PooledConnection:
    """The connection to one droplet. `busy`: how many commands use it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.lock = asyncio.Lock()
        self.channels = asyncio.Semaphore(MAX_CHANNELS)
        self.busy = 0
        self.connection: asyncssh.SSHClientConnection | None = None
        self._timer: asyncio.TimerHandle | None = None

    def close_later(self, seconds: float) -> None:
        """Close the connection after a while, unless it is used again."""
        self._stop_timer()
        if self.connection is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._drop_if_idle)

    def drop(self) -> None:
        """Abort the connection now."""
        self._stop_timer()
        if self.connection is not None:
            self.connection.abort()
            self.connection = None

    def _drop_if_idle(self) -> None:
        if not self.busy:
            self.drop()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _run(process: asyncssh.SSHClientProcess[str], stdin: str, what: str) -> Output:
    try:
        if stdin:
            process.stdin.write(stdin)
        process.stdin.write_eof()
        stdout, stderr = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
        await process.wait_closed()
        status = process.returncode
    finally:
        # Without waiting for it: on a dead connection that would outlast the deadline.
        process.close()
    if status is None:
        why = "the connection was lost"
        raise Unreachable(f"{what}: {why}; it may continue there", cause=why, remedy=ROUTE)
    return Output(status, stdout, stderr)


async def _bounded(stream: asyncssh.SSHReader[str]) -> str:
    parts: list[str] = []
    room = OUTPUT_LIMIT
    # Read on past the limit: a command whose output is not read never ends.
    while part := await stream.read(READ_SIZE):
        if room > 0:
            parts.append(part[:room])
            room -= len(part)
    return "".join(parts)


def _connecting(host: Host) -> str:
    return f"connecting to droplet {host.droplet_id} ({host.address})"


def _silent(host: Host, seconds: float) -> Unreachable:
    why = f"no answer within {seconds:g} s"
    return Unreachable(f"{_connecting(host)}: {why}", sent=False, cause=why, remedy=ROUTE)


def _timed_out(host: Host, what: str, opener: ChannelOpener, seconds: float) -> Unreachable:
    """Return the error of a command at its deadline; it says whether any of it was sent."""
    match opener.stage:
        case "connecting":
            return _silent(host, seconds)
        case "sent":
            why = f"not finished within {seconds:g} s"
            return Unreachable(f"{what}: {why}; it may continue there", cause=why)
        case "refused":
            reason = "its sshd allows no more sessions now"
        case "queued":
            reason = f"{MAX_CHANNELS} other commands run there"
    why = f"not started within {seconds:g} s: {reason}"
    return Unreachable(f"{what}: {why}", sent=False, cause=why)


def _lost(host: Host, error: Exception) -> Unreachable:
    why = cause_of(error)
    return Unreachable(
        f"{_connecting(host)}: {why.text}", sent=False, cause=why.text, remedy=why.remedy
    )


def _broken(what: str, error: Exception) -> Unreachable:
    """Return the error of a command that was on its way. Without a channel it never began."""
    why = cause_of(error)
    if isinstance(error, asyncssh.ChannelOpenError):
        return Unreachable(f"{what}: {why.text}", sent=False, cause=why.text, remedy=why.remedy)
    return Unreachable(
        f"{what}: {why.text}; it may continue there", cause=why.text, remedy=why.remedy
    )


def _ensure_user_name() -> None:
    """Give this process a user name where it has a number only, as in a container.

    asyncssh requires one, though only the remote name counts.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "openvidu-bot"
