"""A bot that can crash.

Between any two calls to the outside everything of it stops, and nothing is cleaned up.
"""

import asyncio
import gc
import os
import signal
import sys
import traceback
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

from services.cloud.clients.http import HttpClient, Reply
from services.cloud.clients.ssh import Host, Output
from services.cloud.node_access import Shell
from services.cluster.certificates import CertificateSeen
from services.common.errors import Unreachable
from services.store import Commit, Store
from simulators.slack.inprocess import InProcessWebClient
from simulators.slack.webapi import WebApi
from tests.support.coverage_level import sample

T = TypeVar("T")
P = ParamSpec("P")
CrashPoint = int | Callable[[int], bool] | None
"""The point at which a bot crashes: at this one, where this predicate says so, or never."""
READS = ("get", "read", "tail", "length", "names", "logs")
LOOKED_AT = ("users.info", "conversations.info", "conversations.history", "chat.getPermalink")
LOOKS = {
    "digitalocean GET",
    "http get",
    "http post",
    *(f"store {what}" for what in READS),
    *(f"slack {what}" for what in LOOKED_AT),
}
"""Calls that change nothing; what is posted by plain HTTP are LiveKit's lists."""
ROUTINE = {"ssh", "spaces GET", "slack chat.update", "store note"}
"""Calls that recur while nothing happens: what matters of them is noted in the state as well."""
NOTES = ("lease:", "epoch:", "watched:", "card:", "copies:", "meetings:")
"""Keys of what is noted again and again: who drives a run, what its message shows, a count."""
MANY_TASKS = 200
CHILD_SECONDS = 120  # A story takes less than one.


class CrashInjector:
    """Counts the calls of one bot, and crashes it before or after a given one.

    `changes` counts its changes, and what was delivered to it.
    """

    def __init__(self, die_at: CrashPoint = None) -> None:
        self.die_at = die_at
        self.points = 0
        self.changes = 0
        self.is_dead = False
        self.crashed = asyncio.Event()
        self.where = ""
        self.tasks: list[asyncio.Task[Any]] = []
        """What it has begun, which dies with it."""
        self._most_tasks = MANY_TASKS
        self._awake = asyncio.Event()
        self._awake.set()
        self._paused = False
        self._writes: list[tuple[int, str]] = []

    def began(self, task: asyncio.Task[Any]) -> None:
        """Note a task, and forget those that have ended once there are many."""
        self.tasks.append(task)
        if len(self.tasks) > self._most_tasks:
            self.forget_ended()

    def forget_ended(self) -> None:
        """Forget the tasks that have ended."""
        self.tasks = [t for t in self.tasks if not t.done()]
        self._most_tasks = MANY_TASKS + 2 * len(self.tasks)

    async def call(
        self, what: str, work: Callable[P, Awaitable[T]], *args: P.args, **more: P.kwargs
    ) -> T:
        """Make one call to the outside, with a crash point before it, and after a change.

        A look leaves nothing behind, and neither does what a bot computes: to crash after one is to
        crash before the next call.
        """
        if self._paused:
            await self._awake.wait()
        self._point("before", what)
        if what.startswith("digitalocean") and not what.endswith("GET"):
            self._writes.append((self.points, what))
        result = await work(*args, **more)
        if self._paused:
            await self._awake.wait()
        self.changes += what not in LOOKS and what not in ROUTINE
        if what not in LOOKS:
            self._point("after", what)
        elif self.is_dead:
            raise asyncio.CancelledError
        return result

    def looks_freely(self) -> bool:
        """Pass the point before a look; False where more than counting it has to be done."""
        if self._paused or self.is_dead or self.die_at is not None:
            return False
        self.points += 1
        return True

    @property
    def is_well(self) -> bool:
        """Return whether it is neither dead nor stopped."""
        return not self.is_dead and not self._paused

    async def after_look(self, seen: T) -> T:
        """Pass the end of a look."""
        if self._paused:
            await self._awake.wait()
        if self.is_dead:
            raise asyncio.CancelledError
        return seen

    def _point(self, when: str, what: str) -> None:
        """Pass a crash point."""
        if not self.is_dead:
            self.points += 1
            die_at = self.die_at
            if die_at is not None and (
                die_at(self.points) if callable(die_at) else self.points == die_at
            ):
                self.crash(f"{when} {what}")
        if self.is_dead:
            raise asyncio.CancelledError

    def pause(self) -> None:
        """SIGSTOP: nothing goes out or comes in until `go_on`."""
        self._paused = True
        self._awake.clear()

    def go_on(self) -> None:
        """SIGCONT."""
        self._paused = False
        self._awake.set()

    def writes_since(self, points: int) -> list[str]:
        """Return its writes to the world outside its own state since it had passed so many points.

        Looks do not count.
        """
        return [what for at, what in self._writes if at > points]

    def crash(self, where: str = "killed") -> None:
        """From now on nothing of this bot reaches the world."""
        self.is_dead = True
        self.where = where
        self.crashed.set()


