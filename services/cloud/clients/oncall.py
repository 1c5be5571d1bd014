"""Pages on-call outside of Slack by one webhook: PagerDuty, Opsgenie, or a signed CloudEvent.

The CloudEvent is for every other receiver.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol
from urllib.parse import quote

from services.cloud.clients.http import HttpClient
from services.common.clock import Clock
from services.common.errors import Unreachable

log = logging.getLogger(__name__)
Kind = Literal["pagerduty", "opsgenie", "cloudevent"]
Severity = Literal["critical", "error", "warning"]
Action = Literal["trigger", "acknowledge", "resolve"]
ADDRESSES: Mapping[Kind, str] = {
    "pagerduty": "https://events.pagerduty.com/v2/enqueue",
    "opsgenie": "https://api.opsgenie.com/v2/alerts",
}
SIGNATURE = "OpenVidu-Bot-Signature"
# Seconds for one attempt.
DEADLINE = 10.0
ATTEMPTS, PAUSE = 3, 2.0
# Characters of a summary (PagerDuty accepts 1024) and of Opsgenie's message.
LONGEST_SUMMARY, LONGEST_MESSAGE = 1000, 130
# Statuses below 500 that may pass.
RETRIED = frozenset({408, 425, 429})


@dataclass(frozen=True)
class OnCallPage:
    """One event of an incident; events with the same `key` are about the same one."""

    action: Action
    key: str
    cluster: str
    summary: str
    severity: Severity
    at: float


class OnCallPager(Protocol):
    """A way to page on-call outside of Slack."""

    async def send(self, page: OnCallPage) -> None:
        """Deliver a page. Unreachable where that is not known to have worked."""


@dataclass(frozen=True)
class _HttpPost:
    url: str
    body: dict[str, object]
    headers: dict[str, str]


class Webhook:
    """Sends pages by HTTP POST. Sending one again is harmless: all three identify events by key."""

    def __init__(
        self, kind: Kind, secret: str, http: HttpClient, clock: Clock, url: str = ""
    ) -> None:
        self.kind = kind
        self.url = url or ADDRESSES.get(kind, "")
        self._secret = secret
        self._http = http
        self._clock = clock

    async def send(self, page: OnCallPage) -> None:
        """Deliver a page, with a few attempts. Unreachable when none was accepted.

        What was refused is not sent again.
        """
        trouble: Unreachable | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                await self._clock.sleep(PAUSE * 2 ** (attempt - 1))
            # Anew for each attempt: a CloudEvent's signature holds the time.
            post = self._post_of(page)
            try:
                reply = await self._http.post(
                    post.url, post.body, headers=post.headers, timeout=DEADLINE
                )
            except Unreachable as error:
                trouble = error
                continue
            if 200 <= reply.status < 300:
                return
            trouble = Unreachable(f"calling on-call ({self.kind}): it answered {reply.status}")
            if reply.status < 500 and reply.status not in RETRIED:
                break
        assert trouble is not None, "it was tried at least once"
        raise trouble

    def _post_of(self, page: OnCallPage) -> _HttpPost:
        match self.kind:
            case "pagerduty":
                return _pagerduty(self.url, self._secret, page)
            case "opsgenie":
                return _opsgenie(self.url, self._secret, page)
            case _:
                return _cloudevent(self.url, self._secret, page, self._clock.now())


def _pagerduty(url: str, key: str, page: OnCallPage) -> _HttpPost:
    body: dict[str, object] = {
        "routing_key": key,
        "event_action": page.action,
        "dedup_key": page.key,
    }
    if page.action == "trigger":
        payload = {
            "summary": page.summary[:LONGEST_SUMMARY],
            "source": page.cluster,
            "severity": page.severity,
            "timestamp": _stamp(page.at),
        }
        body["payload"] = payload
    return _HttpPost(url, body, {})


def _opsgenie(url: str, key: str, page: OnCallPage) -> _HttpPost:
    headers = {"Authorization": f"GenieKey {key}"}
    if page.action == "trigger":
        priority = {"critical": "P1", "error": "P2", "warning": "P3"}[page.severity]
        fields = {
            "message": page.summary[:LONGEST_MESSAGE],
            "description": page.summary[:LONGEST_SUMMARY],
            "priority": priority,
        }
        return _HttpPost(
            url,
            {**fields, "alias": page.key, "source": "openvidu-bot", "entity": page.cluster},
            headers,
        )
    verb = {"acknowledge": "acknowledge", "resolve": "close"}[page.action]
    return _HttpPost(
        f"{url}/{quote(page.key, safe='')}/{verb}?identifierType=alias",
        {"source": "openvidu-bot"},
        headers,
    )


def _cloudevent(url: str, secret: str, page: OnCallPage, now: float) -> _HttpPost:
    body: dict[str, object] = {
        "specversion": "1.0",
        "id": f"{page.key}/{page.action}/{page.at:.0f}",
        "type": f"openvidu-bot.incident.{page.action}",
        "source": f"/openvidu-bot/{page.cluster}",
        "subject": page.key,
        "time": _stamp(page.at),
        "datacontenttype": "application/json",
        "data": {
            "summary": page.summary[:LONGEST_SUMMARY],
            "severity": page.severity,
            "cluster": page.cluster,
        },
    }
    headers = {
        "Content-Type": "application/cloudevents+json",
        SIGNATURE: signature(secret, f"{now:.0f}", json.dumps(body).encode()),
    }
    return _HttpPost(url, body, headers)


def signature(secret: str, at: str, body: bytes) -> str:
    """Return `t=1795723200,v1=…`: HMAC-SHA256 over the time, a full stop and the sent body."""
    signed = hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
