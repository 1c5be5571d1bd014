"""The card of a rehearsal: what decides first, then what it rests on."""

from collections.abc import Sequence

from handlers.slack.blocks import Block, Card, context, escape, fields, section, truncate
from handlers.slack.markup import markup
from handlers.views.dry_run import plan_header
from handlers.views.plan import title
from handlers.views.text import without_formatting
from services.common.markers import command
from services.common.text import count_of, duration, plural
from services.operations.rehearsal import Ending, Often, Rehearsal

NAMED = 4  # questions, pauses and kinds of bad luck that the card names
HEADLINE = 90  # characters
TWENTY = 20  # runs: a share of twenty needs so many
LONGEST = 250  # characters of an assumption


def rehearsal_card(rehearsal: Rehearsal) -> Card:
    """Return the card of a rehearsal."""
    plan = rehearsal.plan
    facts = [pair for pair in _facts(rehearsal) if pair[1]]
    text = f"Rehearsal: {title(plan)}. {' '.join(_sentences(rehearsal))}"
    blocks: list[Block] = [plan_header(plan, ": rehearsal"), fields(*facts)]
    if lines := [*_questions(rehearsal), *_stops(rehearsal)]:
        blocks.append(section("\n".join(lines)))
    blocks += [context(line) for line in _basis(rehearsal)]
    blocks.append(context(markup(f"Nothing was changed. To request it: {_typed(rehearsal)}.")))
    return Card(without_formatting(text), tuple(blocks))


def _typed(rehearsal: Rehearsal) -> str:
    return command(rehearsal.plan.procedure.command_line())


def _facts(rehearsal: Rehearsal) -> list[tuple[str, str]]:
    return [
        ("Takes", _takes(rehearsal)),
        ("Questions", _of(rehearsal, len(rehearsal.asking))),
        ("Disconnected", _disconnected(rehearsal)),
        ("Pauses", _of(rehearsal, len(rehearsal.stopping))),
        ("Without service", _without_service(rehearsal)),
        ("Rolls back", _rolls_back(rehearsal)),
    ]


def _sentences(rehearsal: Rehearsal) -> list[str]:
    """Return what decides in sentences, for a text that is read without the card."""
    takes, asks = _takes(rehearsal), _of(rehearsal, len(rehearsal.asking))
    done = f"Done in {takes}." if rehearsal.expected.ending is Ending.DONE else f"{takes}."
    sentences = [done[:1].upper() + done[1:]]
    if rehearsal.runs:
        sentences.append(f"Questions to you: {asks}.")
        sentences.append(f"Pauses: {_of(rehearsal, len(rehearsal.stopping))}.")
    sentences.append(f"Disconnected: {_disconnected(rehearsal)}.")
    return [*sentences, f"Without service: {_without_service(rehearsal)}."]


# What decides


def _takes(rehearsal: Rehearsal) -> str:
    """Return `11 min (19 of 20 within 26 min)`."""
    expected = rehearsal.expected
    if expected.ending is Ending.ASKS:
        said = f"waits for an answer after {duration(expected.seconds)}, as expected"
    elif expected.ending is Ending.STOPS:
        said = f"pauses after {duration(expected.seconds)}, as expected"
    else:
        said = duration(expected.seconds)
    times, runs = rehearsal.durations, len(rehearsal.runs)
    if times and runs < TWENTY:
        number = f"{len(times)} of {count_of(runs, 'run')}"
        return f"{said} ({number} within {duration(times[-1])})"
    if not rehearsal.of_twenty:
        return said
    return f"{said} ({rehearsal.of_twenty} of 20 within {duration(rehearsal.slowest)})"


def _of(rehearsal: Rehearsal, number: int) -> str:
    if not rehearsal.runs:
        return "unknown: no run with bad luck was played in time"
    return f"{number} of {count_of(len(rehearsal.runs), 'run')}"


