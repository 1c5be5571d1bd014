"""A record of the promise log, and how it is read. Pure."""

import json
from dataclasses import dataclass

from services.common.errors import BadRecord

ANSWERED, UNANSWERED = "answered", "unanswered"
IN, OUT, UNKNOWN = "in service", "out of service", "unknown"


@dataclass(frozen=True)
class PromiseRecord:
    """One record. `at` in epoch seconds.

    `what`: `asked`, `answered` or `missed`, about a time of a window; `request`, one that was made
    at `since`, by its id; or `service`, whose `state` holds from `since` on. `people`: in meetings
    when the service was lost; None: not counted.
    """

    at: float
    what: str
    edge: str = ""
    until: float = 0.0
    state: str = ""
    since: float = 0.0
    people: int | None = None


def read_record(text: str) -> PromiseRecord:
    """Return a stored record. BadRecord where it cannot be read."""
    try:
        raw = json.loads(text)
        return PromiseRecord(**{k: raw[k] for k in PromiseRecord.__dataclass_fields__ if k in raw})
    except (ValueError, TypeError, KeyError) as error:
        raise BadRecord("what promises are measured by cannot be read: it is damaged") from error
