"""The run and the person that the current code works for, so that log lines can name them.

Set where a task starts, with `asyncio.create_task(work, context=task_context(run="acme-1"))` or
`Tasks.start(..., actor="U1")`, or for a block with `working_for`. Tasks started from there inherit
it. `task_context()` without arguments is for work that serves no single run or person, such as a
cache refresh that several callers wait for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass


@dataclass(frozen=True)
class WorkContext:
    """`run`: a run's id, such as `acme-18`. `actor`: a Slack member id. "" where there is none."""

    run: str = ""
    actor: str = ""


NO_WORK = WorkContext()
_current: ContextVar[WorkContext] = ContextVar("work_context", default=NO_WORK)


def current_work() -> WorkContext:
    """Return what the running code works for; also outside of an event loop."""
    return _current.get()


def task_context(*, run: str = "", actor: str = "") -> Context:
    """Return a copy of the current context with run and actor replaced, for `create_task`."""
    context = copy_context()
    context.run(_current.set, WorkContext(run, actor))
    return context


@contextmanager
def working_for(*, run: str = "", actor: str = "") -> Iterator[None]:
    """Replace run and actor for the length of a block."""
    token = _current.set(WorkContext(run, actor))
    try:
        yield
    finally:
        _current.reset(token)
