"""What sshd limits, on a simulated server and on a real sshd where there is one.

A refusal delays a command, and loses none.
"""

import asyncio
import contextlib
import getpass
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from services.cloud.clients.channels import MAX_CHANNELS
from services.cloud.clients.ssh import Host, SshClient
from services.common.errors import Unreachable
from simulators.environment import find_free_port
from tests.contracts.test_clients import MemoryPins

HOST = Host(42, "127.0.0.1")


class Gate:
    """An SSH server with limits, and the most that it saw of each. A command ends when released."""

    def __init__(self, sessions: int, hang_ups: int = 0) -> None:
        self.sessions = sessions
        self.hang_ups = hang_ups  # logins that it closes before it sends anything
        self.logins = 0
        self.running = 0
        self.most = 0
        self.refused = 0
        self.over = asyncio.Event()
        self.changed = asyncio.Condition()
        self.told: asyncio.Future[None] | None = None

    async def until(self, running: int, refused: int = 0) -> None:
        async with self.changed:
            await asyncio.wait_for(
                self.changed.wait_for(lambda: self.running >= running and self.refused >= refused),
                30,
            )

    async def tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def shell(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        self.most = max(self.most, self.running)
        await self.tell()
        await self.over.wait()
        process.stdout.write("done")
        process.exit(0)
        self.running -= 1

    def door(self) -> asyncssh.SSHServer:
        gate = self

        class Door(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                gate.logins += 1

            def session_requested(self) -> "asyncssh.SSHServerProcess[str]":
                if gate.running >= gate.sessions:
                    gate.refused += 1
                    gate.told = asyncio.ensure_future(gate.tell())
                    raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
                gate.running += 1
                return asyncssh.SSHServerProcess(gate.shell, None, 3, allow_scp=False)

        return Door()


@asynccontextmanager
async def serving(gate: Gate, folder: Path) -> AsyncIterator[SshClient]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(folder / "id"))
    key.write_public_key(str(folder / "id.pub"))
    server = await asyncssh.create_server(
        gate.door,
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=str(folder / "id.pub"),
    )
    behind = int(server.sockets[0].getsockname()[1])

    async def doorman(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Does as sshd at MaxStartups: closes some connections, and accepts the others."""
        if gate.hang_ups > 0:
            gate.hang_ups -= 1
            writer.write(b"Exceeded MaxStartups\r\n")
            writer.close()
            return
        there, here = await asyncio.open_connection("127.0.0.1", behind)
        await asyncio.gather(passed_on(reader, here), passed_on(there, writer))

    front = await asyncio.start_server(doorman, "127.0.0.1", 0)
    ssh = SshClient(
        "root", int(front.sockets[0].getsockname()[1]), str(folder / "id"), None, MemoryPins()
    )
    try:
        yield ssh
    finally:
        await ssh.aclose()
        front.close()
        server.close()


async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    writer.close()


def test_a_refused_channel_is_asked_for_again_and_drops_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        gate = Gate(sessions=2)
        async with serving(gate, tmp_path) as ssh:
            commands = [asyncio.create_task(ssh.run(HOST, "wait", timeout=60)) for _ in range(5)]
            await gate.until(running=2, refused=1)
            gate.over.set()
            outputs = await asyncio.gather(*commands)
            assert [(o.exit_status, o.stdout) for o in outputs] == [(0, "done")] * 5
            assert (gate.logins, gate.most) == (1, 2)

    asyncio.run(story())


def test_no_more_than_eight_channels_are_asked_for(tmp_path: Path) -> None:
    async def story() -> None:
        gate = Gate(sessions=1000)
        async with serving(gate, tmp_path) as ssh:
            commands = [
                asyncio.create_task(ssh.run(HOST, "wait", timeout=60))
                for _ in range(3 * MAX_CHANNELS)
            ]
            await gate.until(running=MAX_CHANNELS)
            assert (await asyncio.wait(commands, timeout=0.2))[0] == set()
            gate.over.set()
            await asyncio.gather(*commands)
            assert (gate.most, gate.refused, gate.logins) == (MAX_CHANNELS, 0, 1)
            assert MAX_CHANNELS == 8

    asyncio.run(story())


def test_a_command_that_never_got_a_channel_was_certainly_not_sent(tmp_path: Path) -> None:
    async def story() -> None:
        gate = Gate(sessions=1)
        async with serving(gate, tmp_path) as ssh:
            first = asyncio.create_task(ssh.run(HOST, "wait", timeout=60))
            await gate.until(running=1)
            with pytest.raises(Unreachable, match="not started within") as raised:
                await ssh.run(HOST, "wait", timeout=0.6)
            assert raised.value.sent is False
            gate.over.set()
            assert (await first).stdout == "done", "the other command's line was not dropped"
            assert gate.logins == 1

    asyncio.run(story())


def test_too_many_logins_at_once_are_waited_out(tmp_path: Path) -> None:
    async def story() -> None:
        gate = Gate(sessions=10, hang_ups=2)
        gate.over.set()
        async with serving(gate, tmp_path) as ssh:
            assert (await ssh.run(HOST, "wait", timeout=30)).stdout == "done"
            assert (gate.logins, gate.hang_ups) == (1, 0)
            await ssh.aclose()
            gate.hang_ups = 1000
            with pytest.raises(Unreachable) as raised:
                await ssh.run(HOST, "wait", timeout=1.5)
            assert raised.value.sent is False

    asyncio.run(story())


SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


@asynccontextmanager
async def real_sshd(folder: Path, *limits: str) -> AsyncIterator[SshClient]:
    assert SSHD is not None
    for name in ("id", "host"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(folder / name))
        (folder / name).chmod(0o600)
        key.write_public_key(str(folder / f"{name}.pub"))
    port = find_free_port()
    os.makedirs("/run/sshd", exist_ok=True)  # noqa: PTH103
    lines = [
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'id.pub'}",
        "StrictModes no",
        "UsePAM no",
        "PermitRootLogin yes",
        "PidFile none",
        *limits,
    ]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    server = await asyncio.create_subprocess_exec(
        SSHD, "-D", "-e", "-f", str(folder / "sshd_config"), stderr=asyncio.subprocess.PIPE
    )
    assert server.stderr is not None
    while b"listening on" not in (line := await asyncio.wait_for(server.stderr.readline(), 20)):
        assert line, "sshd ended"
    ssh = SshClient(getpass.getuser(), port, str(folder / "id"), None, MemoryPins())
    try:
        yield ssh
    finally:
        await ssh.aclose()
        server.terminate()
        await server.communicate()


needs_sshd = pytest.mark.skipif(
    SSHD is None or os.geteuid() != 0, reason="needs root and sshd: apt-get install openssh-server"
)


@needs_sshd
def test_a_real_sshd_with_one_session_a_line(tmp_path: Path) -> None:
    async def story() -> None:
        async with real_sshd(tmp_path, "MaxSessions 1") as ssh:
            outputs = await asyncio.gather(
                *(ssh.run(HOST, f"sleep 0.3; echo {n}", timeout=60) for n in range(4))
            )
            assert [o.stdout for o in outputs] == ["0\n", "1\n", "2\n", "3\n"]

    asyncio.run(story())


@needs_sshd
def test_a_real_sshd_that_is_busy_with_logins(tmp_path: Path) -> None:
    async def story() -> None:
        async with real_sshd(tmp_path, "MaxStartups 1", "LoginGraceTime 2") as ssh:
            # A silent connection takes the only place until sshd closes it.
            _, silent = await asyncio.open_connection("127.0.0.1", ssh._login.port)
            assert (await ssh.run(HOST, "echo in", timeout=30)).stdout == "in\n"
            silent.close()

    asyncio.run(story())
