"""Cards about Terraform variables: what an apply would do, and the patch against it. Pure."""

from handlers.slack.blocks import (
    Block,
    Card,
    actions,
    button,
    code,
    context,
    escape,
    header,
    link_button,
    section,
)
from handlers.slack.markup import time_of_day
from handlers.views.links import LINK
from handlers.views.text import sentence
from services.memory.terraform import ASKED, DONE, PullNote
from services.operations.terraform import TerraformReport
from services.procedures import Procedure, ResizeMasters, ResizeMedia, Scale, Startup
from services.runs.run import Run, State
from services.terraform.differences import Difference

SHOW_PATCH = "patch"
OPEN_PULL = "pull"
# The procedures after which an apply would revert something that a variable can hold.
PATCHED: tuple[type[Procedure], ...] = (Scale, ResizeMedia, ResizeMasters, Startup)
# All others, each with the reason why no variable changes with them.
UNPATCHED: dict[str, str] = {
    "AllowScaling": "it changes nothing itself; each scaling run has its own patch",
    "DeleteWaste": "what it deletes is attached to nothing that the variables describe",
    "Shutdown": "it ends with the next start-up; the variables describe the running cluster",
    "DrainNodes": "Terraform knows no drain",
    "Restart": "an apply does not compare whether a droplet is on",
    "Stop": "an apply does not compare what runs on a droplet",
    "Start": "an apply does not compare what runs on a droplet",
    "BackupCreate": "snapshots are in no state of Terraform",
    "BackupPrune": "snapshots are in no state of Terraform",
    "Drill": "its droplets are in no state of Terraform, and are deleted",
    "AddBackupSchedule": "it changes the bot's own schedule",
    "AddWindow": "it changes the bot's own schedule",
    "Configure": "secrets.env is not compared; its variables act at first boot, and a change of "
    "them replaces every master",
    "ChangeConfigFile": "files on the nodes are not compared",
    "SwitchModule": "files on the nodes are not compared",
    "Freeze": "the pause of the autoscaler is in no state of Terraform",
    "Unfreeze": "the pause of the autoscaler is in no state of Terraform",
    "Roll": "its nodes are in no state of Terraform; new ones have the size of the variable",
    "Park": "an apply does not compare whether a droplet is on",
    "Unpark": "an apply does not compare whether a droplet is on",
    "Upgrade": "the version is in the templates and is no variable",
}


def patch_button(run: Run) -> list[Block]:
    """Return the button of an end card after which a variable has to follow; [] for others."""
    concerned = isinstance(run.plan.procedure, PATCHED) and bool(run.plan.afterwards)
    if run.state is not State.DONE or not concerned:
        return []
    return [button("Terraform patch", SHOW_PATCH, run.id)]


def patch_card(report: TerraformReport, about: str = "") -> Card:
    """Return the patch of the variables, and what an apply would do without it.

    `about`: the run after which it is shown; "" for none.
    """
    name = report.cluster
    if not report.path:
        return _lines_to_set(report)
    if report.patch is None:
        return drift_card(report)
    title = f"Terraform patch for {name}"
    blocks = [header(title), *_differences(report)]
    shown = report.patch.diff.replace("```", "'''")
    blocks.append(section(f"```\n{escape_code(shown)}```"))
    blocks += _pull_part(report, about)
    return Card(f"{title}. {' '.join(_texts(report))} {_next(report)}", tuple(blocks))


def drift_card(report: TerraformReport) -> Card:
    """Return what differs between the variables and the cluster."""
    name = report.cluster
    if not report.path:
        return _lines_to_set(report)
    if report.differences:
        title = f"Terraform and {name} differ"
    elif report.unknown:
        title = f"Whether Terraform and {name} differ is unknown"
    else:
        title = f"Terraform and {name} agree"
    blocks = [header(title), *_differences(report)]
    if not report.differences and not report.unknown:
        agree = f"An apply of {code(report.path)} changes neither sizes nor numbers of {name}."
        blocks.append(section(agree))
    if report.patch is not None:
        blocks.append(context("`/openvidu terraform patch` shows the patch."))
    return Card(f"{title}. {' '.join(_texts(report))}".strip(), tuple(blocks))


