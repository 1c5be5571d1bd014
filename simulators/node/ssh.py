"""SSH servers for the nodes.

Each on its droplet's own loopback address, while the droplet has power.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncssh
from typing_extensions import override

from simulators.cloud import Cloud, SimulatedDroplet
from simulators.listeners import Listener, Listeners
from simulators.node.scripts import reads_stdin, script_name
from simulators.node.shell import KeyRefused, NodeShell, ShellOutput
from simulators.wire import Recorder, WireCall, elapsed_ms, masked_text, shortened


class SshServers:
    """One asyncssh server for each droplet that is on, at `droplet.public_ip`:`port`.

    `authorized_key` (an OpenSSH public key) may log in as root; any key may when it is None.
    `host_keys` keeps a key for each droplet id, made at its first use.
    """

    def __init__(
        self,
        estate: Cloud,
        shell: NodeShell,
        port: int = 22,
        host_keys: dict[int, asyncssh.SSHKey] | None = None,
        authorized_key: str | None = None,
        on_call: Recorder | None = None,
    ) -> None:
        self.estate, self.shell, self.port = estate, shell, port
        self.host_keys = {} if host_keys is None else host_keys
        self.authorized_key = authorized_key
        self._on_call = on_call
        self.doors = Listeners(estate.clock, self._wanted)

    async def start(self) -> None:
        """Open the servers and keep them in step with the droplets."""
        await self.doors.start()

    async def stop(self) -> None:
        """Close everything."""
        await self.doors.stop()

    def host_key(self, droplet_id: int) -> asyncssh.SSHKey:
        """Return the droplet's own host key."""
        if droplet_id not in self.host_keys:
            self.host_keys[droplet_id] = asyncssh.generate_private_key("ssh-ed25519")
        return self.host_keys[droplet_id]

    def admits(self, key: asyncssh.SSHKey, droplet_id: int = 0) -> bool:
        """Return whether that key may log in to that droplet."""
        droplet = self.estate.droplets.get(droplet_id)
        if droplet is not None and "key-refused" in self.shell.faults.lasting_faults(droplet.name):
            return False
        if self.authorized_key is None:
            return True
        return asyncssh.import_public_key(self.authorized_key).public_data == key.public_data

    async def serve(self, droplet_id: int, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        """Run one command; a lost connection is closed without an answer."""
        output, began, command = None, time.monotonic(), process.command or ""
        with suppress(ConnectionRefusedError, KeyRefused):
            output = self.shell.execute(droplet_id, command, await self._stdin(process, command))
        if output is not None and output.seconds:
            await self.estate.clock.sleep(output.seconds)
        if self._on_call is not None:
            self._on_call(self._call(droplet_id, command, output, began))
        if output is None or output.exit_status is None:
            process.get_extra_info("connection").abort()
            return
        process.stdout.write(output.stdout.encode())
        process.stderr.write(output.stderr.encode())
        process.exit(output.exit_status)

    async def _stdin(self, process: "asyncssh.SSHServerProcess[bytes]", command: str) -> str:
        """Return all that is sent to a script that reads it; others do not wait for it."""
        if not reads_stdin(command):
            return ""
        return (await process.stdin.read()).decode()

    def _call(
        self, droplet_id: int, command: str, output: ShellOutput | None, began: float
    ) -> WireCall:
        """Return a command and its answer as they may be shown."""
        droplet = self.estate.droplets.get(droplet_id)
        node = droplet.name if droplet is not None else str(droplet_id)
        sent = {"command": shortened(masked_text(command))}
        name, ms = f"{node}: {script_name(command)}", elapsed_ms(began)
        if output is None or output.exit_status is None:
            return WireCall("ssh", name, ok=False, note="connection lost", ms=ms, sent=sent)
        answer = {
            "exit status": output.exit_status,
            "stdout": shortened(masked_text(output.stdout)),
            "stderr": shortened(masked_text(output.stderr)),
        }
        is_ok, note = output.exit_status == 0, f"exit {output.exit_status}"
        return WireCall("ssh", name, ok=is_ok, note=note, ms=ms, sent=sent, answer=answer)

    def _wanted(self) -> dict[int, Callable[[], Awaitable[Listener]]]:
        self.estate.settle()
        return {d.id: self._opener(d) for d in self.estate.droplets.values() if d.on}

    def _opener(self, droplet: SimulatedDroplet) -> Callable[[], Awaitable[Listener]]:
        async def open_it() -> Listener:
            door = _SshDoor(self, droplet.id)
            await door.open(droplet.public_ip, self.port)
            return door

        return open_it


class _SshDoor:
    """The server of one droplet, and its open connections."""

    def __init__(self, face: SshServers, droplet_id: int) -> None:
        self.face, self.droplet_id = face, droplet_id
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._server: asyncssh.SSHAcceptor | None = None

    async def open(self, host: str, port: int) -> None:
        self._server = await asyncssh.create_server(
            lambda: _Visitor(self), host, port,
                server_host_keys=[self.face.host_key(self.droplet_id)], process_factory=self._serve,
                encoding=None, login_timeout=30,
        )  # fmt: skip

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort()

    async def _serve(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        await self.face.serve(self.droplet_id, process)


class _Visitor(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, door: _SshDoor) -> None:
        self.door = door
        self.connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        self.door.connections.add(conn)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self.connection is not None:
            self.door.connections.discard(self.connection)

    @override
    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "root" and self.door.face.admits(key, self.door.droplet_id)
