"""What the page shows of the calls to the simulated services: each service, bounded, no secret."""

import asyncio
import json
from typing import Any

import aiohttp
import asyncssh
import pytest

from simulators.clock import ScaledClock
from simulators.environment import SimulatedEnvironment
from simulators.slack.journal import OVERHEARD, WireLog
from simulators.wire import LONGEST, MASK, WireCall, masked, masked_text, shortened

TOKEN = "dop_v1_sim"


async def _calls() -> list[WireCall]:
    """Make one call to each service, and two that fail."""
    calls: list[WireCall] = []
    environment = SimulatedEnvironment(ScaledClock(1.0), 7, on_call=calls.append)
    cluster = environment.build_cluster("acme", media=1)
    at = await environment.start()
    node = environment.estate.media("acme")[0]
    signed = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with aiohttp.ClientSession() as http:
            for url, headers in (
                (f"{at.digitalocean}/v2/droplets?per_page=1", signed),
                (f"{at.digitalocean}/v2/droplets", {}),
                (f"{at.spaces}/{cluster.bucket}/secrets.env", signed),
                (f"{at.fronts['acme']}/", {}),
            ):
                async with http.get(url, headers=headers) as answer:
                    await answer.read()
            rooms = f"{at.fronts['acme']}/twirp/livekit.RoomService/ListRooms"
            async with http.post(rooms, json={}, headers=signed) as answer:
                await answer.read()
        key = asyncssh.generate_private_key("ssh-ed25519")
        async with asyncssh.connect(
            node.public_ip, at.ssh_port, username="root", client_keys=[key], known_hosts=None
        ) as connection:
            assert str((await connection.run("id -u")).stdout).strip() == "0"
    finally:
        await environment.stop()
    return calls


def test_every_service_is_recorded_without_a_secret() -> None:
    calls = asyncio.run(_calls())
    said = [(call.service, call.name.partition(" acme")[0], call.ok, call.note) for call in calls]
    assert said[:2] == [
        ("digitalocean", "GET /v2/droplets?per_page=1", True, "200"),
        ("digitalocean", "GET /v2/droplets", False, "401"),
    ]
    assert [(call.service, call.note) for call in calls[2:4]] == [
        ("spaces", "200"),
        ("health", "200"),
    ]
    assert calls[2].answer.keys() == {"bytes"}, "the bucket's file holds secrets"
    assert (calls[4].service, calls[4].ok) == ("livekit", False), "no token of LiveKit's"
    assert calls[5].name.endswith(": id -u")
    assert calls[5].answer["stdout"] == "0\n"
    assert TOKEN not in repr(calls)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"token": "abc", "name": "x"}, {"token": MASK, "name": "x"}),
        ({"env": [{"SPACES_SECRET_KEY": "abc"}]}, {"env": [{"SPACES_SECRET_KEY": MASK}]}),
        ({"exec": {"code": "def main(): ..."}}, {"exec": {"code": MASK}}),
        ({"user_data": "#!/bin/sh"}, {"user_data": MASK}),
        ({"text": "API_SECRET=abc\nDOMAIN=x"}, {"text": f"API_SECRET={MASK}\nDOMAIN=x"}),
        ({"token": ""}, {"token": ""}),
        (["a", 1, None], ["a", 1, None]),
    ],
)
def test_secrets_are_masked_by_their_names(value: Any, shown: Any) -> None:
    assert masked(value) == shown


def test_long_texts_are_shortened_and_lines_masked() -> None:
    assert masked_text("ADMIN_PASSWORD=Correct-Horse") == f"ADMIN_PASSWORD={MASK}"
    assert masked_text("DOMAIN_NAME=meet.example.com") == "DOMAIN_NAME=meet.example.com"
    assert shortened("x" * LONGEST) == "x" * LONGEST
    assert shortened("x" * (LONGEST + 5)) == f"{'x' * LONGEST}… ({LONGEST + 5} characters)"


def test_a_busy_service_displaces_no_other() -> None:
    log = WireLog(lambda: 0.0)
    log.write("api", "chat.postMessage", sent={"text": "hello"})
    for number in range(3 * OVERHEARD):
        log.overhear(WireCall("digitalocean", f"GET {number}", ok=True, note="200", ms=1.0))
    log.overhear(WireCall("ssh", "media-1: look", ok=True, note="exit 0", ms=1.0))
    shown = log.everything()
    assert [entry.name for entry in shown if entry.kind == "api"] == ["chat.postMessage"]
    assert sum(entry.kind == "digitalocean" for entry in shown) == OVERHEARD
    assert shown[-1].name == "media-1: look"
    assert [entry.number for entry in shown] == sorted(entry.number for entry in shown)
    assert log.everything(shown[-2].number) == shown[-1:]
    assert [entry.kind for entry in log.entries] == ["api"], "Slack's own record is as before"
    assert json.dumps([entry.as_json() for entry in shown])
