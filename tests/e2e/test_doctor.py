"""What the doctor reports for each fault of the simulated world, over real sockets, read-only."""

import argparse
import asyncio
import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncssh
import pytest
import redis.asyncio as redis
import yaml

from bot.demo.world import STACK, DemoWorld
from bot.doctor import addresses, calendars, checks, clocks, cloud, hours, nodes, slack, state
from bot.doctor.addresses import expiry
from bot.doctor.check import (
    Check,
    CheckFinding,
    CheckVerdict,
    attributed,
    examine,
    exit_code,
    fine,
    skipped,
    unknown,
    wrong,
)
from bot.doctor.context import DoctorContext, open_context
from bot.doctor.fixes import applied, channel_fixes, local_fixes, offered, secrets_file_fixes, tidy
from bot.doctor.names import ids_of_names
from bot.doctor.report import as_json, closing, line, report
from bot.options import given_files
from bot.settings_files import FoundFiles
from config.settings import load
from services.cluster.certificates import Certificate
from services.cluster.model import Fact
from services.common.clock import Clock
from services.common.errors import Forbidden
from services.store import Commit
from services.store.sqlite import SqliteStore
from simulators.cloud.catalog import REGIONS
from simulators.slack.faults import SlackFault
from tests.support import fork_server
from tests.support.certificates import make_certificate, tls_in_front
from tests.support.real_sockets import running_world
from tests.support.redis import running_redis
from tests.support.tools import redis_server

Change = Callable[[DemoWorld], object]


def clock_of(world: DemoWorld) -> Clock:
    return Clock(speed=world.clock.speed, origin=world.clock.origin, started=world.clock.started)


Part = Callable[[DoctorContext], Iterable[Check]]


async def look(
    world: DemoWorld,
    change: Callable[[DoctorContext], DoctorContext] = lambda context: context,
    env: dict[str, str] | None = None,
    parts: Sequence[Part] = (checks,),
) -> list[CheckFinding]:
    """What the doctor finds; `parts`: only those of it."""
    settings = load(world.settings_file, world.bot_environment() | (env or {}))
    async with open_context(settings, clock_of(world)) as context:
        return [
            finding
            async for finding in examine(
                [check for part in parts for check in part(change(context))]
            )
        ]


def edited(world: DemoWorld, **cluster: Any) -> None:
    settings = yaml.safe_load(world.settings_file.read_text())
    settings["clusters"][STACK] |= cluster
    world.settings_file.write_text(yaml.safe_dump(settings))


def of(found: list[CheckFinding], name: str) -> CheckFinding:
    (one,) = [f for f in found if f.name == name]
    return one


def others(found: list[CheckFinding], *names: str) -> None:
    """Everything else is as it should be."""
    strange = [
        f
        for f in found
        if f.verdict in (CheckVerdict.WRONG, CheckVerdict.UNKNOWN) and not f.name.startswith(names)
    ]
    assert strange == []


def test_a_read_only_token_is_enough_to_observe(tmp_path: Path) -> None:
    """What operating takes besides is named, as far as reading can tell."""

    async def story() -> None:
        async with running_world(tmp_path, 1.0, mode="observe") as world:
            world.environment.digitalocean.scopes = {
                *("droplet:read", "account:read", "regions:read", "sizes:read", "tag:read"),
                *("snapshot:read", "function:read"),
            }
            requests = len(world.estate.requests)
            found = await look(
                world, lambda context: dataclasses.replace(context, write_probe=True)
            )
            others(found)
            assert "a read-only token is enough" in of(found, "DigitalOcean: scopes").said
            operating = of(found, "DigitalOcean: to operate").said
            assert "missing for that: actions:read (power actions)" in operating
            assert "project:read (editing the media pool)" in operating
            assert "reading cannot show whether the token has droplet:update (power)" in operating
            writing = of(found, f"{STACK}: bucket: writing").said
            assert "the Spaces key needs readwrite" in writing
            assert {method for method, *_ in world.estate.requests[requests:]} == {"GET"}
            world.environment.digitalocean.scopes -= {"sizes:read"}
            found = await look(world, parts=(cloud.checks,))
            lacking = of(found, "DigitalOcean: scopes")
            assert lacking.verdict is CheckVerdict.WRONG
            assert "sizes:read" in lacking.remedy

    asyncio.run(story())


def test_a_world_in_order_is_found_in_order_and_left_as_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            objects, requests = bucket_of(world), len(world.estate.requests)
            found = await look(
                world, lambda context: dataclasses.replace(context, write_probe=True)
            )
            others(found)
            assert exit_code(found) == 0
            assert of(found, f"{STACK}: bucket: writing").verdict is CheckVerdict.FINE
            assert of(found, "DigitalOcean: droplet:delete").verdict is CheckVerdict.SKIPPED
            assert "3 media droplets now" in of(found, f"{STACK}: stack").said
            assert bucket_of(world) == objects
            assert {method for method, *_ in world.estate.requests[requests:]} == {"GET"}
            assert not (tmp_path / "state.sqlite3").exists()
            world.slack.slack.journal.assert_clean()

    asyncio.run(story())


