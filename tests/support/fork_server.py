"""Commands of the bot, each in a process of its own, without the second that imports take.

A server process imports the program once and then forks for each command: its own process id,
environment, folder, files and exit code, signals and death as of every other process. A test whose
subject is the start itself (what is imported, whose code is run, a signal meanwhile) starts Python.
"""

import asyncio
import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from tests.support.patience import HANG

ROOT = Path(__file__).resolve().parents[2]
LENGTH = struct.Struct("!I")
CODE = struct.Struct("!i")
NOTHING = os.open(os.devnull, os.O_RDWR)
MOST = 16  # file descriptors in one message

# What commands import, at the start or when they first need it.
PROGRAM = (
    "bot.command_line",
    "bot.serve",
    "bot.doctor",
    "bot.init.command",
    "bot.terminal.command",
    "bot.audit.verify",
    "bot.manifest",
    "bot.demo",
    "services.cloud.clients.pydo_client",
    "services.cloud.clients.s3",
    "services.cloud.clients.ssh_pool",
    "services.store.redis",
    "services.store.sqlite",
)


class ForkServer:
    """The server as its client, the test process, sees it."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._one_at_a_time = threading.Lock()

    def fork(
        self, words: Sequence[str], env: Mapping[str, str], cwd: Path, files: Sequence[int]
    ) -> tuple[int, int]:
        """Start `openvidu-bot` with these words; `files` are its stdin, stdout and stderr.

        Return its process id, and the descriptor from which its exit code can be read.
        """
        status, theirs = os.pipe()
        body = json.dumps({"words": [*words], "env": dict(env), "cwd": str(cwd)}).encode()
        with self._one_at_a_time:
            socket.send_fds(self._line, [LENGTH.pack(len(body))], [*files, theirs])
            os.close(theirs)
            self._line.sendall(body)
            (pid,) = LENGTH.unpack(_exactly(self._line, LENGTH.size))
        return pid, status

    def ended(self, status: int) -> int:
        """Return the exit code, once it has ended; the descriptor is closed."""
        with os.fdopen(status, "rb") as pipe:
            if not select.select([pipe], [], [], HANG)[0]:
                raise TimeoutError("it does not end")
            (code,) = CODE.unpack(pipe.read())
        return int(code)

    def stop(self) -> None:
        """End it, and with it everything that it has started."""
        self._line.close()
        self._process.wait()


_servers: dict[int, ForkServer] = {}


def _server() -> ForkServer:
    """Return the one of this process."""
    if os.getpid() not in _servers:
        _servers[os.getpid()] = ForkServer()
        atexit.register(_servers[os.getpid()].stop)
    return _servers[os.getpid()]


def run(
    words: Sequence[str], env: Mapping[str, str], cwd: Path = ROOT, typed: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(typed.encode())
        files[0].seek(0)
        _, status = _server().fork(words, env, cwd, [file.fileno() for file in files])
        code = _server().ended(status)
        said = []
        for file in files[1:]:
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess([*words], code, *said)


def on_terminal(words: Sequence[str], env: Mapping[str, str], terminal: int) -> Callable[[], int]:
    """Start a command on this terminal, which is closed here; return what waits for its end."""
    try:
        _, status = _server().fork(words, env, ROOT, [terminal] * 3)
    finally:
        os.close(terminal)
    return partial(_server().ended, status)


class Started:
    """A command that runs, in the manner of `subprocess.Popen`; its stdout is a pipe."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str], cwd: Path = ROOT) -> None:
        read, write = os.pipe()
        try:
            files = [NOTHING, write, 2]
            self.pid, self._status = _server().fork(words, env, cwd, files)
        finally:
            os.close(write)
        self.stdout = os.fdopen(read, encoding="utf-8")

    def send_signal(self, number: int) -> None:
        """Send a signal, if it has not ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for it to end; return the exit code."""
        return _server().ended(self._status)


