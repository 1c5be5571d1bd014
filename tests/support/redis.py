"""A real Redis for a test: its own process and its own socket file, removed at the end."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.patience import LOOKS


@contextlib.asynccontextmanager
async def running_redis(program: str) -> AsyncIterator[str]:
    """Yield its address. A socket file and no port: tests side by side cannot collide."""
    folder = Path(tempfile.mkdtemp(prefix="redis-"))  # A short path: names of sockets are limited.
    path = folder / "redis.sock"
    words = [
        "--port",
        "0",
        "--unixsocket",
        str(path),
        "--save",
        "",
        "--appendonly",
        "yes",
        "--dir",
        str(folder),
        "--loglevel",
        "warning",
    ]
    process = await asyncio.create_subprocess_exec(
        program, *words, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        for _ in range(LOOKS):
            if path.exists():
                break
            await asyncio.sleep(0.05)
        yield f"unix://{path}"
    finally:
        process.kill()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def slow_door(url: str, delay: float) -> AsyncIterator[str]:
    """Yield a TCP port in front of that Redis, on which every answer is late by so many seconds."""
    tasks: set[asyncio.Task[None]] = set()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_unix_connection(url.removeprefix("unix://"))
        for source, sink, late in ((reader, outer, 0.0), (inner, writer, delay)):
            task = asyncio.create_task(_carry(source, sink, late))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(visit, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"redis://{host}:{port}/0"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            await asyncio.sleep(delay)
            sink.write(data)
            await sink.drain()
    sink.close()
