"""Plans: what decides first (people, outage, money, time, undo); steps are in Details."""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from handlers.slack.blocks import (
    Block,
    context,
    escape,
    fields,
    section,
)
from handlers.slack.markup import EMOJI, markup
from handlers.views.text import (
    MOST_IN_TEXT,
    MOST_WORDS,
    full_stop,
    in_meetings,
    load_words,
    sentence,
    without_formatting,
    word_count,
    words_on,
)
from services.billing.prices import money, per_hour
from services.cluster.model import Load
from services.common.markers import Marker, command, strong
from services.common.observed import Unobserved
from services.common.text import count_of, duration, join_words, plural
from services.procedures import (
    BackupCreate,
    ChangeConfigFile,
    Configure,
    Drill,
    Procedure,
    ResizeMasters,
    ResizeMedia,
)
from services.procedures.plan import Plan
from services.steps import PoolTarget, PowerOff, RecordDrill, Revive, Snapshots

Fact = tuple[str, str]
# What an approval is for, by command; otherwise the command's own name.
NOUNS = {
    "scale": "scaling",
    "resize media": "resize",
    "resize masters": "resize",
    "config apply": "change",
    "file apply": "change",
    "module apply": "change",
    "window add": "window",
    "backup create": "backup",
    "backup prune": "deletion",
}
BRIEF = ("Disconnected", "Back in service", "Cost", "Undo")
LONG_COST = 60  # characters of a cost that a field has room for
CHANGED_LINES = 8  # of a difference on the first screen; Details has all of it
LONG_LINE = 100  # characters of such a line
NOTE_WORDS = 20  # words of a note on the first screen; longer ones are in Details
ALERTS = 2  # notes that warn on the first screen; the number of others is shown
WARNS = EMOJI[Marker.WARNING]
SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z`<*])")
LEVELS = range(4)  # how much a text leaves out


def title(plan: Plan) -> str:
    """Return `Shut down acme`."""
    return escape(plan.title)


def noun(procedure: Procedure) -> str:
    """Return what a button approves or starts: `shutdown`, `resize`."""
    return NOUNS.get(procedure.command, procedure.command)


def start_label(procedure: Procedure) -> str:
    """Return the label of a button that starts a change: `Start up`, `Start scale`."""
    if procedure.command == "startup":
        return "Start up"
    if procedure.command == "start":
        return "Start OpenVidu"
    return f"Start {noun(procedure)}"


# What decides


def deciding(plan: Plan) -> list[str]:
    """Return what an approval must not overlook: who is disconnected, what is lost for good."""
    lines = []
    if plan.effects.cuts_off:
        lines.append(strong(_ended_meetings(plan)))
    lines += [starting(special, plan) for special in plan.effects.special]
    if not plan.effects.special:
        lines += [f"Not reversible: {text}" for text in plan.permanent]
    return lines


def _ended_meetings(plan: Plan) -> str:
    load = plan.meetings
    if isinstance(load, Unobserved):
        return "Ends all running meetings; how many meetings run is unknown"
    if load.without_people:
        return f"Ends what runs on the media nodes: {in_meetings(load, lost=True)}"
    if not load.rooms:
        return "Ends all meetings on the media nodes"
    return f"Ends {count_of(load.rooms, 'running meeting')}: {in_meetings(load, lost=True)}"


def ends_service(plan: Plan) -> bool:
    """Tell whether approving needs a second confirmation: service ends, or something is lost."""
    effects = plan.effects
    return effects.cuts_off or effects.down or bool(effects.special or plan.permanent)


def is_dangerous(plan: Plan) -> bool:
    """Tell whether people are disconnected, or something is not reversible."""
    return plan.effects.cuts_off or bool(plan.permanent)


def warnings(plan: Plan, alerts: Sequence[str] = ()) -> list[Block]:
    """Return the deciding lines as a paragraph, and alerts; nothing where there are none."""
    lines = [*(f"{WARNS} {_stopped(line)}" for line in deciding(plan)), *alerts]
    if not lines:
        return []
    return [section("\n".join(lines))]


def _stopped(line: str) -> str:
    """Return a line with a full stop, unless it stands out as a whole."""
    if line.endswith(("*", "]]")):
        return line
    return full_stop(line)


def alert_lines(plan: Plan, where: str = "Details", most: int = ALERTS) -> list[str]:
    """Return the notes that warn, each in few words: none of them is left to Details alone.

    `where`: has all of them. `most`: how many are shown; the number of the others is.
    """
    alerts = _alerts(plan)
    lines = [_in_few_words(alert) for alert in alerts[:most]]
    if left := len(alerts[most:]):
        more = "more warning" if lines else "warning"
        lines.append(f"{WARNS} {count_of(left, more)} in {where}.")
    return lines


def _alerts(plan: Plan) -> list[str]:
    return [note for note in map(markup, plan.notes) if _warns(note)]


def _warns(note: str) -> bool:
    return note.startswith(WARNS)


def _in_few_words(alert: str) -> str:
    """Return the first sentence of a warning, or as much of it as a person reads at a glance."""
    first = full_stop(SENTENCE.split(alert, maxsplit=1)[0])
    if word_count(first) <= NOTE_WORDS:
        return first
    clause = full_stop(first.split("; ", 1)[0])
    if word_count(clause) <= NOTE_WORDS:
        return clause
    kept = len(clause.split(" "))
    while word_count(" ".join(clause.split(" ")[:kept])) > NOTE_WORDS:
        kept -= 1
    return f"{' '.join(clause.split(' ')[:kept])} …"


# Facts


def facts(plan: Plan) -> list[Fact]:
    """Return the pairs of label and value that say something for this plan."""
    pairs = [
        *_subject(plan),
        ("Meetings now", meetings_now(plan)),
        ("Disconnected", disconnected(plan)),
        ("New meetings", new_meetings(plan)),
        ("Back in service", back_in_service(plan)),
        ("Takes", expected_duration(plan)),
        ("Cost", cost_in_short(plan)),
        *_way_back(plan),
    ]
    return [(label, value) for label, value in pairs if value]


def _subject(plan: Plan) -> list[Fact]:
    """Return what is changed, where the title does not say it."""
    match plan.procedure:
        case Configure(keys=keys) if len(keys) > 1:
            return [("Changes", escape(join_words(keys)))]
        case ChangeConfigFile(difference=lines):
            return [("Difference", _changed_lines(lines))]
        case Drill():
            return [("Backup", escape(s.label)) for s in plan.steps if isinstance(s, RecordDrill)]
        case BackupCreate():
            if any(isinstance(s, Snapshots) and s.off for s in plan.steps):
                return [("Backup", "offline: the disks are at rest")]
            return [("Backup", "live: only crash-consistent")]
        case _ if plan.effects.adds and not (plan.effects.blocks or plan.effects.down):
            return [("Capacity", _capacity(plan))]
        case _:
            return []


def _changed_lines(lines: Sequence[str]) -> str:
    """Return the changed lines without those around them; Details has all of them."""
    changed = [line for line in lines if line[:1] in "+-"]
    shown = [escape(line.replace("`", "’")[:LONG_LINE]) for line in changed[:CHANGED_LINES]]
    if left := len(changed[CHANGED_LINES:]):
        shown.append(f"… {left} more in Details")
    return "```" + "\n".join(shown) + "```"


