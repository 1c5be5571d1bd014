"""The public address's certificate: how long it is valid, and what is wrong with it. Pure."""

from contextlib import suppress

from handlers.slack.blocks import escape
from handlers.slack.markup import date_time
from services.cluster.certificates import DAY, Certificate, CertificateSeen
from services.cluster.model import Cluster
from services.common.errors import Refused
from services.common.text import count_of, duration
from services.windows import closures, parse_window

WHY_NOT_RENEWED = "`/openvidu logs NODE caddy`, of a master, shows why it is not renewed."
AHEAD = 40 * DAY  # windows up to then are considered


def certificate_problem(seen: CertificateSeen | None, cluster: Cluster, now: float) -> str:
    """Return what is wrong with the certificate, as sentences; "" when nothing needs attention."""
    if not isinstance(seen, Certificate):
        return ""
    if not seen.accepted:
        line = f"The bot does not accept the certificate: {escape(seen.trouble)}."
        if seen.remedy:
            line += f" Remedy: {escape(seen.remedy)}."
        return line
    left, ends = seen.left(now), date_time(seen.ends)
    if left <= 0:
        return f"The certificate expired {ends}: browsers refuse to connect."
    if left < AHEAD and (closed := longest_closure(cluster, now)) > left:
        return (
            f"The certificate expires {ends}. A window keeps {cluster.name} closed "
            f"for {duration(closed)}, and nothing renews it meanwhile."
        )
    if seen.ends_soon(now):
        return f"The certificate expires {ends}. {WHY_NOT_RENEWED}"
    return ""


def certificate_days(seen: CertificateSeen | None, now: float) -> str:
    """Return `61 days`, `expired` or why that is unknown; "" where no certificate is needed."""
    if seen is None:
        return ""
    if not isinstance(seen, Certificate):
        if not seen.needed:
            return ""
        return f"unknown ({escape(seen.reason)})"
    left = seen.left(now)
    if left <= 0:
        return "expired"
    if left < 2 * DAY:
        return duration(left)
    return count_of(int(left // DAY), "day")


def longest_closure(cluster: Cluster, now: float) -> float:
    """Return the longest time (seconds) that windows keep the masters off in the coming weeks.

    Windows that leave the masters on do not count: those renew certificates.
    """
    with suppress(Refused):
        windows = [parse_window(text, cluster.zone) for text in cluster.windows]
        coming, _ = closures(windows, now, now + AHEAD)
        return max(
            (c.open - max(c.close, now) for c in coming if c.kind == "shutdown"), default=0.0
        )
    return 0.0