WHAT_IS_SAID = {
    "elastic": {
        "stack": "Elastic: 1 master (1 on) in ams3, media pool acme-media-node-pool at 3, "
        "3 media droplets now",
        "health pages": "master answers 200, asked on the node itself",
        "reserved IP": "203.0.113.111 leads to the master",
        "public address": "answers",
    },
    "single": {
        "stack": "Single Node: one droplet (on) in ams3; the meetings run on it",
        "health pages": "node answers 200, asked on the node itself",
        "reserved IP": "203.0.113.111 leads to the node",
        "public address": "answers",
        "SSH to node: LiveKit": "in service",
        "secrets.env": "nodes can start with it",
    },
}


@pytest.mark.parametrize("kind", WHAT_IS_SAID)
def test_each_deployment_is_found_in_order(tmp_path: Path, kind: str) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0, kind=kind) as world:
            found = await look(world)
            others(found)
            for name, said in WHAT_IS_SAID[kind].items():
                finding = of(found, f"{STACK}: {name}")
                assert finding.verdict is CheckVerdict.FINE, finding
                assert said in finding.said
            # Each node once, although the only one is a master and a media node.
            ssh = [f.name for f in found if f.name.startswith(f"{STACK}: SSH to")]
            assert len(ssh) == len(set(ssh))
            world.estate.nodes.stop_unit(world.estate.masters(STACK)[0])
            found = await look(world, parts=(addresses.checks,))
            page = of(found, f"{STACK}: health pages")
            assert (page.verdict, page.said.split(" ", 1)[1]) == (
                CheckVerdict.WRONG,
                "does not answer 200",
            )
            assert "the reserved IP" not in page.said
            assert "reserved IP and DNS" in of(found, f"{STACK}: public address").remedy

    asyncio.run(story())


def bucket_of(world: DemoWorld) -> dict[str, Any]:
    bucket = world.environment.spaces.buckets[world.cluster.bucket]
    return {key: bucket.current(key) for key in bucket.objects if bucket.current(key) is not None}


def ailing(world: DemoWorld, fault: str) -> None:
    world.environment.faults.make_ill(world.estate.media(STACK)[0].name, fault)


def other_key(world: DemoWorld) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(world.folder / "other"))
    edited(world, ssh={"port": world.addresses.ssh_port, "key_file": "other"})


def public_key(world: DemoWorld) -> None:
    key = asyncssh.read_private_key(world.key_file)
    key.write_public_key(str(world.folder / "id.pub"))
    edited(world, ssh={"port": world.addresses.ssh_port, "key_file": "id.pub"})


def ics(*days: str) -> bytes:
    events = "".join(
        f"BEGIN:VEVENT\r\nUID:{d}\r\nDTSTART;VALUE=DATE:{d}\r\nSUMMARY:Navidad\r\nEND:VEVENT\r\n"
        for d in days
    )
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{events}END:VCALENDAR\r\n".encode()


def calendar(world: DemoWorld, content: bytes) -> None:
    (world.folder / "days.ics").write_bytes(content)
    edited(world, holidays="days.ics")


def spoilt(world: DemoWorld, begins: bytes, line: bytes) -> None:
    """Its secrets.env with other lines in the place of those that begin so."""
    bucket = world.cluster.bucket
    lines = (world.environment.spaces.read(bucket, "secrets.env") or b"").splitlines()
    data = b"".join((line if old.startswith(begins) else old) + b"\n" for old in lines)
    world.environment.spaces.write(bucket, "secrets.env", data)


def bot_scopes(world: DemoWorld) -> list[str]:
    scopes: list[str] = world.slack.slack.webapi.manifest["oauth_config"]["scopes"]["bot"]
    return scopes


