"""What a process that rehearses may use, set by itself before it begins."""

import math
import os
import resource
import signal
import sys

PRIORITY = 10  # runs and answers of the bot go first
MEMORY = 512 * 1024 * 1024  # bytes of address space, of each process
PROCESSOR_SECONDS = 60  # of each process
GRACE = 2.0  # seconds beyond its time, after which the kernel ends it
SET_DEATH_SIGNAL = 1  # of prctl


def set_limits(seconds: float, memory: int = MEMORY) -> None:
    """Limit this process: memory, processor time, priority, and the time until it is ended.

    The kernel holds all of them, whatever this process does, and also when the bot was killed.
    """
    os.nice(PRIORITY)
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, PROCESSOR_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(seconds + GRACE))
    die_with_parent(os.getppid())


def die_with_parent(parent: int) -> None:
    """Let the kernel end this process when the one that started it ends, or has ended already."""
    if sys.platform == "linux":
        # The bot itself needs no ctypes: half a megabyte.
        import ctypes  # noqa: PLC0415

        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
