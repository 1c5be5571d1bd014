"""Slack's markup: date tokens, and what the markers in the sentences of services become. Pure."""

from datetime import UTC, datetime
from functools import lru_cache

from services.common.markers import Marker, rendered

COMMAND = "/openvidu"
EMOJI = {Marker.WARNING: ":warning:", Marker.ALARM: ":rotating_light:"}


def markup(text: str) -> str:
    """Return the text as mrkdwn: `[[person U1]]` becomes `<@U1>`. Other text stays as it is."""
    return rendered(text, _markup)


def time_of_day(moment: float) -> str:
    """Return a date token: the time of day, in each reader's own time zone."""
    return f"<!date^{int(moment)}^{{time}}|{_utc(moment, '%H:%M UTC')}>"


def date_time(moment: float) -> str:
    """Return a date token: day and time, in each reader's own time zone."""
    return f"<!date^{int(moment)}^{{date_short_pretty}} {{time}}|{_utc(moment, '%d %b %H:%M UTC')}>"


def date(moment: float) -> str:
    """Return a date token: the date, in each reader's own time zone."""
    return f"<!date^{int(moment)}^{{date_short}}|{_utc(moment, '%d %b')}>"


@lru_cache(maxsize=1024)  # a card is rendered again and again, with the same moments
def _utc(moment: float, form: str) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(form)


def _markup(kind: Marker, value: str) -> str:
    match kind:
        case Marker.PERSON:
            return f"<@{value}>"
        case Marker.GROUP:
            return f"<!subteam^{value}>"
        case Marker.MOMENT:
            return date_time(float(value))
        case Marker.COMMAND:
            return f"`{COMMAND} {value}`"
        case Marker.STRONG:
            return f"*{value}*"
        case Marker.WARNING | Marker.ALARM:
            return EMOJI[kind]
