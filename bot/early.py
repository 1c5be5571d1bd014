"""What happens before anything else is loaded: SIGTERM is heard from the first moment on.

The kernel delivers no signal to a container's first process for which it has no handler, so a SIGTERM during the second that the imports
take would be lost. The image starts the bot with the signal blocked (see ENTRYPOINT in the Dockerfile); then it waits for this handler.
"""

import os
import signal
import threading
from collections.abc import Sequence
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT)


def hear_signals(words: Sequence[str]) -> None:
    """End at once on SIGTERM, until a command sets a handler of its own. `serve` that is stopped before it began has done its work: 0."""
    if threading.current_thread() is not threading.main_thread():
        return
    serving = bool(words) and words[0] == "serve"

    def end(number: int, _frame: FrameType | None) -> None:
        # No exception: raised in the middle of an import, it could be swallowed there. Nothing is open yet that would have to be closed.
        os._exit(0 if serving else 128 + number)

    signal.signal(signal.SIGTERM, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