class CrashingStore:
    """A state store, as one process of a bot sees it."""

    def __init__(self, store: Store, life: CrashInjector) -> None:
        self._store = store
        self._life = life
        self.delay = 0.0
        self.away = False

    async def _do(
        self, what: str, work: Callable[P, Awaitable[T]], *args: P.args, **more: P.kwargs
    ) -> T:
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.away:
            raise Unreachable("asking Redis: ConnectionError")
        return await self._life.call(what, work, *args, **more)

    @property
    def _is_plain(self) -> bool:
        """Pass the point before a look; False where more than counting it has to be done."""
        return not self.delay and not self.away and self._life.looks_freely()

    async def get(self, *keys: str) -> list[str | None]:
        if not self._is_plain:
            return await self._do("store get", self._store.get, *keys)
        texts = await self._store.get(*keys)
        return texts if self._life.is_well else await self._life.after_look(texts)

    async def commit(self, commit: Commit) -> bool:
        is_note = not commit.appends and all(key.startswith(NOTES) for key in commit.puts)
        what = "store note" if is_note else "store commit"
        return await self._do(what, self._store.commit, commit)

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        if not self._is_plain:
            return await self._do("store read", self._store.read, log, start, count)
        entries = await self._store.read(log, start, count)
        return entries if self._life.is_well else await self._life.after_look(entries)

    async def tail(self, log: str, count: int) -> list[str]:
        return await self._do("store tail", self._store.tail, log, count)

    async def length(self, log: str) -> int:
        return await self._do("store length", self._store.length, log)

    async def names(self, start: str) -> list[str]:
        return await self._do("store names", self._store.names, start)

    async def logs(self, start: str) -> list[str]:
        return await self._do("store logs", self._store.logs, start)

    async def tidy(self) -> None:
        await self._do("store tidy", self._store.tidy)

    async def aclose(self) -> None:
        """The state outlives the bot."""


class CrashingWebClient(InProcessWebClient):
    """Slack, as one process of a bot sees it."""

    def __init__(self, webapi: WebApi, life: CrashInjector) -> None:
        super().__init__(webapi)
        self._life = life

        session: Any = self.session
        session.request = _mortal(session.request, life)

    async def api_call(self, api_method: str, **more: Any) -> Any:
        call = super().api_call
        return await self._life.call(f"slack {api_method}", lambda: call(api_method, **more))


def _mortal(request: Callable[..., Any], life: CrashInjector) -> Callable[..., Any]:
    """Answers by response URL are not calls of the Web API.

    Everything else that goes out has its crash points there.
    """

    @asynccontextmanager
    async def mortal(verb: str, url: str, **sent: Any) -> AsyncIterator[Any]:
        if "/respond/" not in url:
            async with request(verb, url, **sent) as answer:
                yield answer
            return

        async def respond() -> Any:
            async with request(verb, url, **sent) as answer:
                return answer

        yield await life.call("slack response url", respond)

    return mortal


