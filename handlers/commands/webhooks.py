"""Commands about LiveKit's webhooks, which are in `livekit.yaml`."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.config import CONFIG, plan_of
from handlers.commands.config_files import digest_of, may_configure
from handlers.slack.blocks import Card
from handlers.views.config_file import FormState, webhook_form, webhooks_card
from services.cluster.deployment import control_plane_of
from services.common.command import argument, rest
from services.common.errors import Refused
from services.config_files import LIVEKIT, ConfigText, file_named, is_public_url
from services.config_files.modules import MODULES, webhook_url
from services.config_files.webhooks import added, removed, url_problem, webhooks
from services.operations.results import Outcome

IN_A_FORM = (
    "that URL may contain a secret: type only `/openvidu webhook add`; a form asks for the URL. "
    "The bot did not keep what you typed"
)


@dataclass(frozen=True)
class WebhookList(InstantCommand):
    """List the URLs that LiveKit posts its events to, without what may be secret."""

    command: ClassVar[str] = "webhook list"
    help_text: ClassVar[str] = "List LiveKit's webhooks. What may be secret in a URL is hidden."
    classes = CONFIG[:1]

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        may_configure(ctx, name)
        content = await ctx.operations.config_file(ctx.actor, name, file_named(LIVEKIT))
        return webhooks_card(name, webhooks(content.text))


@dataclass(frozen=True)
class WebhookAdd(InstantCommand):
    """Add a webhook: opens a form for the URL, or takes one without secrets; waits for approval."""

    command: ClassVar[str] = "webhook add"
    help_text: ClassVar[str] = (
        "Add a webhook of LiveKit, or that of a module. A form asks for a URL with secrets."
    )
    classes = CONFIG[:1]
    plans: ClassVar[bool] = True
    later: ClassVar[bool] = True
    # All words, so that a refusal repeats none of them: it may be a secret. So it is not stored.
    url: str = rest("the URL, or a module; without it, a form asks", syntax="[URL]", default="")

    async def answer(self, ctx: CommandContext) -> Card | None:
        name = ctx.cluster()
        may_configure(ctx, name)
        ctx.operations.secrets_bucket(name, ctx.actor)
        typed = self.url.strip().strip("<>").partition("|")[0]
        if not typed:
            await self._form(ctx, name)
            return None
        module = next((m for m in MODULES if m.name.lower() == typed.lower() and m.webhook), None)
        if module is not None:
            cluster = await ctx.operations.look(name, ctx.actor)
            url = webhook_url(module, control_plane_of(cluster).webhook_host)
            return plan_of(await _request(ctx, name, partial(_add, url=url), f"add {module.name}"))
        if problem := url_problem(typed):
            raise Refused(problem)
        if not is_public_url(typed):
            raise Refused(IN_A_FORM)
        return plan_of(await _request(ctx, name, partial(_add, url=typed), f"add {typed}"))

    async def _form(self, ctx: CommandContext, name: str) -> None:
        if not ctx.trigger:
            raise Refused("only the slash command can open the form: type it in Slack")
        at, zone = ctx.later or (0.0, "")
        state = FormState(name, ctx.channel, LIVEKIT, at=at, zone=zone)
        await ctx.open_modal(webhook_form(state, ctx.reason))


@dataclass(frozen=True)
class WebhookRemove(InstantCommand):
    """Remove a webhook by its number in the list; waits for approval."""

    command: ClassVar[str] = "webhook remove"
    help_text: ClassVar[str] = (
        "Remove a webhook of LiveKit, by its number in webhook list. It waits for approval."
    )
    classes = CONFIG[:1]
    changes: ClassVar[bool] = True
    plans: ClassVar[bool] = True
    later: ClassVar[bool] = True
    number: int = argument("its number in webhook list")

    async def answer(self, ctx: CommandContext) -> Card | None:
        name = ctx.cluster()
        may_configure(ctx, name)
        content = await ctx.operations.config_file(ctx.actor, name, file_named(LIVEKIT))
        hook = next((h for h in webhooks(content.text) if h.number == self.number), None)
        if hook is None:
            raise Refused("there is no webhook of that number: [[command webhook list]]")
        change = partial(_remove, number=self.number, shown=digest_of(content))
        return plan_of(await _request(ctx, name, change, f"remove {self.number}", hook.shown))


async def _request(
    ctx: CommandContext, name: str, change: object, words: str, what: str = ""
) -> Outcome:
    assert callable(change)
    return await ctx.operations.change_file(
        ctx.actor,
        name,
        file_named(LIVEKIT),
        change,
        reason=ctx.reason,
        channel=ctx.channel if ctx.dry_run else await ctx.card_channel(name) or ctx.channel,
        words=f"webhook {words}",
        what=f"webhook {what or words}",
        dry=ctx.dry_run,
        later=ctx.later,
    )


def _add(content: ConfigText, url: str) -> str:
    return added(content.text, url)


def _remove(content: ConfigText, number: int, shown: str) -> str:
    if digest_of(content) != shown:
        raise Refused("livekit.yaml was changed at the same moment. Nothing was changed")
    return removed(content.text, number)
