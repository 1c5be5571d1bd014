"""What to do after a run is over, as buttons. Pure.

Which command a button stands for is read from the run when it is pressed, and that is requested as
if the person had typed it: its plan is shown before anything is changed. The value of a button
holds the run's id; the words behind that are for terminals.
"""

from dataclasses import dataclass

from handlers.slack.blocks import Block, button
from services.procedures import (
    DrainNodes,
    Freeze,
    Park,
    Procedure,
    ResizeMasters,
    ResizeMedia,
    Scale,
    Shutdown,
    Start,
    Startup,
    Stop,
)
from services.runs.run import Run, State

NEXT = "next"
ALL = "all"
RESTORE = "Restore service"
BLANK = "."  # between the words in a button's value


@dataclass(frozen=True)
class NextStep:
    """A command to offer. `key`: names it in the button's action."""

    key: str
    label: str
    words: str


def next_steps(run: Run) -> tuple[NextStep, ...]:
    """Return the commands worth offering on the card of a run that is over."""
    if run.state is State.DONE:
        return _after(run, run.plan.procedure)
    if needs_restore(run):
        return (NextStep("restore", RESTORE, "startup"),)
    return ()


def needs_restore(run: Run) -> bool:
    """Tell whether a run ended without the cluster being seen in full service."""
    service = run.service
    if service is None:
        was_down = isinstance(run.plan.procedure, Startup | Start)
        return bool(run.begun or run.reached) and (run.plan.effects.blocks or was_down)
    whole = service.can_meet and not service.out and service.masters_on == service.masters
    return not whole


def next_buttons(run: Run) -> list[Block]:
    """Return the buttons of `next_steps`."""
    return [
        button(
            step.label,
            f"{NEXT}:{step.key}",
            f"{run.id}|{step.words.replace(' ', BLANK)}",
        )
        for step in next_steps(run)
    ]


def typed_words(value: str) -> str:
    """Return what a terminal shows for such a button."""
    return value.partition("|")[2].replace(BLANK, " ")


def next_step(run: Run, key: str) -> NextStep | None:
    """Return the command of a button that was pressed; None if it is not offered any more."""
    return next((step for step in next_steps(run) if step.key == key), None)


def _after(run: Run, procedure: Procedure) -> tuple[NextStep, ...]:
    match procedure:
        case Shutdown():
            return (NextStep("startup", f"Start up {run.cluster}", "startup"),)
        case Stop() if run.plan.effects.down:
            return (NextStep("startup", f"Start up {run.cluster}", "startup"),)
        case DrainNodes(node=node):
            words = "startup"
            if node.lower() != ALL:
                words = f"restart {node}"
            return (NextStep("restore", RESTORE, words),)
        case Freeze() | Scale() | ResizeMedia() | ResizeMasters() | Park() if run.plan.undo:
            return (_undo(run.plan.undo, procedure),)
        case _:
            return ()


def _undo(words: str, procedure: Procedure) -> NextStep:
    """Return the command that restores what was before. `words`: as the plan found it."""
    label = "Undo resize"
    match procedure:
        case Freeze():
            label = "Unfreeze autoscaler"
        case Park(node=node):
            label = f"Unpark {node}"
        case Scale():
            label = f"Scale back to {words.rpartition(' ')[2]}"
        case ResizeMasters(rolling=True):
            words = f"{words} --rolling"
    return NextStep("undo", label, words)
