"""Slack's markup for the markers in the sentences of services. Pure."""

from datetime import UTC, datetime

from services.common.markers import Marker, rendered

COMMAND = "/openvidu"
EMOJI = {Marker.WARNING: ":warning:", Marker.ALARM: ":rotating_light:"}


def markup(text: str) -> str:
    """Return the text as mrkdwn: `[[person U1]]` becomes `<@U1>`. Other text stays as it is."""
    return rendered(text, _markup)


def date_time(moment: float) -> str:
    """Day and time, in each reader's own zone."""
    fallback = f"{datetime.fromtimestamp(moment, UTC):%d %b %H:%M UTC}"
    return f"<!date^{int(moment)}^{{date_short_pretty}} {{time}}|{fallback}>"


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
