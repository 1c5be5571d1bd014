"""Pages outside of Slack, against a small receiver.

What is sent, how it is signed, and what becomes of an error.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator

from services.cloud.clients.http import HttpClient
from services.cloud.clients.oncall import ATTEMPTS, SIGNATURE, Kind, OnCallPage, Webhook
from services.common.clock import Clock
from services.common.errors import Unreachable

PAGE = OnCallPage(
    "trigger",
    "acme/opening:nights-open@2026-11-26T07:30",
    "acme",
    "acme is not in service",
    "critical",
    1795674600.0,
)
TEXT = {"type": "string", "minLength": 1}
PAGERDUTY = {  # Events API v2
    "type": "object",
    "required": ["routing_key", "event_action", "dedup_key"],
    "properties": {
        "routing_key": TEXT,
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {**TEXT, "maxLength": 255},
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "properties": {
                "summary": {**TEXT, "maxLength": 1024},
                "source": TEXT,
                "severity": {"enum": ["critical", "error", "warning", "info"]},
            },
        },
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
}
CLOUDEVENT = {  # CloudEvents 1.0, structured
    "type": "object",
    "required": ["id", "source", "specversion", "type"],
    "properties": {
        "id": TEXT,
        "source": TEXT,
        "specversion": {"const": "1.0"},
        "type": TEXT,
        "time": TEXT,
        "data": {"type": "object"},
    },
}
OPSGENIE = {
    "type": "object",
    "required": ["message", "alias"],
    "properties": {
        "message": {**TEXT, "maxLength": 130},
        "alias": {**TEXT, "maxLength": 512},
        "priority": {"enum": ["P1", "P2", "P3", "P4", "P5"]},
    },
}


class Receiver:
    """Records requests; answers with the given statuses, then with 202."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((request.path_qs, dict(request.headers), await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 202)

    def body(self, number: int = -1) -> Any:
        return json.loads(self.got[number][2])


@asynccontextmanager
async def there(kind: Kind) -> AsyncIterator[tuple[Receiver, Webhook]]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("POST", "/{tail:.*}", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    http = HttpClient()
    try:
        yield (
            receiver,
            Webhook(kind, "s3cret", http, Clock(speed=1000.0), f"http://127.0.0.1:{port}/hook"),
        )
    finally:
        await http.aclose()
        await runner.cleanup()


def play(kind: Kind, story: Any) -> None:
    async def told() -> None:
        async with there(kind) as (receiver, webhook):
            await story(receiver, webhook)

    asyncio.run(told())


@pytest.mark.parametrize("action", ["trigger", "acknowledge", "resolve"])
def test_pagerduty_takes_it(action: Any) -> None:
    async def story(receiver: Receiver, webhook: Webhook) -> None:
        await webhook.send(
            OnCallPage(action, PAGE.key, "acme", PAGE.summary * 90, "critical", PAGE.at)
        )
        Draft202012Validator(PAGERDUTY).validate(receiver.body())
        assert receiver.body()["routing_key"] == "s3cret"
        assert receiver.body()["event_action"] == action
        assert receiver.body()["dedup_key"] == PAGE.key

    play("pagerduty", story)


def test_opsgenie_takes_it() -> None:
    async def story(receiver: Receiver, webhook: Webhook) -> None:
        await webhook.send(PAGE)
        path, headers, _ = receiver.got[-1]
        Draft202012Validator(OPSGENIE).validate(receiver.body())
        assert path == "/hook"
        assert headers["Authorization"] == "GenieKey s3cret"
        for action, verb in (("acknowledge", "acknowledge"), ("resolve", "close")):
            page = OnCallPage(action, PAGE.key, "acme", PAGE.summary, "critical", PAGE.at)  # type: ignore[arg-type]
            await webhook.send(page)
            path, _, query = receiver.got[-1][0].partition("?")
            assert unquote(path) == f"/hook/{PAGE.key}/{verb}"
            assert query == "identifierType=alias"

    play("opsgenie", story)


def test_an_event_is_signed_over_what_is_sent() -> None:
    async def story(receiver: Receiver, webhook: Webhook) -> None:
        await webhook.send(PAGE)
        _, headers, body = receiver.got[-1]
        Draft202012Validator(CLOUDEVENT).validate(receiver.body())
        assert headers["Content-Type"] == "application/cloudevents+json"
        at, _, signed = headers[SIGNATURE].partition(",")
        expected = hmac.new(
            b"s3cret", at.removeprefix("t=").encode() + b"." + body, hashlib.sha256
        ).hexdigest()
        assert signed == f"v1={expected}"
        assert b"s3cret" not in body

    play("cloudevent", story)


def test_what_passes_is_tried_again_and_what_is_refused_is_not() -> None:
    async def story(receiver: Receiver, webhook: Webhook) -> None:
        receiver.answers = [503, 429]
        await webhook.send(PAGE)
        assert len(receiver.got) == 3
        receiver.answers = [400]
        with pytest.raises(Unreachable, match="it answered 400"):
            await webhook.send(PAGE)
        assert len(receiver.got) == 4
        receiver.answers = [500] * 9
        with pytest.raises(Unreachable, match="it answered 500"):
            await webhook.send(PAGE)
        assert len(receiver.got) == 4 + ATTEMPTS

    play("pagerduty", story)
