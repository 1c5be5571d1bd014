"""A bot that only observes: every way out of the process lets reading through, and nothing else."""

import ast
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.app import oncall_of
from bot.clusters import Adapters, bucket_of, connect, guarded, people_of
from services.cloud import config_scripts, node_scripts, update_scripts
from services.cloud.clients import read_only
from services.cloud.clients.digitalocean import DigitalOceanWrites
from services.cloud.clients.http import HttpClient, Reply
from services.cloud.clients.oncall import OnCallPage, Webhook
from services.cloud.clients.read_only import WAYS_OUT, ReadingBucket, Way
from services.cloud.clients.s3 import make_client
from services.cloud.clients.ssh import Host, Output
from services.cloud.secrets_bucket import ObjectStore
from services.common.errors import ObservesOnly, Refused
from tests.support import virtual
from tests.support.outside import listen
from tests.support.scene import ROOT, Scene

OURS = ("bot", "config", "handlers", "services")
# What can reach another machine, or be told to.
NETWORK = frozenset(
    {
        *("aiohttp", "asyncssh", "azure", "boto3", "botocore", "ftplib", "grpc", "http", "httpx"),
        *("imaplib", "paramiko", "poplib", "pydo", "redis", "requests", "slack_bolt", "slack_sdk"),
        *("smtplib", "socket", "socketserver", "subprocess", "telnetlib", "urllib3", "websockets"),
        "xmlrpc",
    }
)
# Only texts of addresses, types of errors, names of hosts, or git.
HARMLESS = frozenset({"urllib.parse"})
CALLS = frozenset({"open_connection", "create_connection", "create_datagram_endpoint"})


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in OURS:
        for file in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), ast.parse(file.read_text())


