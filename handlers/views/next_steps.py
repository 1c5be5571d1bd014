"""What to do after a run is over, as buttons. Pure.

A button carries the run's id only. Which command it stands for is told from the run when it is
pressed, and that is requested as if the person had typed it.
"""

from dataclasses import dataclass

from handlers.slack.blocks import Block, button
from services.procedures import DrainNodes, Freeze, Procedure, ResizeMasters, Scale, Shutdown
from services.runs.run import Run, State
from services.steps import PoolTarget, TemplateSize

NEXT = "next"
ALL = "all"


@dataclass(frozen=True)
class NextStep:
    """A command to offer. `key`: names it in the button's action. `about`: what it does."""

    key: str
    label: str
    words: str
    about: str


def next_steps(run: Run) -> tuple[NextStep, ...]:
    """Return the commands worth offering on the card of a run that is over."""
    if run.state is State.DONE:
        return _after(run, run.plan.procedure)
    if needs_restore(run):
        return (_restore(run),)
    return ()


def needs_restore(run: Run) -> bool:
    """Tell whether a run ended without the cluster being seen in full service."""
    service = run.service
    if service is None:
        return bool(run.begun or run.reached) and run.plan.effects.blocks
    whole = service.can_meet and not service.out and service.masters_on == service.masters
    return not whole


def next_buttons(run: Run) -> list[Block]:
    """Return the buttons of `next_steps`."""
    return [
        button(step.label, f"{NEXT}:{step.key}", run.id, confirm=step.about)
        for step in next_steps(run)
    ]


def next_step(run: Run, key: str) -> NextStep | None:
    """Return the command of a button that was pressed; None if it is not offered any more."""
    return next((step for step in next_steps(run) if step.key == key), None)


def _restore(run: Run) -> NextStep:
    return NextStep(
        "restore", "Restore service", "startup", f"{_starts(run)} {_asks('/openvidu startup')}"
    )


def _starts(run: Run) -> str:
    return (
        f"{run.cluster} is started: masters that are powered off are powered on, and media nodes "
        "are put back into service when their meetings have ended."
    )


def _asks(command: str) -> str:
    return f"It is requested as `{command}`: if it needs approval, the approvers decide."


def _after(run: Run, procedure: Procedure) -> tuple[NextStep, ...]:
    match procedure:
        case Shutdown():
            about = f"{_starts(run)} {_asks('/openvidu startup')}"
            return (NextStep("startup", f"Start up {run.cluster}", "startup", about),)
        case DrainNodes(node=node):
            words = "startup"
            if node.lower() != ALL:
                words = f"restart {node}"
            about = f"Drained media nodes are restarted. {_asks(f'/openvidu {words}')}"
            return (NextStep("restore", "Restore service", words, about),)
        case Freeze():
            about = f"The autoscaler is resumed. {_asks('/openvidu unfreeze')}"
            return (NextStep("undo", "Unfreeze autoscaler", "unfreeze", about),)
        case _:
            return _undo(run, procedure)


def _undo(run: Run, procedure: Procedure) -> tuple[NextStep, ...]:
    """Return the command that restores the number or size from before."""
    label, words = "Undo resize", ""
    target = next((s for s in run.plan.steps if isinstance(s, PoolTarget)), None)
    template = next((s for s in run.plan.steps if isinstance(s, TemplateSize)), None)
    sizes = {size for _, size in run.plan.basis.sizes or ()}
    if isinstance(procedure, Scale) and target is not None and target.was:
        label, words = f"Scale back to {target.was}", f"scale {target.was}"
    elif template is not None and template.was:
        words = f"resize media {template.was}"
    elif isinstance(procedure, ResizeMasters) and len(sizes) == 1 and not procedure.grow_disk:
        words = f"resize masters {sizes.pop()}"
        if procedure.rolling:
            words += " --rolling"
    if not words:
        return ()
    return (NextStep("undo", label, words, _asks(f"/openvidu {words}")),)
