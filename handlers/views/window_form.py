"""The form for an off-hours window, and what was filled into it. Pure. It leads to the same words as typing does."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from handlers.slack.blocks import Block, modal, option, section, words
from handlers.slack.markup import markup
from services.common.errors import Refused
from services.windows import KIND_WORDS, Window, check
from services.windows.days import date_words, parse_dates
from services.windows.time_zones import DAYS, zone_named
from services.windows.window import MOST_NODES, clock

T = TypeVar("T")
WINDOW = "window_form"
NAME, ON, DATES, CLOSES, OPENS, ZONE = "name", "days", "dates", "closes", "opens", "zone"
KIND, NUMBER, MEETINGS, LIMIT, EXCEPT, REASON = (
    "kind",
    "number",
    "meetings",
    "limit",
    "except",
    "reason",
)
DAY = 1440  # minutes
LONGEST_WAIT = DAY
KINDS = (
    option(
        "Shut everything down",
        "shutdown",
        "masters are billed while off; starting again takes minutes",
    ),
    option("Media nodes only", "media-only", "saves the same money; starting again is quicker"),
)
MEETING = (
    option(
        "Let them finish, up to a limit",
        "wait",
        "then people are asked; without an answer it stays up",
    ),
    option("Stay up this time", "skip", "when somebody meets as it would close"),
    option("Ask people first", "ask", "without an answer it stays up"),
)
DAY_BOXES = tuple(option(name, str(number)) for number, name in enumerate(DAYS))


@dataclass(frozen=True)
class Filled:
    """What was filled in: a window, or what is wrong, by field."""

    window: Window | None
    problems: dict[str, str]


def window_form(
    cluster: str, channel: str, begun: Window, reason: str = "", *, known: bool = False
) -> Block:
    """The form, with what is known so far in it. `known`: a window of that name is there already, and would be replaced."""
    first = f"*{cluster}* is closed at these hours from then on, gracefully and without asking again. Adding it needs one approval."
    first += f" It takes the place of the window {begun.name} that is there." if known else ""
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
            "Serves again by",
            _time(begun.open),
            "start-up begins earlier; 00:00 to 00:00 is the whole day",
        ),
        _field(ZONE, "Time zone", _line(64, begun.zone), "such as Europe/Madrid"),
        _field(KIND, "What is closed", _radio(KINDS, KINDS[begun.kind == "media-only"]), _kinds()),
        _field(
            NUMBER,
            "Media nodes when it opens",
            _number(MOST_NODES, begun.number),
            "left out: as many as before",
            optional=True,
        ),
        _field(MEETINGS, "Meetings that are running then", _radio(MEETING, meetings)),
        _field(
            LIMIT,
            "The limit, in minutes",
            _number(LONGEST_WAIT, round(begun.wait_limit / 60)),
            "for finishing",
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
            "Why",
            _line(300, reason),
            "shown to others, and kept with the run",
            optional=True,
        ),
    ]
    meant = json.dumps({"cluster": cluster, "channel": channel})
    return modal(
        WINDOW, "Off-hours window", blocks, meant=meant, submit="Ask for approval", close="Leave it"
    )


def _kinds() -> str:
    return f"Everything: {KIND_WORDS['shutdown']}. Media nodes only: {KIND_WORDS['media-only']}."


def _field(
    block: str, label: str, element: Block, hint: str = "", *, optional: bool = False
) -> Block:
    made: Block = {
        "type": "input",
        "block_id": block,
        "label": words(label, 100),
        "element": {**element, "action_id": block},
    }
    return made | {"optional": optional} | ({"hint": words(hint, 500)} if hint else {})


def _line(longest: int, begins: str) -> Block:
    return {"type": "plain_text_input", "max_length": longest} | (
        {"initial_value": begins} if begins else {}
    )


def _boxes(days: tuple[int, ...]) -> Block:
    ticked = [DAY_BOXES[d] for d in days]
    return {"type": "checkboxes", "options": list(DAY_BOXES)} | (
        {"initial_options": ticked} if ticked else {}
    )


def _time(minutes: int) -> Block:
    return {"type": "timepicker", "initial_time": clock(minutes % DAY)}


def _radio(options: tuple[Block, ...], begins: Block) -> Block:
    return {"type": "radio_buttons", "options": list(options), "initial_option": begins}


def _number(most: int, begins: int | None) -> Block:
    limits = {"is_decimal_allowed": False, "min_value": "1", "max_value": str(most)}
    return {"type": "number_input", **limits} | ({"initial_value": str(begins)} if begins else {})


# What was filled in


def read_window(view: Mapping[str, Any]) -> Filled:
    """The window that it means; else every mistake at its own field."""
    wrong: dict[str, str] = {}

    def told(field: str, value: Callable[[], T], default: T) -> T:
        try:
            return value()
        except Refused as error:
            wrong[field] = _sentence(str(error))
            return default

    def dates(field: str) -> tuple[str, ...]:
        text = ",".join(_typed(view, field).replace(",", " ").split())
        return told(field, lambda: parse_dates(text) if text else (), ())

    closes, opens = _minutes(view, CLOSES), _minutes(view, OPENS)
    days = tuple(sorted(int(d) for d in _ticked(view)))
    made = Window(
        name=_typed(view, NAME).casefold(),
        days=days,
        close=closes,
        open=DAY if closes == opens == 0 else opens,
        zone=told(ZONE, lambda: zone_named(_typed(view, ZONE)).key, "UTC"),
        number=told(NUMBER, lambda: _whole(view, NUMBER), None),
        meetings=_picked(view, MEETINGS),
        wait_limit=(told(LIMIT, lambda: _whole(view, LIMIT), None) or 60) * 60.0,
        kind=_picked(view, KIND),
        dates=dates(DATES),
        off=dates(EXCEPT),
    )
    if not wrong:
        with suppress(Refused):
            return Filled(check(made), {})
        told(_to_blame(made), lambda: check(made), made)
    return Filled(None, wrong)


def _to_blame(window: Window) -> str:
    """The field that makes it no window."""
    if not window.days and not window.dates:
        return ON
    if window.close == window.open:
        return OPENS
    if {*window.dates} & {*window.off}:
        return EXCEPT
    return ON if window.open - window.close == DAY and len(window.days) == 7 else NAME


def meant_in(view: Mapping[str, Any]) -> tuple[str, str, str]:
    """The cluster, the channel and the reason."""
    meant = json.loads(view["private_metadata"])
    return str(meant["cluster"]), str(meant["channel"]), _typed(view, REASON)


def _said(view: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = view["state"]["values"].get(field, {}).get(field, {})
    return found


def _typed(view: Mapping[str, Any], field: str) -> str:
    return " ".join(str(_said(view, field).get("value") or "").split())


def _picked(view: Mapping[str, Any], field: str) -> Any:
    return _said(view, field)["selected_option"]["value"]


def _ticked(view: Mapping[str, Any]) -> list[str]:
    return [str(o["value"]) for o in _said(view, ON).get("selected_options") or []]


def _minutes(view: Mapping[str, Any], field: str) -> int:
    hours, minutes = str(_said(view, field)["selected_time"]).split(":")
    return int(hours) * 60 + int(minutes)


def _whole(view: Mapping[str, Any], field: str) -> int | None:
    text, most = _typed(view, field), MOST_NODES if field == NUMBER else LONGEST_WAIT
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= most:
        raise Refused(f"write a whole number from 1 to {most}")
    return int(text)


def _sentence(text: str) -> str:
    """As Slack shows it below a field: without marks of formatting."""
    plain = markup(text).replace("`", "")
    return plain[:1].upper() + plain[1:]
