"""Unexpected errors: each place is logged once with its traceback, so that a loop over one of them does not fill the log."""

import logging
import traceback


class Bugs:
    """Knows which places have been logged by this process."""

    MOST = 1000

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._known: set[tuple[str, str, int]] = set()

    def note(self, what: str, error: BaseException) -> None:
        """Log it, with the traceback when this place is new."""
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1] if frames else None
        place = (
            type(error).__name__,
            last.filename if last else "",
            (last.lineno or 0) if last else 0,
        )
        if place in self._known:
            self._log.debug("%s: %s again", what, type(error).__name__)
            return
        if len(self._known) < self.MOST:
            self._known.add(place)
        self._log.error("%s: %r", what, error, exc_info=error)