def _capacity(plan: Plan) -> str:
    """Return `2 more media nodes`; `3 media nodes` where there are none at present."""
    total = max((s.number for s in plan.steps if isinstance(s, PoolTarget)), default=0)
    if plan.effects.adds >= total:
        return count_of(plan.effects.adds, "media node")
    return count_of(plan.effects.adds, "more media node")


def meetings_now(plan: Plan) -> str:
    """Return `3 (14 people, 1 recording)`.

    "" where the plan does not touch meetings, or a deciding line counts them.
    """
    effects, load = plan.effects, plan.meetings
    if effects.cuts_off or not (effects.blocks or effects.down):
        return ""
    if not effects.down and isinstance(load, Load) and not load.idle:
        # Which of them run on the nodes that are drained is not known.
        return f"{load_words(load)} on {plan.cluster}"
    return load_words(load)


def disconnected(plan: Plan) -> str:
    """Return who is disconnected."""
    effects, load = plan.effects, plan.meetings
    if effects.cuts_off and isinstance(load, Unobserved):
        return f"everyone in a meeting ({escape(load.reason)})"
    if effects.cuts_off and isinstance(load, Load):
        return f"everyone: {in_meetings(load)}"
    if effects.blocks and (isinstance(load, Unobserved) or not load.idle):
        if plan.tells:
            return "no one; meetings get a message and finish first"
        return "no one; meetings finish first"
    return "no one"


def new_meetings(plan: Plan) -> str:
    """Return from when new meetings are blocked; "" where they are not."""
    effects = plan.effects
    if effects.keeps:
        nodes, stay = count_of(effects.keeps, "media node"), plural(effects.keeps, "stays", "stay")
        return f"{nodes} {stay} open until empty"
    if effects.down:
        return "blocked from the start"
    if effects.blocks:
        return "on the other nodes only"
    return ""


