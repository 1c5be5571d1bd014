"""The faults that the demo's panel offers, by the part of the world that fails."""

from collections.abc import Callable, Sequence
from typing import Any

from bot.demo.bot_process import BotProcess
from bot.demo.world import STACK, DemoWorld
from simulators.faults import FaultRule
from simulators.slack.faults import SlackFault

Json = dict[str, Any]
SLOW_SECONDS = 30.0
SLACK_SLOW = 5.0
BURST = 6
FAULTS: Sequence[Json] = (
    {
        "id": "kill",
        "kind": "Bot",
        "label": "Kill the bot now",
        "hint": "kill -9; restarted a second later",
    },
    {
        "id": "slack-slow",
        "kind": "Slack",
        "label": "Slack answers slowly",
        "hint": f"{SLACK_SLOW:.0f} s for every call",
        "toggle": True,
    },
    {
        "id": "slack-limits",
        "kind": "Slack",
        "label": "Slack limits the bot's calls",
        "hint": f"429 to the next {BURST} calls",
    },
    {
        "id": "slack-drops",
        "kind": "Slack",
        "label": "Slack breaks the connections",
        "hint": "both sockets; the bot opens new ones",
    },
    {
        "id": "zero",
        "kind": "DigitalOcean",
        "label": "DigitalOcean refuses a pool of 0",
        "hint": "422",
        "toggle": True,
    },
    {
        "id": "no-capacity",
        "kind": "DigitalOcean",
        "label": "The region has no capacity",
        "hint": "no new media droplets",
        "toggle": True,
    },
    {
        "id": "slow",
        "kind": "DigitalOcean",
        "label": "DigitalOcean answers slowly",
        "hint": f"{SLOW_SECONDS:.0f} s for every call",
        "toggle": True,
    },
    {
        "id": "burst",
        "kind": "DigitalOcean",
        "label": "DigitalOcean answers 500 and 503",
        "hint": f"the next {BURST} calls; half of them take effect",
    },
    {
        "id": "api-down",
        "kind": "DigitalOcean",
        "label": "DigitalOcean's API is down",
        "hint": "503 to everything",
        "toggle": True,
    },
    {
        "id": "ssh-down",
        "kind": "Nodes",
        "label": "No node answers on SSH",
        "hint": "connection refused",
        "toggle": True,
    },
    {
        "id": "docker-down",
        "kind": "Nodes",
        "label": "Docker is down on one media node",
        "hint": "meetings there are unknown to the bot",
        "toggle": True,
    },
    {
        "id": "key-refused",
        "kind": "Nodes",
        "label": "One media node refuses the SSH key",
        "hint": "the bot cannot look at it",
        "toggle": True,
    },
    {
        "id": "disk-full",
        "kind": "Nodes",
        "label": "The disk of one master is full",
        "hint": "/openvidu status names it, with what to do",
        "toggle": True,
    },
    {
        "id": "replica-down",
        "kind": "Nodes",
        "label": "One master's databases lose the others",
        "hint": "its Redis and MongoDB replicas are missing",
        "toggle": True,
    },
    {
        "id": "front-down",
        "kind": "LiveKit",
        "label": "LiveKit does not answer",
        "hint": "503 from the public address",
        "toggle": True,
    },
    {
        "id": "livekit-silent",
        "kind": "LiveKit",
        "label": "LiveKit hangs on one media node",
        "hint": "its container runs",
        "toggle": True,
    },
    {
        "id": "spaces-down",
        "kind": "Spaces",
        "label": "Spaces is down",
        "hint": "503 to everything",
        "toggle": True,
    },
    {
        "id": "spaces-changed",
        "kind": "Spaces",
        "label": "Someone else saves first",
        "hint": "412 to the next write",
    },
)
# What a switch of the simulated world or a lasting fault of one node is called there.
SWITCHES = {
    "zero": "zero_refused",
    "no-capacity": "no_capacity",
    "api-down": "api_down",
    "ssh-down": "ssh_down",
    "front-down": "front_down",
    "spaces-down": "spaces_down",
}
POOL, MADE = ("zero",), ("no-capacity",)
# By kind of media fleet, the faults that nothing there can have.
NOT_THERE: dict[str, tuple[str, ...]] = {
    "fixed": (*POOL, *MADE),
    "autoscaler": POOL,
    "co-located": (*POOL, *MADE),
}
NODE_FAULTS = ("docker-down", "key-refused", "livekit-silent")
MASTER_FAULTS = ("disk-full", "replica-down")


