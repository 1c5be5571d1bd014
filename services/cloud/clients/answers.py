"""What came back from DigitalOcean, and how much of it may be said aloud."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.cloud.clients.http import NEVER_CONNECTED
from services.common.causes import Cause, cause_of
from services.common.text import printable

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """The head of an answer, and of its error body only what may be repeated."""

    status: int
    headers: Mapping[str, str]
    is_json: bool
    id: str = ""
    message: str = ""
    request_id: str | None = None


class Answered(Exception):
    """Carries an answer out of pydo's pipeline before pydo can misread it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"answered {answer.status}")
        self.answer = answer


def is_json(http: Any) -> bool:
    """Whether it is the API's own kind of answer."""
    # An empty 202 or 204 is a success without a body.
    return http.status_code in {202, 204} or "json" in (http.headers.get("content-type") or "")


def head(http: Any) -> Answer:
    """An answer without its body."""
    body: object = None
    if is_json(http):
        try:
            body = json.loads(http.content)
        except ValueError:
            body = None
    said: Mapping[str, object] = body if isinstance(body, dict) else {}
    request_id = said.get("request_id") or http.headers.get("x-request-id")
    return Answer(
        status=http.status_code,
        headers=http.headers,
        is_json=isinstance(body, dict),
        id=str(said.get("id") or "").lower(),
        message=str(said.get("message") or ""),
        request_id=str(request_id) if request_id else None,
    )


def secrets_in(body: Json) -> frozenset[str]:
    """What of a pool's `user_data` must not be repeated: whole lines, and words that may be keys."""
    text = str((body.get("droplet_template") or {}).get("user_data") or "")
    words = (
        word
        for word in re.split(r"""[\s=:'",]+""", text)
        if len(word) >= 24 or (len(word) >= 8 and re.search(r"\d", word))
    )
    return frozenset(words) | {
        line.strip() for line in text.splitlines() if len(line.strip()) >= 16
    }


def repeatable(message: str, hide: frozenset[str]) -> str:
    """The API's message on one line, or that it cannot be repeated."""
    # A validation message may quote what it did not like, and what was sent holds credentials.
    if any(secret in message for secret in hide):
        return "(its reason quotes a secret and is left out)"
    return re.sub(r"\s+", " ", printable(message)).strip()[:300]


def number(text: str | None) -> float | None:
    """A header's number, if it is one."""
    try:
        found = float(text) if text else None
    except ValueError:
        return None
    return found if found is not None and math.isfinite(found) else None


def seconds(headers: Mapping[str, str]) -> float | None:
    """How long to wait, if the answer said."""
    return number(headers.get("retry-after"))


def never_connected(trouble: BaseException) -> bool:
    """Whether the request certainly never left."""
    from azure.core.exceptions import ServiceRequestTimeoutError  # noqa: PLC0415

    # A reset of an open connection comes as ServiceRequestError too; only what lies beneath tells them apart.
    inner = getattr(trouble, "inner_exception", None) or trouble.__cause__
    return isinstance(trouble, ServiceRequestTimeoutError) or isinstance(inner, NEVER_CONNECTED)


def cause(trouble: BaseException) -> Cause:
    """Why a call was lost."""
    return cause_of(trouble, "digitalocean.ca_file")
