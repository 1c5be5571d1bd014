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
    listed,
)
from handlers.commands.run_control import must_have_role
from handlers.slack.blocks import Card
from handlers.views.cluster_facts import state_of
from handlers.views.help import CommandHelp, OptionHelp
from handlers.views.offers import offers
from services.access.policy import AccessResult, may_operate
from services.common.command import Command, argument, syntax
from services.common.errors import BotError, Refused, Unreachable
from services.operations.results import Status
from services.runs.run import State

READING = frozenset(command for command, topic in TOPICS.items() if topic.rank is Rank.READING)
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
            return views.all_help_card({g.value: _usages(kinds) for g, kinds in listing.items()})
        if topic in [*CommandGroup]:
            return views.all_help_card({topic: _usages(listing[CommandGroup(topic)])})
        if family := [k for k in ctx.commands if k.command.split()[0] == topic and not k.hidden]:
            return views.all_help_card({topic: _usages(family)})
        if topic:
            raise Refused(f"there is no command “{topic}”; `/openvidu help all` lists them")
        return await _now(ctx, listing)


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
        status.cluster, status.run, operates=True, held=hold is not None, windows=bool(book.windows)
    )
    possible = {o.command for o in offered} | READING | {"break-glass"}
    if not ctx.operations.clusters.observes:
        possible -= {"observed"}
    if book.windows:
        possible |= {"window remove", "window skip"}
    if status.later:
        possible.add("later cancel")
    if "config set" in possible:
        possible.add("config rollback")
    if "startup" in possible:
        possible.add("wake")
    if status.run is not None:
        possible |= OF_RUNS[status.run.state is State.STOPPED]
    return frozenset(possible)