class FaultMenu:
    """Turns faults on and off."""

    def __init__(self, world: DemoWorld, child: BotProcess) -> None:
        self._world = world
        self._child = child
        kind = world.cluster.kind
        self.choices = [
            _on_the_node(fault) if kind == "co-located" else fault
            for fault in FAULTS
            if fault["id"] not in NOT_THERE.get(kind, ())
        ]
        """The faults that this world can have."""
        self._slow: FaultRule | None = None
        self._slack_slow: SlackFault | None = None
        self.ill: dict[str, str] = {}
        """The faults of single nodes that are on, with the droplet's name."""
        self._actions: dict[str, Callable[[], str]] = {
            "kill": self._kill,
            "slow": self._slower,
            "burst": self._fails,
            "slack-slow": self._slack_slower,
            "slack-limits": self._slack_limits,
            "slack-drops": self._slack_drops,
            "spaces-changed": self._spaces_changed,
        }

    def on(self) -> list[str]:
        """Return the ids of the faults that are on."""
        faults = self._world.environment.faults
        on = [fault for fault, switch in SWITCHES.items() if faults.switched(switch)]
        more = {
            "slow": self._slow is not None,
            "slack-slow": self._slack_slow is not None,
            "burst": any(r.times > 0 and r.party == "digitalocean" for r in faults.rules),
            "slack-limits": any(f.times > 0 and f.status == 429 for f in self._slack_calls()),
            "spaces-changed": any(r.times > 0 and r.party == "spaces" for r in faults.rules),
        }
        return [*on, *self.ill, *(fault for fault, is_on in more.items() if is_on)]

    def _slack_calls(self) -> list[SlackFault]:
        return self._world.slack.slack.faults.calls

    def act(self, action: str) -> str:
        """Do what a button says; return a sentence about it."""
        if action in SWITCHES:
            return self._switch(action)
        if action in (*NODE_FAULTS, *MASTER_FAULTS):
            return self._make_ill(action)
        return self._actions[action]()

    def _switch(self, action: str) -> str:
        faults, name = self._world.environment.faults, SWITCHES[action]
        faults.switch(name, not faults.switched(name))
        return f"{_label(action)}: {_on_or_off(faults.switched(name))}."

    def _make_ill(self, fault: str) -> str:
        """Give the first media node or the last master a lasting fault, or take it away again."""
        faults = self._world.environment.faults
        if fault in self.ill:
            faults.heal(self.ill.pop(fault), fault)
            return f"{_label(fault)}: off."
        if fault in MASTER_FAULTS:
            node = self._world.estate.masters(STACK)[-1]
        elif media := self._world.estate.media(STACK):
            node = min(media, key=lambda d: d.name)
        else:
            return "There is no media node now."
        faults.make_ill(node.name, fault)
        self.ill[fault] = node.name
        return f"{_label(fault)}: on ({node.name})."

    def _kill(self) -> str:
        if self._child.kill():
            return "The bot was killed; watch it pick up where it was."
        return "No bot is running."

    def _slower(self) -> str:
        faults = self._world.environment.faults
        if self._slow is not None:
            faults.rules.remove(self._slow)
            self._slow = None
            return f"{_label('slow')}: off."
        faults.add("digitalocean", "delay", times=-1, seconds=SLOW_SECONDS)
        self._slow = faults.rules[-1]
        return f"{_label('slow')}: on, {SLOW_SECONDS:.0f} s for every call."

    def _fails(self) -> str:
        for number in range(BURST):
            kind = ("503-before", "500-after")[number % 2]
            self._world.environment.faults.add("digitalocean", kind)
        return f"The next {BURST} calls to DigitalOcean fail; half of them take effect."

    def _slack_slower(self) -> str:
        calls = self._slack_calls()
        if self._slack_slow is not None:
            calls.remove(self._slack_slow)
            self._slack_slow = None
            return f"{_label('slack-slow')}: off."
        self._slack_slow = SlackFault("*", times=10**9, delay=SLACK_SLOW)
        calls.append(self._slack_slow)
        return f"{_label('slack-slow')}: on, {SLACK_SLOW:.0f} s for every call."

    def _slack_limits(self) -> str:
        self._slack_calls().insert(0, SlackFault("*", times=BURST, status=429))
        return f"Slack answers 429 to the next {BURST} calls."

    def _slack_drops(self) -> str:
        self._world.slack.sockets.reset()
        return "The connections are broken; the bot opens new ones."

    def _spaces_changed(self) -> str:
        self._world.environment.faults.add("spaces", "412", match="PUT")
        return "The next write to the bucket finds that someone else has changed the object."


def _on_the_node(fault: Json) -> Json:
    """Return a fault of a media node as one of the only node."""
    words = {"on one media node": "on the node", "One media node refuses": "The node refuses"}
    label = str(fault["label"])
    for before, after in words.items():
        label = label.replace(before, after)
    return fault | {"label": label}


def _label(action: str) -> str:
    """Return what a button says."""
    return next(str(one["label"]) for one in FAULTS if one["id"] == action)


def _on_or_off(value: object) -> str:
    return "on" if value else "off"
