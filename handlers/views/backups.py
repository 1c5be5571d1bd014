"""Backups as cards: the list, and the steps to restore one by hand. Pure."""

from collections.abc import Sequence

from handlers.slack.blocks import Block, Card, actions, button, context, escape, header, section
from handlers.slack.markup import date_time
from handlers.views.cluster_facts import age
from handlers.views.offers import Offer
from services.billing.prices import money
from services.cluster.backups import PER_GB, Backup, backups, deletable_backups
from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster, Snapshot
from services.common.text import count_of
from services.secrets_env import SecretsFindings
from services.steps.backup import SNAPSHOTS_UNREADABLE
from services.windows.backup_times import backup_schedule_text, next_backup

SHOWN = 15
KEYS = '"$(doctl compute ssh-key list --format ID --no-header | paste -sd, -)"'
GUIDE = "https://openvidu.io/docs/self-hosting/how-to-guides/backup-and-restore/"
OFFLINE = {True: "offline", False: "live"}
SECRETS = {True: "with secrets.env", False: "without secrets.env"}
WARNING = (
    "*Not reversible: it replaces the masters' disks.* Users, recordings' metadata and dashboards "
    "return to the moment of the backup. The bot never does this; you do it in a terminal. "
    "First back up the current state: `/openvidu backup create --offline`."
)
INCOMPLETE = (
    ":warning: *This backup is not complete.* Disks of different moments do not fit together: "
    "use it for one disk only."
)
LIVE = "It was taken live: the databases repair themselves at the first start."
SHUT_DOWN = (
    "Run `/openvidu shutdown` and wait until the masters are powered off. "
    "Ask in the channel that no one changes anything meanwhile."
)
LISTED = "`doctl compute droplet list --format ID,Name,Status`"
START_UP = (
    "Run `/openvidu startup`. It starts the masters, waits until they are healthy, "
    "then starts the media nodes."
)


def backups_card(cluster: Cluster, offered: Sequence[Offer] = ()) -> Card:
    """List the backups, newest first. `offered`: what the reader may do now."""
    if cluster.snapshots is None:
        return _note(f"The backups of {cluster.name} are unknown: {SNAPSHOTS_UNREADABLE}.")
    found, old = backups(cluster), deletable_backups(cluster)
    if not found:
        none = f"{cluster.name} has no backup yet. `/openvidu backup create` takes one."
        none = "\n".join([none, *schedule_lines(cluster)])
        return Card(none, (section(none), *_buttons(cluster, offered)))
    lines = [_line(cluster, b, pruned=b in old) for b in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"and {len(found) - SHOWN} older ones")
    head, foot = f"Backups of {cluster.name}", _foot(cluster, found, old)
    lines += schedule_lines(cluster)
    text = _without_marks(f"{head}: {'; '.join(lines)}. {foot}")
    lists = (header(head), section("\n".join(lines)))
    return Card(text, (*lists, *_buttons(cluster, offered), context(foot)))


def _buttons(cluster: Cluster, offered: Sequence[Offer]) -> list[Block]:
    about = [o for o in offered if o.command.startswith("backup ") and o.form]
    if not about:
        return []
    return [actions(*(button(o.label, o.action, cluster.name) for o in about))]


def _note(text: str) -> Card:
    return Card(text, (section(text),))


def _without_marks(text: str) -> str:
    return text.replace("`", "").replace("*", "")


def _foot(cluster: Cluster, found: Sequence[Backup], old: Sequence[Backup]) -> str:
    size = sum((b.size for b in found), PER_GB * 0)
    total = f"{count_of(len(found), 'backup')}, {size:.1f} GB, {money(size * PER_GB)} a month."
    policy = f"`/openvidu backup prune` keeps the newest {cluster.keep_backups} complete ones"
    if old:
        return f"{total} {policy} and would delete {len(old)}."
    return f"{total} {policy}; nothing to prune now."


def _line(cluster: Cluster, backup: Backup, *, pruned: bool) -> str:
    since = age(cluster.seen_at - backup.at)
    parts = [f"`{backup.label}`", f"{since} old", OFFLINE[backup.offline]]
    if not backup.complete:
        parts.append(_incomplete(backup))
    parts.append(f"{backup.size:.1f} GB, {money(backup.monthly)}/month")
    if backup.secrets is not None:
        parts.append(SECRETS[backup.secrets])
    if backup.complete:
        parts.append(proof_words(cluster, backup))
    if backup.label in cluster.backup_notes.protected:
        parts.append("protected")
    if pruned:
        parts.append("_would be pruned_")
    return " · ".join(parts)


def proof_words(cluster: Cluster, backup: Backup) -> str:
    """Return what the newest restore drill of a backup has shown."""
    proof = cluster.backup_notes.proof_of(backup.label)
    if proof is None:
        return "not proven yet"
    if not proof.proven:
        return f"*not proven* ({date_time(proof.at)}): {escape(proof.reason)}"
    compared = "" if proof.compared else ", counts not compared"
    minutes = max(1, round(proof.seconds / 60))
    return f"proven {date_time(proof.at)} in {minutes} min, ${proof.cost}{compared}"