def reaches_out(tree: ast.Module) -> bool:
    """Whether a module imports what reaches another machine at run time."""
    for node in ast.walk(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                node.body = []
            case ast.Import(names=names):
                if any(_network(alias.name) for alias in names):
                    return True
            case ast.ImportFrom(module=str(module), level=0) if _network(module):
                return True
            case ast.Attribute(attr=attr) if attr in CALLS:
                return True
    return False


def _network(module: str) -> bool:
    urls = module.startswith("urllib") and module not in HARMLESS
    return module.partition(".")[0] in NETWORK or urls


# Ways that leave nothing: names of errors and of this host, types, and programs of this machine.
WITHOUT_A_WAY = {
    "bot.doctor.fixes": "asks Slack to join a channel, with --fix alone",
    "bot.logs": "quiets a library's log",
    "services.cloud.clients.read_only": "holds the guards",
    "services.common.causes": "names errors",
}


def test_every_module_that_can_reach_out_is_in_the_registry() -> None:
    found = {name for name, tree in modules() if reaches_out(tree)}
    unknown = found - WAYS_OUT.keys() - WITHOUT_A_WAY.keys()
    assert unknown == set(), "guard it, then name it in services/cloud/clients/read_only.py"


def test_the_registry_names_modules_that_are_there() -> None:
    assert {*WAYS_OUT} <= {name for name, _ in modules()}
    assert {*WAYS_OUT.values()} == {*Way}, "each way out has its module"


def test_a_client_that_is_added_is_found() -> None:
    for line in (
        "import smtplib",
        "from urllib.request import urlopen",
        "import asyncio\nasyncio.open_connection('a', 1)",
        "def f():\n    import requests",
    ):
        assert reaches_out(ast.parse(line))
    assert not reaches_out(ast.parse("from urllib.parse import urlsplit"))


# Each way, with what writes


@asynccontextmanager
async def observing(**more: Any) -> AsyncIterator[Scene]:
    settings = {"mode": "observe", **more}
    async with Scene(settings=settings, media=1, start=False, pydo=True) as scene:
        yield scene


async def refused(work: Callable[[], Awaitable[object]]) -> ObservesOnly:
    with pytest.raises(ObservesOnly) as raised:
        await work()
    assert "mode: observe" in str(raised.value)
    assert isinstance(raised.value, Refused), "what is refused is not tried again"
    return raised.value


WRITES = [
    name
    for name, method in inspect.getmembers(DigitalOceanWrites, inspect.iscoroutinefunction)
    if not name.startswith("_")
]
SAMPLES: dict[str, Any] = {
    "droplet_id": 1, "kind": "shutdown", "pool_id": "p", "body": {}, "namespace": "n",
    "name": "t", "enabled": True, "snapshot_id": "s",
}  # fmt: skip


def test_digitalocean_gets_nothing_but_get() -> None:
    async def story() -> None:
        async with observing() as scene:
            outside = listen(scene.environment)
            bot = await scene.start_bot()
            writes = bot.accounts[0].api.writes(lambda: None)
            for name in WRITES:
                method = getattr(writes, name)
                named = inspect.signature(method).parameters
                given = {
                    n: SAMPLES[n]
                    for n, p in named.items()
                    if p.kind is not inspect.Parameter.VAR_KEYWORD
                }
                await refused(partial(method, **given))
            assert outside.writes == {}
            await bot.accounts[0].api.droplets()
            assert outside.seen["digitalocean GET"] > 0

    assert len(WRITES) >= 7
    virtual.run(story())


def test_nodes_run_what_reads_and_no_connection_is_opened_for_anything_else() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.ran: list[str] = []

        async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output:
            self.ran.append(command)
            return Output(0, "ok")

    scripts = [
        *(v for n, v in vars(node_scripts).items() if n.isupper() and isinstance(v, str)),
        *(v for n, v in vars(update_scripts).items() if n in ("INSTALLED", "START")),
        update_scripts.fetch("3.7.0"),
        update_scripts.update("3.6.1", "3.7.0"),
        update_scripts.restore("3.6.1", "3.7.0"),
        *config_scripts.READING,
        config_scripts.write("c1", "cluster/openvidu.env", "d1", "d2"),
        config_scripts.restore("c1", "cluster/openvidu.env", "d1", "d2"),
        config_scripts.forget("c1"),
        node_scripts.drain("2026-11-25T20:00:00Z", "signal", ["openvidu"]),
        node_scripts.drain("2026-11-25T20:00:00Z", "script", ["openvidu"], 1),
        node_scripts.LOOK + "\nreboot",
        "",
    ]

    async def story() -> None:
        async with observing() as scene:
            shell = Recorder()
            ways = _ways(scene, shell=lambda *_: shell)
            (guard,) = connect(scene.settings, ways, SimpleNamespace()).shells
            host = Host(1, "127.0.0.1")
            for script in scripts:
                if script in node_scripts.READING:
                    await guard.run(host, script, timeout=5)
                else:
                    await refused(partial(guard.run, host, script, timeout=5))
            await refused(lambda: guard.run(host, node_scripts.LOOK, stdin="x", timeout=5))
            assert {*shell.ran} == {*node_scripts.READING}

    virtual.run(story())


def _ways(scene: Scene, **more: Any) -> Adapters:
    return Adapters(clock=scene.clock, store=scene.store, http=_Recorder(), **more)


class _Recorder(HttpClient):
    """Sends nothing, and notes what would have been sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def trusting(self, ca_file: str | None, setting: str) -> HttpClient:
        return self

    async def get(self, url: str, **_: Any) -> Reply:
        self.sent.append(f"GET {url}")
        return Reply(200, b"{}")

    async def post(self, url: str, json: object, **_: Any) -> Reply:
        self.sent.append(f"POST {url}")
        return Reply(200, b"{}")


def test_http_reads_pages_and_livekits_lists() -> None:
    async def story() -> None:
        async with observing() as scene:
            ways = _ways(scene)
            http = guarded(scene.settings, ways).http
            assert isinstance(ways.http, _Recorder)
            await refused(lambda: http.post("https://events.pagerduty.com/v2/enqueue", {}))
            await refused(lambda: http.trusting(None, "x").post("https://m.example.com/a", {}))
            for call in (
                "RoomService/DeleteRoom",
                "RoomService/SendData",
                "RoomService/ListRooms/x",
                "Egress/StopEgress",
            ):
                url = f"https://meet.example.com/twirp/livekit.{call}"
                await refused(partial(http.post, url, {}))
            await refused(lambda: http._send("PUT", "https://m.example.com/", None, None, 1.0))
            assert ways.http.sent == []
            cluster = scene.settings.clusters["acme"]
            livekit = people_of(cluster, guarded(scene.settings, ways), http)
            assert livekit is not None
            await livekit.load()
            assert len(ways.http.sent) == 3
            await http.get("https://meet.example.com/")
            assert len(ways.http.sent) == 4

    virtual.run(story())


class _Bucket:
    """Every method of a bucket; notes which were called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*_: object, **__: object) -> tuple[()]:
            self.called.append(name)
            return ()

        return call


