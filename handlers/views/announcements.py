"""Announcements of a cluster's schedule: their values as mrkdwn, and their buttons. Pure."""

from functools import singledispatch

from handlers.slack.markup import date_time, markup
from services.common.text import count_of, duration
from services.memory import announcements as values
from services.memory.schedule import Announcement

Button = tuple[str, str, str]  # label, action, value


def announcement_text(announcement: Announcement, countdown: str = "") -> str:
    """The whole text. `countdown`, as in `in 30 min`, stands behind the first words.

    An announcement of an earlier version, or of a later one whose kind is unknown here, is its
    stored text.
    """
    subject = announcement.subject
    if subject is None:
        text = markup(announcement.text)
        return text.replace("* \u00b7", f" ({countdown})* \u00b7", 1) if countdown else text
    headline, rest = sentence_of(subject)
    left = f" ({countdown})" if countdown else ""
    lines = [f"*{headline}{left}*{rest}"]
    lines += [announcement.ended] if announcement.ended else []
    return markup("\n".join(lines))


def announcement_buttons(announcement: Announcement) -> tuple[Button, ...]:
    """What can be pressed below it while it is open."""
    match announcement.subject:
        case values.ClosesSoon(cluster=cluster):
            return (
                ("Keep up 1 h", "keepup:3600", cluster),
                ("Keep up tonight", "keepup:tonight", cluster),
            )
        case values.AsksToClose(cluster=cluster):
            edge = announcement.name.rpartition("/")[0]
            return (
                ("Close now, gracefully", "closenow", f"{cluster}|{edge}"),
                ("Keep up tonight", "keepup:tonight", cluster),
            )
        case _:
            return announcement.buttons  # stored by an earlier version; none otherwise


@singledispatch
def sentence_of(subject: values.Subject) -> tuple[str, str]:
    """The first words, which stand out, and what follows them."""
    raise TypeError(f"no view of {type(subject).__name__}")


@sentence_of.register
def _(it: values.ClosesSoon) -> tuple[str, str]:
    meetings = (
        values.MEETINGS_UNKNOWN if it.rooms is None else f"{count_of(it.rooms, 'meeting')} now"
    )
    fault = f"; it does not close unless this is repaired: {it.fault}" if it.fault else ""
    then = _about_meetings(it)
    return f"{it.cluster} closes at {it.time}", f" · {_windows(it)} · {meetings}{then}{fault}"


def _about_meetings(it: values.ClosesSoon) -> str:
    match it.meetings:
        case "":
            return ""
        case "wait":
            until = f"; they may finish until {date_time(it.wait_until)}"
            return f"{until}; then I ask, and if nobody answers {it.cluster} stays up"
        case "skip":
            return f"; if some still run, {it.cluster} stays up tonight"
        case _:
            return "; if some still run, I ask first"


@sentence_of.register
def _(it: values.AsksToClose) -> tuple[str, str]:
    running = values.running_meetings(it.rooms, it.people)
    unanswered = f"If nobody answers until {date_time(it.until)}, {it.cluster} stays up."
    return f"{it.cluster} would close now", f" · {_windows(it)} · {running}. {unanswered}"


@sentence_of.register
def _(it: values.OpensWithLess) -> tuple[str, str]:
    return f"{it.cluster} opens with {it.less}", f" · {_windows(it)} at {it.time}."


@sentence_of.register
def _(it: values.EdgeMissed) -> tuple[str, str]:
    tense = "will not" if it.possible else "did not"
    verb = "close" if it.closes else "open"
    return f"{it.cluster} {tense} {verb} at {it.time}", f" · {_windows(it)} · {it.reason}."


@sentence_of.register
def _(it: values.ServesLate) -> tuple[str, str]:
    return _will_not_serve(it), f" · about {duration(it.seconds)} late · {it.why}."


@sentence_of.register
def _(it: values.NotStarting) -> tuple[str, str]:
    return _will_not_serve(it), f" · {_windows(it)} · nothing brings it up now: {it.why}."


def _will_not_serve(it: values.EdgeSubject) -> str:
    return f"{it.cluster} will not serve by {it.time}"


@sentence_of.register
def _(it: values.NotOpened) -> tuple[str, str]:
    why = f"it should be in service and is not: {it.why}."
    return f"{it.cluster} did not open at {it.time}", f" · {_windows(it)} · {why}"


