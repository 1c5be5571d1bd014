"""Logging of unexpected errors: one traceback per place, so that a loop cannot fill the log."""

import logging
import traceback


class UnexpectedErrors:
    """Remembers which places in the code this process has logged a traceback for."""

    MOST = 1000

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._logged: set[tuple[str, str, int]] = set()

    def log(self, what: str, error: BaseException) -> None:
        """Log an error, with its traceback if it was raised at a new place."""
        place = _place(error)
        if place in self._logged:
            self._log.debug("%s: %s again", what, type(error).__name__)
            return
        if len(self._logged) < self.MOST:
            self._logged.add(place)
        self._log.error("%s: %r", what, error, exc_info=error)


def _place(error: BaseException) -> tuple[str, str, int]:
    """Return the class of an error, and file and line of the innermost frame."""
    kind = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return kind, "", 0
    return kind, frames[-1].filename, frames[-1].lineno or 0