def schedule_lines(cluster: Cluster) -> list[str]:
    """Return a line for each schedule of backups, with its next time."""
    return [
        f"Schedule {escape(backup_schedule_text(schedule))}: next "
        f"{date_time(next_backup(schedule, cluster.seen_at))}"
        for schedule in cluster.backup_notes.schedules
    ]


def _incomplete(backup: Backup) -> str:
    if backup.kind == "resize":
        return "masters one at a time, before a resize"
    masters = sorted({master for master, _ in backup.snapshots})
    return f"*incomplete*: only {', '.join(masters)}"


def restore_card(cluster: Cluster, backup: Backup) -> Card:
    """Return the commands that restore exactly this backup. The bot restores nothing."""
    kind = OFFLINE[backup.offline]
    about = f"{date_time(backup.at)} · {kind} · {backup.size:.1f} GB"
    warnings = [WARNING]
    if not backup.complete:
        warnings.append(INCOMPLETE)
    if not backup.offline:
        warnings.append(LIVE)
    steps = [f"{number}. {step}" for number, step in enumerate(_steps(cluster, backup), 1)]
    foot = f"OpenVidu's own page on this: {GUIDE}"
    details = f"{' '.join(warnings)} {chr(10).join(steps)} {foot}"
    return Card(
        _without_marks(f"How to restore {backup.label} manually: {details}"),
        (
            header(f"Restore {backup.label} manually"),
            context(about),
            section("\n".join(warnings)),
            *map(section, steps),
            context(foot),
        ),
    )


def _steps(cluster: Cluster, backup: Backup) -> list[str]:
    there = {m.id: m for m in cluster.masters}
    rebuilt, created = [], []
    for master, snapshot in backup.snapshots:
        if snapshot.droplet in there:
            name = there[snapshot.droplet].name
            rebuilt.append(f"{name}: {_rebuild(snapshot.droplet, snapshot)}")
        else:
            created.append(_create(cluster, master, snapshot))
    verify = (
        "Sign in, and check recordings and users. "
        f"`/openvidu status` must show that {cluster.name} is in service."
    )
    first = [SHUT_DOWN, _secrets(cluster, backup)]
    if control_plane_of(cluster).own_secrets:
        # The disk holds its own file, of the same moment.
        first = [SHUT_DOWN]
    if isinstance(cluster.lint, SecretsFindings) and cluster.lint.findings:
        # A shutdown is refused while no master could boot from the file that is there now.
        first.reverse()
    return [*first, *rebuilt, *created, _started(cluster), START_UP, verify]


def _started(cluster: Cluster) -> str:
    plane = control_plane_of(cluster)
    if plane.can_roll:
        return (
            f"A rebuild keeps the droplet's addresses, tags and place behind {plane.front}, and "
            "starts it. So each is shut down again until all have their disk. Verify that all are "
            f"powered off: {LISTED}"
        )
    return (
        f"A rebuild keeps the droplet's addresses, tags and {plane.front}, and starts it. "
        f"So it is shut down again. Verify that it is powered off: {LISTED}"
    )


def _secrets(cluster: Cluster, backup: Backup) -> str:
    if not backup.secrets:
        return (
            "This backup has no copy of secrets.env. Every master reads the bucket's file at boot, "
            "so it must hold the database and Redis passwords of that time. "
            "Compare it with `/opt/openvidu/secrets.env` on a rebuilt master."
        )
    bucket = f"s3://{cluster.bucket or 'BUCKET'}"
    endpoint = cluster.bucket_endpoint or "https://REGION.digitaloceanspaces.com"
    copy = f"{bucket}/openvidu-bot/backups/{backup.label}/secrets.env"
    return (
        "Before any master starts, copy the secrets.env of these disks to the cluster-data bucket "
        "(every master reads it at boot): "
        f"`aws s3 cp {copy} {bucket}/secrets.env --acl private --endpoint-url {endpoint}`"
    )


def _rebuild(droplet: int, snapshot: Snapshot) -> str:
    action = "doctl compute droplet-action"
    rebuild = f"{action} rebuild {droplet} --image {snapshot.id} --wait"
    return f"`{rebuild} && {action} shutdown {droplet} --wait`"


def _create(cluster: Cluster, master: str, snapshot: Snapshot) -> str:
    name, key = f"{cluster.stack}-master-node", "MASTER_NODE_PRIVATE_IP"
    if control_plane_of(cluster).can_roll:
        number = master.rsplit("-", 1)[-1]
        name, key = f"{name}-{number}", f"{key}_{number}"
    replaced = next((m for m in cluster.masters if m.name == name), None)
    if replaced is not None:
        return (
            f"{name} is now droplet {replaced.id}; the backup is of droplet {snapshot.droplet}: "
            f"{_rebuild(replaced.id, snapshot)}. Then verify that {key} in secrets.env is "
            f"{replaced.private_address or 'its private address'}"
        )
    size = next((m.size for m in cluster.masters), "SIZE")
    network = next((m.network for m in cluster.masters if m.network), "VPC")
    return (
        f"{name} is deleted. `doctl compute droplet create {name} --image {snapshot.id} "
        f"--size {size} --region {cluster.region} --tag-names {cluster.stack}-master-node-tag "
        f"--vpc-uuid {network} --ssh-keys {KEYS} --wait`, then set {key} in "
        "secrets.env to its new private address, and import it into the Terraform state."
    )
