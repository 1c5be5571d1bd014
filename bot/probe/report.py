"""What a probe prints. Pure."""

import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from bot.probe.estimate import ProbeEstimate
from bot.probe.journal import ProbeSession
from bot.probe.leftovers import Leftover
from bot.probe.questions import QUESTION_OF, ProbeQuestion
from bot.probe.session import OBJECTS, ProbeAnswer
from services.cluster.account_facts import AccountFact
from services.common.text import count_of

WIDTH = 100


def account_line(account: str) -> str:
    """Return which account the token belongs to."""
    return f"DigitalOcean account: {account or 'its id is not shown to this token'}"


def announcement(
    questions: Sequence[ProbeQuestion], announced: ProbeEstimate, tag: str, bucket: str
) -> list[str]:
    """Return what would be created, where, for how long and for how much, before it is asked."""
    lines = ["", "Questions:"]
    lines += [f"  {question.name}: {question.text}" for question in questions]
    lines += ["", f"This creates in {announced.region}, and deletes afterwards:"]
    lines += [f"  {text}" for text in _created(questions, announced, tag, bucket)]
    lines += [
        f"All of it is tagged or named {tag}, and has no tag of a cluster.",
        f"It takes about {_minutes(announced.usual)}, at most {_minutes(announced.longest)}.",
        f"It costs at most ${announced.cost:.2f}.",
    ]
    return lines


def _created(
    questions: Sequence[ProbeQuestion], announced: ProbeEstimate, tag: str, bucket: str
) -> Iterable[str]:
    sizes = announced.sizes
    if announced.pool and sizes is not None:
        most = announced.droplets - any(q.droplet for q in questions)
        yield (
            f"an autoscale pool of up to {count_of(announced.pool, 'droplet')} of "
            f"{sizes.small.slug} (${sizes.small.hourly}/h each); at most "
            f"{count_of(most, 'droplet')} altogether"
        )
    if any(q.droplet for q in questions) and sizes is not None:
        yield (
            f"a droplet of {sizes.small.slug}, resized to {sizes.larger.slug} "
            f"(${sizes.larger.hourly}/h)"
        )
    names = {question.name for question in questions}
    if "conditional-writes" in names and bucket:
        yield f"objects of a few bytes below {OBJECTS}{tag}/ in the bucket of {bucket} (free)"
    if "trigger-scope" in names:
        yield "a functions namespace with a trigger that is disabled (free)"


def answer_lines(answers: Sequence[ProbeAnswer]) -> list[str]:
    """Return every answer, then what is not known and why."""
    lines = ["", "Answers:"]
    known = [answer for answer in answers if answer.answer]
    lines += [f"  {QUESTION_OF[a.fact]}: {a.text}" for a in known] or ["  none"]
    unknown = [answer for answer in answers if not answer.answer]
    if unknown:
        lines.append("Not known:")
        lines += [f"  {QUESTION_OF[a.fact]} ({a.fact}): {a.text}" for a in unknown]
    return [_folded(line) for line in lines]


def settings_block(facts: Sequence[AccountFact], now: float) -> list[str]:
    """Return the answers as they are written in the settings."""
    lines = [
        "",
        "To paste into the settings, below a cluster (optional):",
        "",
        "    account_facts:",
    ]
    lines += [f"      {fact.name}: {fact.answer}" for fact in facts]
    lines += [f"      seen: {datetime.fromtimestamp(now, UTC):%Y-%m-%d}", ""]
    return lines


def leftover_lines(title: str, left: Sequence[Leftover]) -> list[str]:
    """Return a list of leftovers under a title."""
    return [title, *(f"  {leftover.text}" for leftover in left)]


def elsewhere_lines(sessions: Sequence[ProbeSession]) -> list[str]:
    """Return what an earlier probe may have left in other accounts, and how to delete it."""
    lines = ["An earlier probe may have left something in another account:"]
    lines += [f"  {session.tag}, account {session.account}" for session in sessions]
    return [*lines, "With a token of that account: openvidu-bot probe --clean"]


def _minutes(seconds: float) -> str:
    return count_of(max(1, round(seconds / 60)), "minute")


def _folded(line: str) -> str:
    return textwrap.fill(line, WIDTH, subsequent_indent="    ", break_long_words=False)
