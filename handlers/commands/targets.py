"""What a command applies to: which cluster, at what time, and in which channel its card stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from handlers.commands.base import WhichCluster
from handlers.commands.parser import ParsedCommand
from handlers.slack.client import ReplyTarget, SlackClient
from services.access.clusters import ClusterRegistry
from services.access.policy import NO_ROLE_ANYWHERE, Actor
from services.common.clock import Clock
from services.common.errors import Refused
from services.windows.times import parse_at


@dataclass(frozen=True)
class HandlerContext:
    """Settings of the handlers.

    `command`: the slash command. `channels`: the default cluster by channel id. `zones`: the time
    zone by cluster. `card_channels`: by cluster, the id of its own channel, where its cards stand.
    `version`: of the bot.
    """

    command: str = "/openvidu"
    channels: Mapping[str, str] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    card_channels: Mapping[str, str] = field(default_factory=dict)
    version: str = ""

    def zone(self, cluster: str) -> str:
        """Return a cluster's time zone."""
        return self.zones.get(cluster, "UTC")


class CommandTargets:
    """Resolves what a command leaves open from where and when it was given."""

    def __init__(
        self, clusters: ClusterRegistry, slack: SlackClient, clock: Clock, context: HandlerContext
    ) -> None:
        self._clusters = clusters
        self._slack = slack
        self._clock = clock
        self._context = context

    def cluster(self, name: str | None, channel: str, actor: Actor) -> str:
        """Return the cluster that is meant: the named one, the channel's own, or the only one.

        Refused where the actor may not see it, or where none of these decides.
        """
        clusters = self._clusters
        if name is not None:
            return clusters.resolve_name(name, actor)
        if channel in self._context.channels:
            return clusters.resolve_name(self._context.channels[channel], actor)
        if len(clusters) == 1:
            return clusters.resolve_name(next(iter(clusters)), actor)
        names = clusters.readable(actor)
        if not names:
            raise Refused(NO_ROLE_ANYWHERE)
        raise WhichCluster(
            "which cluster? This channel has no default: "
            f"add `--cluster` and one of {', '.join(names)}"
        )

    def clusters(self, name: str | None, channel: str, actor: Actor) -> Sequence[str]:
        """Return the cluster that is meant; where none is, all that the actor may see."""
        try:
            return [self.cluster(name, channel, actor)]
        except WhichCluster:
            return self._clusters.readable(actor)

    def zone(self, parsed: ParsedCommand, channel: str) -> str:
        """Return the time zone of the cluster that is meant, without checking who asks."""
        names, default = list(self._clusters), ""
        if len(names) == 1:
            default = names[0]
        cluster = parsed.cluster or self._context.channels.get(channel, default)
        return self._context.zone(cluster)

    def later(
        self, parsed: ParsedCommand, actor: Actor, reply_to: ReplyTarget
    ) -> tuple[float, str] | None:
        """Return the time of `--at` (epoch seconds) and its time zone; None for now.

        It is read in the cluster's time zone, as of the moment when it was typed.
        """
        if not parsed.at:
            return None
        zone = self._context.zone(self.cluster(parsed.cluster, reply_to.channel, actor))
        at = parse_at(parsed.at, reply_to.since or self._clock.now(), zone)
        if at <= self._clock.now():
            raise Refused(f"{parsed.at} is over by now. Nothing was changed; type a later time")
        return at, zone

    def own_channel(self, cluster: str) -> str:
        """Return the cluster's own channel; "" without one."""
        return self._context.card_channels.get(cluster, "")

    async def card_channel(self, cluster: str) -> str:
        """Return the cluster's own channel, for the card of a change.

        Refused where no one could read the card there.
        """
        home = self.own_channel(cluster)
        if not home:
            raise Refused(
                f"nothing was changed: {cluster} has no channel, so no one could read the card. "
                f"Set `clusters.{cluster}.channel` in the bot's settings; "
                "the bot reads them again without a restart"
            )
        if why := await self._slack.why_unreadable(home):
            raise Refused(f"nothing was changed: no one could read the card, because {why}")
        return home
