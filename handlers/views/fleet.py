"""Many clusters at a glance: what is wrong first, then by label; the rest is counted. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from handlers.slack.blocks import Card, context, escape, header, truncate
from handlers.slack.markup import markup
from handlers.views.cluster_facts import problems, run_step, state_of
from handlers.views.text import load_words, sentence, without_formatting
from handlers.views.windows import sections
from services.common.text import count_of, plural
from services.operations.results import Status
from services.runs.run import State

LINES = 40  # clusters that are listed one by one
LINE = 200  # characters of one of them
SPOKEN = 8  # that the text names: those that are wrong, else the first ones
NO_LABEL = "without a label"


@dataclass(frozen=True)
class FleetRow:
    """One cluster. No `status`: it could not be read, for the reason in `trouble`."""

    name: str
    labels: tuple[str, ...] = ()
    status: Status | None = None
    trouble: str = ""


def fleet_card(rows: Sequence[FleetRow], at: float, hidden: int = 0) -> Card:
    """Return the state of many clusters. `hidden`: clusters that the reader may not see."""
    ordered = sorted(rows, key=lambda row: (_urgency(row, at), *group(row.labels), row.name))
    wrong = [row for row in ordered if _urgency(row, at) == 0]
    head = f"{count_of(len(rows), 'cluster')}: {_head(rows, wrong)}"
    listed, rest = ordered[:LINES], ordered[LINES:]
    lines = [truncate(_line(row, at), LINE) for row in listed]
    blocks = [header(head), *sections("\n".join(lines))]
    foot = ["`/openvidu status --cluster NAME` shows one"]
    if rest:
        counted = f"And {count_of(len(rest), 'more cluster')}: {counted_by_label(rest, at)}"
        blocks.append(context(counted))
    if hidden:
        verb = plural(hidden, "is", "are")
        foot.append(f"{count_of(hidden, 'cluster')} {verb} not shown: you have no role there")
    text = f"{head}. {' '.join(lines[: min(len(wrong), SPOKEN) or SPOKEN])}"
    return Card(without_formatting(text), (*blocks, context(" · ".join(foot))))


def _head(rows: Sequence[FleetRow], wrong: Sequence[FleetRow]) -> str:
    """Return `2 need attention, 40 in service, 8 shut down`."""
    parts = []
    if wrong:
        parts.append(f"{len(wrong)} {plural(len(wrong), 'needs', 'need')} attention")
    good = [row for row in rows if row not in wrong]
    counts = Counter(_state_words(row) for row in good)
    parts += [f"{number} {words}" for words, number in counts.most_common()]
    return ", ".join(parts)


def group(labels: tuple[str, ...]) -> tuple[bool, str]:
    """Return what sorts clusters by their first label, those without one last."""
    return (not labels, labels[0] if labels else "")


def counted_by_label(rows: Iterable[FleetRow], at: float) -> str:
    """Return `production: 30 in service, 2 shut down; without a label: 1 in service`."""
    by_label: dict[str, Counter[str]] = {}
    for row in rows:
        label = row.labels[0] if row.labels else NO_LABEL
        words = "need attention" if _urgency(row, at) == 0 else _state_words(row)
        by_label.setdefault(label, Counter())[words] += 1
    return "; ".join(
        f"{label}: {', '.join(f'{number} {words}' for words, number in counts.most_common())}"
        for label, counts in by_label.items()
    )


def _state_words(row: FleetRow) -> str:
    """Return `in service`, `shut down`."""
    if row.status is None:
        return "unknown"
    return state_of(row.status.cluster).words.removeprefix("is ")


def _urgency(row: FleetRow, at: float) -> int:
    """Return 0 for what is wrong, 1 for what changes or waits, 2 for a quiet cluster."""
    status = row.status
    if status is None or not status.known:
        return 0
    run = status.run
    needs_person = run is not None and (run.state is State.STOPPED or run.question is not None)
    busy = run is not None
    if needs_person or problems(status.cluster, status.certificate, at, busy=busy):
        return 0
    return 1 if busy or status.waiting or status.later else 2


def _line(row: FleetRow, at: float) -> str:
    status = row.status
    labels = f" · {', '.join(row.labels)}" if row.labels else ""
    if status is None:
        why = sentence(escape(row.trouble), (row.name,))
        return f"⚪ *{row.name}* could not be read: {why}{labels}"
    cluster, run = status.cluster, status.run
    state = state_of(cluster)
    words = [f"{state.mark} *{row.name}* {escape(state.words)}"]
    if run is not None:
        mark = ":warning: " if run.state is State.STOPPED or run.question is not None else ""
        words.append(f"{mark}{escape(run.plan.procedure.doing.lower())}, {run_step(run)}")
    elif wrong := problems(cluster, status.certificate, at):
        words.append(f":warning: {markup(wrong[0])}")
    if cluster.serving:
        words.append(f"meetings: {load_words(cluster.load)}")
    if status.waiting:
        words.append(f"{count_of(len(status.waiting), 'request')} waiting")
    return " · ".join(words) + labels