def _disconnected(rehearsal: Rehearsal) -> str:
    if not rehearsal.disconnected:
        return _as_far_as_played(rehearsal, "no one")
    if rehearsal.expected.disconnected:
        if not rehearsal.runs:
            number = count_of(rehearsal.disconnected, "person")
            return _as_far_as_played(rehearsal, number)
        return f"up to {count_of(rehearsal.disconnected, 'person')}"
    hit = len([run for run in rehearsal.runs if run.disconnected])
    return f"up to {count_of(rehearsal.disconnected, 'person')}, in {_of(rehearsal, hit)}"


def _without_service(rehearsal: Rehearsal) -> str:
    """Return how long no new meeting can be opened."""
    expected = rehearsal.expected
    if not expected.serves:
        return "until someone starts it"
    if not rehearsal.gap:
        return _as_far_as_played(rehearsal, "never")
    if not rehearsal.runs:
        return _as_far_as_played(rehearsal, duration(rehearsal.gap))
    longest = f"at most {duration(rehearsal.gap)}"
    if not expected.gap:
        return longest
    return f"{duration(expected.gap)}, {longest}"


def _as_far_as_played(rehearsal: Rehearsal, said: str) -> str:
    """Return what was seen, with what was not played."""
    if rehearsal.has_answers_open:
        said = f"{said} before an answer"
    if not rehearsal.runs:
        said = f"{said} as expected; with bad luck unknown"
    return said


def _rolls_back(rehearsal: Rehearsal) -> str:
    if not rehearsal.rolling_back:
        return ""
    return _of(rehearsal, len(rehearsal.rolling_back))


# What people would have to deal with


def _questions(rehearsal: Rehearsal) -> list[str]:
    return _listed("Question", rehearsal.questions, len(rehearsal.runs))


def _stops(rehearsal: Rehearsal) -> list[str]:
    lines = _listed("Pause", rehearsal.stops, len(rehearsal.runs))
    if stopped := len(rehearsal.stopping):
        them = plural(stopped, "it", f"{rehearsal.resumed} of {stopped}")
        done = f"Resume finished {them} once the trouble was over."
        if not rehearsal.resumed:
            done = "Resume alone finished none of them; each takes a decision on its card."
        lines.append(done)
    if waiting := len(rehearsal.waiting):
        lines.append(f"Still waiting after 10 h: {waiting} of {len(rehearsal.runs)}.")
    return lines


def _listed(label: str, found: Sequence[Often], runs: int) -> list[str]:
    lines = [
        f"*{label}* {often.runs} of {runs}: {escape(_short(often.what))}" for often in found[:NAMED]
    ]
    if len(found) > NAMED:
        others = sum(often.runs for often in found[NAMED:])
        lines.append(f"*{label}* {others} of {runs}: something else")
    return lines


def _short(text: str) -> str:
    return text if len(text) <= HEADLINE else f"{text[: HEADLINE - 2].rstrip()} …"


# What it rests on


def _basis(rehearsal: Rehearsal) -> list[str]:
    played, wanted = len(rehearsal.runs), rehearsal.wanted
    number = f"{count_of(played, 'simulated run')}"
    if played < wanted:
        number = f"{played} of {wanted} simulated runs, as many as fit into the time"
    luck = rehearsal.luck
    named = ", ".join(luck[:NAMED])
    if len(luck) > NAMED:
        named = f"{named} and {count_of(len(luck) - NAMED, 'more kind')}"
    lines = [f"{number}. A forecast, not a promise: how often bad luck strikes is assumed."]
    if named:
        lines.append(f"Bad luck: {named}.")
    if rehearsal.measured:
        steps = count_of(len(rehearsal.measured), "kind")
        lines.append(f"Durations: {steps} of step as measured here; published figures else.")
    else:
        lines.append("Durations: published figures; no run of this cluster was measured yet.")
    return [*lines, *(markup(escape(truncate(text, LONGEST))) for text in rehearsal.assumed)]
