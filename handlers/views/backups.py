"""What people read about backups: the list, and the steps to bring one back by hand. Pure."""

from handlers.slack.blocks import Card, context, day, section
from services.billing.prices import money
from services.cluster.backups import PER_GB, Backup, backups, superseded
from services.cluster.model import Cluster, Snapshot
from services.common.text import count, duration
from services.steps.backup import UNKNOWN

SHOWN = 15
GUIDE = "https://openvidu.io/docs/self-hosting/how-to-guides/backup-and-restore/"


def backups_card(cluster: Cluster) -> Card:
    """Every backup, newest first."""
    if cluster.snapshots is None:
        text = f"{UNKNOWN}, so nobody can tell which backups of {cluster.name} there are."
        return Card(text, (section(text),))
    made, old = backups(cluster), superseded(cluster)
    if not made:
        text = f"{cluster.name} has no backup yet; `/openvidu backup create` takes one."
        return Card(text, (section(text),))
    lines = [_line(cluster, b, pruned=b in old) for b in made[:SHOWN]]
    if len(made) > SHOWN:
        lines.append(f"and {len(made) - SHOWN} older ones")
    size = sum((b.size for b in made), PER_GB * 0)
    total = f"{count(len(made), 'backup')}, {size:.1f} GB, {money(size * PER_GB)} a month."
    kept = f"`/openvidu backup prune` keeps the newest {cluster.keep_backups} complete ones"
    foot = f"{total} {kept}{f' and would delete {len(old)}' if old else '; nothing to prune now'}."
    head = f"*Backups of {cluster.name}*"
    text = f"Backups of {cluster.name}: {'; '.join(lines)}. {foot}".replace("`", "").replace(
        "*", ""
    )
    return Card(text, (section(head + "\n" + "\n".join(lines)), context(foot)))


def _line(cluster: Cluster, backup: Backup, *, pruned: bool) -> str:
    said = [
        f"`{backup.label}`",
        f"{duration(cluster.seen_at - backup.at)} old",
        "offline" if backup.offline else "live",
    ]
    masters = sorted({master for master, _ in backup.snapshots})
    if not backup.complete:
        said.append(
            "masters one at a time, before a resize"
            if backup.kind == "resize"
            else f"*incomplete*: only {', '.join(masters)}"
        )
    said.append(f"{backup.size:.1f} GB, {money(backup.monthly)}/month")
    if backup.secrets is not None:
        said.append("with secrets.env" if backup.secrets else "without secrets.env")
    if pruned:
        said.append("_would be pruned_")
    return " · ".join(said)


def restore_card(cluster: Cluster, backup: Backup) -> Card:
    """What to type, for exactly this backup. The bot restores nothing."""
    head = f"*Bringing back `{backup.label}`* by hand · {day(backup.at)} · {'offline' if backup.offline else 'live'} · {backup.size:.1f} GB"
    warn = [
        "For a person at a keyboard; the bot never does this. *It replaces the masters' disks for good*: users, recordings' metadata and "
        "dashboards go back to the moment of the backup. Take a backup of what is there now first: `/openvidu backup create --offline`.",
    ]
    if not backup.complete:
        warn.append(
            ":warning: *This one is not complete.* Masters of different moments do not fit together: use it for one disk only."
        )
    if not backup.offline:
        warn.append(
            "It was taken live: expect the databases to repair themselves at the first start."
        )
    steps = _steps(cluster, backup)
    numbered = "\n".join(_parts(steps))
    foot = f"OpenVidu's own page on this: {GUIDE}"
    text = f"How to bring back {backup.label} by hand: {' '.join(warn)} {numbered} {foot}".replace(
        "`", ""
    ).replace("*", "")
    return Card(
        text,
        (
            section(head),
            section("\n".join(warn)),
            *(section(step) for step in _parts(steps)),
            context(foot),
        ),
    )


def _parts(steps: list[str]) -> list[str]:
    return [f"{i}. {step}" for i, step in enumerate(steps, 1)]


def _steps(cluster: Cluster, backup: Backup) -> list[str]:
    there = {m.id: m for m in cluster.masters}
    steps = [
        "`/openvidu shutdown`, and wait until it says that the cluster is down. Nobody else may change anything: tell the channel."
    ]
    steps.append(_secrets(backup))
    gone: list[tuple[str, Snapshot]] = []
    for master, snapshot in backup.snapshots:
        if snapshot.droplet in there:
            steps.append(f"{there[snapshot.droplet].name}: {_rebuild(snapshot.droplet, snapshot)}")
        else:
            gone.append((master, snapshot))
    steps += [_create(cluster, master, snapshot) for master, snapshot in gone]
    steps.append(
        "A rebuild keeps the droplet's addresses, tags and place behind the load balancer, and starts it; that is why each is shut down "
        "again until all four have their disk. See that all are off: `doctl compute droplet list --format ID,Name,Status`"
    )
    steps.append(
        "`/openvidu startup`: it starts the four in order and waits until all are healthy, then the media nodes."
    )
    steps.append(
        f"Sign in, look at recordings and users; `/openvidu status` has to say that {cluster.name} is up."
    )
    return steps


def _secrets(backup: Backup) -> str:
    if not backup.secrets:
        return (
            "No copy of secrets.env goes with this backup: the bucket's has to hold the database and Redis passwords of that time, "
            "because every master reads it when it boots. Compare it with `/opt/openvidu/secrets.env` on a rebuilt master."
        )
    kept = f"s3://BUCKET/openvidu-bot/backups/{backup.label}/secrets.env"
    return (
        "Put the secrets back that belong to these disks, before any master starts (each reads them when it boots), in the cluster-data "
        f"bucket: `aws s3 cp {kept} s3://BUCKET/secrets.env --acl private --endpoint-url https://REGION.digitaloceanspaces.com`"
    )


def _rebuild(droplet: int, snapshot: Snapshot) -> str:
    action = "doctl compute droplet-action"
    return f"`{action} rebuild {droplet} --image {snapshot.id} --wait && {action} shutdown {droplet} --wait`"


def _create(cluster: Cluster, master: str, snapshot: Snapshot) -> str:
    number = master.rsplit("-", 1)[-1]
    name = f"{cluster.stack}-master-node-{number}"
    now = next((m for m in cluster.masters if m.name == name), None)
    if now is not None:
        return (
            f"{name} is another droplet now ({now.id}) than the one that was saved ({snapshot.droplet}): "
            f"{_rebuild(now.id, snapshot)}, and see that MASTER_NODE_PRIVATE_IP_{number} in secrets.env is "
            f"{now.private_address or 'its private address'}"
        )
    size = next((m.size for m in cluster.masters), "SIZE")
    return (
        f"{name} is gone. `doctl compute droplet create {name} --image {snapshot.id} --size {size} --region {cluster.region} "
        f"--tag-names {cluster.stack}-master-node-tag --vpc-uuid VPC --ssh-keys KEY --wait`, then set MASTER_NODE_PRIVATE_IP_{number} in "
        "secrets.env to its new private address, and import it into the Terraform state."
    )
