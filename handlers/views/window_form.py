"""The form for an off-hours window, and the window it was filled in with. Pure.

A sent form leads to the same command as typing does.
"""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from handlers.slack.blocks import Block, modal, option, plain_text, section
from handlers.slack.markup import markup
from services.common.errors import Refused
from services.windows import KIND_WORDS, Window, check
from services.windows.days import date_words, parse_dates
from services.windows.time_zones import DAYS, zone_named
from services.windows.window import MOST_NODES, clock

T = TypeVar("T")
WINDOW = "window_form"
NAME, ON, DATES, CLOSES, OPENS, ZONE = "name", "days", "dates", "closes", "opens", "zone"
KIND, NUMBER, MEETINGS, LIMIT = "kind", "number", "meetings", "limit"
EXCEPT, REASON = "except", "reason"
DAY = 1440  # minutes
LONGEST_WAIT = DAY
MOST = {NUMBER: MOST_NODES, LIMIT: LONGEST_WAIT}
KINDS = (
    option(
        "Shut everything down",
        "shutdown",
        "masters are billed while powered off; a start-up takes minutes",
    ),
    option("Media nodes only", "media-only", "saves the same; a start-up is quicker"),
)
MEETING = (
    option(
        "Wait until they end, up to a limit",
        "wait",
        "then I ask; without an answer it stays in service",
    ),
    option("Stay in service this time", "skip", "if meetings run at closing time"),
    option("Ask first", "ask", "without an answer it stays in service"),
)
DAY_BOXES = tuple(option(name, str(number)) for number, name in enumerate(DAYS))


@dataclass(frozen=True)
class FormResult:
    """The window of a sent form; or None, and what is wrong by field."""

    window: Window | None
    problems: dict[str, str]


def window_form(
    cluster: str, channel: str, begun: Window, reason: str = "", *, known: bool = False
) -> Block:
    """Return the form, filled in with what `begun` has.

    `known`: the cluster has a window of that name, which would be replaced.
    """
    first = (
        f"*{cluster}* then closes at these times without further approval. "
        "Running meetings are never ended. Adding the window needs one approval."
    )
    if known:
        first += f" It replaces the window {begun.name}."
    kind = next(o for o in KINDS if o["value"] == begun.kind)
    meetings = next(o for o in MEETING if o["value"] == begun.meetings)
    blocks = [
        section(first),
        _field(NAME, "Name", _line(32, begun.name[:32]), "one word, such as nights"),
        _field(
            ON,
            "Closes on",
            _boxes(begun.days),
            "a day names the evening: Fri 20:00-07:30 opens on Saturday",
            optional=True,
        ),
        _field(
            DATES,
            "Also on these dates",
            _line(1000, date_words(begun.dates)),
            "2027-12-24..2028-01-02,2028-01-06",
            optional=True,
        ),
        _field(CLOSES, "Closes at", _time(begun.close)),
        _field(
            OPENS,
            "In service again by",
            _time(begun.open),
            "the start-up begins earlier; 00:00 to 00:00 is the whole day",
        ),
        _field(ZONE, "Time zone", _line(64, begun.zone), "such as Europe/Madrid"),
        _field(KIND, "What is closed", _radio(KINDS, kind), _kinds()),
        _field(
            NUMBER,
            "Media nodes when it opens",
            _number(MOST_NODES, begun.number),
            "empty: as many as before",
            optional=True,
        ),
        _field(MEETINGS, "If meetings run at closing time", _radio(MEETING, meetings)),
        _field(
            LIMIT,
            "Limit in minutes",
            _number(LONGEST_WAIT, round(begun.wait_limit / 60)),
            "how long to wait for meetings to end",
            optional=True,
        ),
        _field(
            EXCEPT,
            "Not on these dates",
            _line(1000, date_words(begun.off)),
            "written as above",
            optional=True,
        ),
        _field(
            REASON,
            "Reason",
            _line(300, reason),
            "Shown on the card and kept with the run",
            optional=True,
        ),
    ]
    return modal(
        WINDOW,
        "Off-hours window",
        blocks,
        metadata=json.dumps({"cluster": cluster, "channel": channel}),
        submit="Request approval",
        close="Cancel",
    )


def _kinds() -> str:
    return f"Everything: {KIND_WORDS['shutdown']}. Media nodes only: {KIND_WORDS['media-only']}."