WRONG: dict[str, tuple[Change, str, str, str]] = {
    "a Slack token of nobody": (
        lambda w: setattr(w.slack.slack.webapi, "bot_token", "xoxb-another"),
        "Slack: bot token", "invalid_auth", "put a valid token into SLACK_BOT_TOKEN",
    ),
    "an app token of nobody": (
        lambda w: setattr(w.slack.slack.webapi, "app_token", "xapp-another"), "Slack: socket",
        "invalid_auth", "SLACK_APP_TOKEN"
    ),
    "a Slack scope that was not granted": (
        lambda w: bot_scopes(w).remove("files:write"),
        "Slack: scopes", "lacks files:write", "openvidu-bot manifest",
    ),
    "a channel without the bot": (
        lambda w: w.slack.workspace.channels["COPS"].members.remove(w.slack.workspace.bot.id),
        "Slack: channel COPS", "the bot is not a member of #ops", "/invite @openvidu",
    ),
    "an operator who has left": (
        lambda w: setattr(w.slack.workspace.users["UBEN"], "deleted", True), "Slack: UBEN",
        "deactivated", "remove this id"
    ),
    "a DigitalOcean token of nobody": (lambda w: w.environment.digitalocean.tokens.clear(),
        "DigitalOcean: token", "401", "DIGITALOCEAN_TOKEN"),
    "a DigitalOcean scope that is missing": (
        lambda w: setattr(w.environment.digitalocean, "scopes", {"droplet:read", "account:read"}),
        "DigitalOcean: scopes", "sizes:read (prices and resizing)", "sizes:read",
    ),
    "a stack of another name": (lambda w: edited(w, stack="amce"), f"{STACK}: stack",
        "no droplet of a stack named amce", "did you mean acme?"),
    "an SSH key of nobody": (other_key, f"{STACK}: SSH to master-1", "the ssh key was refused",
        "<STACK>-ssh-key"),
    "a bucket of another": (
        lambda w: edited(w, spaces={"endpoint": w.addresses.spaces, "bucket": "another-bucket"}),
        f"{STACK}: bucket", "secrets.env", "cluster-data bucket",
    ),
    "docker that is down": (
        lambda w: ailing(w, "docker-down"), f"{STACK}: SSH to media-1: docker",
        "Cannot connect to the Docker daemon", "dockerd runs"
    ),
    "a user without the group docker": (
        lambda w: ailing(w, "unprivileged"), f"{STACK}: SSH to media-1: docker",
        "permission denied", "ssh.user to root"
    ),
    "a user who may restart nothing": (
        lambda w: ailing(w, "unprivileged"), f"{STACK}: SSH to media-1: rights", "is not root",
        "ssh.user to root"
    ),
    "a /run that cannot be written": (
        lambda w: ailing(w, "run-denied"), f"{STACK}: SSH to media-1: /run", "cannot be drained",
        "ssh.user to root"
    ),
    "an agent that does not hear the signal": (
        lambda w: w.estate.containers.set_agents(w.estate.media(STACK)[0], captions="deaf"),
        f"{STACK}: SSH to media-1: agent-captions", "it ignores SIGQUIT", "like SIGTERM",
    ),
    "witnesses that contradict each other": (
        lambda w: ailing(w, "docker-empty"), f"{STACK}: SSH to media-1: LiveKit",
        "LiveKit still answers 200", "which media server"
    ),
    "a line of secrets.env that would run": (
        lambda w: spoilt(w, b"DASHBOARD_ADMIN_USERNAME=", b"DASHBOARD_ADMIN_USERNAME=x|;e id #"),
        f"{STACK}: secrets.env",
        "line 11, DASHBOARD_ADMIN_USERNAME: what follows its pipe character "
        "would run as a command",
        "config set DASHBOARD_ADMIN_USERNAME",
    ),
    "an emptied secrets.env": (
        lambda w: spoilt(w, b"", b""), f"{STACK}: secrets.env",
        "it is empty: none of its keys exists", "config rollback",
    ),
    "a health page at another address": (
        lambda w: edited(w, health_url="http://{address}:1/health/caddy"),
        f"{STACK}: health pages", "do not answer 200: connection refused", "port 7880",
    ),
}  # fmt: skip


@pytest.mark.sampled(4)
@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_named_with_its_remedy(tmp_path: Path, what: str) -> None:
    change, name, said, remedy = WRONG[what]

    async def story() -> None:
        async with running_world(tmp_path, 1.0, media=1) as world:
            change(world)
            found = await look(world)
            finding = of(found, name)
            assert finding.verdict is CheckVerdict.WRONG, finding
            assert said in finding.said
            assert remedy in finding.remedy
            assert exit_code(found) == 1
            assert [f for f in found if f.verdict is CheckVerdict.FINE], "the others go on"

    asyncio.run(story())


WRONG_IN_PART: dict[str, tuple[Change, Part, str, str, str]] = {
    "a region that there is not": (
        lambda w: edited(w, region="ams9"),
        cloud.checks, f"{STACK}: region", "DigitalOcean has no region ams9",
        f"set clusters.{STACK}.region to",
    ),
    "another region than the droplets'": (
        lambda w: edited(w, region=next(r for r in REGIONS if r != w.cluster.region)),
        cloud.checks, f"{STACK}: region", "its droplets are in", "region to",
    ),
    "a public key for a private one": (public_key, nodes.checks, f"{STACK}: SSH key",
        "a public key", "without .pub"),
    "a window without an end": (
        lambda w: edited(w, windows=["nights daily 20:00-07:30", "noon Mon 12"]),
        hours.checks, f"{STACK}: windows", "“noon Mon 12”: ", "syntax: ",
    ),
    "a calendar that is none": (
        lambda w: calendar(w, b"holidays of Spain"),
        calendars.checks, f"{STACK}: holidays", "days.ics: ", "download the file again",
    ),
    "a calendar of last year": (
        lambda w: calendar(w, ics("20100101")),
        calendars.checks, f"{STACK}: holidays", "days.ics has no day off ahead",
        "calendar of the coming year",
    ),
    "a plain address of a port with TLS": (
        lambda w: edited(w, public_url=w.addresses.fronts[STACK].replace("http://", "https://")),
        addresses.checks, f"{STACK}: public address",
        "TLS mismatch: that port answers without TLS", "scheme or port",
    ),
}  # fmt: skip