def back_in_service(plan: Plan) -> str:
    """Return when new meetings can be opened again; "" where the cluster stays in service."""
    if not plan.effects.down:
        return ""
    if plan.outage is not None:
        return f"after {outage_length(plan)}"
    if plan.undo and not _is_resize(plan):
        return f"after {command(plan.undo)}"
    return "when someone starts it"


def _is_resize(plan: Plan) -> bool:
    """Tell whether undoing it restores a size, and no service."""
    return isinstance(plan.procedure, ResizeMasters | ResizeMedia)


def outage_length(plan: Plan) -> str:
    """Return `2 min to 2 h 2 min`: without meetings, and with as long as they may take."""
    shortest = plan.outage or 0.0
    if not _may_wait(plan) or not plan.outage_drain_timeout:
        return f"about {duration(shortest)}"
    return f"{duration(shortest)} to {duration(shortest + plan.outage_drain_timeout)}"


def _may_wait(plan: Plan) -> bool:
    """Tell whether meetings may still be running that are waited for."""
    load = plan.meetings
    return not plan.effects.cuts_off and (isinstance(load, Unobserved) or not load.idle)


def expected_duration(plan: Plan) -> str:
    """Return how long the plan takes, and how long meetings may take before."""
    about = f"about {duration(plan.takes)}"
    if not plan.effects.blocks or not _may_wait(plan):
        return about
    if not plan.drain_timeout:
        return f"{about} after the last meeting"
    return f"{about} after the last meeting (I ask after {duration(plan.drain_timeout)})"


def _way_back(plan: Plan) -> list[Fact]:
    """Return how it is undone; nothing where another line says it."""
    if plan.permanent:
        return []
    if plan.undo and (_is_resize(plan) or not (plan.effects.down and plan.outage is None)):
        return [("Undo", command(plan.undo))]
    if plan.undo or not plan.effects.irreversible or _restores_nodes(plan):
        return []
    return [("Undo", starting("; ".join(plan.effects.irreversible), plan))]


def _restores_nodes(plan: Plan) -> bool:
    """Tell whether the plan itself puts the nodes that it drains back into service."""
    return plan.outage is not None or any(isinstance(step, Revive) for step in plan.steps)


# Money


def cost_in_short(plan: Plan) -> str:
    """Return the change of the bill in the room of a field."""
    parts = [part.removeprefix("costs ") for part in _hourly_change(plan)]
    if plan.saves is None:
        parts = ["unknown: DigitalOcean's price of a droplet was not seen"]
    if plan.money and (not parts or len(plan.money) <= LONG_COST):
        parts.append(_without_aside(plan.money))
    if not parts:
        parts = ["no change"]
    if plan.effects.stops_masters and plan.effects.down and plan.outage is None:
        parts.append(f"{_masters(plan)} still {per_hour(plan.stays_billed)}")
    return "; ".join(parts)


def _masters(plan: Plan) -> str:
    """Return `masters`; `master` or `node` where there is no other."""
    return plan.only_master or "masters"


def _without_aside(text: str) -> str:
    """Return a long text without what stands in parentheses at its end; Details has all of it."""
    if len(text) <= LONG_COST or not text.endswith(")"):
        return text
    return text.rpartition(" (")[0]


def cost_change(plan: Plan) -> str:
    """Describe the change of the bill in sentences."""
    effects = plan.effects
    sentences = _hourly_change(plan)
    if plan.saves is None:
        sentences.append(
            "what it changes is unknown: DigitalOcean's price of a droplet was not seen"
        )
    if plan.money:
        sentences.append(plan.money)
    if not sentences:
        sentences.append("changes nothing")
    if effects.down and any(isinstance(s, PowerOff) for s in plan.steps):
        masters = _masters(plan)
        stay = plural(2 if masters == "masters" else 1, "stays", "stay")
        sentences.append(f"the {masters} {stay} billed while off ({per_hour(plan.stays_billed)})")
    first, *others = sentences
    return ". ".join([first, *(starting(text, plan) for text in others)]) + "."


def _hourly_change(plan: Plan) -> list[str]:
    change = plan.saves or Decimal(0)
    if change < 0:
        return [f"costs {money(-change)}/h more"]
    if change == 0:
        return []
    return [f"saves {money(change)}/h"]


# Texts


