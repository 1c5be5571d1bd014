"""The simulated world of the demo: one cluster, a small team, and the settings for a bot."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import asyncssh
import yaml

import config
from handlers.commands.parser import COMMANDS
from simulators.clock import ScaledClock
from simulators.cloud import SimulatedCluster, SimulatedDroplet, variables_text
from simulators.cloud.model import SimulatedVolume
from simulators.dice import dice_of
from simulators.environment import Addresses, SimulatedEnvironment
from simulators.github import TOKEN as GITHUB_TOKEN
from simulators.slack.screen import is_offered
from simulators.slack.server import SlackServer
from simulators.slack.workspace import SlackWorkspace
from simulators.wire import WireCall

Json = dict[str, Any]
STACK = "acme"
SECOND = "beta"  # a small cluster beside it, where several are to be tried
LABEL = "production"  # of both
# Where the simulated GitHub has the Terraform variables of acme.
REPOSITORY, VARIABLES = "acme/infrastructure", "acme/terraform.tfvars"
ZONE = "Europe/Madrid"
PEOPLE = {
    "UANA": ("ana", "Ana Ruiz"),
    "UBEN": ("ben", "Ben Okafor"),
    "UCARLA": ("carla", "Carla Silva"),
    "UDORA": ("dora", "Dora Weiss"),
}
# What each choice of `--kind` builds; a media fleet for the other ones.
DEPLOYMENTS: Mapping[str, Json] = {
    "elastic": {"deployment": "elastic"},
    "single": {"deployment": "single node"},
}
OPERATORS = ["UANA", "UBEN", "UCARLA"]
OPS, GENERAL = "COPS", "CGENERAL"
MEETING_MINUTES = (2.0, 4.5)  # short, so that a drain ends while the user watches
TEAMS = ((5, 1), (6, 0), (3, 0))  # people, recordings
CLOSES_SOON = "Keep running"  # a button of the notice that acme closes soon
FAST = 60.0  # simulated seconds per second: an hour a minute
STAY_HOME = 45 * 60.0  # from such a notice until acme is closed
SHUTDOWN = '/openvidu shutdown --reason "power work in ams3"'
GUIDE: list[Json] = [
    {
        "part": "Shut down and start again",
        "text": "Request a shutdown",
        "as": "UANA",
        "fill": SHUTDOWN,
        "done": {"offered": "Approve"},
    },
    {
        "text": "Become Ben: Ana cannot approve her own request",
        "as": "UBEN",
        "done": {"acting_as": "UBEN", "by": "UBEN"},
    },
    {
        "text": "Press *Approve shutdown*",
        "as": "UBEN",
        "press": ["Approve shutdown"],
        "done": [{"pressed": "Approve", "by": "UBEN"}, {"fact": "draining"}],
    },
    {"text": "Watch the drain: running meetings finish first", "done": {"fact": "drained"}},
    {"text": "Watch acme shut down", "done": {"fact": "down", "offered": "Start up"}},
    {
        "text": "Press *Start up acme*, then *Start up* below its plan",
        "press": ["Start up", "Start up acme"],
        "done": {"fact": "starting"},
    },
    {
        "text": "Watch acme come back into service",
        "done": {"fact": "in service", "said": "acme is back in service"},
    },
    {
        "part": "Look around",
        "text": "Open App Home",
        "open": "home",
        "done": {"opened": "home"},
    },
    {
        "text": "Type `/openvidu` alone to see what you can do",
        "fill": "/openvidu",
        "done": {"typed": "/openvidu", "exactly": True},
    },
    {
        "part": "A night on schedule",
        "text": "Be Ana, and let acme close by itself tonight",
        "as": "UANA",
        "done": {"offered": "Approve", "about": "nights"},
    },
    {
        "text": "Be Ben, and press *Approve window*: once, for every night",
        "as": "UBEN",
        "press": ["Approve window"],
        "done": [
            {"pressed": "Approve window", "by": "UBEN", "fresh": True},
            {"offered": CLOSES_SOON},
        ],
    },
    {
        "text": "Wait for the notice: acme closes in 30 min",
        "done": [{"offered": CLOSES_SOON}, {"fact": "down"}],
    },
    {
        "text": "Press *Keep running 1 h* below the notice",
        "press": ["Keep running 1 h"],
        # A user who is late sees it close earlier.
        "done": [{"pressed": CLOSES_SOON}, {"fact": "down"}],
    },
    {
        "text": "See what comes next",
        "fill": "/openvidu window forecast 2d",
        "done": {"typed": "/openvidu window forecast"},
    },
    {
        "text": "Press *An hour a minute* in the panel of the cloud",
        "panel": "fast",
        "done": {"fact": "fast"},
    },
    {"text": "Watch it close an hour later", "done": {"fact": "down"}},
    {"text": "Watch it open again in time", "done": {"fact": "in service"}},
    {"text": "See what that saved", "fill": "/openvidu cost", "done": {"typed": "/openvidu cost"}},
    {
        "text": "See what costs money without use, and delete it",
        "fill": "/openvidu cost waste",
        "done": {"typed": "/openvidu cost waste"},
    },
    {
        "text": "See which promises were kept",
        "fill": "/openvidu slo",
        "done": {"typed": "/openvidu slo"},
    },
]
# Seconds since the volume was used.
LEFT_FOR = 40 * 86400.0
DETOUR: Json = {
    "said": f"{STACK} needs a decision",
    "text": "The bot asks what to do: answer below its question",
}
WELCOME = (
    "*A real bot in a pretend world.* Slack, DigitalOcean and the OpenVidu cluster on this page "
    "are simulated; the bot is the one that you would run. Nothing leaves this machine, and "
    "nothing stays.",
    "Begin with the strip above, *Request a shutdown*, or type `/openvidu` below. "
    "You are Ana; the names at the top make you someone else.",
)
WELCOME_WITHOUT_BOT = (
    "*A pretend Slack, and no bot yet.* The terminal that started this world says how to connect "
    "one. Then type `/openvidu status` below.",
)
WINDOW_STEP = next(n for n, step in enumerate(GUIDE) if "tonight" in step["text"])
# Seconds: its first notice comes soon, and closing an hour later leaves enough of the night.
CLOSES_IN, OPENS_AFTER = 36 * 60.0, 150 * 60.0


class SidePanel(Protocol):
    """The panel beside the chat: what it shows, and its buttons."""

    @property
    def actions(self) -> Sequence[Json]: ...
    def starting(self) -> str: ...
    def picture(self) -> Json: ...
    async def act(self, action: str, args: Json) -> str: ...


class DemoWorld:
    """Cloud, nodes and Slack in one process.

    `folder` holds the SSH key, the settings and the bot's state; `kind` is a deployment or a kind
    of media fleet (`demo --kind`); `second`: with a small cluster beside it, both with one label;
    `more` are further settings.
    """

    def __init__(
        self,
        folder: Path,
        clock: ScaledClock,
        *,
        seed: int = 0,
        media: int = 3,
        redis_url: str = "",
        kind: str = "pool",
        second: bool = False,
        **more: Any,
    ) -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        folder.mkdir(exist_ok=True)
        self.folder, self.clock = folder, clock
        self._redis_url, self._more = redis_url, more
        self.key_file = folder / "id_ed25519"
        key.write_private_key(str(self.key_file))
        self.key_file.chmod(0o600)
        self.environment = SimulatedEnvironment(
            clock,
            seed,
            authorized_key=key.export_public_key().decode(),
            on_call=self._record,
        )
        self.estate = self.environment.estate
        built = DEPLOYMENTS.get(kind, {"kind": kind})
        self.cluster = self.environment.build_cluster(STACK, media=media, **built)
        self._leave_a_volume()
        self.environment.github.create(REPOSITORY, {VARIABLES: variables_text(self.estate, STACK)})
        self.second: SimulatedCluster | None = None
        if second:
            self.second = self.environment.build_cluster(SECOND, media=1)
        self.guide = [dict(step) for step in GUIDE]

    def _leave_a_volume(self) -> None:
        """Leave a volume of an earlier experiment: `cost waste` finds it."""
        estate = self.environment.estate
        left = SimulatedVolume(
            estate.uuid(), f"{STACK}-load-test", 200, "ams3", estate.now - LEFT_FOR
        )
        estate.storage.volumes[left.id] = left

    async def start(self, port: int = 0, page: SidePanel | None = None) -> None:
        """Start all servers and write the settings."""
        manifest = yaml.safe_load(
            Path(config.__file__).with_name("slack-manifest.yaml").read_text("utf-8")
        )
        panel: dict[str, Any] = {"welcome": WELCOME_WITHOUT_BOT}
        if page is not None:
            panel = {
                "welcome": WELCOME,
                "completions": _completions(manifest),
                "guide": self.guide,
                "guide_detour": DETOUR,
                "guide_facts": self.facts,
                "starting": page.starting,
                "panel_state": page.picture,
                "panel_act": page.act,
                "panel_actions": page.actions,
            }
        self.slack = SlackServer(_workspace(self.clock), manifest, self.clock, port=port, **panel)
        await self.slack.start()
        self.addresses = await self.environment.start()
        self.settings_file.write_text(
            yaml.safe_dump({**self._settings(self.addresses), **self._more}), "utf-8"
        )

    async def stop(self) -> None:
        """Stop all servers."""
        await self.environment.stop()
        await self.slack.stop()

    def facts(self) -> frozenset[str]:
        """Return what is true of the cluster now, for the guide.

        What comes later in a shutdown implies what comes before, so that no step is missed between
        two looks.
        """
        masters, media = self.estate.masters(STACK), self.estate.media(STACK)
        is_down = not any(m.on for m in masters)
        true = {
            "draining": is_down or not media or any(_is_draining(m) for m in media),
            "drained": is_down or all(_is_drained(m) for m in media),
            "down": is_down,
            "starting": not is_down,
            "in service": bool(self.estate.serving(STACK)),
            "fast": self.clock.speed >= FAST,
        }
        return frozenset(fact for fact, holds in true.items() if holds)

    def _record(self, call: WireCall) -> None:
        """Show a call to the simulated cloud under the hood, beside those to Slack."""
        self.slack.slack.journal.overhear(call)

    async def run_meetings(self) -> None:
        """Let three teams meet again and again, as soon as a node takes new meetings.

        The load stays the same, so that a plan is still valid when a colleague has read it. Once
        the bot announces that acme closes, they end their meetings and begin no others.
        """
        dice, free_at = dice_of("teams"), dict.fromkeys(TEAMS, 0.0)
        home_until, read = 0.0, -1
        while True:
            now = self.clock.now()
            if read != self.slack.workspace.revision:
                read = self.slack.workspace.revision
                if is_offered(self.slack.workspace, CLOSES_SOON):
                    home_until = now + STAY_HOME
            for (people, recordings), free in free_at.items():
                if now < max(free, home_until):
                    continue
                minutes = dice.uniform(*MEETING_MINUTES)
                if self.estate.open_meeting(people, minutes, recordings, cluster=STACK):
                    free_at[people, recordings] = now + minutes * 60
            self._offer_window(now)
            await self.clock.sleep(1)
            self.estate.settle()

    def _offer_window(self, now: float) -> None:
        """Let the guide's step add a window that closes soon."""
        command = _window_command(now)
        if self.cluster.kind in ("fixed", "co-located"):
            command += " --saves-nothing"
        self.guide[WINDOW_STEP]["fill"] = command

    # For the bot

    @property
    def settings_file(self) -> Path:
        """Return the bot's settings file."""
        return self.folder / "settings.yaml"

    def bot_command(self) -> list[str]:
        """Return the command that starts a bot with this world's clock."""
        clock = f"{self.clock.speed}:{self.clock.origin}:{self.clock.started}"
        # -P: a bot.py in the folder where the demo was started must not be imported.
        return [
            sys.executable,
            "-P",
            "-m",
            "bot",
            "serve",
            "--config",
            str(self.settings_file),
            "--clock",
            clock,
        ]

    def bot_environment(self) -> dict[str, str]:
        """Return this process's environment with the simulated secrets and without proxies.

        Everything is on loopback.
        """
        livekit = self.environment.livekit[STACK]
        inherited = {
            k: v
            for k, v in os.environ.items()
            if not k.lower().endswith("_proxy") and k not in ("REDIS_URL", "OPENVIDU_BOT_CONFIG")
        }
        root = str(Path(config.__file__).resolve().parent.parent)
        redis = {}
        if self._redis_url:
            redis["REDIS_URL"] = self._redis_url
        return (
            inherited
            | redis
            | {
                "PYTHONPATH": root,
                "SLACK_BOT_TOKEN": self.slack.bot_token,
                "SLACK_APP_TOKEN": self.slack.app_token,
                "SLACK_SIGNING_SECRET": self.slack.signing_secret,
                "DIGITALOCEAN_TOKEN": "dop_v1_sim",
                "SPACES_ACCESS_KEY_ID": "sim-spaces-key",
                "SPACES_SECRET_ACCESS_KEY": "sim-spaces-secret",
                "LIVEKIT_API_KEY": livekit.api_key,
                "LIVEKIT_API_SECRET": livekit.api_secret,
                "GITHUB_TOKEN": GITHUB_TOKEN,
            }
            | self._second_secrets()
        )

    def _second_secrets(self) -> dict[str, str]:
        if self.second is None:
            return {}
        livekit = self.environment.livekit[SECOND]
        return {
            "BETA_LIVEKIT_API_KEY": livekit.api_key,
            "BETA_LIVEKIT_API_SECRET": livekit.api_secret,
        }

    def health_url(self) -> str:
        """Return where masters show their health; "" where it is asked for on the node, by SSH."""
        if self.cluster.deployment != "high availability":
            return ""
        return f"http://{{address}}:{self.addresses.health_port}/health/caddy"

    def _settings(self, at: Addresses) -> Mapping[str, Any]:
        health = {"health_url": url} if (url := self.health_url()) else {}
        clusters = {STACK: {**self._cluster_settings(STACK, self.cluster, at), **health}}
        clusters[STACK]["terraform"] = {
            "repository": REPOSITORY,
            "path": VARIABLES,
            "api_url": at.github,
        }
        if self.second is not None:
            health = {"health_url": f"http://{{address}}:{at.health_port}/health/caddy"}
            names = ("livekit_api_key", "livekit_api_secret")
            clusters[SECOND] = {
                **self._cluster_settings(SECOND, self.second, at),
                **health,
                "secrets": {name: f"BETA_{name.upper()}" for name in names},
            }
            for settings in clusters.values():
                settings["labels"] = [LABEL]
        return {
            "clusters": clusters,
            "channels": {OPS: STACK},
            "slack": {"api_url": self.slack.api_url},
            "state": {"path": str(self.folder / "state.sqlite3")},
            "digitalocean": {"api_url": at.digitalocean},
            "health": {"port": 0},
        }

    def _cluster_settings(
        self, name: str, cluster: SimulatedCluster, at: Addresses
    ) -> dict[str, Any]:
        front = at.fronts[name]
        return {
            "stack": name,
            "region": cluster.region,
            "public_url": f"{front}/",
            "livekit_url": front,
            "ssh": {"port": at.ssh_port, "key_file": str(self.key_file)},
            "spaces": {"endpoint": at.spaces, "bucket": cluster.bucket},
            "roles": {"operators": OPERATORS},
            "channel": OPS,
            "timezone": ZONE,
            "meeting_messages": {"languages": ["en", "es"]},
            "people_per_node": 10,
        }


