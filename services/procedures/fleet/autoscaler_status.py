"""What the bot reports about an autoscaler and its media nodes."""

from datetime import datetime

from services.billing.prices import per_hour, total_price
from services.cluster.model import Autoscaler, MediaNode, NodeStatus
from services.common.text import count_of, duration, join_words, plural
from services.procedures.fleet.status import Alert, FleetStatus
from services.steps.autoscaler import pause_text

# Seconds after which a pause is reported, once a day.
LONG_PAUSE = 86400.0
# Seconds after which a node that does not serve is not expected to.
INSTALL_TIME = 1800.0


class AutoscalerStatus(FleetStatus):
    """The state of an autoscaler."""

    @property
    def scaler(self) -> Autoscaler:
        """The autoscaler, which every cluster of this kind has."""
        assert self.cluster.autoscaler is not None, "it is what makes the kind"
        return self.cluster.autoscaler

    def summary(self) -> str:
        state = pause_text(self.cluster).rstrip(".") if not self.scaler.enabled else "enabled"
        if self.cluster.autoscaler_minimum:
            state += f", minimum {self.cluster.autoscaler_minimum} (settings)"
        return f"autoscaler {state}; {count_of(len(self.cluster.media), 'droplet')}."

    def explanation(self) -> str:
        return (
            "it adds and drains nodes by load; the bot can freeze it and remove nodes, "
            "Terraform sets numbers and sizes"
        )

    # Shown with the status

    def warnings(self) -> tuple[str, ...]:
        found = (self._untagged(), self._stuck(), self._never_up(), self._paused())
        return tuple(filter(None, found))

    def _untagged(self) -> str:
        nodes = [
            n for n in self.cluster.media if not n.has_media_tag and n.member_status == "active"
        ]
        if not nodes:
            return ""
        return (
            f"{self.names(nodes)} {plural(len(nodes), 'has', 'have')} neither the media tag nor "
            "the draining tag: not counted by the autoscaler, and outside its firewalls. Remove "
            f"with [[command drain {self.names(nodes[:1])}]]"
        )

    def _stuck(self) -> str:
        nodes = [n for n in self.cluster.media if n.member_status == "deleting" and n.restartable]
        if not nodes:
            return ""
        return (
            f"{self.names(nodes)} {plural(len(nodes), 'is', 'are')} drained but not deleted yet; "
            "if that does not change, deleting itself has failed"
        )

    def _never_up(self) -> str:
        active = [n for n in self.cluster.media if n.member_status == "active" and n.droplet.active]
        blank = [n for n in active if isinstance(n.look, NodeStatus) and not n.look.start]
        nodes = [n for n in blank if self.cluster.seen_at - created_at(n) > INSTALL_TIME]
        if not nodes:
            return ""
        return (
            f"{self.names(nodes)} never finished installing, but counts as capacity: "
            f"[[command status {self.names(nodes[:1])}]]"
        )

    def _paused(self) -> str:
        if self.scaler.enabled or not self.cluster.is_up:
            return ""
        return (
            f"{pause_text(self.cluster)} A node that fails is not replaced. "
            "[[command unfreeze]] resumes it"
        )

    # Posted without a request

    def alerts(self) -> tuple[Alert, ...]:
        if self.cluster.is_down:
            return tuple(filter(None, (self._nodes_while_down(), self._enabled_while_down())))
        return tuple(filter(None, (self._long_paused(),)))

    def _nodes_while_down(self) -> Alert | None:
        nodes = self.cluster.media
        if not nodes:
            return None
        now = self.cluster.seen_at
        ages = join_words(
            f"{self.names((n,))}, {duration(max(0.0, now - created_at(n)))} old" for n in nodes
        )
        price = per_hour(total_price(n.droplet.hourly for n in nodes))
        verb = plural(len(nodes), "is", "are")
        head = (
            f"[[strong {count_of(len(nodes), 'media node')} of {self.cluster.name} {verb} running "
            "while it is shut down]]"
        )
        return Alert(
            f"lookout/there/{max(n.id for n in nodes)}",
            f"{head} · {ages} · {price}, and no one can meet there · Run [[command startup]], or "
            "[[command shutdown]] again to drain and remove",
        )

    def _enabled_while_down(self) -> Alert | None:
        if not self.scaler.enabled:
            return None
        head = (
            f"[[strong The autoscaler of {self.cluster.name} is enabled while its masters are "
            "powered off]]"
        )
        text = (
            f"{head} · it was resumed outside the bot, or by an apply, and adds media nodes that "
            "no one can use · [[command freeze]] pauses it"
        )
        return Alert(f"lookout/on/{self.scaler.namespace}/{self._day}", text)

    def _long_paused(self) -> Alert | None:
        since = self.scaler.paused_at or self.scaler.last_run
        if self.scaler.enabled or self.cluster.seen_at - since < LONG_PAUSE:
            return None
        head = f"[[strong {pause_text(self.cluster).rstrip('.')}]]"
        text = (
            f"{head} · no node is added, and failed nodes are not replaced · "
            "[[command unfreeze]] resumes it"
        )
        return Alert(f"lookout/paused/{self.scaler.namespace}/{self._day}", text)

    @property
    def _day(self) -> int:
        return int(self.cluster.seen_at // 86400)


def created_at(node: MediaNode) -> float:
    """Return when the droplet was created, in epoch seconds; infinite when unknown."""
    try:
        return datetime.fromisoformat(node.droplet.created_at).timestamp()
    except ValueError:
        return float("inf")