class Forked:
    """A command that runs, in the manner of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._loop.add_reader(status, self._notice)

    def _notice(self) -> None:
        self._loop.remove_reader(self._status)
        self.returncode = _server().ended(self._status)
        self._ended.set_result(self.returncode)

    async def wait(self) -> int:
        """Wait for it to end; return the exit code."""
        code: int = await asyncio.shield(self._ended)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, if it has not ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)


def start(
    words: Sequence[str], env: Mapping[str, str], files: Sequence[int], cwd: Path = ROOT
) -> Forked:
    """Start a command; `files` are its stdin, stdout and stderr."""
    return Forked(*_server().fork(words, env, cwd, files))


class Talking:
    """A command whose output is read while it runs."""

    def __init__(self, process: Forked, stdout: asyncio.StreamReader, errors: Path) -> None:
        self.process = process
        self.stdout = stdout
        self._errors = errors

    async def to_the_end(self) -> tuple[int, str]:
        """Return its exit code, and everything that was not read before."""
        said = (await self.stdout.read()).decode()
        code = await self.process.wait()
        return code, said + self._errors.read_text()


async def talking(words: Sequence[str], env: Mapping[str, str], folder: Path) -> Talking:
    """Start a command without input; what it writes on stderr is kept in that folder."""
    read, write = os.pipe()
    file, name = tempfile.mkstemp(dir=folder, prefix="stderr-")
    try:
        process = start(words, env, [NOTHING, write, file])
    finally:
        os.close(write)
        os.close(file)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb", buffering=0)
    )
    return Talking(process, reader, Path(name))


# --- the server


class Served:
    """The server's own side: one line to its client, and the children that run."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._children: dict[int, int] = {}  # process id: where its end is told
        self._awake, self._wakes = socket.socketpair()
        for end in (self._awake, self._wakes):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        """Fork as asked, until the client has gone."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the client's
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        for end in (self._line, self._awake):
            self._selector.register(end, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._line and not self._take():
                    return
                self._reap()

    def _take(self) -> bool:
        head, files, _, _ = socket.recv_fds(self._line, LENGTH.size, MOST)
        if not head:
            return False
        asked = json.loads(_exactly(self._line, *LENGTH.unpack(head)))
        pid = os.fork()
        if pid == 0:
            self._become(asked, files)
        for file in files[:-1]:
            os.close(file)
        self._children[pid] = files[-1]
        self._line.sendall(LENGTH.pack(pid))
        return True

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._awake.recv(4096)
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with (
                os.fdopen(self._children.pop(pid), "wb") as pipe,
                contextlib.suppress(BrokenPipeError),
            ):
                pipe.write(CODE.pack(os.waitstatus_to_exitcode(status)))

    def _become(self, asked: dict[str, object], files: list[int]) -> NoReturn:
        """Be the command from here on, as if Python had been started for it."""
        die_with_parent()
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        for file in (*files, *self._children.values()):
            os.close(file)
        for each in (self._selector, self._line, self._awake, self._wakes):
            each.close()
        if os.isatty(0):
            os.login_tty(os.dup(0))
        assert isinstance(asked["env"], dict)
        os.environ.clear()
        os.environ.update(asked["env"])
        time.tzset()
        tempfile.tempdir = None  # asked for again, in this environment
        random.seed()
        os.chdir(str(asked["cwd"]))
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", 1, "utf-8", "backslashreplace", closefd=False)
        assert isinstance(asked["words"], list)
        sys.argv = ["openvidu-bot", *asked["words"]]
        _exit(importlib.import_module("bot.__main__").main)


def _exit(command: Callable[[], int]) -> NoReturn:
    """Run it and exit as Python does, except that modules are not taken apart one by one."""
    try:
        code = command()
    except SystemExit as error:
        code = int(error.code or 0)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as an exit does
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
    os._exit(code)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _exactly(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = line.recv(size - len(found))
        if not part:
            raise EOFError("the other side has gone")
        found += part
    return found


def main(descriptor: int) -> None:
    """Import the program and serve."""
    gc.disable()
    for name in PROGRAM:
        importlib.import_module(name)
    gc.enable()
    gc.freeze()  # what is shared with children is not written to
    Served(socket.socket(fileno=descriptor)).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))