class CrashingShell:
    """SSH, as one process of a bot sees it."""

    def __init__(self, shell: Shell, life: CrashInjector) -> None:
        self._shell = shell
        self._life = life

    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output:
        return await self._life.call(
            "ssh", lambda: self._shell.run(host, command, stdin=stdin, timeout=timeout)
        )


class CrashingHttp(HttpClient):
    """Plain HTTP, as one process of a bot sees it."""

    def __init__(self, http: HttpClient, life: CrashInjector) -> None:
        super().__init__()
        self._http = http
        self._life = life

    def trusting(self, ca_file: str | None, setting: str) -> HttpClient:
        return self

    async def certificate_of(self, url: str) -> CertificateSeen:
        return await self._http.certificate_of(url)

    async def get(self, url: str, *, headers: Any = None, timeout: float = 10.0) -> Reply:
        return await self._life.call(
            "http get", lambda: self._http.get(url, headers=headers, timeout=timeout)
        )

    async def post(
        self, url: str, json: object, *, headers: Any = None, timeout: float = 10.0
    ) -> Reply:
        # What is posted to a repository is a change; elsewhere these are LiveKit's lists.
        what = "github post" if "/repos/" in url else "http post"
        return await self._life.call(
            what, lambda: self._http.post(url, json, headers=headers, timeout=timeout)
        )


class CrashForks:
    """At each of these points the process forks.

    In the child the bot crashes there, in the parent it lives on to the next.

    So what comes before a point runs once for all of them. The parent waits for each child: there
    is never more than one.
    """

    def __init__(self, points: Iterable[int]) -> None:
        self.left = set(points)
        self.ill: dict[int, str] = {}  # What came of the children that did not end well.
        self._to_parent: int | None = None

    def __call__(self, point: int) -> bool:
        if self._to_parent is not None or point not in self.left:
            return False
        self.left.remove(point)
        loop = asyncio.get_running_loop()
        ours, theirs = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # Threads of pytest-xdist: the child never needs them.
            child = os.fork()
        if not child:
            asyncio._set_running_loop(loop)  # No process takes over another one's loop by accident.
            # The system ends what hangs, and a child that is soon discarded needs no cleanup.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(CHILD_SECONDS)
            gc.disable()
            self._to_parent = theirs
            return True
        os.close(theirs)
        with os.fdopen(ours) as pipe:
            words = pipe.read()
        _, status = os.waitpid(child, 0)
        if status:
            self.ill[point] = words or f"ended by signal {os.waitstatus_to_exitcode(status)}"
        return False

    def child_ends(self) -> None:
        """End a child here, well or not; it never returns to its caller.

        In the parent this does nothing.
        """
        if self._to_parent is None:
            return
        ill = sys.exc_info()[0] is not None
        try:
            if ill:
                os.write(self._to_parent, traceback.format_exc().encode())
        finally:
            os._exit(ill)


def assert_survives_any_crash(
    story: str, tell: Callable[[CrashPoint], int], few: int, part: int = 0
) -> None:
    """The story ends as it should, whatever point the bot crashes at.

    This part of all points in the full run, else `few` of them.

    How long it then stays away is up to the story.

    `tell` runs it with a bot that crashes as given, and returns how many points that bot passed.
    """
    assert_survives_crashes(story, tell, lambda points: sample(points, few, part))


def assert_survives_crashes(
    story: str,
    tell: Callable[[CrashPoint], int],
    chosen: Callable[[int], Iterable[int]],
) -> None:
    """The story ends as it should with a crash at each of the points chosen from so many."""
    points = tell(None)
    forks = CrashForks(chosen(points))
    try:
        tell(forks)
    finally:
        forks.child_ends()
    assert not forks.left, (
        f"{story} is not the same every time: it never came to {sorted(forks.left)[:3]} of {points}"
    )
    for point, words in forks.ill.items():
        raise AssertionError(
            f"{story} killed at {len(forks.ill)} of {points} points, first at {point}: {words}"
        )
