"""Questions about the bot and about oneself: version, whoami."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.run_control import clusters_meant, must_have_role
from handlers.slack.blocks import Card
from services.access.policy import (
    EVERYONE,
    NO_ROLE_ANYWHERE,
    AccessResult,
    Actor,
    ClusterPolicy,
    may_break_glass,
    may_operate,
    may_wake,
    people_to_ask,
)
from services.common.command import CHANGING, CommandClass
from services.common.errors import Refused
from services.common.text import join_words


@dataclass(frozen=True)
class VersionCommand(InstantCommand):
    """Show the bot's version, and where it runs."""

    command: ClassVar[str] = "version"

    async def answer(self, ctx: CommandContext) -> Card:
        must_have_role(ctx)
        name = f"openvidu-bot {ctx.version}".strip()
        return views.text_card(f"{name}, running {_runs_as()}.")


def _runs_as() -> str:
    """Return `on host-1 as process 4242 (Python 3.11.9, Linux)`."""
    where = f"on {platform.node() or 'an unnamed host'} as process {os.getpid()}"
    return f"{where} (Python {platform.python_version()}, {platform.system()})"


@dataclass(frozen=True)
class WhoAmI(InstantCommand):
    """Show your roles, and what you may do."""

    command: ClassVar[str] = "whoami"

    async def answer(self, ctx: CommandContext) -> Card:
        names = clusters_meant(ctx)
        if not names:
            raise Refused(NO_ROLE_ANYWHERE)
        lines = [f"You are {ctx.actor.mention}."]
        for name in names:
            ctx.operations.must_read(name, ctx.actor)
            rules = ctx.operations.clusters.rules(name)
            lines.append(f"*{name}*: {join_words(_roles(ctx.actor, rules))}. {_may(ctx, rules)}")
        return views.text_card("\n".join(lines))


def _roles(actor: Actor, rules: ClusterPolicy) -> Iterator[str]:
    named = {
        "operator": rules.operators,
        "approver": rules.approvers,
        "waker": rules.wake_users,
        "break-glass": rules.break_glass_users,
    }
    has = [role for role, people in named.items() if actor.user in people]
    yield from has
    if not has and (EVERYONE in rules.viewers or actor.user in rules.viewers):
        yield "viewer"
    for about, people in rules.users_by_class:
        if actor.user in people:
            yield f"{class_name(about)} commands"


def _may(ctx: CommandContext, rules: ClusterPolicy) -> str:
    """Describe what this person may change there, and whom to ask for the rest."""
    operating = may_operate(ctx.actor, rules)
    if operating.kind is AccessResult.DENIED:
        reads = f"You may read. Changes: {operating.reason}."
        if may_wake(ctx.actor, rules).kind is not AccessResult.DENIED:
            reads += " You may use `/openvidu wake`."
        return reads
    mine = [about for about in CHANGING if ctx.actor.user in rules.users_of(about)]
    text = f"You may use {join_words(map(class_name, mine))} commands."
    if ctx.actor.user in rules.approvers:
        whose = "requests, also your own" if rules.single_operator else "requests of others"
        text += f" You may approve {whose}."
    if may_break_glass(ctx.actor, rules).kind is not AccessResult.DENIED:
        text += " You may use `/openvidu break-glass` in an emergency."
    return " ".join([text, *closed_to(ctx.actor, rules)])


def closed_to(actor: Actor, rules: ClusterPolicy) -> list[str]:
    """List the classes of commands that this person may not use, and whom to ask."""
    closed: dict[str, list[str]] = {}
    for about in CHANGING:
        people = rules.users_of(about)
        if actor.user not in people:
            closed.setdefault(people_to_ask(people), []).append(class_name(about))
    return [
        f"Not open to you: {join_words(names)} commands; ask {people}."
        for people, names in closed.items()
    ]


def class_name(about: CommandClass) -> str:
    """Return a class of commands as people read it."""
    return about.replace("_", "-")
