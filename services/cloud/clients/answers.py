"""What came back from DigitalOcean, and how much of it may be repeated."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.common.causes import Cause
from services.common.text import strip_invisible

Json = dict[str, Any]
LONGEST_MESSAGE = 300
# A line or word of `user_data` that is at least this long may be a secret.
SECRET_LINE, SECRET_WORD, SECRET_WORD_WITH_DIGIT = 16, 24, 8
WITHOUT_BODY = frozenset({202, 204})


@dataclass(frozen=True)
class Answer:
    """The head of an answer, and of its error body only what may be repeated."""

    status: int
    headers: Mapping[str, str]
    is_json: bool
    id: str = ""
    message: str = ""
    request_id: str | None = None


class UnsuccessfulAnswer(Exception):
    """Carries an answer out of pydo's pipeline before pydo can misread it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"answered {answer.status}")
        self.answer = answer


class RequestLost(Exception):
    """No answer came. `sent`: False when the request certainly never left, else None."""

    def __init__(self, cause: Cause, sent: bool | None) -> None:
        super().__init__(cause.text)
        self.cause = cause
        self.sent = sent


def is_json(http: Any) -> bool:
    """Whether it is the API's own kind of answer."""
    # An empty 202 or 204 is a success without a body.
    return http.status_code in WITHOUT_BODY or "json" in (http.headers.get("content-type") or "")


def head(http: Any) -> Answer:
    """Return an answer without its body."""
    body = _body(http)
    fields: Mapping[str, object] = body if isinstance(body, dict) else {}
    request_id = fields.get("request_id") or http.headers.get("x-request-id")
    return Answer(
        status=http.status_code,
        headers=http.headers,
        is_json=isinstance(body, dict),
        id=str(fields.get("id") or "").lower(),
        message=str(fields.get("message") or ""),
        request_id=str(request_id) if request_id else None,
    )


def _body(http: Any) -> object:
    if not is_json(http):
        return None
    try:
        body: object = json.loads(http.content)
    except (ValueError, RecursionError):
        return None
    return body


def secrets_in(body: Json) -> frozenset[str]:
    """Return the parts of a pool's `user_data` that must not be repeated: lines and likely keys."""
    text = str((body.get("droplet_template") or {}).get("user_data") or "")
    lines = (line.strip() for line in text.splitlines())
    words = re.split(r"""[\s=:'",]+""", text)
    return frozenset(line for line in lines if len(line) >= SECRET_LINE) | frozenset(
        word for word in words if _may_be_a_key(word)
    )


def _may_be_a_key(word: str) -> bool:
    if len(word) >= SECRET_WORD:
        return True
    return len(word) >= SECRET_WORD_WITH_DIGIT and re.search(r"\d", word) is not None


def repeatable(message: str, hide: frozenset[str]) -> str:
    """Return the API's message on one line, or that it cannot be repeated."""
    # A validation message may quote what it did not accept, and what was sent holds credentials.
    if any(secret in message for secret in hide):
        return "(its reason quotes a secret and is left out)"
    return re.sub(r"\s+", " ", strip_invisible(message)).strip()[:LONGEST_MESSAGE]


def number(text: str | None) -> float | None:
    """Return a header's number, if it is one."""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def seconds(headers: Mapping[str, str]) -> float | None:
    """Return how long to wait, if the answer said."""
    return number(headers.get("retry-after"))
