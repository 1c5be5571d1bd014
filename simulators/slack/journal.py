"""The record of everything sent between Slack and the app, with the faults found in it."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from simulators.slack.model import JSON
from simulators.wire import WireCall

MASK = "••••"
SHOWN, OVERHEARD = 300, 150
"""How many lines of Slack, and of each other service, a page is given."""


@dataclass(frozen=True)
class WireLogEntry:
    """One line: an API call, an envelope, its ack, an answer through a response url, or a note."""

    number: int
    at: float
    kind: str
    name: str
    ok: bool
    ms: float | None = None
    note: str = ""
    sent: JSON = field(default_factory=dict)
    answer: JSON = field(default_factory=dict)

    def as_json(self) -> JSON:
        """Return the line as JSON."""
        return asdict(self)


class WireLog:
    """The bounded record, with the complaints that every test checks.

    `keep` 0: the complaints only.
    """

    def __init__(self, now: Callable[[], float], keep: int = 1000) -> None:
        self._now = now
        self.keeps = keep > 0
        self.entries: deque[WireLogEntry] = deque(maxlen=keep)
        self.problems: deque[str] = deque(maxlen=max(keep, 1000))
        self.complaints: deque[tuple[float, str]] = deque(maxlen=max(keep, 1000))
        """The same with the moment of each."""
        self.overheard: dict[str, deque[WireLogEntry]] = {}
        """Calls that are not Slack's, by service: only to be shown."""
        self.scopes_used: set[str] = set()
        self.count = 0
        self.listener: Callable[[], None] = lambda: None

    def write(
        self,
        kind: str,
        name: str,
        *,
        ok: bool = True,
        ms: float | None = None,
        note: str = "",
        **wire: JSON,
    ) -> WireLogEntry:
        """Add a line; text typed into secret fields is masked first."""
        self.count += 1
        if not self.keeps:
            return WireLogEntry(self.count, self._now(), kind, name, ok, ms, note)
        sent, answer = masked(wire.get("sent", {})), masked(wire.get("answer", {}))
        entry = WireLogEntry(self.count, self._now(), kind, name, ok, ms, note, sent, answer)
        self.entries.append(entry)
        self.listener()
        return entry

    def overhear(self, call: WireCall) -> None:
        """Add a call of the app to another service, whose secrets are masked already."""
        self.count += 1
        kept = self.overheard.setdefault(call.service, deque(maxlen=OVERHEARD))
        kept.append(
            WireLogEntry(
                self.count,
                self._now(),
                call.service,
                call.name,
                call.ok,
                call.ms,
                call.note,
                call.sent,
                call.answer,
            )
        )

    def everything(self, after: int = 0) -> list[WireLogEntry]:
        """Return the latest lines of each service, in their order."""
        latest = [*self.entries][-SHOWN:]
        others = (entry for kept in self.overheard.values() for entry in kept)
        return sorted(
            (entry for entry in (*latest, *others) if entry.number > after),
            key=lambda entry: entry.number,
        )

    def keep_nothing(self) -> None:
        """Keep only complaints from now on: for thousands of stories that no one reads."""
        self.keeps = False
        self.entries.clear()

    def complain(self, what: str) -> None:
        """Record a violation of Slack's rules."""
        self.problems.append(what)
        self.complaints.append((self._now(), what))
        self.write("problem", what, ok=False)

    def calls(self, method: str = "") -> list[WireLogEntry]:
        """Return the API calls in the record, all or of one method."""
        return [
            entry for entry in self.entries if entry.kind == "api" and method in ("", entry.name)
        ]

    def assert_clean(self, allow: Iterable[str] = ()) -> None:
        """Raise AssertionError unless the app kept Slack's rules.

        Complaints with a text of `allow` are ignored.
        """
        forgiven = tuple(allow)
        left = [
            problem for problem in self.problems if not any(text in problem for text in forgiven)
        ]
        if left:
            raise AssertionError("the app broke Slack's rules:\n- " + "\n- ".join(left))


def masked(value: Any, *, secret: bool = False) -> Any:
    """Return a copy without the values of fields whose action_id or block_id contains "secret"."""
    if isinstance(value, list):
        return [masked(item, secret=secret) for item in value]
    if not isinstance(value, dict):
        return value
    secret = secret or any(
        "secret" in str(value.get(key, "")).lower() for key in ("action_id", "block_id")
    )
    return {key: _masked_item(key, item, secret=secret) for key, item in value.items()}


def _masked_item(key: str, item: Any, *, secret: bool) -> Any:
    if secret and key in ("value", "initial_value", "rich_text_value") and item:
        return MASK
    return masked(item, secret=secret or (isinstance(item, dict) and "secret" in key.lower()))