def pull_card(note: PullNote) -> Card:
    """Return what became of a press that opens a pull request."""
    if note.state == DONE:
        text = f"Pull request #{note.number} is open. Nothing is applied."
        return Card(text, (section(text), actions(_link(note))))
    text = f":warning: No pull request was opened: {escape(note.why)}."
    if note.state == ASKED:
        until = time_of_day(note.until)
        text = (
            f"Not open yet: {escape(note.why)}. I try again until {until} and report in the "
            "cluster's channel."
        )
    return Card(text, (section(text),))


def _link(note: PullNote) -> Block:
    return link_button(f"Pull request #{note.number}", f"{LINK}:pull", note.url)


def escape_code(text: str) -> str:
    """Return text for a code block: only Slack's own marks are escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _differences(report: TerraformReport) -> list[Block]:
    lines = [_line(report.cluster, d) for d in report.differences]
    lines += [f":warning: Unknown: {escape(why)}" for why in report.unknown]
    return [section(line) for line in lines]


def _line(name: str, one: Difference) -> str:
    text = sentence(f"An apply {escape(one.apply)}", (name,))
    values = f"`{one.variable}` is {one.stated}; {name} has {one.actual}."
    if not one.unpatched:
        return f"{text}\n{values}"
    return f"{text}\n{values} {sentence(escape(one.unpatched), (name,))}"


def _texts(report: TerraformReport) -> list[str]:
    """Return the sentences for notifications."""
    name = report.cluster
    lines = [sentence(f"An apply {escape(d.apply)}", (name,)) for d in report.differences]
    return [*lines, *(f"Unknown: {escape(why)}." for why in report.unknown)]


def _next(report: TerraformReport) -> str:
    if report.pull is not None and report.pull.state == DONE:
        return f"Pull request #{report.pull.number} has the patch."
    if report.takes_pulls:
        return "The button opens a pull request."
    return "Apply it with git apply --unidiff-zero."


def _pull_part(report: TerraformReport, about: str) -> list[Block]:
    """Return how the patch gets into the repository."""
    assert report.patch is not None, "there is one to show"
    pull, digest = report.pull, report.patch.digest
    if not report.takes_pulls:
        return [context("Apply it with `git apply --unidiff-zero`, or set the lines manually.")]
    if pull is not None and pull.state == DONE:
        return [
            actions(_link(pull)),
            context(f"Closed without a merge? `/openvidu terraform open {digest}` opens another"),
        ]
    ask = button(
        "Open pull request",
        OPEN_PULL,
        f"{report.cluster}|{digest}|{about}",
        style="primary",
        confirm=f"This opens a pull request with exactly this patch of {report.path}. "
        "Your name is in it. Nothing is applied.",
    )
    return [actions(ask), context(f"Or type `/openvidu terraform open {digest}`")]


def _lines_to_set(report: TerraformReport) -> Card:
    """Return the variables as the cluster is, where no file is known to compare with."""
    name = report.cluster
    title = f"Terraform variables of {name} as it is"
    blocks: list[Block] = [header(title)]
    lines = [f'{n} = "{v}"' if isinstance(v, str) else f"{n} = {v}" for n, v in report.values]
    if lines:
        blocks.append(section("```\n" + "\n".join(lines) + "```"))
    blocks += [section(f":warning: Unknown: {escape(why)}") for why in report.unknown]
    text = f"The settings name no file (`terraform` of {name}), so what differs is unknown."
    blocks.append(context(text))
    return Card(f"{title}: {', '.join(lines) or 'unknown'}. {text}", tuple(blocks))