@sentence_of.register
def _(it: values.ClosingGaveWay) -> tuple[str, str]:
    was = "had stopped and is abandoned" if it.paused else "was not over and was cancelled"
    return f"{it.cluster} opens", f" · {it.by} · its closing `{it.run}` {was}: {it.why}."


@sentence_of.register
def _(it: values.RunFailed) -> tuple[str, str]:
    verb = "closed" if it.closes else "opened"
    headline = f"{it.cluster} was not {verb}"
    if it.turned_back:
        headline = f"{it.cluster} stays up"
    return headline, f" · {it.by}, `{it.run}` · {it.why}."


@sentence_of.register
def _(it: values.KeptUp) -> tuple[str, str]:
    reason = f" · {it.reason}" if it.reason else ""
    return f"{it.cluster} stays up", f" until {date_time(it.until)} · {it.by}{reason}"


@sentence_of.register
def _(it: values.Woken) -> tuple[str, str]:
    closed = ""
    if it.windows:
        closed = f". It was closed by {' and '.join(it.windows)}, and closes again then."
    reason = it.reason or "no reason given"
    return f"{it.cluster} is woken by {it.by}", f" until {date_time(it.until)} · {reason}{closed}"


@sentence_of.register
def _(it: values.PutOnHold) -> tuple[str, str]:
    run = f" `{it.run}` has begun and goes on." if it.run else ""
    meanwhile = f"Nobody changes it meanwhile, windows neither.{run}"
    return (
        f"{it.cluster} is on hold",
        f" until {date_time(it.until)} · {it.by} · {it.reason}. {meanwhile}",
    )


@sentence_of.register
def _(it: values.StillOnHold) -> tuple[str, str]:
    return f"{it.cluster} is still on hold", f" until {date_time(it.until)} · {it.by} · {it.reason}"


@sentence_of.register
def _(it: values.HoldExpired) -> tuple[str, str]:
    return f"The hold on {it.cluster} is over", f" · it was {it.by}'s · {it.reason}"


@sentence_of.register
def _(it: values.HoldEnded) -> tuple[str, str]:
    return f"{it.cluster} is not on hold any more", f" · {it.by}"


@sentence_of.register
def _(it: values.WindowRemoved) -> tuple[str, str]:
    return f"{it.cluster} has no window {it.window} any more", f" · {it.by}"


@sentence_of.register
def _(it: values.DaysSkipped) -> tuple[str, str]:
    dates = ", ".join(it.dates)
    return f"{it.cluster} stays up on {dates}", f": no window closes it then · {it.by}"


@sentence_of.register
def _(it: values.ApprovalEnds) -> tuple[str, str]:
    headline = (
        f"The standing approval of window {it.window} of {it.cluster} ends {date_time(it.until)}"
    )
    renew = f"[[command {it.renewal}]] renews it"
    return headline, f" · it does not close after that; {renew}"


@sentence_of.register
def _(it: values.CalendarUnread) -> tuple[str, str]:
    stay = f"No {it.holds} are known until it can be"
    if it.read_before:
        stay = "Those known before stay"
    again = f"{stay}; the file is read again each hour."
    headline = f"The {it.holds} of {it.cluster} could not be read"
    return headline, f" · {it.file}: {it.trouble}. {again}"


@sentence_of.register
def _(it: values.CalendarEmpty) -> tuple[str, str]:
    closes = f"{it.cluster} closes on every day of its windows."
    return f"{it.file} has {it.contents}", f" · {closes}"


@sentence_of.register
def _(it: values.StateRewound) -> tuple[str, str]:
    headline = f"The bot's memory of {it.cluster} went back in time"
    return headline, f" · {it.why}. Look at its windows, holds and runs."


@sentence_of.register
def _(it: values.StateLost) -> tuple[str, str]:
    lost = "Open runs, requests, windows and holds are gone."
    next_steps = (
        f"{it.cluster} is on hold. Look with [[command status]], end the hold with "
        "[[command unhold]], then ask for what is missing."
    )
    rest = f" · {it.why}. {lost}{_driven(it)} {next_steps}"
    return f"The bot lost its memory of {it.cluster}", rest


def _driven(it: values.StateLost) -> str:
    if not it.run:
        return ""
    doing = f": {it.step}" if it.step else ""
    at = f"step {it.position} of {it.steps}{doing}"
    return f" `{it.run}` ({it.command}) was at {at}. Nobody drives it now, and nothing was undone."


def _windows(it: values.EdgeSubject) -> str:
    return f"window {' and '.join(f'*{w}*' for w in it.windows)} ({it.zone})"
