"""An exchange as a line of a recording. Pure.

A line has `n` (its number), `t` (seconds from the first), `took`, `party`, `ask` (what was
requested, as a template), and where there are any `params`, `query`, `sent`, `status`, `headers`,
`answer`, and `lost` when no answer came.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bot.record.node_output import read_output, script_of
from bot.record.redaction import OUT, Redaction, left_out
from bot.record.tables import (
    HEADERS,
    KNOWN_METHODS,
    LIVEKIT,
    LIVEKIT_ERROR,
    LIVEKIT_SENT,
    MEDIA_TYPES,
    PARAMETERS,
    SLACK,
    SLACK_OTHER,
    SPACES,
    digitalocean,
)
from services.cloud.clients.exchanges import Exchange

Json = dict[str, Any]
PAGES = {"/health/caddy": "GET health page", "/": "GET public page", "": "GET public page"}
TWIRP = "/twirp/livekit."


def line_of(exchange: Exchange, redaction: Redaction) -> Json:
    """Return what is kept of an exchange, without its number and times."""
    match exchange.party:
        case "digitalocean":
            return _digitalocean(exchange, redaction)
        case "livekit":
            return _livekit(exchange, redaction)
        case "http":
            return _http(exchange, redaction)
        case "spaces":
            return _spaces(exchange, redaction)
        case "ssh":
            return _ssh(exchange, redaction)
        case "slack":
            return _slack(exchange, redaction)


def _digitalocean(exchange: Exchange, redaction: Redaction) -> Json:
    operation = digitalocean().find(exchange.request)
    if operation is None:
        ask = f"{_verb(exchange.request)} an unpublished path"
        return _compact(_line(exchange, ask, redaction, OUT))
    answers = operation.answers
    node = answers.get(str(exchange.status), answers.get("default", "$error"))
    line = _line(exchange, operation.template, redaction, node)
    line["params"] = {
        name: redaction.value(PARAMETERS[name], value) for name, value in operation.parameters
    }
    line["query"] = _query(exchange.query, redaction)
    if exchange.sent:
        line["sent"] = redaction.value(operation.sent, _json(exchange.sent))
    return _compact(line)


def _query(query: Mapping[str, str], redaction: Redaction) -> Json:
    kinds = {"page": "digits", "per_page": "digits", "tag_name": "name:tag", "name": "name:pool",
        "resource_type": "words"}  # fmt: skip
    return {
        name: redaction.value(kinds[name], value) for name, value in query.items() if name in kinds
    }


def _livekit(exchange: Exchange, redaction: Redaction) -> Json:
    method = urlsplit(exchange.where).path.partition(TWIRP)[2]
    known = method in LIVEKIT
    node = LIVEKIT[method] if known and exchange.status == 200 else LIVEKIT_ERROR
    line = _line(exchange, method if known else "an unknown method", redaction, node)
    if exchange.sent:
        line["sent"] = redaction.value(LIVEKIT_SENT, exchange.sent)
    return _compact(line)


def _http(exchange: Exchange, redaction: Redaction) -> Json:
    """Return a line for a page: its status and which host it was, as a pseudonym."""
    where = urlsplit(exchange.where)
    page = PAGES.get(where.path, f"{_verb(exchange.request)} another page")
    host = redaction.pseudonyms.name("host", where.netloc)
    return _compact({"party": exchange.party, "ask": page, "params": {"host": host},
        "status": exchange.status, "lost": _lost(exchange)})  # fmt: skip


def _spaces(exchange: Exchange, redaction: Redaction) -> Json:
    name = exchange.request
    if name not in SPACES:
        return _compact(_line(exchange, "another operation", redaction, OUT))
    line = _line(exchange, name, redaction, SPACES[name])
    key = exchange.where.split("?")[0].split("/", 2)
    if len(key) == 3 and key[2]:
        line["params"] = {"key": redaction.value("object", key[2])}
    return _compact(line)


def _ssh(exchange: Exchange, redaction: Redaction) -> Json:
    script = script_of(exchange.request)
    droplet = redaction.value("id:droplet", int(exchange.where or 0))
    line: Json = {"party": "ssh", "ask": script, "params": {"droplet_id": droplet},
        "lost": _lost(exchange)}  # fmt: skip
    if not exchange.lost:
        answer = exchange.answer if isinstance(exchange.answer, dict) else {}
        line["status"] = exchange.status
        line["answer"] = {
            "lines": read_output(script, str(answer.get("stdout", "")), redaction),
            "stderr lines": len(str(answer.get("stderr", "")).splitlines()),
        }
    return _compact(line, zero_status=not exchange.lost)


def _slack(exchange: Exchange, redaction: Redaction) -> Json:
    method = exchange.request
    if method not in KNOWN_METHODS:
        method = "an unknown method"
    line = _line(exchange, method, redaction, SLACK.get(method, SLACK_OTHER))
    if isinstance(exchange.sent, dict):
        line["sent"] = {
            str(name): left_out(value)
            for name, value in exchange.sent.items()
            if redaction.field_name(name, {}) == name
        }
    return _compact(line)


def _line(exchange: Exchange, ask: str, redaction: Redaction, node: Any) -> Json:
    line: Json = {
        "party": exchange.party,
        "ask": ask,
        "status": exchange.status,
        "headers": headers_of(exchange.headers, redaction),
        "lost": _lost(exchange),
    }
    if not exchange.lost and exchange.answer not in (b"", None):
        line["answer"] = redaction.value(node, _json(exchange.answer))
    return line


def headers_of(headers: Mapping[str, str], redaction: Redaction) -> Json:
    """Return the headers that are kept."""
    kept: Json = {}
    for given, value in headers.items():
        name = str(given).lower()
        if name in HEADERS:
            if HEADERS[name] == "media type":
                fitting = MEDIA_TYPES.fullmatch(str(value))
                kept[name] = str(value) if fitting else left_out(str(value))
            else:
                kept[name] = redaction.value(HEADERS[name], str(value))
    return kept


def _json(body: object) -> object:
    """Return a body's value; a text that is no JSON stays text, and is left out."""
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str):
        try:
            parsed: object = json.loads(body)
        except (ValueError, RecursionError):
            return body
        return parsed
    return body


def _verb(request: str) -> str:
    verb = request.partition(" ")[0]
    return verb if re.fullmatch(r"GET|PUT|POST|DELETE|PATCH|HEAD", verb) else "a request to"


def _lost(exchange: Exchange) -> str:
    known = ("unknown", "never sent", "sent", "refused", "error")
    return exchange.lost if exchange.lost in known else "error" if exchange.lost else ""


def _compact(line: Json, *, zero_status: bool = False) -> Json:
    """Leave out what is empty."""
    return {
        name: value
        for name, value in line.items()
        if value not in ("", {}, None) and (value != 0 or name != "status" or zero_status)
    }
