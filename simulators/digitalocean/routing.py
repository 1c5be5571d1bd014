"""How operations register themselves, and how lists are paged."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from simulators.cloud import Cloud
from simulators.cloud.model import unprocessable
from simulators.digitalocean import views
from simulators.responses import JSON_TYPE, HttpResponse, json_response

MOST_PER_PAGE = 200
T = TypeVar("T")


@dataclass(frozen=True)
class ApiRequest:
    """One parsed request."""

    estate: Cloud
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    scopes: set[str] | None = None
    page_limit: int = MOST_PER_PAGE

    def number(self, name: str) -> int:
        """Return a number of the path."""
        return int(self.params[name])

    def may(self, scope: str) -> bool:
        """Return whether the token has a scope."""
        return self.scopes is None or scope in self.scopes


class Route(NamedTuple):
    """One operation; any one of the scopes is enough."""

    verb: str
    pattern: re.Pattern[str]
    scopes: set[str]
    handler: Callable[[ApiRequest], HttpResponse]
    path: str = ""


ROUTES: list[Route] = []


def route(
    verb: str, path: str, *scopes: str
) -> Callable[[Callable[[ApiRequest], HttpResponse]], Callable[[ApiRequest], HttpResponse]]:
    """Register a handler for a path such as /v2/droplets/{id}.

    An `id` of a droplet or action is a number.
    """
    numeric = path.replace("{droplet}", r"(?P<droplet>\d{1,18})").replace(
        "{action}", r"(?P<action>\d{1,18})"
    )
    pattern = re.compile(
        re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", numeric) if "(?P" not in numeric else numeric
    )

    def register(
        handler: Callable[[ApiRequest], HttpResponse],
    ) -> Callable[[ApiRequest], HttpResponse]:
        ROUTES.append(Route(verb, pattern, set(scopes), handler, path))
        return handler

    return register


def _whole(call: ApiRequest, name: str, default: int) -> int:
    text = call.query.get(name, "")
    if not text:
        return default
    if not text.isdigit() or int(text) < 1:
        raise unprocessable(f"{name} is invalid")
    return int(text)


def paged(
    call: ApiRequest, key: str, things: Sequence[Any], path: str, status: int = 200
) -> HttpResponse:
    """Return one page of a list, with links to the other pages."""
    shown, rest = _page(call, things, path)
    return json_response(status, {key: list(shown), **rest})


def paged_texts(call: ApiRequest, key: str, texts: Sequence[str], path: str) -> HttpResponse:
    """Return one page of a list whose items are JSON text already."""
    shown, rest = _page(call, texts, path)
    body = f'{{"{key}": [{", ".join(shown)}], {json.dumps(rest)[1:]}'
    return HttpResponse(200, {"content-type": JSON_TYPE}, body.encode())


def _page(call: ApiRequest, things: Sequence[T], path: str) -> tuple[Sequence[T], dict[str, Any]]:
    size = min(_whole(call, "per_page", 20), call.page_limit)
    page, last = _whole(call, "page", 1), max(1, -(-len(things) // size))
    rest = "".join(f"&{k}={v}" for k, v in call.query.items() if k not in ("page", "per_page"))

    def link(number: int) -> str:
        return f"{views.API}{path}?page={number}&per_page={size}{rest}"

    pages: dict[str, str] = {}
    links: dict[str, Any] = {}
    if page > 1:
        pages |= {"first": link(1), "prev": link(page - 1)}
    if page < last:
        pages |= {"next": link(page + 1), "last": link(last)}
    if pages:
        links = {"pages": pages}
    shown = things[(page - 1) * size : page * size]
    return shown, {"links": links, "meta": {"total": len(things)}}


def empty(status: int) -> HttpResponse:
    """Return an answer without a body."""
    return HttpResponse(status, {"content-type": "application/json"})