def _is_drained(media: SimulatedDroplet) -> bool:
    server = media.node.containers.get("openvidu")
    return server is not None and not server.running and media.node.installed


def _is_draining(media: SimulatedDroplet) -> bool:
    server = media.node.containers.get("openvidu")
    return server is not None and (server.draining or not server.running) and media.node.installed


def _window_command(now: float) -> str:
    """Return the command that adds a window which closes soon."""
    closes, opens = (
        datetime.fromtimestamp(now + s, ZoneInfo(ZONE))
        for s in (CLOSES_IN, CLOSES_IN + OPENS_AFTER)
    )
    return f"/openvidu window add nights daily {closes:%H:%M}-{opens:%H:%M} {ZONE}"


def _workspace(clock: ScaledClock) -> SlackWorkspace:
    # Slack's limits (triggers, rates) use real time: its users and clients are not faster here.
    place = SlackWorkspace(clock, steady=time.monotonic)
    for user, (name, real_name) in PEOPLE.items():
        place.add_user(user, name, real_name)
    place.add_channel(OPS, "ops", PEOPLE)
    place.add_channel(GENERAL, "general", PEOPLE)
    return place


def _completions(manifest: Json) -> list[Json]:
    (command,) = manifest["features"]["slash_commands"]
    return [
        {
            "text": f"{command['command']} {spoken.command}",
            "hint": spoken.usage().removeprefix(spoken.command).strip(),
            "about": spoken.summary(),
        }
        for spoken in COMMANDS
        if not spoken.hidden
    ]