BUCKET_READS = {"get", "get_if_changed", "head", "list"}


def test_a_bucket_is_read_only() -> None:
    methods = [n for n, _ in inspect.getmembers(ObjectStore, inspect.isfunction) if n[0] != "_"]

    async def story() -> None:
        async with observing() as scene:
            inside = _Bucket()
            ways = guarded(scene.settings, _ways(scene, bucket=lambda _: inside))
            bucket = bucket_of(scene.settings.clusters["acme"], ways)
            assert isinstance(bucket, ReadingBucket)
            for name in methods:
                method = getattr(bucket, name)
                required = [
                    "x"
                    for p in inspect.signature(method).parameters.values()
                    if p.default is inspect.Parameter.empty
                ]
                if name in BUCKET_READS:
                    await method(*required)
                else:
                    await refused(partial(method, *required))
            assert {*inside.called} == BUCKET_READS

    virtual.run(story())


def test_the_client_of_a_bucket_refuses_every_other_method_of_http() -> None:
    client = make_client(
        "http://127.0.0.1:9", ("key", "secret"), "us-east-1", None, 1, reads_only=True
    )
    where = {"Bucket": "acme", "Key": "secrets.env"}
    with pytest.raises(ObservesOnly, match=r"PUT /acme/secrets\.env"):
        client.put_object(**where, Body=b"x")
    with pytest.raises(ObservesOnly, match="DELETE"):
        client.delete_object(**where)
    with pytest.raises(ObservesOnly, match="POST"):
        client.delete_objects(Bucket="acme", Delete={"Objects": [{"Key": "a"}]})
    with pytest.raises(ObservesOnly, match="PUT"):
        client.copy_object(**where, CopySource="acme/other")


def test_on_call_is_not_called_and_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with observing(oncall={"kind": "pagerduty"}) as scene:
            oncall = scene.settings.oncall
            assert oncall is not None
            known = oncall.model_copy(update={"oncall_secret": _Secret()})
            settings = scene.settings.model_copy(update={"oncall": known})
            ways = _ways(scene)
            pager = oncall_of(settings, guarded(settings, ways))
            assert pager is not None
            await pager.send(OnCallPage("trigger", "acme/1", "acme", "acme is late", "error", 1.0))
            assert isinstance(ways.http, _Recorder)
            assert ways.http.sent == []
            # Also a webhook that someone makes by hand stands behind the wall.
            hook = Webhook("pagerduty", "k", guarded(settings, ways).http, scene.clock)
            page = OnCallPage("trigger", "acme/1", "acme", "acme is late", "error", 1.0)
            await refused(lambda: hook.send(page))
            assert ways.http.sent == []

    with caplog.at_level("WARNING", logger=read_only.__name__):
        virtual.run(story())
    assert "on-call (pagerduty) is not called, because this bot only observes" in caplog.text


class _Secret:
    def get_secret_value(self) -> str:
        return "k"


def test_a_bot_that_operates_has_no_guard() -> None:
    async def story() -> None:
        async with Scene(media=1, start=False) as scene:
            ways = _ways(scene)
            assert guarded(scene.settings, ways) is ways

    virtual.run(story())


def test_the_settings_are_the_one_switch() -> None:
    """Nothing but `guarded` and the composition root decides on the mode."""
    reading = {
        *("bot/clusters.py", "bot/app.py", "bot/serve.py", "bot/terminal/local.py"),
        "bot/probe/command.py",  # no client of the bot: it asks before it creates
    }
    found = {
        str(file.relative_to(ROOT))
        for package in ("bot",)
        for file in Path(ROOT / package).rglob("*.py")
        if "settings.observes" in file.read_text()
    }
    assert found <= reading | {f for f in found if f.startswith("bot/doctor/")}
