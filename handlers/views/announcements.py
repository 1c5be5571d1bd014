"""Announcements of a cluster's schedule: what happens, what that means, and their buttons. Pure."""

from functools import singledispatch
from typing import NamedTuple

from handlers.slack.markup import date_time, markup
from handlers.views.text import full_stop, sentence, without_formatting
from services.common.text import count_of, duration, join_words
from services.memory import announcements as values
from services.memory.schedule import Announcement

Button = tuple[str, str, str]  # label, action, value
STAYS = "stays in service"
NOTHING = "$0.00"


class AnnouncementParts(NamedTuple):
    """A title for the header, what follows from it, and a foot with windows and people."""

    title: str
    body: str
    foot: str = ""


def announcement_parts(announcement: Announcement, countdown: str = "") -> AnnouncementParts:
    """Return the parts of an announcement. `countdown`, as in `in 30 min`, ends the title.

    An announcement of an earlier version, or of a later one whose kind is unknown here, is its
    stored text.
    """
    subject = announcement.subject
    if subject is None:
        title, _, body = markup(announcement.text).partition(" · ")
        title = without_formatting(title)
        return AnnouncementParts(_with_countdown(title, countdown), body)
    parts = parts_of(subject)
    body = "\n".join(part for part in (parts.body, announcement.ended) if part)
    title = without_formatting(_with_countdown(parts.title, countdown))
    foot = parts.foot[:1].upper() + parts.foot[1:]
    return AnnouncementParts(title, markup(body), markup(foot))


def _with_countdown(title: str, countdown: str) -> str:
    if not countdown:
        return title
    return f"{title} ({countdown})"


def announcement_text(announcement: Announcement, countdown: str = "") -> str:
    """Return the whole text."""
    return " · ".join(part for part in announcement_parts(announcement, countdown) if part)


def announcement_buttons(announcement: Announcement) -> tuple[Button, ...]:
    """What can be pressed below it while it is open."""
    match announcement.subject:
        case (
            values.ClosesSoon(cluster=cluster)
            | values.ClosesWhenEmpty(cluster=cluster)
            | values.EmptyNow(cluster=cluster)
        ):
            return (
                ("Keep running 1 h", "keepup:3600", cluster),
                ("Keep running tonight", "keepup:tonight", cluster),
            )
        case values.AsksToClose(cluster=cluster):
            edge = announcement.name.rpartition("/")[0]
            return (
                ("Close now", "closenow", f"{cluster}|{edge}"),
                ("Keep running tonight", "keepup:tonight", cluster),
            )
        case _:
            return announcement.buttons  # stored by an earlier version; none otherwise


@singledispatch
def parts_of(subject: values.Subject) -> AnnouncementParts:
    """Return the parts of an announcement about this subject."""
    raise TypeError(f"no view of {type(subject).__name__}")


@parts_of.register
def _(it: values.ClosesSoon) -> AnnouncementParts:
    body = _meetings(it)
    if it.told:
        body += f" Meetings: {full_stop(it.told)}"
    if it.fault:
        body += f" {it.cluster} closes only if this is fixed: {full_stop(it.fault)}"
    return AnnouncementParts(f"{it.cluster} closes at {it.time}", body, _windows(it))


@parts_of.register
def _(it: values.ClosesWhenEmpty) -> AnnouncementParts:
    title = f"{it.cluster} closes after {duration(it.empty)} without a meeting"
    body = f"At the earliest {date_time(it.earliest)}. In service again {date_time(it.opens)}."
    return AnnouncementParts(title, body, f"Window *{it.window}*")


@parts_of.register
def _(it: values.EmptyNow) -> AnnouncementParts:
    closes = f"It closes {date_time(it.closes)}, unless one begins."
    body = f"No meeting since {date_time(it.since)}. {closes}"
    return AnnouncementParts(f"{it.cluster} is empty and closes", body, f"Window *{it.window}*")


def _meetings(it: values.ClosesSoon) -> str:
    """Say how many meetings run, and what becomes of them."""
    if it.rooms is None:
        now = "The number of running meetings is unknown."
    elif not it.rooms:
        now = "No meetings now."
    else:
        now = f"{count_of(it.rooms, 'meeting')} now."
    match it.meetings:
        case "":
            return now
        case "wait":
            until = f"They can finish until {date_time(it.wait_until)}; then I ask."
            return f"{now} {until} Without an answer, {it.cluster} {STAYS}."
        case "skip":
            return f"{now} If any still run then, {it.cluster} {STAYS} tonight."
        case _:
            return f"{now} If any still run then, I ask first."


