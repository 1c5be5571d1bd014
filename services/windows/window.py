"""A window: when a cluster is closed to save money, and the text form that people write."""

import re
import shlex
from dataclasses import dataclass, replace
from typing import Literal, get_args

from services.common.errors import Refused
from services.common.text import duration
from services.windows.days import date_words, day_words, parse_dates, parse_days
from services.windows.time_zones import zone_named
from services.windows.times import parse_length

Kind = Literal["shutdown", "media-only"]
Meetings = Literal["wait", "ask", "skip"]

USAGE = (
    "NAME DAYS HH:MM-HH:MM [ZONE] [--media-only] [--number N] "
    "[--meetings wait[:MINUTES]|ask|skip] [--except DATES] "
    "[--when-empty LENGTH [--stays LENGTH] [--closings N]]"
)
EXAMPLE = "nights Mon-Fri 20:00-07:30 Europe/Madrid"
WAIT_LIMIT = 3600.0
MOST_NODES = 1000
SHORTEST_SPAN = 3600.0  # seconds of a span beyond the time without a meeting
# Of a window that closes when it is empty: seconds without a meeting, seconds that it stays open
# after a wake-up, and closings a night.
SHORTEST_EMPTY, LONGEST_EMPTY = 600.0, 12 * 3600.0
STAYS, LONGEST_STAY = 1800.0, 12 * 3600.0
CLOSINGS, MOST_CLOSINGS = 3, 12
KIND_WORDS: dict[Kind, str] = {
    "shutdown": (
        "everything is shut down; powered-off droplets stay billed, and starting takes minutes"
    ),
    "media-only": (
        "only media nodes are shut down; saves the same (only removed media nodes save money), "
        "and starting is quicker"
    ),
}


@dataclass(frozen=True)
class Window:
    """Closed from `close` to `open` on its days.

    A day names the evening: Fri 20:00-07:30 opens on Saturday.

    `close` and `open` are minutes after local midnight; `open` is on the next day unless it comes
    after `close`, and 1440 is the midnight at the day's end. Dates are ISO text. On `dates` it
    closes although their weekday is not among `days`; on `off` it does not close, and `off` wins.
    For a holiday without any work, write a second window with that date and 00:00-24:00.

    `number` is how many media nodes it opens with; None: as many as before it closed.

    `when_empty`: seconds. Between `close` and `open` it closes only after that long without a
    meeting, not because of the clock. None: it closes at `close`. With it, `stays` is how many
    seconds it is open after a wake-up at least, and `closings` how often it closes a night at most.
    """

    name: str
    days: tuple[int, ...]
    close: int
    open: int
    zone: str
    number: int | None = None
    meetings: Meetings = "wait"
    wait_limit: float = WAIT_LIMIT
    kind: Kind = "shutdown"
    dates: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    version: int = 1
    when_empty: float | None = None
    stays: float = STAYS
    closings: int = CLOSINGS

    @property
    def times(self) -> str:
        """`20:00-07:30`."""
        return f"{clock(self.close)}-{clock(self.open)}"

    @property
    def title(self) -> str:
        """`nights (Mon-Fri, Europe/Madrid)`, for cards."""
        return f"{self.name} ({day_words(self.days, self.dates)}, {self.zone})"

    @property
    def empty_words(self) -> str:
        """`closes after 30 min without a meeting`; "" where it closes by the clock."""
        if self.when_empty is None:
            return ""
        return f"closes after {duration(self.when_empty)} without a meeting"

    def to_text(self) -> str:
        """Return the text that `parse_window` reads as this window."""
        words = [self.name, day_words(self.days, self.dates), self.times, self.zone]
        if self.kind == "media-only":
            words.append("--media-only")
        if self.number is not None:
            words += ["--number", str(self.number)]
        words += self._meeting_words()
        if self.off:
            words += ["--except", date_words(self.off)]
        return " ".join([*words, *self._quiet_words()])

    def _quiet_words(self) -> list[str]:
        if self.when_empty is None:
            return []
        words = ["--when-empty", f"{self.when_empty / 60:g}m"]
        if self.stays != STAYS:
            words += ["--stays", f"{self.stays / 60:g}m"]
        if self.closings != CLOSINGS:
            words += ["--closings", str(self.closings)]
        return words

    def _meeting_words(self) -> list[str]:
        if self.meetings != "wait":
            return ["--meetings", self.meetings]
        if self.wait_limit == WAIT_LIMIT:
            return []
        return ["--meetings", f"wait:{self.wait_limit / 60:g}"]


