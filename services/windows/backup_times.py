"""Schedules of backups: the text that people write, and the moments it means. Pure."""

import re
from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

from services.cluster.backup_notes import BackupSchedule
from services.common.errors import Refused
from services.windows.days import day_words, parse_days
from services.windows.time_zones import instant, local_time, wall, zone_named

USAGE = "NAME DAYS HH:MM [ZONE] [--drill]"
EXAMPLE = "weekly Sun 03:00 Europe/Madrid --drill"
DRILL = "--drill"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def parse_backup_schedule(text: str, zone: str) -> BackupSchedule:
    """Return the schedule of a text. `zone` is used when the text names none.

    Refused with what was written and what is allowed.
    """
    plain = re.sub(r"(?<!\S)[\u2014\u2013](?=[a-z])", "--", text.strip().strip("`"))
    words = [w for w in plain.split() if w != DRILL]
    if len(words) == 3:
        words.append(zone)
    if len(words) != 4:
        raise Refused(f"write a schedule as {USAGE}, for example `{EXAMPLE}`; found “{plain}”")
    name = words[0].casefold()
    if not NAME.fullmatch(name):
        raise Refused(
            f"a name is up to 32 letters, digits, - and _, such as weekly; found “{name}”"
        )
    days, dates = parse_days(words[1])
    if dates or not days:
        raise Refused("backups are scheduled on weekdays: write daily, Sun or Mon,Thu")
    time = TIME.fullmatch(words[2])
    if time is None:
        raise Refused(f"“{words[2]}” is not a time; write it on the 24-hour clock: 03:00")
    at = int(time[1]) * 60 + int(time[2])
    return BackupSchedule(name, days, at, zone_named(words[3]).key, drill=DRILL in plain.split())


def backup_schedule_text(schedule: BackupSchedule) -> str:
    """Return the text that `parse_backup_schedule` reads as this schedule."""
    words = [schedule.name, day_words(schedule.days), clock_text(schedule.at), schedule.zone]
    return " ".join([*words, DRILL] if schedule.drill else words)


def clock_text(minutes: int) -> str:
    """Return `03:00`."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def backup_times(
    schedule: BackupSchedule, since: float, until: float
) -> Iterator[tuple[str, float]]:
    """Yield the times in `(since, until]`, each with its name, which holds the nominal time.

    A time that a change of the clocks skips is the first moment after the gap; of a repeated hour
    it is the first.
    """
    zone = ZoneInfo(schedule.zone)
    day = wall(zone, since).date() - timedelta(days=1)
    last = wall(zone, until).date()
    while day <= last:
        if day.weekday() in schedule.days:
            nominal = local_time(day, schedule.at)
            at, _ = instant(zone, nominal)
            if since < at <= until:
                yield f"{schedule.name}-backup@{nominal:%Y-%m-%dT%H:%M}", float(at)
        day += timedelta(days=1)


def next_backup(schedule: BackupSchedule, now: float) -> float:
    """Return the next time of a schedule, in epoch seconds."""
    return next(at for _, at in backup_times(schedule, now, now + 9 * 86400.0))
