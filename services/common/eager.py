"""Start work at once, and make a task only of work that has to wait.

Most periodic work ends without waiting, because there is nothing to do. A task for it would cost
more than the work itself. Python 3.12 has eager tasks; this does the same in every version.
"""

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # for tasks of one's own: documented in asyncio
from collections.abc import Coroutine, Generator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")


def start(work: Coroutine[Any, Any, T]) -> "asyncio.Task[T] | None":
    """Run the work until it ends or has to wait; return a task of the rest, None where it ended.

    What it raises before it waits is raised here. It has a context of its own, as in a task.
    """
    return _begin(work)[0]


if TYPE_CHECKING:
    from asyncio import gather  # the types are the same
else:

    async def gather(*works: Coroutine[Any, Any, Any]) -> list[Any]:
        """Return what the works return, in order, as asyncio.gather does.

        What one raises is raised once all have begun; the others go on.
        """
        begun: list[tuple[asyncio.Task[Any] | None, Any]] = []
        raised: BaseException | None = None
        for work in works:
            try:
                begun.append(_begin(work))
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised below
                raised = raised or error
        tasks = [task for task, _ in begun if task is not None]
        if raised is not None:
            for task in tasks:
                task.add_done_callback(_heard)
            raise raised
        if not tasks:
            return [value for _, value in begun]
        results = iter(await asyncio.gather(*tasks))
        return [value if task is None else next(results) for task, value in begun]


def _heard(task: "asyncio.Task[Any]") -> None:
    """Take an error that no one asks for any more: another one was raised."""
    if not task.cancelled():
        task.exception()


def _begin(work: Coroutine[Any, Any, T]) -> "tuple[asyncio.Task[T] | None, T | None]":
    """Return a task of the rest; or None, and what the work returned."""
    loop = asyncio.get_running_loop()
    caller = asyncio.current_task(loop)
    context, future_task = copy_context(), _FutureTask()
    if caller is not None:
        _leave_task(loop, caller)
    _enter_task(loop, future_task)  # type: ignore[arg-type]
    try:
        waits_for = context.run(work.send, None)
    except StopIteration as ended:
        return None, ended.value
    finally:
        _leave_task(loop, future_task)  # type: ignore[arg-type]
        if caller is not None:
            _enter_task(loop, caller)
    task = asyncio.create_task(_Rest(work, waits_for), context=context)
    future_task.becomes(task)
    return task, None


class _FutureTask:
    """The current task until there is one.

    Timeouts and task groups keep the current task, to cancel it later.
    """

    __slots__ = ("_cancelled", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = 0

    def becomes(self, task: "asyncio.Task[Any]") -> None:
        """Pass everything on to this task from now on."""
        self._task = task
        for _ in range(self._cancelled):
            task.cancel()

    def cancel(self, msg: Any = None) -> bool:
        if self._task is not None:
            return self._task.cancel(msg)
        self._cancelled += 1
        return True

    def cancelling(self) -> int:
        return self._cancelled if self._task is None else self._task.cancelling()

    def uncancel(self) -> int:
        if self._task is not None:
            return self._task.uncancel()
        self._cancelled = max(0, self._cancelled - 1)
        return self._cancelled

    def __getattr__(self, name: str) -> Any:
        if self._task is None:
            raise AttributeError(f"{name}: the task has not begun")
        return getattr(self._task, name)


class _Rest(Coroutine[Any, Any, T]):
    """A coroutine that has run until it waits for something."""

    def __init__(self, work: Coroutine[Any, Any, T], waits_for: Any) -> None:
        self._work, self._waits_for = work, waits_for
        self.__qualname__ = getattr(work, "__qualname__", "")  # as asyncio names it

    def send(self, value: None) -> Any:
        waits_for, self._waits_for = self._waits_for, None
        if waits_for is not None:
            return waits_for
        return self._work.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error where the work waits.

        If it is cancelled in its first moment, so is what it waits for, as asyncio does.
        """
        waits_for, self._waits_for = self._waits_for, None
        if waits_for is not None and waits_for.cancel():
            return waits_for
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, None, T]:
        raise NotImplementedError("it is run by a task")


__all__ = ["gather", "start"]
