"""HTTP mode: only what Slack signed, fresh, and once; everything else is refused."""

import asyncio
import hashlib
import hmac
import json
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck

from bot.slack_http import PATH, slack_route
from services.common.errors import Unreachable
from simulators.listeners import listen_http

SECRET = "a-signing-secret"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
COMMAND = {
    "command": "/openvidu",
    "text": "status",
    "user_id": "UANA",
    "team_id": "T0ACME",
    "channel_id": "COPS",
    "trigger_id": "1.2",
}


@dataclass
class Received:
    """What the app was handed, and what the state remembers; `away`: it cannot be asked."""

    commands: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    away: bool = False

    async def first_time(self, name: str, within: float) -> bool:
        assert within >= 600, "for as long as a stamp is good, and then some"
        if self.away:
            raise Unreachable("asking Redis: ConnectionError")
        new = name not in self.seen
        self.seen.add(name)
        return new


@asynccontextmanager
async def door() -> AsyncIterator[tuple[str, Received]]:
    taken = Received()

    async def allowed() -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id="T0ACME")

    app = AsyncApp(signing_secret=SECRET, authorize=allowed)

    async def typed(ack: AsyncAck, body: dict[str, str]) -> None:
        await ack()
        taken.commands.append(body["text"])

    app.command("/openvidu")(typed)
    listening = web.Application(client_max_size=1024 * 1024)
    listening.add_routes([slack_route(app, SECRET, taken.first_time)])
    opened = await listen_http(listening, "127.0.0.1")
    try:
        yield f"{opened.url}{PATH}", taken
    finally:
        await opened.close()


def signed(body: bytes, stamp: str = "", secret: str = SECRET, kind: str = FORM) -> dict[str, str]:
    stamp = stamp or str(int(time.time()))
    made = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={made}",
        "Content-Type": kind,
    }


async def sent(http: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> int:
    async with http.post(url, data=body, headers=headers) as answer:
        return answer.status


def test_a_signed_request_is_taken_once() -> None:
    async def story() -> None:
        async with door() as (url, taken), aiohttp.ClientSession() as http:
            body = urlencode(COMMAND).encode()
            headers = signed(body)
            assert [await sent(http, url, body, headers) for _ in range(5)] == [200] * 5
            assert taken.commands == ["status"]
            taken.away = True
            other = urlencode(COMMAND | {"text": "runs"}).encode()
            assert await sent(http, url, other, signed(other)) == 200
            assert taken.commands == ["status", "runs"], "reading works without the state"

    asyncio.run(story())


@pytest.mark.parametrize(
    "seconds", [-100_000, -301, 360, 100_000]
)  # one of the future grows younger on a slow machine
def test_old_stamps_and_stamps_of_the_future_are_turned_away(seconds: int) -> None:
    async def story() -> None:
        async with door() as (url, taken), aiohttp.ClientSession() as http:
            body = urlencode(COMMAND).encode()
            assert await sent(http, url, body, signed(body, str(int(time.time()) + seconds))) == 401
            assert (taken.commands, taken.seen) == ([], set())

    asyncio.run(story())


GARBAGE = (
    "",
    "soon",
    "1e9",
    "-1",
    " 1",
    "١٢٣",
    "9" * 19,
    "9" * 400,
    "0x10",
    "1.5",
    "nan",
    "\xb2",
    "NaN",
    "+5",
)


def test_what_is_not_signed_is_turned_away_whatever_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """Forged, truncated, deep, huge, not text: 401 (413: too large), no error, nothing stored."""
    dice = random.Random(7)

    async def story() -> None:
        async with door() as (url, taken), aiohttp.ClientSession() as http:
            for body, headers in forged(dice):
                status = await sent(http, url, body, headers)
                assert status in (401, 413), (status, body[:80], headers)
            assert (taken.commands, taken.seen) == ([], set())

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert not [r for r in caplog.records if r.exc_info]


def forged(dice: random.Random) -> list[tuple[bytes, dict[str, str]]]:
    body = urlencode(COMMAND).encode()
    good = signed(body)
    bodies = [
        b"",
        b"\xff\xfe\x00",
        b"[" * 200_000,
        b"{" + b'"a":' * 50_000,
        b"a=1&" * 100_000,
        b"x" * 1_500_000,
        dice.randbytes(5000),
    ]
    bodies += [b"ssl_check=1", json.dumps({"type": "url_verification", "challenge": "c"}).encode()]
    bodies += [urlencode({"payload": "[" * 100_000}).encode()]
    kinds = (FORM, JSON, "multipart/form-data", "text/plain; charset=x")
    found = [(one, signed(one, secret="another", kind=kind)) for one in bodies for kind in kinds]
    found += [(one, {"Content-Type": FORM}) for one in bodies]
    found += [
        (body + b"&x=1", good),
        (body[:-1], good),
        (body.upper(), good),
        (body.replace(b"status", b"shutdown"), good),
    ]
    marks = (
        "",
        "v0=",
        "v1=" + good["X-Slack-Signature"][3:],
        "ñ" * 20,
        "v0=" + "0" * 64,
        "x" * 4000,
    )
    found += [(body, good | {"X-Slack-Signature": mark}) for mark in marks]
    found += [
        (body, signed(body, stamp) | {"X-Slack-Request-Timestamp": stamp})
        for stamp in GARBAGE
        if stamp.isascii()
    ]
    found += [(body, good | {"X-Slack-Request-Timestamp": stamp}) for stamp in GARBAGE]
    for _ in range(100):
        at = dice.randrange(len(good["X-Slack-Signature"]))
        changed = (
            good["X-Slack-Signature"][:at]
            + dice.choice("0123456789abcdefv=")
            + good["X-Slack-Signature"][at + 1 :]
        )
        if changed != good["X-Slack-Signature"]:
            found.append((body, good | {"X-Slack-Signature": changed}))
    return found


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"[" * 100_000, JSON),
        (b"{" + b'"a":{' * 50_000, JSON),
        (b"\xff\xfe\x00", FORM),
        (urlencode({"payload": "[" * 100_000}).encode(), FORM),
        (b"&".join(b"f%d=1" % n for n in range(5000)), FORM),
        (b"", JSON),
        (b"null", JSON),
        (b"[]", JSON),
        (b'"text"', JSON),
    ],
    ids=[
        "deep list",
        "deep object",
        "not text",
        "deep payload",
        "5000 fields",
        "empty",
        "null",
        "a list",
        "a text",
    ],
)
def test_what_is_signed_and_makes_no_sense_is_answered(
    body: bytes, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with door() as (url, taken), aiohttp.ClientSession() as http:
            assert 200 <= await sent(http, url, body, signed(body, kind=kind)) < 500
            assert taken.commands == []
            good = urlencode(COMMAND).encode()
            assert await sent(http, url, good, signed(good)) == 200, "and the next one is taken"

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert not [r for r in caplog.records if r.exc_info]