def in_sentences(plan: Plan, *, level: int = 0) -> list[str]:
    """Return what decides in sentences, for a text that is read without the card.

    `level`: how much is left out. 1: its duration; 2: also the notes that warn, and what an
    approval states of meetings that end, beside how many.
    """
    lines = deciding(plan)
    if level >= 2 and plan.effects.cuts_off:
        lines = lines[:1]
    sentences = [f"{line}." for line in lines]
    if level < 2:
        sentences += alert_lines(plan)
    elif alerts := len(_alerts(plan)):
        sentences.append(f"{count_of(alerts, 'warning')} in Details.")
    if not plan.effects.cuts_off:
        sentences.append(_no_one_is_disconnected(plan))
    sentences.append(_unavailable(plan))
    if level < 1:
        sentences.append(f"Takes {expected_duration(plan)}.")
    sentences.append(f"Cost: {cost_in_short(plan)}.")
    sentences += [f"{label}: {value}." for label, value in _way_back(plan)]
    return [sentence for sentence in sentences if sentence]


def fitting_text(write: Callable[[int], str]) -> str:
    """Return the fullest text with few enough words. `write`: returns it for a level."""
    text = ""
    for level in LEVELS:
        text = without_formatting(write(level))
        if word_count(text) <= MOST_IN_TEXT:
            break
    return text


def _no_one_is_disconnected(plan: Plan) -> str:
    load = plan.meetings
    if not plan.effects.blocks:
        return "No one is disconnected."
    if isinstance(load, Unobserved):
        return "No one is disconnected: meetings finish first. How many run is unknown."
    if load.idle:
        return "No one is in a meeting."
    meetings = f"{count_of(load.rooms, 'meeting')} ({in_meetings(load)})"
    return f"No one is disconnected: {meetings} {plural(load.rooms, 'finishes', 'finish')} first."


def _unavailable(plan: Plan) -> str:
    """Return the sentence about the outage; "" without one."""
    if not plan.effects.down:
        return ""
    if plan.effects.keeps:
        return (
            f"{starting(new_meetings(plan), plan)}, then back in service {back_in_service(plan)}."
        )
    return f"New meetings blocked; back in service {back_in_service(plan)}."


def deciding_facts(plan: Plan) -> str:
    """Return the two facts that a confirmation dialog repeats: people, and the outage."""
    first = [f"{line}." for line in deciding(plan)] or [_no_one_is_disconnected(plan)]
    return " ".join(filter(None, (*first, _unavailable(plan))))


def impact(plan: Plan) -> str:
    """Describe the impact as one paragraph: for forms, which have no columns."""
    lines = [f":warning: {line}" for line in deciding(plan)]
    return "\n".join([*lines, *(f"*{label}*: {value}" for label, value in facts(plan))])


def fitting_screen(build: Callable[[int], list[Block]]) -> list[Block]:
    """Return the fuller of two screens if it has few enough words.

    `build`: returns the full one for 0, the brief one for 1.
    """
    full = build(0)
    if words_on(full) <= MOST_WORDS:
        return full
    return build(1)


def first_screen(plan: Plan, *around: Block) -> list[Block]:
    """Return warnings and facts of a plan, and the other notes that there is room for.

    `around`: the other blocks of the screen. Details has the notes and facts that are left out.
    """
    full = [*warnings(plan, alert_lines(plan)), fields(*facts(plan))]
    room = MOST_WORDS - words_on([*around, *full])
    if room < 0:
        return _brief_screen(plan, around)
    shown = []
    for note in plan.notes:
        if _warns(markup(note)) or _is_shown_above(note, plan):
            continue
        line = f"{starting(note, plan)}."
        if (length := word_count(line)) <= min(room, NOTE_WORDS):
            shown.append(line)
            room -= length
    if not shown:
        return full
    return [*full, context("\n".join(shown))]


def _is_shown_above(note: str, plan: Plan) -> bool:
    """Tell whether a note is a line of the difference, which the facts have."""
    return isinstance(plan.procedure, ChangeConfigFile) and note.startswith("`")


def _brief_screen(plan: Plan, around: Sequence[Block]) -> list[Block]:
    """Return the facts that decide, and as many of the notes that warn as there is room for."""
    decides = fields(*(fact for fact in facts(plan) if fact[0] in BRIEF))
    screen: list[Block] = []
    for most in range(ALERTS, -1, -1):
        screen = [*warnings(plan, alert_lines(plan, most=most)), decides]
        if words_on([*around, *screen]) <= MOST_WORDS:
            break
    return screen


def numbered(plan: Plan) -> list[str]:
    """Return one line per step. A run that goes on may have no step left."""
    return [f"{i}. {s.title()}" for i, s in enumerate(plan.steps, 1)] or ["no step is left to do"]


def starting(text: str, plan: Plan) -> str:
    """Return a text as the beginning of a sentence; a name, such as the cluster's, keeps its case.

    Without a full stop.
    """
    return sentence(text, (plan.cluster,)).removesuffix(".")
