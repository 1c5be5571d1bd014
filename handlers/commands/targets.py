"""What a command applies to: which cluster, at what time, and in which channel its card stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from handlers.commands.base import InstantCommand, WhichCluster
from handlers.commands.parser import ParsedCommand
from handlers.slack.client import ReplyTarget, SlackClient
from services.access.clusters import ClusterRegistry
from services.access.policy import NO_ROLE_ANYWHERE, Actor
from services.common.clock import Clock
from services.common.errors import Refused
from services.common.text import count_of
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

    def several(self, parsed: ParsedCommand, actor: Actor) -> tuple[str, ...]:
        """Return the clusters that a command for several names, each once.

        Refused where one of them is unknown or may not be seen.
        """
        return clusters_named(self._clusters, parsed, actor)

    def clusters(self, name: str | None, channel: str, actor: Actor) -> Sequence[str]:
        """Return the cluster that is meant; where none is, all that the actor may see."""
        try:
            return [self.cluster(name, channel, actor)]
        except WhichCluster:
            return self._clusters.readable(actor)

    def zone(self, parsed: ParsedCommand, channel: str) -> str:
        """Return the time zone of the cluster that is meant, without checking who asks."""
        names, default = list(self._clusters), ""
        if parsed.several:
            return self._zone_of_several(parsed)
        if len(names) == 1:
            default = names[0]
        cluster = parsed.cluster or self._context.channels.get(channel, default)
        return self._context.zone(cluster)

    def _zone_of_several(self, parsed: ParsedCommand) -> str:
        """Return the zone that all of them have. Refused where they differ and a time is given."""
        chosen = self._clusters.labelled(parsed.label) or (parsed.cluster or "").split(",")
        zones = {self._context.zone(name) for name in chosen if name in self._clusters}
        return one_zone(zones, parsed)

    def later(
        self, parsed: ParsedCommand, actor: Actor, reply_to: ReplyTarget
    ) -> tuple[float, str] | None:
        """Return the time of `--at` (epoch seconds) and its time zone; None for now.

        It is read in the cluster's time zone, as of the moment when it was typed.
        """
        if not parsed.at:
            return None
        if parsed.several:
            names = self.several(parsed, actor)
            zone = one_zone({self._context.zone(name) for name in names}, parsed)
        else:
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


def clusters_named(
    clusters: ClusterRegistry, parsed: ParsedCommand, actor: Actor
) -> tuple[str, ...]:
    """Return the clusters of `--cluster a,b` or of `--label`, each once, in that order.

    Refused where one is unknown or may not be seen.
    """
    if parsed.label:
        reads = isinstance(parsed.command, InstantCommand) and not parsed.command.changes
        return _labelled(clusters, parsed.label, actor, reads=reads)
    typed = [name for name in (parsed.cluster or "").split(",") if name]
    if not typed:
        raise Refused("`--cluster` takes names separated by commas, such as `--cluster acme,beta`")
    return tuple(dict.fromkeys(clusters.resolve_name(name, actor) for name in typed))


def _labelled(
    clusters: ClusterRegistry, label: str, actor: Actor, *, reads: bool
) -> tuple[str, ...]:
    """Return the clusters with a label.

    Refused where the actor may not see all of them; one who only `reads` gets those that they see.
    """
    names = clusters.labelled(label)
    seen = tuple(name for name in names if clusters.may_read(name, actor))
    if not seen:
        there = sorted({x for n in clusters.readable(actor) for x in clusters[n].labels})
        hint = f"; there are: {', '.join(there)}" if there else ""
        if label in clusters:
            hint = f"; it is a cluster: use `--cluster {label}`"
        raise Refused(f"no cluster has the label “{label}”{hint}")
    hidden = len(names) - len(seen)
    if hidden and not reads:
        lacks = f"you have no role on {count_of(hidden, 'cluster')} with the label “{label}”"
        raise Refused(f"{lacks}. Name yours with `--cluster {','.join(seen)}`")
    return seen


def one_zone(zones: set[str], parsed: ParsedCommand) -> str:
    """Return the one time zone. Refused where there are several and a time of day is typed."""
    if len(zones) > 1 and parsed.at and "utc" not in parsed.at.casefold():
        which = ", ".join(sorted(zones))
        raise Refused(f"these clusters have several time zones ({which}): write the time in UTC")
    return min(zones, default="UTC")
