"""Calls on-call outside of Slack: one webhook, to PagerDuty, to Opsgenie, or a signed CloudEvent to whatever else takes one."""

import hashlib
import hmac
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol
from urllib.parse import quote

from services.cloud.clients.http import Http
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
DEADLINE = 10.0  # seconds for one try
TRIES, PAUSE = 3, 2.0
SAID = 1000  # characters of a summary: PagerDuty takes 1024
LATER = frozenset({408, 425, 429})  # statuses below 500 that may pass


@dataclass(frozen=True)
class Page:
    """One event of an incident; events with the same `key` are about the same one."""

    action: Action
    key: str
    cluster: str
    summary: str
    severity: Severity
    at: float


class OnCall(Protocol):
    """A way to call on-call outside of Slack."""

    async def send(self, page: Page) -> None:
        """Deliver it. Unreachable where that is not known to have worked."""


@dataclass(frozen=True)
class _Sent:
    url: str
    body: dict[str, object]
    headers: dict[str, str]


class Webhook:
    """Sends pages by HTTP POST. Sending one again is harmless: all three tell events apart by their key."""

    def __init__(self, kind: Kind, secret: str, http: Http, clock: Clock, url: str = "") -> None:
        self.kind = kind
        self.url = url or ADDRESSES.get(kind, "")
        self._secret = secret
        self._http = http
        self._clock = clock

    async def send(self, page: Page) -> None:
        """Deliver it, with a few tries. Unreachable when none was taken; what was refused is not tried again."""
        trouble: Unreachable | None = None
        for attempt in range(TRIES):
            if attempt:
                await self._clock.sleep(PAUSE * 2 ** (attempt - 1))
            made = self._made(page)
            try:
                reply = await self._http.post(
                    made.url, made.body, headers=made.headers, timeout=DEADLINE
                )
            except Unreachable as error:
                trouble = error
                continue
            if 200 <= reply.status < 300:
                return
            trouble = Unreachable(f"calling on-call ({self.kind}): it answered {reply.status}")
            if reply.status < 500 and reply.status not in LATER:
                break
        assert trouble is not None, "it was tried at least once"
        raise trouble

    def _made(self, page: Page) -> _Sent:
        match self.kind:
            case "pagerduty":
                return _pagerduty(self.url, self._secret, page)
            case "opsgenie":
                return _opsgenie(self.url, self._secret, page)
            case _:
                return _cloudevent(self.url, self._secret, page, self._clock.now())


def _pagerduty(url: str, key: str, page: Page) -> _Sent:
    body: dict[str, object] = {
        "routing_key": key,
        "event_action": page.action,
        "dedup_key": page.key,
    }
    if page.action == "trigger":
        about = {
            "summary": page.summary[:SAID],
            "source": page.cluster,
            "severity": page.severity,
            "timestamp": _stamp(page.at),
        }
        body["payload"] = about
    return _Sent(url, body, {})


def _opsgenie(url: str, key: str, page: Page) -> _Sent:
    headers = {"Authorization": f"GenieKey {key}"}
    if page.action == "trigger":
        priority = {"critical": "P1", "error": "P2", "warning": "P3"}[page.severity]
        said = {
            "message": page.summary[:130],
            "description": page.summary[:SAID],
            "priority": priority,
        }
        return _Sent(
            url,
            {**said, "alias": page.key, "source": "openvidu-bot", "entity": page.cluster},
            headers,
        )
    verb = "acknowledge" if page.action == "acknowledge" else "close"
    return _Sent(
        f"{url}/{quote(page.key, safe='')}/{verb}?identifierType=alias",
        {"source": "openvidu-bot"},
        headers,
    )


def _cloudevent(url: str, secret: str, page: Page, now: float) -> _Sent:
    body: dict[str, object] = {
        "specversion": "1.0",
        "id": f"{page.key}/{page.action}/{page.at:.0f}",
        "type": f"openvidu-bot.incident.{page.action}",
        "source": f"/openvidu-bot/{page.cluster}",
        "subject": page.key,
        "time": _stamp(page.at),
        "datacontenttype": "application/json",
        "data": {
            "summary": page.summary[:SAID],
            "severity": page.severity,
            "cluster": page.cluster,
        },
    }
    headers = {
        "Content-Type": "application/cloudevents+json",
        SIGNATURE: signature(secret, f"{now:.0f}", json.dumps(body).encode()),
    }
    return _Sent(url, body, headers)


def signature(secret: str, at: str, body: bytes) -> str:
    """`t=1795723200,v1=…`: HMAC-SHA256 with the secret, of the time, a full stop, and the body as it is sent."""
    signed = hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