def _field(
    block: str, label: str, element: Block, hint: str = "", *, optional: bool = False
) -> Block:
    field: Block = {
        "type": "input",
        "block_id": block,
        "label": plain_text(label, 100),
        "element": {**element, "action_id": block},
        "optional": optional,
    }
    if hint:
        field["hint"] = plain_text(hint, 500)
    return field


def _line(longest: int, initial: str) -> Block:
    line: Block = {"type": "plain_text_input", "max_length": longest}
    if initial:
        line["initial_value"] = initial
    return line


def _boxes(days: tuple[int, ...]) -> Block:
    boxes: Block = {"type": "checkboxes", "options": list(DAY_BOXES)}
    if days:
        boxes["initial_options"] = [DAY_BOXES[d] for d in days]
    return boxes


def _time(minutes: int) -> Block:
    return {"type": "timepicker", "initial_time": clock(minutes % DAY)}


def _radio(options: tuple[Block, ...], initial: Block) -> Block:
    return {"type": "radio_buttons", "options": list(options), "initial_option": initial}


def _number(most: int, initial: int | None) -> Block:
    number: Block = {
        "type": "number_input",
        "is_decimal_allowed": False,
        "min_value": "1",
        "max_value": str(most),
    }
    if initial:
        number["initial_value"] = str(initial)
    return number


# A sent form


def read_window_form(view: Mapping[str, Any]) -> FormResult:
    """Return the window that a sent form describes, or every mistake at its own field."""
    problems: dict[str, str] = {}

    def checked(field: str, read: Callable[[], T], default: T) -> T:
        """Return what `read` returns; note a refusal at that field and go on with `default`."""
        try:
            return read()
        except Refused as error:
            problems[field] = _sentence(str(error))
            return default

    closes, opens = _minutes(view, CLOSES), _minutes(view, OPENS)
    if closes == opens == 0:
        opens = DAY
    limit = checked(LIMIT, lambda: _whole(view, LIMIT), None) or 60
    window = Window(
        name=_typed(view, NAME).casefold(),
        days=tuple(sorted(int(d) for d in _ticked(view))),
        close=closes,
        open=opens,
        zone=checked(ZONE, lambda: zone_named(_typed(view, ZONE)).key, "UTC"),
        number=checked(NUMBER, lambda: _whole(view, NUMBER), None),
        meetings=_picked(view, MEETINGS),
        wait_limit=limit * 60.0,
        kind=_picked(view, KIND),
        dates=checked(DATES, lambda: _dates(view, DATES), ()),
        off=checked(EXCEPT, lambda: _dates(view, EXCEPT), ()),
    )
    if not problems:
        with suppress(Refused):
            return FormResult(check(window), {})
        checked(_to_blame(window), lambda: check(window), window)
    return FormResult(None, problems)


def _dates(view: Mapping[str, Any], field: str) -> tuple[str, ...]:
    text = ",".join(_typed(view, field).replace(",", " ").split())
    if not text:
        return ()
    return parse_dates(text)


def _to_blame(window: Window) -> str:
    """Return the field that makes the window invalid."""
    if not window.days and not window.dates:
        return ON
    if window.close == window.open:
        return OPENS
    if {*window.dates} & {*window.off}:
        return EXCEPT
    if window.open - window.close == DAY and len(window.days) == len(DAYS):
        return ON
    return NAME


def read_metadata(view: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return cluster, channel and reason of a sent form."""
    metadata = json.loads(view["private_metadata"])
    return str(metadata["cluster"]), str(metadata["channel"]), _typed(view, REASON)


def _state(view: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    state: Mapping[str, Any] = view["state"]["values"].get(field, {}).get(field, {})
    return state


def _typed(view: Mapping[str, Any], field: str) -> str:
    return " ".join(str(_state(view, field).get("value") or "").split())


def _picked(view: Mapping[str, Any], field: str) -> Any:
    return _state(view, field)["selected_option"]["value"]


def _ticked(view: Mapping[str, Any]) -> list[str]:
    return [str(o["value"]) for o in _state(view, ON).get("selected_options") or []]


def _minutes(view: Mapping[str, Any], field: str) -> int:
    hours, minutes = str(_state(view, field)["selected_time"]).split(":")
    return int(hours) * 60 + int(minutes)


def _whole(view: Mapping[str, Any], field: str) -> int | None:
    text, most = _typed(view, field), MOST[field]
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= most:
        raise Refused(f"write a whole number from 1 to {most}")
    return int(text)


def _sentence(text: str) -> str:
    """Format an error for Slack to show below a field, without formatting marks."""
    plain = markup(text).replace("`", "")
    return plain[:1].upper() + plain[1:]
