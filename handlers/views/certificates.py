"""What is said of the public address's certificate; nothing while it is good for long enough."""

from contextlib import suppress

from handlers.slack.blocks import day, escape
from services.cluster.certificates import DAY, Certificate, CertificateSeen
from services.cluster.model import Cluster
from services.common.errors import Refused
from services.common.text import duration
from services.windows import closures, parse_window

AHEAD = 40 * DAY  # windows that are looked at


def certificate_words(seen: CertificateSeen | None, cluster: Cluster, now: float) -> str:
    """One line, or "" when there is nothing that needs saying."""
    if not isinstance(seen, Certificate):
        return ""
    left = seen.left(now)
    if not seen.accepted:
        remedy = f" Remedy: {escape(seen.remedy)}." if seen.remedy else ""
        return (
            f":warning: *Certificate* The bot does not accept it: {escape(seen.trouble)}.{remedy}"
        )
    if left <= 0:
        return f":warning: *Certificate* It expired {day(seen.ends)}: browsers refuse to connect."
    closed = longest_closure(cluster, now) if left < AHEAD else 0.0
    if closed > left:
        return (
            f":warning: *Certificate* It ends {day(seen.ends)}. A window keeps {cluster.name} closed for {duration(closed)}, "
            "and nothing renews it meanwhile."
        )
    return f"*Certificate* It ends {day(seen.ends)}." if seen.ends_soon(now) else ""


def longest_closure(cluster: Cluster, now: float) -> float:
    """Seconds that the windows keep it shut down without a break, at most, in the coming weeks. Masters that stay on renew certificates."""
    with suppress(Refused):
        windows = [parse_window(text, cluster.zone) for text in cluster.windows]
        coming, _ = closures(windows, now, now + AHEAD)
        return max(
            (c.open - max(c.close, now) for c in coming if c.kind == "shutdown"), default=0.0
        )
    return 0.0
