"""An account in the pretend world that `openvidu-bot probe` is run against, in virtual time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bot.clusters import ClusterAdapters
from bot.probe.command import ProbeChoice, ProbeCommand
from bot.probe.journal import JournalFile, journal_beside
from bot.probe.questions import chosen_questions
from bot.probe.session import PREFIX
from bot.rehearsal.in_process import InProcessBucket, InProcessHttp
from config.settings import load
from config.values import Settings
from services.common.clock import loop_clock
from services.common.errors import BotError
from services.memory.account_facts import read_facts
from services.store.sqlite import SqliteStore
from simulators.clock import LoopClock
from simulators.environment import SimulatedEnvironment
from tests.support.crash_injector import CrashInjector
from tests.support.pydo_transport import InProcessTransport
from tests.support.scene import ORIGIN

PROBE_TOKEN, TRIED_TOKEN = "dop_v1_probe", "dop_v1_tried"


class Killed(BaseException):
    """The process is gone: nothing it would do afterwards happens."""


@dataclass
class Gate:
    """Every request of one process. It is killed at one of them, before or after its effect."""

    at: int = 0
    after: bool = False
    count: int = 0
    dead: bool = False
    seen: list[str] = field(default_factory=list)

    def guards(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        """Return `handle` behind the gate."""

        def answer(method: str, path: str, *more: Any) -> Any:
            if self.dead:
                raise Killed
            self.count += 1
            self.seen.append(f"{method} {path}")
            if self.count == self.at:
                self.dead = True
                if self.after:
                    handle(method, path, *more)
                raise Killed
            return handle(method, path, *more)

        return answer


@dataclass(frozen=True)
class Probed:
    """How one call ended: exit code, what it printed, the answers by fact ("": not known)."""

    code: int | None
    text: str
    stored: Mapping[str, str]
    gate: Gate


class ProbedAccount:
    """One account with one cluster, and the machine that probes run on."""

    def __init__(self, folder: Path, **knobs: Any) -> None:
        self.environment = SimulatedEnvironment(LoopClock(ORIGIN))
        self.environment.build_cluster("acme", media=2)
        api = self.environment.digitalocean
        api.tokens |= {PROBE_TOKEN, TRIED_TOKEN}
        self.clock = loop_clock(ORIGIN)
        self.store = SqliteStore(None, self.clock, threaded=False)
        self.settings = self._settings(folder)
        self.before = self.state()
        for name, value in knobs.items():
            self._turn(name, value)

    def _turn(self, name: str, value: Any) -> None:
        """Set one knob of the pretend world."""
        environment = self.environment
        match name:
            case "removal_order":
                environment.estate.pool_scaler.removal_order = value
            case "conditions":
                environment.spaces.conditions = value
            case "trigger_scopes" | "triggers_need_function":
                setattr(environment.estate.functions, name, value)
            case "probe_scopes":
                environment.digitalocean.scopes_of[PROBE_TOKEN] = value
            case "tried_scopes":
                environment.digitalocean.scopes_of[TRIED_TOKEN] = value
            case "switch":
                environment.faults.switch(value, True)
            case _:
                assert hasattr(environment.estate, name), name
                setattr(environment.estate, name, value)

    def _settings(self, folder: Path) -> Settings:
        path = folder / "settings.yaml"
        cluster = {
            "stack": "acme",
            "region": "ams3",
            "public_url": "https://acme.example.com/",
            "spaces": {
                "endpoint": "https://ams3.digitaloceanspaces.com",
                "bucket": self.environment.estate.clusters["acme"].bucket,
            },
        }
        raw = {"clusters": {"acme": cluster}, "state": {"path": str(folder / "state.sqlite3")}}
        path.write_text(yaml.safe_dump(raw))
        return load(path, {"DIGITALOCEAN_TOKEN": "dop_v1_sim"})

    @property
    def journal(self) -> JournalFile:
        return journal_beside(self.settings.state.path)

    async def probe(
        self,
        *names: str,
        kill_at: int = 0,
        after: bool = False,
        bucket: str = "acme",
        tried: str = "",
        clean: bool = False,
        yes: bool = True,
        answers: Sequence[bool] = (),
        say: Callable[[str], None] | None = None,
    ) -> Probed:
        """Run the command once."""
        gate, said, replies = Gate(kill_at, after), list[str](), list(answers)
        town = self.environment
        choice = ProbeChoice(
            chosen_questions(names), PROBE_TOKEN, tried, "", bucket, yes=yes, clean=clean
        )
        handle, town.spaces.handle = town.spaces.handle, gate.guards(town.spaces.handle)  # type: ignore[method-assign]
        adapters = ClusterAdapters(
            self.clock,
            InProcessHttp(town),
            transport=InProcessTransport(gate.guards(town.digitalocean.handle)),
            bucket=lambda c: InProcessBucket(town, c.spaces.bucket, CrashInjector(None)),  # type: ignore[union-attr]
        )

        async def ask(_question: str) -> bool:
            return replies.pop(0)

        command = ProbeCommand(
            self.settings, choice, adapters, self.journal, say or said.append, ask, self.kept
        )
        code: int | None = None
        try:
            code = await command.run()
        except BotError as error:
            said.append(f"{error}.")
            code = 1
        except Killed:
            pass
        finally:
            town.spaces.handle = handle  # type: ignore[method-assign]
        owner = await read_facts(self.store, await self.owner())
        return Probed(code, "\n".join(said), {f.name: f.answer for f in owner.facts}, gate)

    def kept(self) -> "LastingStore":
        return LastingStore(self.store)

    async def owner(self) -> str:
        seed = self.environment.estate.seed % 65536
        return f"5df3e3004a17e242b7c20ca6c9fc25b701a4{seed:04x}"

    @property
    def cost(self) -> float:
        """What probes have cost by now, by the pretend world's own bill."""
        return self.environment.estate.billing.cost(PREFIX)

    def left(self) -> list[str]:
        """Everything of a probe that is there."""
        estate = self.environment.estate
        estate.settle()
        names = [d.name for d in estate.droplets.values()]
        names += [tag for d in estate.droplets.values() for tag in d.tags]
        names += [pool.name for pool in estate.pools.values()]
        names += [n.label for n in estate.functions.namespaces.values()]
        names += [
            key
            for bucket in self.environment.spaces.buckets.values()
            for key, versions in bucket.objects.items()
            if versions
        ]
        names += estate.tags
        return [name for name in names if PREFIX in name]

    def state(self) -> dict[str, Any]:
        """What is there beside probes."""
        estate = self.environment.estate
        estate.settle()
        bucket = self.environment.spaces.buckets[estate.clusters["acme"].bucket]
        return {
            "droplets": {d.id: (d.status, d.size, tuple(d.tags)) for d in estate.droplets.values()},
            "pools": {p.id: (p.target, str(p.template)) for p in estate.pools.values()},
            "namespaces": set(estate.functions.namespaces),
            "objects": {k: [v.body for v in vs] for k, vs in bucket.objects.items()},
            "tags": set(estate.tags),
        }


class LastingStore:
    """A store that the command may close, while the test still reads it."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def aclose(self) -> None:
        return None
