"""A bot that can die: between any two things it does outside itself, everything it was stops, and nothing is cleaned up."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from services.clients.http import Http, Reply
from services.clients.ssh import Host, Output
from services.errors import Unreachable
from services.store import Commit, Store
from services.world import Shell

T = TypeVar("T")


class Life:
    """Counts what goes out of one bot, and ends it before or after the call of the given number."""

    def __init__(self, die_at: int | None = None) -> None:
        self.die_at = die_at
        self.points = 0
        self.dead = False
        self.died = asyncio.Event()
        self.where = ""
        self._awake = asyncio.Event()
        self._awake.set()
        self._calls: list[tuple[int, str]] = []

    async def call(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        """One call to the outside, with a point to die at on either side."""
        await self._awake.wait()
        self._point(f"before {what}")
        self._calls.append((self.points, what))
        result = await work()
        await self._awake.wait()
        self._point(f"after {what}")
        return result

    def _point(self, where: str) -> None:
        if not self.dead:
            self.points += 1
            if self.points == self.die_at:
                self.die(where)
        if self.dead:
            raise asyncio.CancelledError

    def pause(self) -> None:
        """SIGSTOP: nothing goes out or comes in until `go_on`."""
        self._awake.clear()

    def go_on(self) -> None:
        """SIGCONT."""
        self._awake.set()

    def writes_since(self, points: int) -> list[str]:
        """What it did to the world outside its own state since it had come that far: looks do not count."""
        return [what for at, what in self._calls if at > points and what.startswith("digitalocean") and not what.endswith("GET")]

    def die(self, where: str = "killed") -> None:
        """From now on nothing of this bot reaches the world."""
        self.dead = True
        self.where = where
        self.died.set()


class MortalStore:
    """A state store seen by one life."""

    def __init__(self, store: Store, life: Life) -> None:
        self._store = store
        self._life = life
        self.delay = 0.0
        self.away = False

    async def _do(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.away:
            raise Unreachable("asking Redis: ConnectionError")
        return await self._life.call(f"store {what}", work)

    async def get(self, *keys: str) -> list[str | None]:
        return await self._do("get", lambda: self._store.get(*keys))

    async def commit(self, commit: Commit) -> bool:
        return await self._do("commit", lambda: self._store.commit(commit))

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        return await self._do("read", lambda: self._store.read(log, start, count))

    async def tail(self, log: str, count: int) -> list[str]:
        return await self._do("tail", lambda: self._store.tail(log, count))

    async def length(self, log: str) -> int:
        return await self._do("length", lambda: self._store.length(log))

    async def aclose(self) -> None:
        """The state outlives the bot."""


class MortalShell:
    """SSH seen by one life."""

    def __init__(self, shell: Shell, life: Life) -> None:
        self._shell = shell
        self._life = life

    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output:
        return await self._life.call("ssh", lambda: self._shell.run(host, command, stdin=stdin, timeout=timeout))


class MortalHttp(Http):
    """Plain HTTP seen by one life."""

    def __init__(self, http: Http, life: Life) -> None:
        super().__init__()
        self._http = http
        self._life = life

    async def get(self, url: str, *, headers: Any = None, timeout: float = 10.0) -> Reply:
        return await self._life.call("http get", lambda: self._http.get(url, headers=headers, timeout=timeout))

    async def post(self, url: str, json: object, *, headers: Any = None, timeout: float = 10.0) -> Reply:
        return await self._life.call("http post", lambda: self._http.post(url, json, headers=headers, timeout=timeout))


def survives(story: str, tell: Callable[[int], object], points: Iterable[int]) -> None:
    """Tell the story once for each of these points, with a bot that is killed there. The one that does not end well is named."""
    for point in points:
        try:
            tell(point)
        except Exception as error:
            raise AssertionError(f"{story} killed at point {point}") from error
