"""A real OpenSSH server on loopback, in its own mount namespace.

With its own /run, its own users and a stand-in for docker.

Needs root (the namespace). The machine's /run, /etc and docker are not touched.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from services.cloud.clients.ssh import Host, Output, SshClient
from tests.support.patience import LOOKS
from tests.support.tools import sshd

START = "2027-01-15T08:00:00.000000084Z"
USER = "operator"  # May log in, and may neither use docker nor write to /run.
DOCKER = """#!/bin/sh
# What the bot asks of docker, answered from files and real processes.
box=BOX
if [ ! -r "$box/socket" ]; then
  echo "permission denied while trying to connect to the Docker daemon socket" \\
    "at unix:///var/run/docker.sock" >&2
  exit 1
fi
if [ -e "$box/stopped" ]; then
  echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock." \\
    "Is the docker daemon running?" >&2
  exit 1
fi
status() {
  if kill -0 "$(cat "$box/containers/$1/pid")" 2>/dev/null; then echo running; else echo exited; fi
}
for last in "$@"; do :; done
case "$1 $2" in
"ps --all")
  for folder in "$box"/containers/*; do echo "${folder##*/}=$(cat "$folder/label")"; done ;;
"container kill")
  if [ "$(status "$last")" != running ]; then
    echo "Error response from daemon: cannot kill container: $last: container is not running" >&2
    exit 1
  fi
  kill -QUIT "$(cat "$box/containers/$last/pid")" && echo "$last" | tee -a "$box/signals" ;;
"inspect --format")
  echo "$3" | sed -e "s/{{.State.Status}}/$(status "$last")/" \\
    -e "s/{{.State.Pid}}/$(cat "$box/containers/$last/pid")/" \\
    -e "s/{{.RestartCount}}/0/" -e "s/{{.State.StartedAt}}/STARTED/" ;;
"top egress") echo "UID PID CMD" ;;
*) echo "docker: '$1 $2' is not a docker command." >&2; exit 1 ;;
esac
"""
CURL = """#!/bin/sh
box=BOX
kill -0 "$(cat "$box/containers/openvidu/pid" 2>/dev/null)" 2>/dev/null && up=yes || up=no
case "$*" in
*7880*) if [ $up = yes ]; then printf 200; else printf 000; exit 7; fi ;;
*6789*) [ $up = yes ] || exit 7
  if [ -e "$box/meeting" ]; then printf 'livekit_room_total 1\\nlivekit_participant_total 3\\n'
  else printf 'livekit_room_total 0\\nlivekit_participant_total 0\\n'; fi ;;
esac
"""
SERVER = """
import os, signal, sys, time
box, state = sys.argv[1], {"asked": 0}
def quit(*_):
    state["asked"] += 1
signal.signal(signal.SIGQUIT, quit)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
open(os.path.join(box, "up-" + sys.argv[2]), "w").close()
end = time.monotonic() + 3600
while time.monotonic() < end:
    if state["asked"] > 1:
        open(os.path.join(box, "thrown-out"), "w").close()
        sys.exit(1)
    if state["asked"] and not os.path.exists(os.path.join(box, "meeting")):
        sys.exit(0)
    time.sleep(0.05)
"""
DEAF = "import signal, time; time.sleep(3600)"
SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {box}/host_key
AuthorizedKeysFile {box}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
PidFile none
SetEnv PATH={box}/bin:/usr/local/bin:/usr/bin:/bin
"""
NAMESPACE = """
mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/sshd &&
mount --bind "$1/passwd" /etc/passwd && exec "$2" -D -e -f "$1/sshd_config"
"""


class Node:
    """A machine with a media server, an egress and an agent that ignores SIGQUIT."""

    def __init__(self, box: Path, port: int) -> None:
        self.box, self.port = box, port

    def shell(self, user: str) -> "NodeSsh":
        """Return the bot's own SSH client, for that user of the node."""
        return NodeSsh(SshClient(user, self.port, str(self.box / "client_key"), None, StoryPins()))

    def signals(self) -> list[str]:
        """Return the containers that got a signal, in order."""
        path = self.box / "signals"
        return path.read_text().split() if path.exists() else []

    def runs(self, name: str) -> bool:
        """Return whether that container's process exists."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((self.box / "containers" / name / "pid").read_text()), 0)
            return True
        return False


class StoryPins:
    """Host keys, remembered for one story."""

    def __init__(self) -> None:
        self.keys: dict[int, str] = {}

    async def get(self, droplet_id: int) -> str | None:
        return self.keys.get(droplet_id)

    async def put(self, droplet_id: int, key: str) -> None:
        self.keys[droplet_id] = key


class NodeSsh:
    """Every droplet is that one node, whatever address the cloud has for it."""

    def __init__(self, ssh: SshClient) -> None:
        self._ssh = ssh

    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output:
        return await self._ssh.run(
            Host(host.droplet_id, "127.0.0.1"), command, stdin=stdin, timeout=timeout
        )

    async def aclose(self) -> None:
        await self._ssh.aclose()


@contextlib.asynccontextmanager
async def node(box: Path) -> AsyncIterator[Node]:
    """Start a node that answers SSH; all its processes have ended afterwards."""
    server = sshd()
    if os.geteuid() != 0:
        pytest.skip("needs root, for a mount namespace of its own")
    port = _free_port()
    _write(box, port)
    processes = [
        await _container(box, "openvidu", "", SERVER),
        await _container(box, "egress", "", SERVER),
    ]
    processes.append(await _container(box, "agent-captions", "true", DEAF))
    for name in ("openvidu", "egress"):
        await _appears(box / f"up-{name}")
    command = (
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        NAMESPACE,
        "sh",
        str(box),
        server,
    )
    with (box / "sshd.log").open("wb") as log:
        daemon = await asyncio.create_subprocess_exec(*command, stderr=log, start_new_session=True)
    try:
        await _listens(port, daemon, box)
        yield Node(box, port)
    finally:
        for process in (daemon, *processes):
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _write(box: Path, port: int) -> None:
    (box / "bin").mkdir()
    for name, text in {"docker": DOCKER, "curl": CURL}.items():
        (box / "bin" / name).write_text(text.replace("BOX", str(box)).replace("STARTED", START))
        (box / "bin" / name).chmod(0o755)
    (box / "meeting").touch()
    (box / "socket").touch(mode=0o600)
    (box / "socket").chmod(0o600)
    for name in ("host_key", "client_key"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(box / name))
        (box / name).chmod(0o600)
        if name == "client_key":
            key.write_public_key(str(box / "authorized_keys"))
    home = box / "home"
    home.mkdir()
    (box / "passwd").write_text(
        f"{Path('/etc/passwd').read_text()}{USER}:*:4321:4321::{home}:/bin/sh\n"
    )
    (box / "sshd_config").write_text(SSHD.format(port=port, box=box))
    folder = box
    while folder != folder.parent:  # The user has to get as far as the keys and the stand-ins.
        folder.chmod(folder.stat().st_mode | 0o055)
        folder = folder.parent


async def _container(box: Path, name: str, label: str, program: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(box), name, start_new_session=True
    )
    folder = box / "containers" / name
    folder.mkdir(parents=True)
    (folder / "pid").write_text(str(process.pid))
    (folder / "label").write_text(label)
    return process


async def _appears(path: Path) -> None:
    for _ in range(LOOKS):
        if await asyncio.to_thread(path.exists):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{path.name} never appeared")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _listens(port: int, daemon: asyncio.subprocess.Process, box: Path) -> None:
    for _ in range(LOOKS):
        if daemon.returncode is not None:
            break
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"sshd did not start: {(box / 'sshd.log').read_text()}")
