"""Faults of the pretend world. Nothing fails unless a test or the demo's menu asks for it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from simulators.dice import dice_of

Party = Literal["digitalocean", "action", "ssh", "node", "spaces", "web", "github"]

KINDS: dict[str, tuple[str, ...]] = {
    "digitalocean": (
        "429-minute", "429-hour", "500-before", "503-before", "500-after", "503-after",
        "reset-before", "reset-after", "html-502", "delay", "401", "403", "404", "list-empty",
        "list-one-missing", "odd-shape", "shuffled", "tags-shuffled", "churn",
    ),
    "action": ("ignored", "errored"),
    "ssh": ("refuse", "cut-before", "cut-after", "cut-middle", "ended-early", "truncated"),
    "node": (
        "docker-down", "docker-denied", "docker-slow", "docker-hangs", "docker-empty",
        "kill-refused", "kill-lost", "unprivileged", "run-denied", "run-full", "key-refused",
        "disk-full", "replica-down", "redis-silent", "clock-off", "route-missing",
        "logs-endless", "metrics-silent", "metrics-empty", "livekit-silent", "livekit-starting",
    ),
    "spaces": ("412", "503", "stale"),
    "web": ("refuse", "503"),
    "github": ("reset-before", "reset-after", "503", "rate"),
}  # fmt: skip
SWITCHES = (
    "zero_refused",  # a pool of zero is refused with 422
    "no_capacity",  # the region has no room for new pool members
    "shutdown_ignored",  # a shutdown completes and nothing happens
    "api_down",  # DigitalOcean answers 503 to everything
    "ssh_down",  # no node answers on its SSH port
    "spaces_down",  # Spaces answers 503 SlowDown to everything
    "rate_limited",  # DigitalOcean answers 429 to everything
    "front_down",  # the public address does not answer
)
"""Names that the demo's fault menu shows."""
ANY = "*"
"""Every node."""


@dataclass(frozen=True)
class WorldFault:
    """A fault.

    `seconds`: duration of a delay or of a slow docker. `commands`: simple commands that a session
    runs before it is cut.
    `share`: the part of its output that a truncated session shows, and which of several things is
    affected.
    `container`: the only one affected; "" for each. `only`: a text in the item that is missing from
    a list.
    `shape`: of an odd answer.
    """

    kind: str
    seconds: float = 0.0
    commands: int = 0
    share: float = 0.5
    container: str = ""
    only: str = ""
    shape: str = ""


@dataclass
class FaultRule:
    """`fault` hits calls whose description contains `match`.

    After the first `skip`, `times` times (-1: always).
    """

    party: str
    fault: WorldFault
    match: str = ""
    times: int = 1
    skip: int = 0

    def hits(self, what: str) -> bool:
        """Return whether the fault hits this call; counts."""
        if self.match not in what or self.times == 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass
class WorldFaults:
    """Rules, random rates (chance per call, by party and kind) and switches.

    The same seed gives the same faults.
    """

    seed: int = 0
    rates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rules: list[FaultRule] = field(default_factory=list)
    switches: dict[str, bool] = field(default_factory=dict)
    hits: list[tuple[str, str, str]] = field(default_factory=list)
    """Faults that have hit: party, kind, call."""
    lasting: dict[str, dict[str, WorldFault]] = field(default_factory=dict)
    """Lasting faults of nodes: by the droplet's name (`ANY`: every node), then by kind."""
    _dice: dict[str, random.Random] = field(default_factory=dict, repr=False)

    def switch(self, name: str, value: bool = True) -> None:
        """Turn a named fault on or off."""
        if name not in SWITCHES:
            raise KeyError(name)
        self.switches[name] = value

    def switched(self, name: str) -> bool:
        """Return whether a named fault is on."""
        return self.switches.get(name, False)

    def add(
        self, party: Party, kind: str, match: str = "", times: int = 1, skip: int = 0, **detail: Any
    ) -> FaultRule:
        """Add a rule.

        `match` is searched in e.g. "POST /v2/droplets/1/actions", "shutdown acme-master-node-1" or
        a command.

        `detail`: fields of `WorldFault`.
        """
        if kind not in KINDS[party]:
            raise KeyError(f"{party} {kind}")
        rule = FaultRule(party, WorldFault(kind, **detail), match, times, skip)
        self.rules.append(rule)
        return rule

    def remove(self, rule: FaultRule) -> None:
        """Remove a rule."""
        self.rules = [r for r in self.rules if r is not rule]

    def make_ill(self, node: str, kind: str, **detail: Any) -> None:
        """Give a node (the droplet's name, or `ANY`) a lasting fault of the party "node".

        `detail`: fields of `WorldFault`.
        """
        if kind not in KINDS["node"]:
            raise KeyError(kind)
        self.lasting.setdefault(node, {})[kind] = WorldFault(kind, **detail)

    def heal(self, node: str = "", kind: str = "") -> None:
        """Remove a node's lasting faults, of this kind or of each; "" for every node."""
        for name in [node] if node else list(self.lasting):
            for ill in [kind] if kind else list(self.lasting.get(name, ())):
                self.lasting.get(name, {}).pop(ill, None)
        self.lasting = {name: kinds for name, kinds in self.lasting.items() if kinds}

    def lasting_faults(self, node: str) -> dict[str, WorldFault]:
        """Return the lasting faults of that node."""
        if not self.lasting:
            return {}
        return self.lasting.get(ANY, {}) | self.lasting.get(node, {})

    def clear(self) -> None:
        """Remove all faults."""
        self.rates, self.rules, self.switches, self.lasting = {}, [], {}, {}

    def pick(self, party: Party, what: str) -> WorldFault | None:
        """Return the fault that hits this call, if any."""
        fault = self._switched(party, what) or next(
            (r.fault for r in self.rules if r.party == party and r.hits(what)), None
        )
        fault = fault or self._by_chance(party)
        if fault is not None:
            self.hits.append((party, fault.kind, what))
        return fault

    def _switched(self, party: str, what: str) -> WorldFault | None:
        table = {
            "api_down": ("digitalocean", "503-before"), "rate_limited": ("digitalocean",
            "429-minute"), "ssh_down": ("ssh", "refuse"), "spaces_down": ("spaces", "503"),
            "front_down": ("web", "503"),
        }  # fmt: skip
        for name, (whose, kind) in table.items():
            if (
                whose == party
                and self.switched(name)
                and (name != "front_down" or what.startswith("front"))
            ):
                return WorldFault(kind)
        return (
            WorldFault("ignored")
            if party == "action"
            and self.switched("shutdown_ignored")
            and what.startswith("shutdown")
            else None
        )

    def _by_chance(self, party: str) -> WorldFault | None:
        rates = self.rates.get(party)
        if not rates:
            return None
        dice = self._dice.setdefault(party, dice_of(f"{self.seed} {party}"))
        for kind, chance in rates.items():
            if dice.random() < chance:
                return WorldFault(
                    kind,
                    seconds=dice.uniform(1, 20),
                    commands=dice.randint(0, 6),
                    share=dice.random(),
                )
        return None
