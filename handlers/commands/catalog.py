"""The table of commands behind help, hints, completions and docs/reference/commands.md. Pure.

A command itself says how it is typed (`Command.usage`). Here stands what else people should know
about it. A new command needs a line in `TOPICS`; tests/conversations/test_typing.py enforces it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from handlers.commands.base import InstantCommand
from services.cluster.model import FleetKind
from services.common.command import Command


class CommandGroup(StrEnum):
    """The groups of help, in its order; the values are what people read and type."""

    LOOK = "look"
    POWER = "power"
    CAPACITY = "capacity"
    SCHEDULE = "schedule"
    CONFIGURATION = "configuration"
    RUNS = "runs"


class Rank(IntEnum):
    """How much a command changes. A hint never ranks above what was typed."""

    READING = 0
    REVERSIBLE = 1
    ENDS_SERVICE = 2


@dataclass(frozen=True)
class Topic:
    """What help says about a command, beside its usage and its summary.

    `downtime` and `approval`: sentences; "" for commands that only read.
    """

    group: CommandGroup
    rank: Rank
    example: str
    downtime: str = ""
    approval: str = ""


NO_DOWNTIME = "None."
NONE_NEEDED = "Not needed."
NEEDED = "Needed."
OF_THE_RUN = "Not needed for a run that you may decide on."
DRAINED = "None while other media nodes have room. Drained nodes take no new meetings."

FILE = (
    "OpenVidu restarts the services that read the file. A change of livekit.yaml ends running "
    "meetings."
)
MODULE = "One master restarts. A module that is turned off does not answer."


def _look(example: str, group: CommandGroup = CommandGroup.LOOK) -> Topic:
    return Topic(group, Rank.READING, example)


def _safe(
    group: CommandGroup, example: str, downtime: str = NO_DOWNTIME, approval: str = NONE_NEEDED
) -> Topic:
    return Topic(group, Rank.REVERSIBLE, example, downtime, approval)


def _ending(group: CommandGroup, example: str, downtime: str, approval: str = NEEDED) -> Topic:
    return Topic(group, Rank.ENDS_SERVICE, example, downtime, approval)


TOPICS: Mapping[str, Topic] = {
    "help": _look("help shutdown"),
    "menu": _look("menu"),
    "status": _look("status media-2"),
    "logs": _look("logs master-2 caddy --since 2h"),
    "why": _look("why"),
    "cost": _look("cost 2026-10"),
    "cost waste": _look("cost waste"),
    "slo": _look("slo 30"),
    "observed": _look("observed 14"),
    "audit": _look("audit 20"),
    "timeline": _look("timeline acme-17"),
    "whoami": _look("whoami"),
    "version": _look("version"),
    "rehearse": _look("rehearse shutdown"),
    "shutdown": _ending(
        CommandGroup.POWER,
        'shutdown --reason "power work"',
        "New meetings are blocked from the start. Running meetings finish first. "
        "The cluster stays down until someone starts it.",
    ),
    "startup": _safe(
        CommandGroup.POWER,
        "startup 3",
        "None: it brings the cluster back into service.",
        "Needed only above the number of media nodes that the settings allow.",
    ),
    "restart": _ending(
        CommandGroup.POWER,
        "restart master-2",
        "A media node takes no new meetings until it is back. Restarting a master interrupts it.",
    ),
    "stop": _ending(
        CommandGroup.POWER,
        "stop media-2",
        "The node is out of service until it is started. A media node finishes its meetings "
        "first. With one master, the whole cluster is down.",
    ),
    "start": _safe(
        CommandGroup.POWER,
        "start media-2",
        "None: it brings the node back into service.",
    ),
    "wake": _safe(
        CommandGroup.POWER,
        "wake",
        "None: it brings the cluster back into service.",
        "Not needed, within the quota of `roles.wakers`.",
    ),
    "break-glass": _ending(
        CommandGroup.POWER,
        'break-glass shutdown --reason "fire in ams3"',
        "That of the command after it.",
        "Skipped: you confirm alone, and everyone in the channel reads it.",
    ),
    "scale": _ending(
        CommandGroup.CAPACITY,
        "scale 4",
        "None upwards. Downwards, the nodes that go take no new meetings.",
        "Needed downwards, and above the number that the settings allow.",
    ),
    "forecast": _look("forecast", CommandGroup.CAPACITY),
    "forecast allow": _ending(
        CommandGroup.CAPACITY,
        "forecast allow 2-5 20 --changes 6 --days 30",
        "None upwards. Downwards, the nodes that go take no new meetings.",
        "Needed once; each change within the quota afterwards needs none.",
    ),
    "forecast revoke": _safe(CommandGroup.CAPACITY, "forecast revoke"),
    "rescale": _look("scale +1", CommandGroup.CAPACITY),
    "drain": _ending(CommandGroup.CAPACITY, "drain media-2", DRAINED),
    "park": _ending(CommandGroup.CAPACITY, "park media-3", DRAINED),
    "unpark": _safe(
        CommandGroup.CAPACITY,
        "unpark media-3",
        NO_DOWNTIME,
        "Needed only above the number of media nodes that the settings allow.",
    ),
    "freeze": _safe(CommandGroup.CAPACITY, "freeze"),
    "unfreeze": _safe(CommandGroup.CAPACITY, "unfreeze"),
    "roll": _ending(CommandGroup.CAPACITY, "roll c-8", DRAINED),
    "resize media": _ending(
        CommandGroup.CAPACITY,
        "resize media c-8",
        "Media nodes are drained and replaced. Running meetings finish first.",
    ),
    "resize masters": _ending(
        CommandGroup.CAPACITY,
        "resize masters s-8vcpu-16gb",
        "The whole cluster is down meanwhile. With `--rolling`, one master at a time.",
    ),
    "upgrade": _ending(
        CommandGroup.CONFIGURATION,
        "upgrade 3.7.0",
        "Running meetings finish first. Then the cluster is out of service until every master is "
        "updated and media nodes are replaced.",
    ),
    "window list": _look("window list", CommandGroup.SCHEDULE),
    "window forecast": _look("window forecast 30d", CommandGroup.SCHEDULE),
    "window add": _ending(
        CommandGroup.SCHEDULE,
        "window add nights Mon-Fri 20:00-07:30 Europe/Madrid",
        "The cluster is down in these hours, from now on.",
        "Needed once; each closing afterwards needs none.",
    ),
    "window remove": _safe(CommandGroup.SCHEDULE, "window remove nights"),
    "window skip": _safe(CommandGroup.SCHEDULE, "window skip tomorrow"),
    "keepup": _safe(CommandGroup.SCHEDULE, "keepup until 22:00"),
    "hold": _safe(CommandGroup.SCHEDULE, 'hold "exam week" until 18:00'),
    "unhold": _safe(CommandGroup.SCHEDULE, "unhold"),
    "later": _look("later", CommandGroup.SCHEDULE),
    "later cancel": _safe(CommandGroup.SCHEDULE, "later cancel 3f2a"),
    "config list": _look("config list", CommandGroup.CONFIGURATION),
    "config set": _ending(
        CommandGroup.CONFIGURATION,
        "config set DASHBOARD_ADMIN_PASSWORD",
        "OpenVidu restarts on the nodes that read the key. The plan says which.",
    ),
    "config history": _look("config history", CommandGroup.CONFIGURATION),
    "config rollback": _ending(
        CommandGroup.CONFIGURATION,
        "config rollback VERSION",
        "OpenVidu restarts on the nodes that read the keys. The plan says which.",
    ),
    "config apply": _ending(
        CommandGroup.CONFIGURATION,
        "config apply",
        "OpenVidu restarts on the nodes that read the keys.",
    ),
    "config file list": _look("config file list", CommandGroup.CONFIGURATION),
    "config file show": _look("config file show livekit.yaml", CommandGroup.CONFIGURATION),
    "config file edit": _ending(CommandGroup.CONFIGURATION, "config file edit livekit.yaml", FILE),
    "config file set": _ending(
        CommandGroup.CONFIGURATION, "config file set livekit.yaml room.max_participants 50", FILE
    ),
    "file apply": _ending(CommandGroup.CONFIGURATION, "file apply", FILE),
    "module list": _look("module list", CommandGroup.CONFIGURATION),
    "module on": _ending(CommandGroup.CONFIGURATION, "module on observability", MODULE),
    "module off": _ending(CommandGroup.CONFIGURATION, "module off observability", MODULE),
    "module apply": _ending(CommandGroup.CONFIGURATION, "module apply", MODULE),
    "webhook list": _look("webhook list", CommandGroup.CONFIGURATION),
    "webhook add": _ending(CommandGroup.CONFIGURATION, "webhook add", FILE),
    "webhook remove": _ending(CommandGroup.CONFIGURATION, "webhook remove 2", FILE),
    "backup list": _look("backup list", CommandGroup.CONFIGURATION),
    "backup show": _look("backup show LABEL", CommandGroup.CONFIGURATION),
    "backup create": _ending(
        CommandGroup.CONFIGURATION,
        "backup create",
        "None live. With `--offline`, the whole cluster is down meanwhile.",
        "Needed with `--offline`.",
    ),
    "backup prune": _ending(
        CommandGroup.CONFIGURATION,
        "backup prune",
        NO_DOWNTIME,
        "Needed: deleted backups cannot be restored.",
    ),
    "backup schedule": _ending(
        CommandGroup.CONFIGURATION,
        "backup schedule weekly Sun 03:00 --drill",
        NO_DOWNTIME,
        "Needed once: later backups, and the deletion of old ones, need no further approval.",
    ),
    "backup unschedule": _safe(CommandGroup.CONFIGURATION, "backup unschedule weekly"),
    "backup protect": _safe(CommandGroup.CONFIGURATION, "backup protect LABEL"),
    "backup unprotect": _safe(CommandGroup.CONFIGURATION, "backup unprotect LABEL"),
    "cost delete": _ending(
        CommandGroup.CONFIGURATION,
        "cost delete volume:ID",
        NO_DOWNTIME,
        "Needed: what is deleted cannot be restored.",
    ),
    "cost keep": _safe(CommandGroup.CONFIGURATION, "cost keep volume:ID 30"),
    "terraform": _look("terraform patch", CommandGroup.CONFIGURATION),
    "terraform open": _safe(
        CommandGroup.CONFIGURATION,
        "terraform open 3f2a90c1b7d4",
        "None: it opens a pull request. Nothing is applied.",
    ),
    "drill": _safe(
        CommandGroup.CONFIGURATION,
        "drill",
        "None: it works on a throw-away copy in a network of its own.",
        "None by default; its plan shows what it costs.",
    ),
    "runs": _look("runs acme-17", CommandGroup.RUNS),
    "run": _look("run acme-17", CommandGroup.RUNS),
    "cancel": _safe(
        CommandGroup.RUNS,
        "cancel acme-17",
        "Nodes that are already draining take no new meetings until service is restored.",
        OF_THE_RUN,
    ),
    "abort": _look("abort", CommandGroup.RUNS),
    "resume": _ending(
        CommandGroup.RUNS, "resume acme-17", "That of the remaining steps.", OF_THE_RUN
    ),
    "abandon": _safe(
        CommandGroup.RUNS,
        "abandon acme-17",
        "None by itself: the cluster stays as it is, and is unlocked.",
        OF_THE_RUN,
    ),
    "approve": _look("approve", CommandGroup.RUNS),
    "reject": _look("reject", CommandGroup.RUNS),
}
# Words by the command that they mean. One that only reads is carried out; one that changes
# something only shows its plan.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "shutdown": (
        *("stop", "off", "down", "halt", "poweroff", "power off", "turn off", "switch off"),
        *("take down", "bring down"),
    ),
    "startup": (
        *("start", "on", "up", "boot", "poweron", "power on", "turn on", "switch on", "bring up"),
    ),
    "restart": ("reboot",),
    "status": (
        *("people", "meetings", "users", "nodes", "rooms", "state", "health", "participants"),
        *("recordings",),
    ),
    "abort": ("undo", "revert"),
    "approve": ("confirm", "accept"),
    "reject": ("deny", "decline"),
    "runs": ("history",),
    "audit": ("who approved", "who decided"),
    "cost": ("costs", "price", "prices", "money", "bill", "savings"),
    "window list": ("windows", "schedule", "hours"),
    "backup list": ("backups", "snapshots"),
    "module list": ("modules",),
    "webhook list": ("webhooks",),
    "config list": ("secrets", "keys"),
    "terraform": ("drift", "tfvars"),
    "help": ("?", "h", "commands", "usage"),
    "whoami": ("me", "who am i", "roles", "permissions"),
    "forecast": ("demand",),
    "why": ("reason", "why down", "why is it down"),
}
# Where a command exists that not every deployment and media fleet has.
EVERYWHERE = "Every deployment."
WHERE: Mapping[str, str] = {
    "scale": "High Availability and Elastic, with an autoscale pool.",
    "rescale": "High Availability and Elastic, with an autoscale pool.",
    "park": "High Availability and Elastic, with fixed media nodes.",
    "unpark": "High Availability and Elastic, with fixed media nodes.",
    "freeze": "High Availability and Elastic, with an autoscaler.",
    "unfreeze": "High Availability and Elastic, with an autoscaler.",
    "roll": "High Availability and Elastic, with an autoscaler.",
    "resize media": "High Availability and Elastic, with a pool or fixed media nodes.",
    "resize masters": "Every deployment; `--rolling` only in High Availability.",
    "restart": "Every deployment; `--no-drain` only where there is one master.",
    "shutdown": "Every deployment; `--media-only` not on a Single Node.",
    "upgrade": "High Availability and Elastic, with an autoscale pool or an autoscaler.",
}
# The kinds of media fleets that have a command, where not every one has it.
_GROUPS_OF_NODES = frozenset({FleetKind.POOL, FleetKind.FIXED})
FLEETS: Mapping[str, frozenset[FleetKind]] = {
    "scale": frozenset({FleetKind.POOL}),
    "park": frozenset({FleetKind.FIXED}),
    "unpark": frozenset({FleetKind.FIXED}),
    "freeze": frozenset({FleetKind.AUTOSCALER}),
    "unfreeze": frozenset({FleetKind.AUTOSCALER}),
    "roll": frozenset({FleetKind.AUTOSCALER}),
    "resize media": _GROUPS_OF_NODES,
    "upgrade": frozenset({FleetKind.POOL, FleetKind.AUTOSCALER}),
}
# What the bot suggests instead of typing a command that help does not list.
INSTEAD: Mapping[str, str] = {
    "abort": "`cancel`, with the name of the run",
    "approve": "the Approve button of the card",
    "reject": "the Reject button of the card",
}
# Commands of which one undoes or prevents the other: a hint never leads from one to the other.
OPPOSITES: tuple[frozenset[str], ...] = (
    *(
        frozenset({up, down})
        for up in ("startup", "wake", "keepup", "unpark")
        for down in ("shutdown", "drain", "park", "window add")
    ),
    *(frozenset({up, "stop"}) for up in ("startup", "wake", "keepup", "unpark", "start")),
    *(frozenset({"start", down}) for down in ("shutdown", "drain", "park")),
    frozenset({"freeze", "unfreeze"}),
    frozenset({"hold", "unhold"}),
    frozenset({"window add", "window remove"}),
    frozenset({"window add", "window skip"}),
    *(frozenset({"resume", other}) for other in ("cancel", "abandon", "abort")),
    frozenset({"approve", "reject"}),
    frozenset({"backup schedule", "backup unschedule"}),
    frozenset({"forecast allow", "forecast revoke"}),
    frozenset({"backup protect", "backup unprotect"}),
    frozenset({"backup protect", "backup prune"}),
    frozenset({"module on", "module off"}),
    frozenset({"webhook add", "webhook remove"}),
)


def opposite(one: str, other: str) -> bool:
    """Return whether one command undoes or prevents the other."""
    return frozenset({one, other}) in OPPOSITES


def exists_on(command: str, fleet: FleetKind) -> bool:
    """Return whether a cluster with this kind of media fleet has the command.

    A fleet that is not one of the four known kinds may become any of them.
    """
    if fleet in (FleetKind.NONE, FleetKind.MIXED):
        return True
    return fleet in FLEETS.get(command, frozenset(FleetKind))


def listed(commands: Iterable[type[Command]]) -> dict[CommandGroup, list[type[Command]]]:
    """Return the commands that help lists, by group."""
    shown = [kind for kind in commands if not kind.hidden]
    order = list(TOPICS)
    shown.sort(key=lambda kind: order.index(kind.command))
    return {g: [k for k in shown if TOPICS[k.command].group is g] for g in CommandGroup}


# Options that commands have beside their own: what follows them, and what they do.
OPTIONS: Mapping[str, tuple[str, str]] = {
    "reason": ('"…"', "say why; others read it"),
    "cluster": ("NAME[,NAME]", "another cluster than this channel's, or several"),
    "label": ("NAME", "every cluster with this label"),
    "at-once": ("1", "of several clusters: how many at a time"),
    "stop-after": ("1", "of several clusters: begin no more after so many failures"),
    "dry-run": ("", "show the plan only; nothing changes"),
    "now": ("", "start without asking, where no approval is needed"),
    "at": ("22:00", "plan it now and run it later"),
}


def common_options(kind: type[Command]) -> tuple[str, ...]:
    """Return the options that a command has beside its own."""
    if not issubclass(kind, InstantCommand):
        return tuple(OPTIONS)
    has = {
        "reason": kind.reasons or kind.plans,
        "cluster": True,
        "label": kind.several,
        "at-once": False,
        "stop-after": False,
        "dry-run": kind.plans,
        "now": kind.changes or kind.plans,
        "at": kind.later,
    }
    return tuple(name for name in OPTIONS if has[name])
