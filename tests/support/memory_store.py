"""A state store in dictionaries, for thousands of stories in virtual time.

It can lose what a fail-over loses.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from services.common.clock import Clock
from services.store import Commit

Undo = Callable[[], None]


@dataclass(frozen=True)
class _StoredText:
    text: str
    until: float | None


class MemoryStore:
    """Keeps the same promises as the other two stores.

    `lose` can revert the writes of the last `remembers` seconds.
    """

    def __init__(self, clock: Clock, remembers: float = 0.0) -> None:
        self._clock = clock
        self._remembers = remembers
        self._values: dict[str, _StoredText] = {}
        self._logs: defaultdict[str, list[str]] = defaultdict(list)
        self._done: dict[str, float] = {}
        self._undo: list[tuple[float, Undo]] = []

    async def get(self, *keys: str) -> list[str | None]:
        return [self._text(k) for k in keys]

    def _text(self, key: str) -> str | None:
        entry = self._values.get(key)
        if entry is None or (entry.until is not None and entry.until <= self._clock.now()):
            return None
        return entry.text

    async def commit(self, commit: Commit) -> bool:
        if commit.id in self._done:
            return True
        if any(self._text(k) != v for k, v in commit.checks.items()):
            return False
        now = self._clock.now()
        undo = self._before(commit)
        for key, text in commit.puts.items():
            if text is None:
                self._values.pop(key, None)
            else:
                self._values[key] = _StoredText(
                    text, now + commit.ttl[key] if key in commit.ttl else None
                )
        for log in commit.drops:
            self._logs.pop(log, None)
        for log, count in commit.cuts.items():
            del self._logs[log][:count]
        for log, entry in commit.appends:
            self._logs[log].append(entry)
        self._done[commit.id] = now
        if self._remembers:
            self._undo = [(at, u) for at, u in self._undo if at >= now - self._remembers]
            self._undo.append((now, undo))
        return True

    def _before(self, commit: Commit) -> Undo:
        values = {k: self._values.get(k) for k in commit.puts}
        touched = {*(log for log, _ in commit.appends), *commit.drops, *commit.cuts}
        logs = {log: list(self._logs[log]) for log in touched}

        def undo() -> None:
            for key, value in values.items():
                if value is None:
                    self._values.pop(key, None)
                else:
                    self._values[key] = value
            self._logs.update(logs)
            self._done.pop(commit.id, None)

        return undo

    def values(self) -> dict[str, str]:
        """Return all keys and values, without logs."""
        return {k: text for k in self._values if (text := self._text(k)) is not None}

    def lose(self, seconds: float) -> int:
        """Fail over to a replica that has not seen the last writes. Returns how many are lost."""
        late = [u for at, u in self._undo if at >= self._clock.now() - seconds]
        for undo in reversed(late):
            undo()
        del self._undo[len(self._undo) - len(late) :]
        return len(late)

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        return self._logs[log][start : None if count is None else start + count]

    async def tail(self, log: str, count: int) -> list[str]:
        return self._logs[log][-count:] if count else []

    async def length(self, log: str) -> int:
        return len(self._logs[log])

    async def names(self, start: str) -> list[str]:
        return [k for k in self.values() if k.startswith(start)]

    async def logs(self, start: str) -> list[str]:
        return [name for name, entries in self._logs.items() if name.startswith(start) and entries]

    async def tidy(self) -> None:
        self._values = {k: v for k, v in self._values.items() if self._text(k) is not None}

    async def aclose(self) -> None:
        """It lives as long as the story."""

    # For tests that read or write the state without the bot.

    def append(self, log: str, entry: str) -> None:
        """Append an entry."""
        self._logs[log].append(entry)

    def set(self, key: str, text: str) -> None:
        """Set a key, as another program would."""
        self._values[key] = _StoredText(text, None)

    def entries(self, log: str) -> list[str]:
        """Return a log."""
        return self._logs.get(log, [])

    def logs_now(self) -> list[str]:
        """Return the names of all logs."""
        return list(self._logs)

    def text(self, key: str) -> str | None:
        """Return the value of a key."""
        return self._text(key)
