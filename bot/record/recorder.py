"""Writes a recording: redacts each exchange and appends it, in a thread of its own.

A recording that cannot be written, or is full, ends with one line in the log. Nothing of it ever
disturbs the bot: an exchange that does not fit into the queue is counted and left out.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import queue
import stat
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from bot.record.lines import line_of
from bot.record.pseudonyms import Pseudonyms
from bot.record.redaction import Redaction
from bot.record.tables import digitalocean
from config.values import Settings
from services.cloud.clients.exchanges import Exchange

log = logging.getLogger(__name__)
FORMAT = 1
MOST_BYTES = 50 * 1024 * 1024
MOST_WAITING = 500
CLOSE_SECONDS = 5.0
MODE = 0o600
BEGINNING = b'{"format": '  # of the first line


class Lines(Protocol):
    """A file, as far as a recorder writes to it."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...
    def close(self) -> object: ...


class Recording:
    """The lines of one recording. Called from one thread."""

    def __init__(
        self,
        file: Lines,
        version: str,
        stacks: Mapping[str, str],
        most: int = MOST_BYTES,
        already: int = 0,
    ) -> None:
        self.kept: Counter[str] = Counter()
        self.kind = "unknown"
        self.bytes = already
        self.full = False
        table = digitalocean()
        self._redaction = Redaction(Pseudonyms(stacks), table.objects, table.words)
        self._file = file
        self._most = most
        self._version = version
        self._began: float | None = None

    def add(self, exchange: Exchange, at: float) -> None:
        """Append an exchange that ended at that moment (epoch seconds)."""
        if self.full:
            return
        if self._began is None:
            self._began = self._redaction.started = at
            if self.bytes:
                # A recording goes on in a file that may end in the middle of a line.
                self._file.write("\n")
            self._append({"format": FORMAT, "bot": self._version, "kind": self.kind})
        line: dict[str, Any] = {
            "n": sum(self.kept.values()) + 1,
            "t": round(at - self._began, 2),
            "took": round(exchange.seconds, 3),
        }
        self._append(line | line_of(exchange, self._redaction))
        self.kept[exchange.party] += 1

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, ensure_ascii=True) + "\n"
        if self.bytes + len(text) > self._most:
            self.full = True
            return
        self._file.write(text)
        self._file.flush()
        self.bytes += len(text)


class Recorder:
    """A listener that records. `close` waits until everything heard is written.

    `now` tells the time of the world that is recorded; `threaded` False records at once.
    """

    def __init__(
        self,
        path: Path,
        version: str,
        stacks: Mapping[str, str],
        now: Callable[[], float],
        *,
        most: int = MOST_BYTES,
        threaded: bool = True,
    ) -> None:
        self.missed = 0
        self.problem = ""
        self._path = path
        # Opened by the caller's thread: a path that cannot be written is an error at the start.
        self._file, already = _open(path)
        self.recording = Recording(self._file, version, stacks, most, already)
        self._now = now
        self._queue: queue.Queue[tuple[Exchange, float] | None] = queue.Queue(MOST_WAITING)
        self._threaded = threaded
        self._thread: threading.Thread | None = None

    def begin(self, kind: str = "unknown") -> None:
        """Start writing; what was heard before waits. `kind`: of the cluster's media fleet."""
        self.recording.kind = kind
        if self._threaded:
            self._thread = threading.Thread(target=self._write, name="recording", daemon=True)
            self._thread.start()

    def hear(self, exchange: Exchange) -> None:
        """Record an exchange. Returns at once and never raises."""
        at = self._now()
        if not self._threaded:
            self._add(exchange, at)
            return
        try:
            self._queue.put_nowait((exchange, at))
        except queue.Full:
            self.missed += 1

    def close(self) -> None:
        """Write what is waiting, within a few seconds, and close the file."""
        if self._threaded and self._thread is None:
            self.begin()  # interrupted before it knew the kind
        if self._thread is not None:
            try:
                self._queue.put(None, timeout=CLOSE_SECONDS)
            except queue.Full:
                return
            self._thread.join(CLOSE_SECONDS)
        if self._thread is None or not self._thread.is_alive():
            with contextlib.suppress(OSError):  # what was not written is known already
                self._file.close()

    def _write(self) -> None:
        while (waiting := self._queue.get()) is not None:
            self._add(*waiting)

    def _add(self, exchange: Exchange, at: float) -> None:
        if self.problem:
            return
        try:
            self.recording.add(exchange, at)
        except OSError as error:
            self._end(f"cannot be written ({error.strerror})")
        except Exception as error:  # noqa: BLE001 - whatever an answer was, the bot goes on
            # Without its text: it may quote the answer.
            self.missed += 1
            log.debug("an exchange was not recorded: %s", type(error).__name__)
            return
        if self.recording.full:
            self._end(f"is full ({self.recording.bytes} bytes)")

    def _end(self, problem: str) -> None:
        self.problem = problem
        log.warning(
            "the recording %s %s: the recording ends, the bot continues", self._path, problem
        )


def _open(path: Path) -> tuple[Lines, int]:
    """Open a file for appending that only its owner may read; return it and its bytes.

    OSError for a link, for a file that is something else than a recording, and for one that
    another process records in. Never waits: not for the reader of a pipe either.
    """
    flags = os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        number = os.open(path, (os.O_WRONLY if path.is_char_device() else os.O_RDWR) | flags, MODE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "a symbolic link; name the file itself") from None
        raise
    try:
        return _locked(number)
    except BaseException:
        os.close(number)
        raise


def _locked(number: int) -> tuple[Lines, int]:
    found = os.fstat(number)
    if stat.S_ISREG(found.st_mode):
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = "another process is recording in it; choose another file"
            raise OSError(errno.EWOULDBLOCK, text) from None
        if found.st_size and os.pread(number, len(BEGINNING), 0) != BEGINNING:
            raise OSError(errno.EEXIST, "not a recording of openvidu-bot; choose another file")
        os.fchmod(number, MODE)
    elif not stat.S_ISCHR(found.st_mode):
        raise OSError(errno.EINVAL, "not a file")
    return os.fdopen(number, "a", encoding="utf-8"), os.fstat(number).st_size


def stacks_of(settings: Settings) -> dict[str, str]:
    """Return each stack of the settings, and what precedes its roles in pseudonyms."""
    stacks = [cluster.stack for cluster in settings.clusters.values()]
    return {stack: f"{number}/" if number > 1 else "" for number, stack in enumerate(stacks, 1)}
