"""A real Redis for a test: its own process, its own socket file, gone at the end."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path


@contextlib.asynccontextmanager
async def running_redis(program: str) -> AsyncIterator[str]:
    """Yields the path of the socket. A socket file and no port: tests side by side cannot meet."""
    folder = Path(tempfile.mkdtemp(prefix="redis-"))  # a short path: names of sockets are
    path = folder / "redis.sock"
    words = ["--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "yes", "--dir", str(folder), "--loglevel", "warning"]
    process = await asyncio.create_subprocess_exec(program, *words, stdout=asyncio.subprocess.DEVNULL)
    try:
        for _ in range(200):
            if path.exists():
                break
            await asyncio.sleep(0.02)
        yield str(path)
    finally:
        process.kill()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


class SlowDoor:
    """A TCP port in front of a Redis socket, on which every answer is late."""

    def __init__(self, path: str, delay: float) -> None:
        self._path = path
        self.delay = delay
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """Listen; returns the address for REDIS_URL."""
        self._server = await asyncio.start_server(self._visit, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return f"redis://{host}:{port}/0"

    async def stop(self) -> None:
        """Stop listening and cut what is connected."""
        assert self._server is not None, "started before stopped"
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_unix_connection(self._path)
        for source, sink, delay in ((reader, outer, 0.0), (inner, writer, self.delay)):
            task = asyncio.create_task(self._carry(source, sink, delay))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while data := await source.read(65536):
                if delay:
                    await asyncio.sleep(delay)
                sink.write(data)
                await sink.drain()
        sink.close()