@parts_of.register
def _(it: values.AsksToClose) -> AnnouncementParts:
    running = sentence(values.running_meetings(it.rooms, it.people), _names(it))
    unanswered = f"Without an answer until {date_time(it.until)}, {it.cluster} {STAYS}."
    return AnnouncementParts(f"Close {it.cluster} now?", f"{running} {unanswered}", _windows(it))


@parts_of.register
def _(it: values.OpensWithLess) -> AnnouncementParts:
    return AnnouncementParts(
        f"{it.cluster} opens with {it.less}", f"It opens at {it.time}.", _windows(it)
    )


@parts_of.register
def _(it: values.EdgeMissed) -> AnnouncementParts:
    tense = "will not" if it.possible else "did not"
    verb = "close" if it.closes else "open"
    title = f"{it.cluster} {tense} {verb} at {it.time}"
    return AnnouncementParts(title, sentence(it.reason, _names(it)), _windows(it))


@parts_of.register
def _(it: values.ServesLate) -> AnnouncementParts:
    late = f"About {duration(it.seconds)} late: {full_stop(it.why)}"
    return AnnouncementParts(_late(it), late, _windows(it))


@parts_of.register
def _(it: values.NotStarting) -> AnnouncementParts:
    return AnnouncementParts(
        _late(it), f"No start-up is running: {full_stop(it.why)}", _windows(it)
    )


def _late(it: values.EdgeSubject) -> str:
    return f"{it.cluster} will not be in service by {it.time}"


@parts_of.register
def _(it: values.NotOpened) -> AnnouncementParts:
    title = f"{it.cluster} did not open at {it.time}"
    return AnnouncementParts(title, f"It is not in service: {full_stop(it.why)}", _windows(it))


@parts_of.register
def _(it: values.ClosingGaveWay) -> AnnouncementParts:
    was = "was still running and is cancelled"
    if it.paused:
        was = "was paused and is abandoned"
    body = f"Its shutdown `{it.run}` {was}: {full_stop(it.why)}"
    return AnnouncementParts(f"{it.cluster} opens", body, it.by)


@parts_of.register
def _(it: values.RunFailed) -> AnnouncementParts:
    verb = "shut down" if it.closes else "started"
    title = f"{it.cluster} was not {verb}"
    if it.turned_back:
        title = f"{it.cluster} {STAYS}"
    return AnnouncementParts(title, sentence(it.why, _names(it)), f"{it.by} · `{it.run}`")


@parts_of.register
def _(it: values.WouldClose) -> AnnouncementParts:
    body = f"No meetings run. {_until(it.opens)}"
    if it.rooms is None:
        body = f"The number of running meetings is unknown. {_until(it.opens)}"
    elif it.rooms:
        running = f"{count_of(it.rooms, 'meeting')} ({count_of(it.people or 0, 'person')})"
        body = f"It would wait for {running} until {date_time(it.until)}, then ask."
    return AnnouncementParts(f"{it.cluster} would close now", body, _observed(it))


def _until(opens: float) -> str:
    if not opens:
        return "It would stay closed until someone starts it."
    return f"It would open again {date_time(opens)}."


@parts_of.register
def _(it: values.WouldBeClosed) -> AnnouncementParts:
    body = f"Its meetings ended {duration(it.waited)} after the closing time."
    if it.asked:
        body += " I would have asked what to do about them."
    return AnnouncementParts(f"{it.cluster} would be closed by now", body, _observed(it))


@parts_of.register
def _(it: values.WouldStay) -> AnnouncementParts:
    title = f"{it.cluster} would stay in service"
    match it.outcome:
        case "asked":
            running = sentence(values.running_meetings(it.rooms, it.people), _names(it))
            body = f"{running} I would ask first, and without an answer it {STAYS}."
        case "unseen":
            title = f"This closing of {it.cluster} was not seen"
            body = f"It does not count. {sentence(it.why, _names(it))}"
        case _:
            body = sentence(it.why, _names(it))
            if it.asked:
                body += " I would have asked what to do, and no one is asked now."
    return AnnouncementParts(title, body, _observed(it))


@parts_of.register
def _(it: values.WouldOpen) -> AnnouncementParts:
    closed = f"In service {date_time(it.opened)}, after {duration(it.opened - it.closed)} closed."
    saved = f"About {it.saved} would be saved." if it.saved else "What it would save is unknown."
    if it.saved == NOTHING:
        saved = "Nothing would be saved."
    if not it.seen:
        saved = "The bot did not see the whole night, so it does not count."
    return AnnouncementParts(f"{it.cluster} would open now", f"{closed} {saved}", _observed(it))


