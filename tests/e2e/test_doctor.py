"""What the doctor sees when something is wrong, against the pretend world over real sockets. It changes nothing, whatever it sees."""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import redis.asyncio as redis
import yaml

from bot.demo.world import STACK, World
from bot.doctor import checks
from bot.doctor.case import Case, open_case
from bot.doctor.check import Check, Finding, Verdict, examine, exit_code, fine, unknown, wrong
from bot.doctor.report import as_json, closing, line
from config.settings import load
from services.clock import Clock
from services.errors import Forbidden
from services.store import Commit
from services.store.sqlite import SqliteStore
from simulators.slack.faults import Fault
from tests.support.live import world_of
from tests.support.redis import running_redis
from tests.support.tools import redis_server

Change = Callable[[World], object]


def clock_of(world: World) -> Clock:
    return Clock(speed=world.clock.speed, origin=world.clock.origin, started=world.clock.started)


async def look(world: World, change: Callable[[Case], Case] = lambda case: case, env: dict[str, str] | None = None) -> list[Finding]:
    settings = load(world.settings_file, world.bot_environment() | (env or {}))
    async with open_case(settings, clock_of(world)) as case:
        return [finding async for finding in examine(checks(change(case)))]


def edited(world: World, **cluster: Any) -> None:
    settings = yaml.safe_load(world.settings_file.read_text())
    settings["clusters"][STACK] |= cluster
    world.settings_file.write_text(yaml.safe_dump(settings))


def of(found: list[Finding], name: str) -> Finding:
    (one,) = [f for f in found if f.name == name]
    return one


def others(found: list[Finding], *names: str) -> None:
    """Everything else is as it should be."""
    strange = [f for f in found if f.verdict in (Verdict.WRONG, Verdict.UNKNOWN) and not f.name.startswith(names)]
    assert strange == []


def test_a_world_in_order_is_found_in_order_and_left_as_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        async with world_of(tmp_path, 1.0) as world:
            objects, requests = bucket_of(world), len(world.estate.requests)
            found = await look(world, lambda case: dataclasses.replace(case, write_probe=True))
            others(found)
            assert exit_code(found) == 0
            assert of(found, f"{STACK}: bucket: writing").verdict is Verdict.FINE
            assert of(found, "DigitalOcean: droplet:update").verdict is Verdict.SKIPPED
            assert "3 media droplets now" in of(found, f"{STACK}: stack").said
            assert bucket_of(world) == objects
            assert {method for method, *_ in world.estate.requests[requests:]} == {"GET"}
            assert not (tmp_path / "state.sqlite3").exists()
            world.slack.slack.journal.assert_clean()

    asyncio.run(story())


def bucket_of(world: World) -> dict[str, Any]:
    bucket = world.town.spaces.buckets[world.cluster.bucket]
    return {key: bucket.current(key) for key in bucket.objects if bucket.current(key) is not None}




def other_key(world: World) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(world.folder / "other"))
    edited(world, ssh={"port": world.addresses.ssh_port, "key_file": "other"})


def spoilt(world: World, begins: bytes, line: bytes) -> None:
    """Its secrets.env with other lines in the place of those that begin so."""
    bucket = world.cluster.bucket
    lines = (world.town.spaces.read(bucket, "secrets.env") or b"").splitlines()
    data = b"".join((line if old.startswith(begins) else old) + b"\n" for old in lines)
    world.town.spaces.write(bucket, "secrets.env", data)


