"""HTTP mode: signed requests to the app's address."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from urllib.parse import urlencode

import aiohttp

from simulators.slack.delivery import AppDelivery, Envelope, Undelivered
from simulators.slack.faults import SlackFaults
from simulators.slack.journal import WireLog
from simulators.slack.model import JSON
from simulators.slack.webapi import SIGNING_SECRET


class HttpMode(AppDelivery):
    """Commands and clicks as forms, events as JSON, all signed."""

    def __init__(
        self,
        url: str,
        journal: WireLog,
        faults: SlackFaults | None = None,
        signing_secret: str = SIGNING_SECRET,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(journal, faults)
        self.url = url
        self.signing_secret = signing_secret
        self._now = now

    async def verify(self) -> bool:
        """Ask the app to prove that it owns its address, as Slack does at first."""
        body = json.dumps({"type": "url_verification", "challenge": "c-h-a-l-l", "token": ""})
        status, answer, _ = await self._post(body, "application/json", {})
        return status == 200 and "c-h-a-l-l" in answer

    async def send(self, envelope: Envelope) -> JSON | None:
        headers: dict[str, str] = {}
        kind, body = "application/x-www-form-urlencoded", ""
        if envelope.kind == "events_api":
            kind, body = "application/json", json.dumps(envelope.payload)
        elif envelope.kind == "slash_commands":
            body = urlencode(envelope.payload)
        else:
            body = urlencode({"payload": json.dumps(envelope.payload)})
        if envelope.attempt:
            reason = "http_timeout" if envelope.reason == "timeout" else "connection_failed"
            headers = {"X-Slack-Retry-Num": str(envelope.attempt), "X-Slack-Retry-Reason": reason}
        status, answer, content_type = await self._post(body, kind, headers)
        if not 200 <= status < 300:
            raise Undelivered(f"http_error {status}")
        if not answer.strip():
            return None
        read: JSON = json.loads(answer) if "json" in content_type else {"text": answer}
        return read

    async def _post(
        self, body: str, content_type: str, headers: dict[str, str]
    ) -> tuple[int, str, str]:
        stamp = str(int(self._now()))
        signed = hmac.new(
            self.signing_secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256
        ).hexdigest()
        own = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": f"v0={signed}",
        }
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(self.url, data=body.encode(), headers=own | headers) as answer,
            ):
                return answer.status, await answer.text(), answer.content_type
        except (aiohttp.ClientError, asyncio.IncompleteReadError) as gone:
            raise Undelivered("dispatch_failed") from gone
