"""The steps of a run as lines: done, current and to come, and how long each took. Pure."""

from handlers.slack.blocks import escape
from handlers.slack.markup import time_of_day
from handlers.views.text import one_line, without_formatting
from services.common.text import count_of, duration
from services.runs.progress import Progress
from services.runs.run import Run, State

FULL, EMPTY, CELLS = "█", "░", 12
WORTH_SAYING = 5.0  # seconds that something has lasted
WHAT_TO_DO = " what to do"
SHOWN_BEFORE, SHOWN_AFTER = 4, 4  # steps beside the current one on the card of a run under way


def step_lines(progress: Progress, *, whole: bool = False) -> list[str]:
    """Return one line per step; of the current one only where nothing above shows it.

    It is above while the run is under way. Of many steps, those far from the current one are
    counted. `whole`: none are.
    """
    run = progress.run
    before = _past_lines(run)
    after = [f"○ {step.title()}" for step in run.steps[run.position + 1 :]]
    if not whole and len(before) > SHOWN_BEFORE:
        hidden = len(before) - SHOWN_BEFORE + 1
        before = [f"✓ {count_of(hidden, 'step')} before", *before[hidden:]]
    if not whole and len(after) > SHOWN_AFTER:
        hidden = len(after) - SHOWN_AFTER + 1
        after = [*after[:-hidden], f"○ {count_of(hidden, 'more step')}"]
    current = []
    if run.step is not None and not _is_shown_above(run):
        current = [f"▸ *{without_formatting(run.step.title())}*"]
    return [*before, *current, *after]


def _is_shown_above(run: Run) -> bool:
    """Tell whether `current_lines` stand above the steps: not while it waits for a decision."""
    return run.state is not State.STOPPED and run.question is None


def _past_lines(run: Run) -> list[str]:
    return [_past_line(run, i) for i in range(min(run.position, len(run.steps)))]


def done_lines(run: Run) -> list[str]:
    """Return the steps of a run that is over: how long each took, and which were not begun."""
    lines = _past_lines(run)
    for index, step in enumerate(run.steps[run.position :], run.position):
        spent = run.seconds_spent(index)
        if index in run.begun and spent is not None:
            lines.append(f"– {step.title()} · not completed, {duration(spent)}")
        else:
            lines.append(f"○ {step.title()} · not started")
    return lines


def _past_line(run: Run, index: int) -> str:
    """Return the line of a step before the current one."""
    title = run.steps[index].title()
    spent = run.seconds_spent(index)
    took = ""
    if spent is not None:
        took = f" · {duration(spent)}"
    if index not in run.skipped:
        return f"✓ {title}{took}"
    if index in run.begun:
        return f"– {title} · not completed{took.replace(' · ', ', ')}"
    return f"– {title} · skipped"


def current_lines(progress: Progress) -> list[str]:
    """Return the current step: for how long, how far, what it waits for, and what happens then."""
    step = progress.run.step
    if step is None:
        return ["▸ *Finishing*"]
    doing = f"▸ *{without_formatting(step.title())}*"
    lines = [" · ".join(filter(None, (doing, _waiting(progress))))]
    tally = progress.tally
    if tally is not None:
        cells = round(CELLS * tally.done / tally.total)
        lines.append(f"{FULL * cells}{EMPTY * (CELLS - cells)} {_counted(progress)}")
    counted = _counted(progress)
    if counted and progress.waits_for.startswith(counted):
        # The bar says that already.
        lines += filter(None, [escape(progress.waits_for.removeprefix(counted).lstrip("; "))])
    elif progress.waits_for and step.waits_for_meetings:
        lines.append(escape(progress.waits_for))
    elif progress.waits_for:
        lines.append(f"Waiting for {escape(one_line(progress.waits_for))}")
    if step.waits_for_meetings:
        messages = [n.text for n in progress.run.notes if n.is_about_messages]
        lines += [escape(f"{text[:1].upper()}{text[1:]}") for text in messages[-1:]]
    if asks := _asks(progress):
        lines.append(f"{asks[:1].upper()}{asks[1:]}")
    return lines


def current_step_text(progress: Progress) -> str:
    """Return the current step, what it waits for, and what happens when it is late."""
    step = progress.run.step
    if step is None:
        return "Finishing"
    waits, late = _waits_for(progress), _late(progress).removesuffix(WHAT_TO_DO)
    if waits:
        waits = f": {waits}"
    if late:
        late = f". {late[:1].upper()}{late[1:]}"
    return f"{step.title()}{waits}{late}"


def waiting_words(progress: Progress) -> str:
    """Return what the current step waits for, and what happens when it is late."""
    return "; ".join(filter(None, (_waits_for(progress), _late(progress))))


def _waits_for(progress: Progress) -> str:
    step = progress.run.step
    if step is None or not progress.waits_for:
        return _counted(progress)
    if step.waits_for_meetings:
        # What decides whether a node is drained stands on the card alone.
        return escape(one_line(progress.waits_for.partition(". ")[0]))
    if (counted := _counted(progress)) and progress.waits_for.startswith(counted):
        return escape(progress.waits_for)
    return f"waiting for {escape(one_line(progress.waits_for))}"


def _late(progress: Progress) -> str:
    return _asks(progress) or _times_out(progress)


def _counted(progress: Progress) -> str:
    tally = progress.tally
    if tally is None:
        return ""
    return f"{tally.done} of {tally.total} {tally.what}"


def _waiting(progress: Progress) -> str:
    """Return `waiting 40 s (times out at 18:58)`; "" where that has only begun."""
    waited = progress.watched
    if waited is None:
        waited = progress.at - progress.run.step_began
    times_out = _times_out(progress)
    if waited < WORTH_SAYING:
        return times_out
    line = f"waiting {duration(waited)}"
    if times_out:
        line += f" ({times_out})"
    return line


def _times_out(progress: Progress) -> str:
    if progress.until is None or progress.asks or progress.run.question is not None:
        return ""
    return f"times out at {time_of_day(progress.until)}"


def _asks(progress: Progress) -> str:
    """Return when people are asked about the current step, unless it is done before."""
    run, step = progress.run, progress.run.step
    if progress.until is None or not progress.asks or step is None or run.question is not None:
        return ""
    at = time_of_day(progress.until)
    if step.waits_for_meetings:
        return f"if meetings are still running at {at} I will ask{WHAT_TO_DO}"
    return f"if this is not done at {at} I will ask{WHAT_TO_DO}"