WRONG: dict[str, tuple[Change, str, str, str]] = {
    "a Slack token of nobody": (
        lambda w: setattr(w.slack.slack.webapi, "bot_token", "xoxb-another"),
        "Slack: bot token", "invalid_auth", "put another one into SLACK_BOT_TOKEN",
    ),
    "an app token of nobody": (
        lambda w: setattr(w.slack.slack.webapi, "app_token", "xapp-another"), "Slack: socket", "invalid_auth", "SLACK_APP_TOKEN"
    ),
    "a Slack scope that was not granted": (
        lambda w: w.slack.slack.webapi.manifest["oauth_config"]["scopes"]["bot"].remove("files:write"),
        "Slack: scopes", "lacks files:write", "openvidu-bot manifest",
    ),
    "a channel without the bot": (
        lambda w: w.slack.workspace.channels["COPS"].members.remove(w.slack.workspace.bot.id),
        "Slack: channel COPS", "the bot is not in #ops", "/invite @openvidu",
    ),
    "an operator who has left": (
        lambda w: setattr(w.slack.workspace.users["UBEN"], "deleted", True), "Slack: UBEN", "deactivated", "name somebody else"
    ),
    "a DigitalOcean token of nobody": (lambda w: w.town.digitalocean.tokens.clear(), "DigitalOcean: token", "401", "DIGITALOCEAN_TOKEN"),
    "a DigitalOcean scope that is missing": (
        lambda w: setattr(w.town.digitalocean, "scopes", {"droplet:read", "account:read"}),
        "DigitalOcean: sizes:read", "it is for prices and resizing", "has sizes:read too",
    ),
    "a stack of another name": (lambda w: edited(w, stack="amce"), f"{STACK}: stack", "no droplet of a stack named amce", "NAME.stack"),
    "an SSH key of nobody": (other_key, f"{STACK}: SSH to master-1", "the ssh key was refused", "<STACK>-ssh-key"),
    "a bucket of another": (
        lambda w: edited(w, spaces={"endpoint": w.addresses.spaces, "bucket": "another-bucket"}),
        f"{STACK}: bucket", "secrets.env", "cluster-data bucket",
    ),
    "a line of secrets.env that would run": (
        lambda w: spoilt(w, b"DASHBOARD_ADMIN_USERNAME=", b"DASHBOARD_ADMIN_USERNAME=x|;e id #"),
        f"{STACK}: secrets.env", "line 11, DASHBOARD_ADMIN_USERNAME: what follows its pipe character would run as a command",
        "config set DASHBOARD_ADMIN_USERNAME",
    ),
    "an emptied secrets.env": (
        lambda w: spoilt(w, b"", b""), f"{STACK}: secrets.env", "it is empty", "config rollback",
    ),
    "a health page at another address": (
        lambda w: edited(w, health_url="http://{address}:1/health/caddy"), f"{STACK}: health pages", "do not answer 200", "port 7880"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_named_with_its_remedy(tmp_path: Path, what: str) -> None:
    change, name, said, remedy = WRONG[what]

    async def story() -> None:
        async with world_of(tmp_path, 1.0) as world:
            change(world)
            found = await look(world)
            finding = of(found, name)
            assert finding.verdict is Verdict.WRONG, finding
            assert said in finding.said
            assert remedy in finding.remedy
            assert exit_code(found) == 1
            assert [f for f in found if f.verdict is Verdict.FINE], "the others go on"

    asyncio.run(story())


def test_a_host_that_is_another_is_told_of_with_both_fingerprints(tmp_path: Path) -> None:
    async def story() -> None:
        async with world_of(tmp_path, 1.0) as world:
            master = world.estate.masters(STACK)[0]
            key = " ".join(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[:2])
            store = SqliteStore(tmp_path / "state.sqlite3", clock_of(world))
            await store.commit(Commit(puts={f"hostkey:{master.id}": key}))
            # A bot may hold the file meanwhile: it is only read.
            found = await look(world)
            await store.aclose()
            finding = of(found, f"{STACK}: SSH to master-1")
            assert finding.verdict is Verdict.WRONG
            assert finding.said.count("SHA256:") == 2
            assert "rebuilt by you" in finding.remedy
            others(found, f"{STACK}: SSH to master-1")

    asyncio.run(story())


@pytest.mark.parametrize(("off", "said"), [(300.0, "5 min ahead of"), (-300.0, "5 min behind")])
def test_a_clock_that_is_five_minutes_off(tmp_path: Path, off: float, said: str) -> None:
    async def story() -> None:
        async with world_of(tmp_path, 1.0) as world:
            right = clock_of(world)
            theirs = {300.0: "5 min behind", -300.0: "5 min ahead of"}[off]

            def late(case: Case) -> Case:
                return dataclasses.replace(case, wall=lambda: case.wall() + off, clock=Clock(read=lambda: right.now() + off))

            found = await look(world, lambda case: late(dataclasses.replace(case)))
            for who in ("Slack", "DigitalOcean"):
                finding = of(found, f"clock: against {who}")
                assert (finding.verdict, f"{said} {who}'s" in finding.said) == (Verdict.WRONG, True)
            assert theirs in of(found, f"{STACK}: SSH to master-2: clock").said

    asyncio.run(story())


def test_who_does_not_answer_holds_nobody_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with world_of(tmp_path, 1.0) as world:
            world.town.faults.add("digitalocean", "delay", times=-1, seconds=60.0)
            world.slack.slack.faults.add(Fault("users.info", times=99, delay=60.0))
            settings = load(world.settings_file, world.bot_environment())
            async with open_case(settings, clock_of(world)) as case:
                hurried = [dataclasses.replace(check, seconds=3.0) for check in checks(case)]
                found = [finding async for finding in examine(hurried)]
            assert of(found, "Slack: people").said == "no answer within 3 s"
            assert of(found, "DigitalOcean: token").verdict is Verdict.UNKNOWN
            assert of(found, "Slack: bot token").verdict is Verdict.FINE
            assert of(found, f"{STACK}: bucket").verdict is Verdict.FINE
            assert exit_code(found) == 2

    asyncio.run(story())


def test_a_redis_that_may_forget(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_redis(redis_server()) as url, world_of(tmp_path, 1.0, redis_url=url) as world:
            others(await look(world))
            async with redis.from_url(url) as line:
                await line.config_set("appendonly", "no")
            finding = of(await look(world), "state: Redis")
            assert (finding.verdict, "set appendonly yes" in finding.said) == (Verdict.WRONG, True)

    asyncio.run(story())


def test_secrets_that_are_missing_are_named_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    async def story() -> None:
        async with world_of(tmp_path, 1.0) as world:
            found = await look(world, env={"SLACK_APP_TOKEN": "", "LIVEKIT_API_SECRET": ""})
            assert of(found, "secrets: SLACK_APP_TOKEN").verdict is Verdict.WRONG
            assert of(found, "secrets: LIVEKIT_API_SECRET").verdict is Verdict.WRONG
            assert of(found, "Slack: bot token").verdict is Verdict.FINE

    asyncio.run(story())


# The machinery


def test_a_check_that_fails_or_hangs_is_one_finding_and_the_others_go_on() -> None:
    async def hangs() -> list[Finding]:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:  # the worst kind: it does not even let itself be stopped
                await asyncio.sleep(0.2)
                raise

    async def breaks() -> list[Finding]:
        raise ZeroDivisionError("oops")

    async def refuses() -> list[Finding]:
        raise Forbidden("the token may not")

    async def works() -> list[Finding]:
        return [fine("d", "well")]

    async def story() -> list[Finding]:
        made = [Check("a", hangs, 0.05), Check("b", breaks), Check("c", refuses), Check("d", works)]
        return [finding async for finding in examine(made)]

    found = asyncio.run(story())
    assert [(f.name, f.verdict) for f in found] == [
        ("a", Verdict.UNKNOWN), ("b", Verdict.UNKNOWN), ("c", Verdict.WRONG), ("d", Verdict.FINE),
    ]  # fmt: skip
    assert "ZeroDivisionError" in found[1].said
    assert all(f.remedy for f in found[:3])


def test_exit_codes_and_lines() -> None:
    good, bad, blind = fine("a", "well"), wrong("b", "ill", "mend it"), unknown("c", "dark", "light a lamp")
    assert [exit_code(f) for f in ([good], [good, bad, blind], [good, blind])] == [0, 1, 2]
    assert line(bad) == "WRONG           b: ill\n                → mend it"
    assert closing([good, good, bad]).startswith("2 fine, 1 wrong; ")
    told = json.loads(as_json([bad]))
    assert (told["exit_code"], told["findings"][0]["remedy"]) == (1, "mend it")