def clock(minutes: int) -> str:
    """Return `07:30`; `24:00` for the midnight at the day's end."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def parse_window(text: str, zone: str | None = None) -> Window:
    """Return the window of a text. `zone` is used when the text names none.

    Refused with what was written and what is allowed.
    """
    words, flags = _split(text)
    words = _with_span(words, flags)
    if len(words) == 3 and zone:
        words.append(zone)
    if len(words) != 4:
        raise Refused(f"write a window as {USAGE}, for example `{EXAMPLE}`; found {_found(words)}")
    days, dates = parse_days(words[1])
    closes, opens = _times(words[2])
    if closes == 1440:
        # Fri 24:00 is Sat 00:00: named by the day it falls on, as everything else is.
        if dates:
            raise Refused(
                "24:00 as closing time is allowed with weekdays only; write the next date and 00:00"
            )
        days, closes = tuple(sorted((d + 1) % 7 for d in days)), 0
    name, zone_name = words[0].casefold(), zone_named(words[3]).key
    return check(_with_flags(Window(name, days, closes, opens, zone_name, dates=dates), flags))


def begin_window(text: str, zone: str) -> Window | None:
    """Return a form's first values, if the text only begins a window; None if it has times.

    The rest is that of an ordinary night. It is no valid window yet: it may have no name.
    """
    words, flags = _split(text)
    if len(words) > 2 or flags.keys() & {*_QUIET, "between"}:
        return None
    name, days, *_ = (*words, "", "")
    weekdays, dates = parse_days(days or "weekdays")
    return _with_flags(
        Window(name.casefold(), weekdays, 20 * 60, 7 * 60 + 30, zone, dates=dates), flags
    )


def check(window: Window) -> Window:
    """Return the same window.

    Refused when it makes no sense, whether it comes from text or from a form.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", window.name):
        raise Refused(
            "a window's name is up to 32 letters, digits, - and _, such as nights; "
            f"found “{window.name}”"
        )
    if not window.days and not window.dates:
        raise Refused("a window needs a day; write Mon-Fri, daily or a date")
    if not (0 <= window.close < 1440 and 0 <= window.open <= 1440):
        raise Refused("times run from 00:00 to 24:00")
    if window.close == window.open:
        raise Refused(
            f"it closes and opens at {clock(window.close)}: "
            "write two different times, or 00:00-24:00 for whole days"
        )
    if len(set(window.days)) == 7 and window.open - window.close == 1440:
        raise Refused("this window would never open; to close for good, use [[command shutdown]]")
    if window.number is not None and not 1 <= window.number <= MOST_NODES:
        raise Refused(f"it opens with 1 to {MOST_NODES} media nodes; found {window.number}")
    if window.wait_limit <= 0:
        raise Refused(
            "waiting for meetings needs at least 1 minute; "
            "to stay up when meetings are running, write --meetings skip"
        )
    both = sorted({*window.dates} & {*window.off})
    if both:
        raise Refused(f"{both[0]} is both a day to close on and an exception; remove one of them")
    zone_named(window.zone)
    if window.when_empty is not None:
        _check_quiet(window, window.when_empty)
    elif (window.stays, window.closings) != (STAYS, CLOSINGS):
        raise Refused("--stays and --closings are for a window with --when-empty")
    return window


def _check_quiet(window: Window, empty: float) -> None:
    if not SHORTEST_EMPTY <= empty <= LONGEST_EMPTY:
        raise Refused(f"--when-empty is 10 minutes to 12 hours; found {empty:g} s")
    if not SHORTEST_EMPTY <= window.stays <= LONGEST_STAY:
        raise Refused(f"--stays is 10 minutes to 12 hours; found {window.stays:g} s")
    if not 1 <= window.closings <= MOST_CLOSINGS:
        raise Refused(f"it closes 1 to {MOST_CLOSINGS} times a night; found {window.closings}")
    if (window.meetings, window.wait_limit) != ("wait", WAIT_LIMIT):
        raise Refused(
            "a window with --when-empty never closes while meetings run: leave --meetings out"
        )
    length = (window.open - window.close) % 1440 or 1440
    if length * 60 < empty + SHORTEST_SPAN:
        raise Refused(
            f"between {window.times} are {duration(length * 60)}: write at least "
            f"{duration(SHORTEST_SPAN)} more than --when-empty"
        )


