"""Help: what you can do now, every command, or one command."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.about import closed_to
from handlers.commands.base import CommandContext, InstantCommand, WhichCluster
from handlers.commands.catalog import (
    OPTIONS,
    SYNONYMS,
    TOPICS,
    WHERE,
    CommandGroup,
    Rank,
    common_options,
    exists_on,
    listed,
)
from handlers.commands.run_control import must_have_role
from handlers.slack.blocks import Card
from handlers.views.cluster_facts import state_of
from handlers.views.help import MOST_EXPLAINED, CommandHelp, OptionHelp
from handlers.views.offers import offers
from services.access.policy import AccessResult, may_operate
from services.cluster.backups import backups
from services.cluster.model import Cluster, FleetKind
from services.common.command import Command, argument, syntax
from services.common.errors import BotError, Refused, Unreachable
from services.operations.results import Status
from services.runs.run import State

READING = frozenset(command for command, topic in TOPICS.items() if topic.rank is Rank.READING)
CONFIGURES = frozenset(
    {
        *("module on", "module off", "webhook add", "webhook remove"),
        *("config file edit", "config file set"),
    }
)
# By whether the open run has stopped.
OF_RUNS = {False: {"cancel"}, True: {"cancel", "resume", "abandon"}}


@dataclass(frozen=True)
class Help(InstantCommand):
    """Show what you can do now; with `all` every command, with a command its options."""

    command: ClassVar[str] = "help"
    topic: str | None = argument("a command, a group such as power, or all", default=None)

    async def answer(self, ctx: CommandContext) -> Card:
        listing = listed(ctx.commands)
        topic = (self.topic or "").casefold()
        if topic:
            must_have_role(ctx)
        for kind in ctx.commands:
            if kind.command == topic:
                return views.command_help_card(about_command(kind))
        if topic == "all":
            names = {g.value: [k.command for k in kinds] for g, kinds in listing.items()}
            return views.all_names_card("All commands", names)
        if topic in [*CommandGroup]:
            return _group(topic, listing[CommandGroup(topic)], await _kind(ctx))
        if family := [k for k in ctx.commands if k.command.split()[0] == topic and not k.hidden]:
            return views.all_help_card({topic: _usages(family)})
        if topic:
            raise Refused(f"there is no command “{topic}”; `/openvidu help all` lists them")
        return await _now(ctx, listing)


def _group(topic: str, kinds: list[type[Command]], fleet: FleetKind | None) -> Card:
    """Explain the commands of a group that exist on this kind of fleet; name those that do not.

    `fleet`: None where it is unknown: then every command is explained.
    """
    here = [k for k in kinds if fleet is None or exists_on(k.command, fleet)]
    absent = [f"`{k.command}`" for k in kinds if k not in here]
    notes = [f"Not on this cluster: {', '.join(absent)}."] if absent else []
    if len(here) > MOST_EXPLAINED:
        title = f"{topic.capitalize()} commands"
        return views.all_names_card(title, {topic: [k.command for k in here]}, notes)
    return views.all_help_card({topic: _usages(here)}, notes)


async def _kind(ctx: CommandContext) -> FleetKind | None:
    """Return what keeps the cluster's media nodes; None where it, or which cluster, is unknown."""
    try:
        status = await _status(ctx, ctx.cluster())
    except BotError:
        return None
    return None if status is None else status.cluster.kind


def _usages(kinds: list[type[Command]]) -> list[tuple[str, str]]:
    return [(kind.usage(), kind.summary()) for kind in kinds]


def about_command(kind: type[Command]) -> CommandHelp:
    """Return what help says about one command."""
    topic = TOPICS[kind.command]
    own = [OptionHelp(syntax(f), f.metadata["help"]) for f in kind.parameters()]
    common = [
        OptionHelp(f"[--{name} {value}]".replace(" ]", "]"), about)
        for name, (value, about) in OPTIONS.items()
        if name in common_options(kind)
    ]
    return CommandHelp(
        name=kind.command,
        usage=kind.usage(),
        summary=kind.summary(),
        example=topic.example,
        options=(*own, *common),
        downtime=topic.downtime,
        approval=topic.approval,
        where=WHERE.get(kind.command, ""),
        synonyms=SYNONYMS.get(kind.command, ()),
        acts=topic.rank is Rank.READING,
    )


# What can be done now


async def _now(ctx: CommandContext, listing: dict[CommandGroup, list[type[Command]]]) -> Card:
    try:
        name = ctx.cluster()
    except WhichCluster as error:
        names = {g.value: [k.command for k in kinds] for g, kinds in listing.items()}
        return views.help_card(views.sentence(str(error), ctx.operations.clusters), names)
    rules = ctx.operations.clusters.rules(name)
    status = await _status(ctx, name)
    possible = await _possible(ctx, name, status)
    commands = {
        group.value: [k.command for k in kinds if k.command in possible and _may_use(ctx, name, k)]
        for group, kinds in listing.items()
    }
    verdict = may_operate(ctx.actor, rules)
    state = f"{name}: its state is unknown now"
    if status is not None:
        state = state_of(status.cluster).headline(name)
    notes = []
    if verdict.kind is AccessResult.DENIED:
        notes.append(f"You may read. Changes: {verdict.reason}.")
    else:
        notes += closed_to(ctx.actor, rules)
    return views.help_card(f"*{state}*", commands, notes)


def _may_use(ctx: CommandContext, cluster: str, command: type[Command]) -> bool:
    return ctx.operations.permission(cluster, ctx.actor, command).kind is not AccessResult.DENIED


async def _status(ctx: CommandContext, name: str) -> Status | None:
    ctx.operations.must_read(name, ctx.actor)
    try:
        return await ctx.operations.status(name, ctx.actor)
    except BotError:
        # Help has to come also when nothing else does.
        return None


async def _possible(ctx: CommandContext, name: str, status: Status | None) -> frozenset[str]:
    """Return the commands that make sense in the cluster's state; all where it is unknown."""
    if status is None or not status.known:
        return frozenset(TOPICS)
    try:
        book = await ctx.visible.book(name, ctx.actor)
    except Unreachable:
        return frozenset(TOPICS)
    hold = book.exceptions.hold(ctx.clock.now())
    offered = offers(
        status.cluster,
        status.run,
        operates=True,
        held=hold is not None,
        windows=bool(book.all_windows),
    )
    possible = {o.command for o in offered} | READING | {"break-glass"}
    possible |= _without_button(status.cluster, possible)
    if not ctx.operations.clusters.observes:
        possible -= {"observed"}
    if book.all_windows:
        possible |= {"window remove", "window skip"}
    if status.later:
        possible.add("later cancel")
    if "startup" in possible:
        possible.add("wake")
    if status.run is not None:
        possible |= OF_RUNS[status.run.state is State.STOPPED]
    return frozenset(possible)


def _without_button(cluster: Cluster, offered: set[str]) -> set[str]:
    """Return the commands that have no button, and make sense beside these that have one."""
    more: set[str] = set()
    if "restart" in offered:
        more.add("stop")
        if cluster.stopped:
            more.add("start")
    if "config set" in offered:
        more.add("config rollback")
        if cluster.is_up:
            more |= CONFIGURES
            if exists_on("upgrade", cluster.kind):
                more.add("upgrade")
    if "backup create" in offered:
        more.add("backup schedule")
        if any(b.complete for b in backups(cluster)):
            more |= {"drill", "backup protect", "backup unprotect"}
    return more
