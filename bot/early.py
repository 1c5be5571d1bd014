"""Stop signals are handled before anything slow is imported.

The kernel delivers no signal to a container's first process unless that process has a handler for
it: a SIGTERM during the second that the imports take would be lost. The image therefore starts the
bot with the signal blocked (ENTRYPOINT in the Dockerfile) until this handler is set.
"""

import os
import signal
import threading
from collections.abc import Sequence
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT)


def handle_stop_signals(words: Sequence[str]) -> None:
    """Exit at once on SIGTERM until the command sets its own handler.

    `words` are the arguments: `serve` that is stopped before it started exits with 0.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    serving = bool(words) and words[0] == "serve"

    def end(number: int, _frame: FrameType | None) -> None:
        # No exception: an import could swallow it. Nothing is open yet that needs closing.
        if serving:
            os._exit(0)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