def _observed(it: values.EdgeSubject) -> str:
    return f"{_windows(it)} · observed only, nothing was changed"


@parts_of.register
def _(it: values.KeptUp) -> AnnouncementParts:
    return AnnouncementParts(
        f"{it.cluster} {STAYS}", f"Until {date_time(it.until)}.", _by(it.by, it.reason)
    )


@parts_of.register
def _(it: values.Woken) -> AnnouncementParts:
    body = f"It {STAYS} until {date_time(it.until)}."
    if it.windows and it.empty:
        without = f"after {duration(it.empty)} without a meeting"
        body += f" Then {join_words(it.windows)} closes it {without}."
    elif it.windows:
        body += f" It was closed by {join_words(it.windows)}, and closes again then."
    return AnnouncementParts(
        f"{it.cluster} was woken", body, _by(it.by, it.reason or "no reason given")
    )


@parts_of.register
def _(it: values.PutOnHold) -> AnnouncementParts:
    body = f"Until {date_time(it.until)}. No person and no window can change it."
    if it.run:
        body += f" `{it.run}` has started and continues."
    return AnnouncementParts(f"{it.cluster} is on hold", body, _by(it.by, it.reason))


@parts_of.register
def _(it: values.StillOnHold) -> AnnouncementParts:
    until = f"Until {date_time(it.until)}."
    return AnnouncementParts(f"{it.cluster} is still on hold", until, _by(it.by, it.reason))


@parts_of.register
def _(it: values.HoldExpired) -> AnnouncementParts:
    return AnnouncementParts(
        f"The hold on {it.cluster} is over", "", f"Set by {_by(it.by, it.reason)}"
    )


@parts_of.register
def _(it: values.HoldEnded) -> AnnouncementParts:
    return AnnouncementParts(f"{it.cluster} is no longer on hold", "", it.by)


@parts_of.register
def _(it: values.WindowRemoved) -> AnnouncementParts:
    return AnnouncementParts(f"{it.cluster} no longer has window {it.window}", "", it.by)


@parts_of.register
def _(it: values.DaysSkipped) -> AnnouncementParts:
    title = f"{it.cluster} {STAYS} on {', '.join(it.dates)}"
    return AnnouncementParts(title, "No window closes it on these days.", it.by)


@parts_of.register
def _(it: values.ApprovalEnds) -> AnnouncementParts:
    body = (
        f"It expires {date_time(it.until)}; {it.cluster} is not closed after that. "
        f"[[command {it.renewal}]] renews it."
    )
    return AnnouncementParts(f"The approval of window {it.window} of {it.cluster} expires", body)


@parts_of.register
def _(it: values.CalendarUnread) -> AnnouncementParts:
    stay = f"No {it.holds} are known until then."
    if it.read_before:
        stay = "Those read before still count."
    body = f"{it.file}: {full_stop(it.trouble)} {stay}"
    return AnnouncementParts(
        f"The {it.holds} of {it.cluster} could not be read", f"{body} I try again every hour."
    )


@parts_of.register
def _(it: values.CalendarEmpty) -> AnnouncementParts:
    closes = f"{it.cluster} closes on every day of its windows."
    return AnnouncementParts(f"{it.file} has {it.contents}", closes)


@parts_of.register
def _(it: values.StateRewound) -> AnnouncementParts:
    title = f"The state store of {it.cluster} went back in time"
    return AnnouncementParts(
        title, f"{sentence(it.why, _names(it))} Check its windows, holds and runs."
    )


@parts_of.register
def _(it: values.StateLost) -> AnnouncementParts:
    lost = "Open runs, requests, windows and holds are lost."
    next_steps = (
        f"{it.cluster} is on hold. Check it with [[command status]], end the hold with "
        "[[command unhold]], then request what is missing."
    )
    body = " ".join(
        part for part in (sentence(it.why, _names(it)), lost, _driven(it), next_steps) if part
    )
    return AnnouncementParts(f"The bot lost its state of {it.cluster}", body)


def _driven(it: values.StateLost) -> str:
    if not it.run:
        return ""
    doing = f": {it.step}" if it.step else ""
    at = f"step {it.position} of {it.steps}{doing}"
    return f"`{it.run}` ({it.command}) was at {at}. It is not driven now, and nothing was undone."


def _windows(it: values.EdgeSubject) -> str:
    return f"Window {join_words(f'*{w}*' for w in it.windows)} ({it.zone})"


def _by(who: str, reason: str) -> str:
    if not reason:
        return who
    return f"{who} · {reason}"


def _names(it: values.Subject) -> tuple[str, ...]:
    """Return the name with which a sentence may begin, and which keeps its case."""
    return (it.cluster,)