def _split(text: str) -> tuple[list[str], dict[str, str]]:
    """Return words, and flags with their values.

    Slack's clients turn `--` and `-` into long dashes; they are turned back.
    """
    plain = re.sub(r"(?<!\S)[\u2014\u2013](?=[a-z])", "--", text.strip().strip("`"))
    plain = re.sub(
        r"\s*,\s*",
        ",",
        re.sub(r"(?<=\d)\s*[-\u2013\u2014]\s*(?=\d)|(?<=\w)[\u2013\u2014](?=\w)", "-", plain),
    )
    try:
        tokens = shlex.split(plain)
    except ValueError:
        raise Refused(f"a quotation mark is not closed; write a window as {USAGE}") from None
    words: list[str] = []
    flags: dict[str, str] = {}
    rest = iter(tokens)
    for token in rest:
        if not token.startswith("--"):
            words.append(token)
            continue
        name, given, value = token[2:].partition("=")
        if name not in {*_FLAGS, "between"}:
            allowed = ", ".join(f"--{flag}" for flag in (*_FLAGS, "between"))
            raise Refused(f"a window has no --{name}; allowed: {allowed}")
        if not given and name != "media-only":
            value = next(rest, "")
        flags[name] = value
    return words, flags


def _with_span(words: list[str], flags: dict[str, str]) -> list[str]:
    """Return the words with `--between` as their times; every day where no days are written."""
    times = flags.pop("between", "")
    if not times:
        return words
    if "when-empty" not in flags:
        raise Refused("--between is for a window with --when-empty, such as --when-empty 30m")
    name, *others = words or [""]
    zones = [w for w in others if "/" in w or w.upper() == "UTC"]
    days = [w for w in others if w not in zones] or ["daily"]
    return [name, *days, times, *zones]


def _found(words: list[str]) -> str:
    if not words:
        return "nothing"
    return f"{len(words)}: {' '.join(words)}"


def _times(text: str) -> tuple[int, int]:
    times = re.fullmatch(r"(\d{1,2}:\d{2})-(\d{1,2}:\d{2})", text)
    if not times:
        raise Refused(
            f"“{text}” is not a pair of times; "
            "write when it closes and when it opens on the 24-hour clock: 20:00-07:30"
        )
    return _minutes(times[1]), _minutes(times[2])


def _minutes(text: str) -> int:
    hours, minutes = (int(part) for part in text.split(":"))
    if minutes > 59 or hours * 60 + minutes > 1440:
        raise Refused(f"there is no {text} on the clock; times run from 00:00 to 24:00")
    return hours * 60 + minutes


def _with_flags(window: Window, flags: dict[str, str]) -> Window:
    for name, value in flags.items():
        window = _FLAGS[name](window, value)
    return window


def _media_only(window: Window, value: str) -> Window:
    if value:
        raise Refused("--media-only takes no value")
    return replace(window, kind="media-only")


def _number(window: Window, value: str) -> Window:
    if not re.fullmatch(r"[0-9]{1,6}", value):
        raise Refused(f"--number is how many media nodes it opens with, 1 to 1000; found “{value}”")
    return replace(window, number=int(value))


def _meetings(window: Window, value: str) -> Window:
    policy, colon, limit = value.partition(":")
    for allowed in get_args(Meetings):
        if policy == allowed and not colon:
            return replace(window, meetings=allowed)
    if policy != "wait" or not limit:
        raise Refused(f"--meetings is wait, wait:MINUTES, ask or skip; found “{value}”")
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]+)?", limit):
        return replace(window, meetings="wait", wait_limit=float(limit) * 60)
    return replace(window, meetings="wait", wait_limit=parse_length(limit))


def _except(window: Window, value: str) -> Window:
    return replace(window, off=parse_dates(value))


def _when_empty(window: Window, value: str) -> Window:
    return replace(window, when_empty=_seconds("when-empty", value))


def _stays(window: Window, value: str) -> Window:
    return replace(window, stays=_seconds("stays", value))


def _seconds(flag: str, value: str) -> float:
    """Return a length in seconds; a number alone is minutes."""
    if not value:
        raise Refused(f"--{flag} needs a length, such as 30m")
    if re.fullmatch(r"[0-9]{1,4}", value):
        return float(value) * 60
    return parse_length(value)


def _closings(window: Window, value: str) -> Window:
    if not re.fullmatch(r"[0-9]{1,3}", value):
        raise Refused(
            f"--closings is how often it closes a night, 1 to {MOST_CLOSINGS}; found “{value}”"
        )
    return replace(window, closings=int(value))


_QUIET = {"when-empty": _when_empty, "stays": _stays, "closings": _closings}
_FLAGS = {
    "media-only": _media_only,
    "number": _number,
    "meetings": _meetings,
    "except": _except,
    **_QUIET,
}