@pytest.mark.sampled(3)
@pytest.mark.parametrize("what", WRONG_IN_PART)
def test_what_is_wrong_in_the_settings_is_named_with_its_remedy(tmp_path: Path, what: str) -> None:
    change, part, name, said, remedy = WRONG_IN_PART[what]

    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            change(world)
            finding = of(await look(world, parts=[part]), name)
            assert finding.verdict is CheckVerdict.WRONG, finding
            assert said in finding.said
            assert remedy in finding.remedy

    asyncio.run(story())


def test_a_host_that_is_another_is_told_of_with_both_fingerprints(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            master = world.estate.masters(STACK)[0]
            key = " ".join(
                asyncssh.generate_private_key("ssh-ed25519")
                .export_public_key()
                .decode()
                .split()[:2]
            )
            store = SqliteStore(tmp_path / "state.sqlite3", clock_of(world))
            await store.commit(Commit(puts={f"hostkey:{master.id}": key}))
            # A bot may hold the file meanwhile: it is only read.
            found = await look(world)
            await store.aclose()
            finding = of(found, f"{STACK}: SSH to master-1")
            assert finding.verdict is CheckVerdict.WRONG
            assert finding.said.count("SHA256:") == 2
            assert "if you rebuilt that droplet" in finding.remedy
            others(found, f"{STACK}: SSH to master-1")

    asyncio.run(story())


def test_a_host_whose_kind_of_key_has_gone_is_an_alarm_with_both_fingerprints(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            master = world.estate.masters(STACK)[0]
            key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
            store = SqliteStore(tmp_path / "state.sqlite3", clock_of(world))
            await store.commit(
                Commit(
                    puts={
                        f"hostkey:{master.id}": " ".join(
                            key.export_public_key().decode().split()[:2]
                        )
                    }
                )
            )
            await store.aclose()
            assert world.environment.ssh is not None
            theirs = world.environment.ssh.host_key(master.id).get_fingerprint()
            finding = of(await look(world, parts=[nodes.checks]), f"{STACK}: SSH to master-1")
            assert finding.verdict is CheckVerdict.WRONG
            assert (
                f"changed: pinned ecdsa {key.get_fingerprint()}, offers ed25519 {theirs}"
                in finding.said
            )
            assert "which server answers there" in finding.remedy

    asyncio.run(story())


def test_what_is_offered_and_what_is_planned_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            now = world.clock.now()
            days = [f"{datetime.fromtimestamp(now + n * 86400, UTC):%Y%m%d}" for n in (30, 31, 60)]
            calendar(world, ics("20100101", *days))
            edited(world, windows=["nights daily 20:00-07:30"])
            found = await look(world)
            others(found)
            master = world.estate.masters(STACK)[0]
            assert world.environment.ssh is not None
            shown = world.environment.ssh.host_key(master.id).get_fingerprint()
            assert f"it offers ed25519 {shown}" in of(found, f"{STACK}: SSH to master-1").said
            holidays = of(found, f"{STACK}: holidays").said
            assert holidays.startswith("days.ics: 3 days off ahead; the next is ")
            assert holidays.endswith(" (Navidad)")
            assert of(found, f"{STACK}: windows").said == "1 window: nights (daily, Europe/Madrid)"
            assert (
                of(found, f"{STACK}: region").said == f"every droplet is in {world.cluster.region}"
            )
            assert "holds a private key (ed25519 SHA256:" in of(found, f"{STACK}: SSH key").said
            certificate = of(found, f"{STACK}: certificate")
            assert certificate.said == "none: plain http on this machine"
            assert certificate.notable

    asyncio.run(story())


# TLS


def test_a_cluster_with_a_certificate_of_its_own_is_operated_with_its_file(tmp_path: Path) -> None:
    """Without the file every address is reported with its cause, not the load balancer."""

    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            made = make_certificate(
                tmp_path,
                "selfsigned",
                (urlsplit(world.addresses.fronts[STACK]).hostname or "", "meet.example.com"),
            )
            async with tls_in_front(world.addresses.fronts[STACK], made) as front:
                edited(world, public_url=f"{front}/", livekit_url=front)
                found = await look(world, parts=[addresses.checks])
                for name in ("public address", "certificate"):
                    finding = of(found, f"{STACK}: {name}")
                    assert finding.verdict is CheckVerdict.WRONG
                    assert "certificate not trusted (self-signed certificate)" in finding.said
                    assert f"clusters.{STACK}.ca_file" in finding.remedy
                livekit = of(found, f"{STACK}: LiveKit")
                assert "certificate not trusted (self-signed certificate)" in livekit.said
                assert f"clusters.{STACK}.ca_file" in livekit.remedy
                others(
                    found, f"{STACK}: public address", f"{STACK}: certificate", f"{STACK}: LiveKit"
                )

                edited(world, ca_file="selfsigned.pem")
                found = await look(world, parts=[addresses.checks])
                others(found)
                assert of(found, f"{STACK}: public address").verdict is CheckVerdict.FINE
                assert "accepted; it ends 20" in of(found, f"{STACK}: certificate").said
                settings = load(world.settings_file, world.bot_environment())
                async with open_context(settings, clock_of(world)) as context:
                    cluster = await context.targets[0].world.observe(
                        frozenset({Fact.FRONT, Fact.LOAD, Fact.HEALTH})
                    )
                assert cluster.front is True
                assert cluster.load is not None
                assert all(m.healthy for m in cluster.masters)

    asyncio.run(story())


def test_the_cloud_behind_a_certificate_of_ones_own(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            made = make_certificate(tmp_path, "cloud")
            async with tls_in_front(world.addresses.digitalocean, made) as api:
                settings = yaml.safe_load(world.settings_file.read_text())
                settings["digitalocean"] = {"api_url": api}
                world.settings_file.write_text(yaml.safe_dump(settings))
                parts = [cloud.checks, clocks.checks]
                found = await look(world, parts=parts)
                for name in ("DigitalOcean: token", "clock: against DigitalOcean"):
                    finding = of(found, name)
                    assert finding.verdict is CheckVerdict.UNKNOWN
                    assert "certificate not trusted (self-signed certificate)" in finding.said
                    assert "digitalocean.ca_file" in finding.remedy
                settings["digitalocean"] |= {"ca_file": str(made.pem)}
                world.settings_file.write_text(yaml.safe_dump(settings))
                others(await look(world, parts=parts))

    asyncio.run(story())


@pytest.mark.parametrize(
    ("lives", "left", "closed", "verdict", "said"),
    [
        (90, 61, 0, CheckVerdict.FINE, "in 61 days"),
        (90, 13, 0, CheckVerdict.WRONG, "in 13 days, and was not renewed"),
        (160 / 24, 4, 0, CheckVerdict.FINE, "in 4 days"),
        (160 / 24, 1, 0, CheckVerdict.WRONG, "in 24 h, and was not renewed"),
        (160 / 24, 4, 4.5, CheckVerdict.WRONG, "a window keeps the cluster closed for 4 days"),
        (90, 61, 7, CheckVerdict.FINE, "in 61 days"),
    ],
)
def test_how_long_a_certificate_has_to_last(
    lives: float, left: float, closed: float, verdict: CheckVerdict, said: str
) -> None:
    ends = 1_800_000_000.0
    seen = Certificate("https://x", ("x",), "y", ends - lives * 86400, ends)
    finding = expiry("a", seen, ends - left * 86400, closed * 86400)
    assert (finding.verdict, said in finding.said) == (verdict, True), finding


# State that is not there


ODD = "redis://:s3cr#t9Qx@127.0.0.1:6379/0"
PIECES = ("s3cr", "t9Qx", "Traceback")


def test_a_password_that_is_not_encoded_is_a_line_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            found = await look(world, env={"REDIS_URL": ODD})
            finding = of(found, "state: Redis")
            assert finding.verdict is CheckVerdict.WRONG
            assert "found # in user or password; allowed: percent-encoded, # as %23" in finding.said
            assert "REDIS_URL" in finding.remedy
            assert not any(piece in line(f) for f in found for piece in PIECES)
            assert of(found, "Slack: bot token").verdict is CheckVerdict.FINE
            others(found, "state: Redis", f"{STACK}: SSH to")

    asyncio.run(story())


@pytest.mark.sampled
@pytest.mark.parametrize("command", ["serve", "doctor"])
@pytest.mark.parametrize(
    "odd",
    [
        ODD,
        ODD.replace("#", "/"),
        ODD.replace("#", "?"),
        ODD.replace("#", "["),
        ODD.replace("redis:", "redis+sentinel:").replace("#", "/"),
    ],
)
def test_no_piece_of_a_password_and_no_traceback_gets_out_of_a_command(
    tmp_path: Path, command: str, odd: str
) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0, media=1) as world:
            done = await asyncio.to_thread(
                fork_server.run,
                (command, "--config", str(world.settings_file)),
                {**world.bot_environment(), "REDIS_URL": odd},
            )
            said = done.stdout + done.stderr
            assert "in user or password; allowed: percent-encoded" in said
            assert not any(piece in said for piece in PIECES), said
            assert done.returncode == 1

    asyncio.run(story())


def test_a_state_that_cannot_be_read_is_told_once_and_pins_are_unknown(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            (tmp_path / "state.sqlite3").write_text("no database " * 100)
            found = await look(world, parts=[state.checks, nodes.checks])
            assert (
                "is not a state file of the bot, or it is damaged" in of(found, "state: file").said
            )
            ssh = of(found, f"{STACK}: SSH to master-1")
            assert ssh.verdict is CheckVerdict.UNKNOWN
            assert "whether its host key is the pinned one is unknown" in ssh.said
            down = await look(world, env={"REDIS_URL": "redis://127.0.0.1:1"}, parts=[state.checks])
            assert of(down, "state: Redis").said == "asking Redis: connection refused"
            assert "listens on that port" in of(down, "state: Redis").remedy

    asyncio.run(story())


def test_an_address_of_redis_with_an_option_that_is_none_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            for option in ("colour=blue", "socket_timeout=soon"):
                env = {"REDIS_URL": f"redis://:hunter2@127.0.0.1:1/0?{option}"}
                found = of(await look(world, env=env, parts=[state.checks]), "state: Redis")
                assert found.verdict is CheckVerdict.WRONG
                assert "found an option after ?" in found.said
                assert "hunter2" not in line(found)

    asyncio.run(story())


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("off", "said"), [(300.0, "5 min ahead of"), (-300.0, "5 min behind")])
def test_a_clock_that_is_five_minutes_off(tmp_path: Path, off: float, said: str) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            right = clock_of(world)
            theirs = {300.0: "5 min behind", -300.0: "5 min ahead of"}[off]

            def late(context: DoctorContext) -> DoctorContext:
                return dataclasses.replace(
                    context,
                    wall=lambda: context.wall() + off,
                    clock=Clock(read=lambda: right.now() + off),
                )

            found = await look(world, lambda context: late(dataclasses.replace(context)))
            for who in ("Slack", "DigitalOcean"):
                finding = of(found, f"clock: against {who}")
                assert (finding.verdict, f"{said} {who}'s" in finding.said) == (
                    CheckVerdict.WRONG,
                    True,
                )
            assert theirs in of(found, f"{STACK}: SSH to master-2: clock").said

    asyncio.run(story())


def test_who_does_not_answer_holds_nobody_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            world.environment.faults.add("digitalocean", "delay", times=-1, seconds=60.0)
            world.slack.slack.faults.add(SlackFault("users.info", times=99, delay=60.0))
            settings = load(world.settings_file, world.bot_environment())
            async with open_context(settings, clock_of(world)) as context:
                hurried = [dataclasses.replace(check, seconds=6.0) for check in checks(context)]
                found = [finding async for finding in examine(hurried)]
            assert of(found, "Slack: people").said == "no answer within 6 s"
            assert of(found, "DigitalOcean: token").verdict is CheckVerdict.UNKNOWN
            assert of(found, "Slack: bot token").verdict is CheckVerdict.FINE
            assert of(found, f"{STACK}: bucket").verdict is CheckVerdict.FINE
            # Which file its nodes read depends on what was not seen.
            assert of(found, f"{STACK}: secrets.env").verdict is CheckVerdict.SKIPPED
            assert exit_code(found) == 2

    asyncio.run(story())


def test_a_redis_that_may_forget(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            running_redis(redis_server()) as url,
            running_world(tmp_path, 1.0, redis_url=url) as world,
        ):
            others(await look(world, parts=[state.checks]))
            async with redis.from_url(url) as line:
                await line.config_set("appendonly", "no")
            finding = of(await look(world, parts=[state.checks]), "state: Redis")
            assert (finding.verdict, "set appendonly yes" in finding.said) == (
                CheckVerdict.WRONG,
                True,
            )

    asyncio.run(story())


def test_secrets_that_are_missing_are_named_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            found = await look(world, env={"SLACK_APP_TOKEN": "", "LIVEKIT_API_SECRET": ""})
            assert of(found, "secrets: SLACK_APP_TOKEN").verdict is CheckVerdict.WRONG
            assert of(found, "secrets: LIVEKIT_API_SECRET").verdict is CheckVerdict.WRONG
            assert of(found, "Slack: bot token").verdict is CheckVerdict.FINE

    asyncio.run(story())


# The machinery


def test_a_check_that_fails_or_hangs_is_one_finding_and_the_others_go_on() -> None:
    async def hangs() -> list[CheckFinding]:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:  # the worst kind: it does not even let itself be stopped
                await asyncio.sleep(0.2)
                raise

    async def breaks() -> list[CheckFinding]:
        raise ZeroDivisionError("oops, the password is hunter2")

    async def refuses() -> list[CheckFinding]:
        raise Forbidden("the token may not")

    async def works() -> list[CheckFinding]:
        return [fine("d", "well")]

    async def story() -> list[CheckFinding]:
        made = [Check("a", hangs, 0.05), Check("b", breaks), Check("c", refuses), Check("d", works)]
        return [finding async for finding in examine(made)]

    found = asyncio.run(story())
    assert [(f.name, f.verdict) for f in found] == [
        ("a", CheckVerdict.UNKNOWN),
        ("b", CheckVerdict.UNKNOWN),
        ("c", CheckVerdict.WRONG),
        ("d", CheckVerdict.FINE),
    ]
    assert found[1].said.startswith(
        "the check itself failed: ZeroDivisionError in e2e/test_doctor.py, line "
    )
    assert "hunter2" not in line(found[1])
    assert all(f.remedy for f in found[:3])


def test_exit_codes_and_lines() -> None:
    good, bad, blind = (
        fine("a", "well"),
        wrong("b", "ill", "mend it"),
        unknown("c", "dark", "light a lamp"),
    )
    assert [exit_code(f) for f in ([good], [good, bad, blind], [good, blind])] == [0, 1, 2]
    assert line(bad) == "  b: ill\n      Fix: mend it"
    assert closing([good, good, bad]).startswith("1 wrong, 2 fine. ")
    scopes = skipped("DigitalOcean: droplet:update, droplet:create", "only using them would show")
    assert closing([good, scopes]).startswith("2 not checked, 1 fine. "), "as many as are named"
    named = argparse.Namespace(config=Path("my settings.yaml"), env_file=None)
    suggested = "Next: openvidu-bot serve --config 'my settings.yaml'"
    assert closing([good], given_files(named)).endswith(suggested)
    told = json.loads(as_json([bad]))
    assert (told["exit_code"], told["findings"][0]["remedy"]) == (1, "mend it")


# One cause, one line


def test_a_refused_token_is_one_problem_and_names_what_it_hides(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            world.environment.digitalocean.tokens.clear()
            found = attributed(await look(world))
            troubled = (CheckVerdict.WRONG, CheckVerdict.UNKNOWN)
            assert [f.name for f in found if f.verdict in troubled] == ["DigitalOcean: token"]
            assert of(found, f"{STACK}: stack").blocked_by == "DigitalOcean: token"
            shown = report(found)
            assert f"Not checked because of it: {STACK}: stack, SSH, health" in shown
            assert shown.startswith("WRONG\n")

    asyncio.run(story())


def test_a_key_that_all_nodes_refuse_is_one_line(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            other_key(world)
            shown = report(await look(world, parts=[nodes.checks]))
            assert shown.count("the ssh key was refused") == 1
            assert "SSH to master-1, master-2, master-3, master-4, media-1, media-2" in shown

    asyncio.run(story())


def test_what_is_wrong_comes_first_and_what_is_fine_is_brief() -> None:
    found = [
        fine("acme: SSH to media-1", "login works; its host key is the pinned one"),
        fine("acme: SSH to media-2", "login works; its host key is the pinned one"),
        fine("acme: stack", "4 masters", notable=True),
        wrong("Slack: channel C1", "the bot is not a member of #ops", "invite it"),
    ]
    assert report(found).splitlines() == [
        "WRONG",
        "  Slack: channel C1: the bot is not a member of #ops",
        "      Fix: invite it",
        "",
        "FINE",
        "  acme          SSH on 2 nodes, stack (4 masters)",
    ]
    assert "its host key is the pinned one" in report(found, verbose=True)


def test_a_secret_that_is_not_set_is_the_cause_and_not_the_refusal(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            missing = {"DIGITALOCEAN_TOKEN": "", "SLACK_BOT_TOKEN": "", "SLACK_APP_TOKEN": ""}
            found = attributed(await look(world, env=missing))
            wrongs = [f.name for f in found if f.verdict is CheckVerdict.WRONG]
            assert sorted(wrongs) == [f"secrets: {name}" for name in sorted(missing)]

    asyncio.run(story())


def test_a_fix_of_several_is_written_once() -> None:
    found = [wrong(f"secrets: {name}", "not set", "set it in bot.env") for name in "AB"]
    assert report(found).splitlines() == [
        "WRONG",
        "  secrets: A: not set",
        "  secrets: B: not set",
        "      Fix: set it in bot.env",
    ]


def test_a_finding_that_saw_something_is_not_blamed_on_another() -> None:
    seen = dataclasses.replace(wrong("b", "no operators", "add some"), needs=("a",))
    unseen = dataclasses.replace(unknown("c", "no answer"), needs=("a",))
    after = dataclasses.replace(unknown("d", "no answer"), needs=("c",))
    found = attributed([wrong("a", "refused", "replace it"), seen, unseen, after])
    assert [f.blocked_by for f in found] == ["", "", "a", "a"]


def test_a_channel_id_with_a_typo_is_answered_with_the_channel(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            edited(world, channel="COPT")
            finding = of(await look(world, parts=[slack.checks]), "Slack: channel COPT")
            assert "did you mean COPS, #ops?" in finding.remedy

    asyncio.run(story())


def test_names_in_the_settings_are_answered_with_their_ids(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            edited(
                world, channel="#ops", roles={"operators": ["@ana", "Ben Okafor", "UCARLA", "x"]}
            )
            assert await ids_of_names(world.settings_file, world.bot_environment()) == [
                f"clusters.{STACK}.channel: #ops is COPS",
                f"clusters.{STACK}.roles.operators: @ana is UANA",
                f"clusters.{STACK}.roles.operators: Ben Okafor is UBEN",
            ]
            assert await ids_of_names(world.settings_file, {}) == []
            wrong_token = {**world.bot_environment(), "SLACK_BOT_TOKEN": "xoxb-another"}
            assert await ids_of_names(world.settings_file, wrong_token) == []

    asyncio.run(story())


# doctor --fix


def test_the_file_of_secrets_gets_its_mode_and_its_form_and_keeps_its_values(
    tmp_path: Path,
) -> None:
    file = tmp_path / "bot.env"
    file.write_bytes(b"\xef\xbb\xbf# mine\r\nexport SLACK_BOT_TOKEN = 'a = b' \r\nOTHER=x\n")
    file.chmod(0o644)
    fixes = list(secrets_file_fixes(FoundFiles(tmp_path / "settings.yaml", "", file)))
    assert len(offered(fixes)) == 2
    assert file.stat().st_mode & 0o777 == 0o644, "nothing is done before it is asked for"
    assert all(said.startswith("Fixed: ") for said in asyncio.run(applied(fixes)))
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == "# mine\nSLACK_BOT_TOKEN='a = b'\nOTHER=x\n"
    assert list(secrets_file_fixes(FoundFiles(tmp_path / "settings.yaml", "", file))) == []


def test_lines_in_order_are_left_alone() -> None:
    text = "# a = b\n\nA=b=c\nB=\nC='d '\n"
    assert tidy(text) == text


def test_missing_directories_are_made_and_an_open_key_is_closed(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            settings = yaml.safe_load(world.settings_file.read_text())
            settings["state"] = {"path": "deep/down/state.sqlite3"}
            world.settings_file.write_text(yaml.safe_dump(settings))
            world.key_file.chmod(0o644)
            loaded = load(world.settings_file, world.bot_environment())
            said = await applied(list(local_fixes(loaded)))
            folder = tmp_path / "deep" / "down"
            assert said == [
                f"Fixed: create the directory {folder}",
                f"Fixed: set {world.key_file} to mode 640",
            ]
            assert folder.stat().st_mode & 0o777 == 0o700
            assert world.key_file.stat().st_mode & 0o777 == 0o640
            assert list(local_fixes(loaded)) == []

    asyncio.run(story())


def test_a_public_channel_is_joined_only_with_the_scope(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            channel = world.slack.workspace.channels["COPS"]
            channel.members.remove(world.slack.workspace.bot.id)
            settings = load(world.settings_file, world.bot_environment())
            async with open_context(settings, clock_of(world)) as context:
                assert await channel_fixes(context) == []
                bot_scopes(world).append("channels:join")
                assert await applied(await channel_fixes(context)) == [
                    "Fixed: join the channel #ops"
                ]
                assert await channel_fixes(context) == []
            assert world.slack.workspace.bot.id in channel.members

    asyncio.run(story())


def test_a_fix_that_fails_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    file = tmp_path / "bot.env"
    file.write_text("A=b\n")
    file.chmod(0o644)
    fixes = list(secrets_file_fixes(FoundFiles(tmp_path / "settings.yaml", "", file)))
    file.unlink()
    (said,) = asyncio.run(applied(fixes))
    assert said.startswith(f"Not fixed: set {file} to mode 600: ")


def test_the_command_fixes_only_when_it_is_told_to(tmp_path: Path) -> None:
    """In the folder of the settings, without any option: everything is found by itself."""

    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            secrets = tmp_path / "bot.env"
            env = world.bot_environment()
            named = ("SLACK_", "DIGITALOCEAN_", "SPACES_", "LIVEKIT_")
            held = {name: value for name, value in env.items() if name.startswith(named)}
            secrets.write_text("".join(f"{name}={value}\n" for name, value in held.items()))
            secrets.chmod(0o640)
            bare = {name: value for name, value in env.items() if name not in held}

            async def doctor(*words: str) -> tuple[int, str]:
                done = await asyncio.to_thread(fork_server.run, ("doctor", *words), bare, tmp_path)
                return done.returncode, done.stderr + done.stdout

            code, said = await doctor()
            assert (code, "doctor --fix would set bot.env to mode 600" in said) == (2, True), said
            assert secrets.stat().st_mode & 0o777 == 0o640
            code, said = await doctor("--fix")
            assert (code, "Fixed: set bot.env to mode 600" in said) == (0, True), said
            assert "Next: openvidu-bot serve" in said
            assert secrets.stat().st_mode & 0o777 == 0o600
            code, said = await doctor("--json")
            assert json.loads(said.partition("\n")[2])["exit_code"] == code == 0

    asyncio.run(story())
