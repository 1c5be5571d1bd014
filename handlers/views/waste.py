"""What a cluster pays for without use: the report, with a button for each finding. Pure."""

from handlers.slack.blocks import Block, Card, actions, button, context, escape, header, section
from handlers.slack.markup import date, markup
from handlers.views.text import without_formatting
from services.billing.prices import money
from services.billing.waste import WasteFinding, WasteReport
from services.common.text import count_of

SHOWN = 12
FORMS = {"backup prune": ("Prune…", "backup-prune"), "scale": ("Scale…", "scale")}


def waste_card(report: WasteReport) -> Card:
    """Return the report: the sum first, then each finding with its dollars a day."""
    head = f"{report.cluster}: {_headline(report)}"
    blocks: list[Block] = [header(head)]
    lines = []
    for finding in report.findings[:SHOWN]:
        line = f"*{_price(finding)}*: {escape(finding.text)}."
        lines.append(line)
        blocks += [section(line), *_buttons(report.cluster, finding)]
    if rest := len(report.findings) - SHOWN:
        lines += [f"And {rest} more."] if rest > 0 else []
        blocks += [section(lines[-1])] if rest > 0 else []
    notes = [f":warning: *Not known*: {escape(why)}" for why in report.unknown]
    notes += [
        f"{night.by} kept it up in a closing time. That is no waste." for night in report.by_people
    ]
    notes += [
        f"{markup(kept.by)} keeps this {_until(kept.until)}: {escape(text)}"
        for text, kept in report.kept
    ]
    notes = [markup(note) for note in notes]
    if notes:
        blocks.append(section("\n".join(notes)))
    foot = "Nothing is deleted without a request and its approval. Prices before tax."
    blocks.append(context(foot))
    text = " ".join([f"{head}.", *lines, *notes])
    return Card(without_formatting(text), tuple(blocks))


def _headline(report: WasteReport) -> str:
    if report.findings:
        found = count_of(len(report.findings), "unused thing")
        return f"{found}, {money(report.daily)} a day"
    if report.unknown:
        return "unused resources are not known"
    return "nothing unused was found"


def _price(finding: WasteFinding) -> str:
    if finding.daily is None:
        return "price unknown"
    return f"{money(finding.daily)} a day"


def _until(until: float) -> str:
    return f"until {date(until)}" if until else "for good"


def _buttons(cluster: str, finding: WasteFinding) -> list[Block]:
    keep = button("Keep…", "form:cost-keep", f"{cluster} {finding.ref}")
    known = FORMS.get(finding.command, FORMS.get(finding.command.split(" ")[0]))
    if finding.command.startswith("cost delete "):
        delete = button("Delete…", "form:cost-delete", f"{cluster} {finding.ref}")
        return [actions(delete, keep)]
    if known is not None:
        label, name = known
        return [actions(button(label, f"form:{name}", cluster), keep)]
    return [actions(keep)]
