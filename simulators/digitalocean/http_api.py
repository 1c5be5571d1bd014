"""The HTTP API: token, rate limit, scopes, faults, and then the route."""

import json
import uuid
from collections.abc import Mapping
from functools import lru_cache

from aiohttp import web

from simulators.cloud import Cloud, Refusal, SimulatedDroplet
from simulators.digitalocean import (
    droplet_routes,
    function_routes,
    image_routes,
    network_routes,
    odd_answers,
    pool_routes,
    storage_routes,
)
from simulators.digitalocean.limiter import RateLimiter, RateLimitHeaders
from simulators.digitalocean.routing import MOST_PER_PAGE, ROUTES, ApiRequest, Route
from simulators.faults import WorldFault, WorldFaults
from simulators.responses import HttpResponse, json_response, send

OPERATIONS = (
    droplet_routes,
    pool_routes,
    function_routes,
    image_routes,
    network_routes,
    storage_routes,
)
"""Their import registers their operations in `ROUTES`."""
PLAIN = {
    500: ("server_error", "Unexpected server-side error"),
    503: ("service_unavailable", "Server currently unavailable. Please try again later."),
}
UNAUTHORIZED = (401, "unauthorized", "Unable to authenticate you.")
FORBIDDEN = (403, "forbidden", "You do not have access for the attempted action.")
LIMITED = (429, "too_many_requests", "API Rate limit exceeded.")
HARMLESS = ("delay", "shuffled", "tags-shuffled", "churn")
"""Faults that the vendor's function would not notice."""


class DigitalOceanApi:
    """The HTTP API of a cloud.

    `scopes` None: a token with every scope; `tokens`: the valid ones.
    """

    def __init__(
        self,
        estate: Cloud,
        token: str = "dop_v1_sim",  # noqa: S107
        faults: WorldFaults | None = None,
    ) -> None:
        self.estate, self.faults = estate, faults or WorldFaults()
        self.tokens = {token}
        self.scopes: set[str] | None = None
        self.scopes_of: dict[str, set[str] | None] = {}
        """The scopes of single tokens; the others have `scopes`."""
        self.page_limit = MOST_PER_PAGE
        """Most items on a page. A small limit makes a large account out of a few droplets."""
        self.limiters: dict[str, RateLimiter] = {}
        self._answered = 0
        estate.switched = self.faults.switched
        estate.node_faults = self.faults.lasting_faults
        estate.functions.answers = self._answers_function
        estate.outcome = self._outcome

    def handle(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> HttpResponse:
        """Answer one request at once. `delay` and `fate` of the answer are up to its carrier."""
        self.estate.settle()
        answer = self._answer(method, path, query, {k.lower(): v for k, v in headers.items()}, body)
        self._answered += 1
        answer.headers.setdefault(
            "x-request-id", str(uuid.UUID(int=self._answered + (0x40 << 72), version=4))
        )
        self.estate.requests.append((method, path, answer.status, self.estate.now))
        return answer

    def app(self) -> web.Application:
        """Return an aiohttp application that serves this API."""

        async def serve(request: web.Request) -> web.StreamResponse:
            answer = self.handle(
                request.method,
                request.path,
                dict(request.query),
                request.headers,
                await request.read(),
            )
            return await send(answer, request, self.estate.clock)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", serve)
        return app

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> HttpResponse:
        fault = self.faults.pick("digitalocean", f"{method} {path}")
        if fault is not None and fault.kind == "reset-before":
            return HttpResponse(0, fate="reset")
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            return self._error(*UNAUTHORIZED, headers={})
        reading = self._count(token, fault)
        if reading.refused:
            return self._error(*LIMITED, headers=reading.headers())
        if fault is not None and fault.kind in odd_answers.REFUSALS:
            return self._error(*odd_answers.REFUSALS[fault.kind], headers=reading.headers())
        answer = _spoiled_before(fault) or self._route(method, path, query, headers, body, token)
        answer.headers |= reading.headers()
        return self._spoiled_after(answer, fault, reading, f"{method} {path}")

    def _count(self, token: str, fault: WorldFault | None) -> RateLimitHeaders:
        """Count a request of that token."""
        limiter = self.limiters.setdefault(token, RateLimiter())
        if fault and fault.kind.startswith("429"):
            return limiter.refuse(self.estate.now, burst=fault.kind == "429-minute")
        return limiter.admit(self.estate.now)

    def _outcome(self, kind: str, droplet: SimulatedDroplet) -> str:
        """Return what an action on a droplet comes to."""
        fault = self.faults.pick("action", f"{kind} {droplet.name}")
        if fault is None:
            return "done"
        return fault.kind

    def _answers_function(self, what: str) -> bool:
        """Return whether the vendor's function gets an answer.

        It has a token of its own, and treats every failure alike.
        """
        fault = self.faults.pick("digitalocean", f"function {what}")
        return fault is None or fault.kind in HARMLESS

    def _route(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        token: str,
    ) -> HttpResponse:
        route, params = _route_of("GET" if method == "HEAD" else method, path)
        if route is None:
            return self._error(
                404, "not_found", "The resource you requested could not be found.", headers={}
            )
        scopes = self.scopes_of.get(token, self.scopes)
        if scopes is not None and not route.scopes & scopes:
            return self._error(*FORBIDDEN, headers={})
        try:
            call = ApiRequest(
                self.estate, params, query, headers, _parsed(body), scopes, self.page_limit
            )
            with self.estate.timeline.caused_by("operator", f"{method} {path}"):
                return route.handler(call)
        except Refusal as refusal:
            return self._error(refusal.status, refusal.name, refusal.text, headers={})

    def _spoiled_after(
        self, answer: HttpResponse, fault: WorldFault | None, reading: RateLimitHeaders, what: str
    ) -> HttpResponse:
        if fault is None:
            return answer
        if fault.kind == "churn" and what == "GET /v2/droplets":
            self.estate.neighbours.churn(creates=fault.share < 0.5)
        if fault.kind in odd_answers.KINDS and what.startswith("GET "):
            return odd_answers.spoiled(answer, fault, self._answered)
        if fault.kind == "delay":
            answer.delay = fault.seconds
        elif fault.kind == "reset-after":
            answer.fate = "reset-after"
        elif fault.kind.endswith("-after"):
            return self._plain(int(fault.kind[:3]), reading.headers())
        return answer

    def _plain(self, status: int, headers: dict[str, str]) -> HttpResponse:
        return self._error(status, *PLAIN[status], headers=headers)

    def _error(self, status: int, name: str, text: str, headers: dict[str, str]) -> HttpResponse:
        request_id = str(uuid.UUID(int=self._answered + 1 + (0x40 << 72), version=4))
        content = {"id": name, "message": text, "request_id": request_id}
        return json_response(status, content, headers | {"x-request-id": request_id})


@lru_cache(maxsize=1000)
def _route_of(verb: str, path: str) -> tuple[Route | None, Mapping[str, str]]:
    """Return the operation of a path, and what the path names."""
    for route in ROUTES:
        if route.verb == verb and (found := route.pattern.fullmatch(path)):
            return route, found.groupdict()
    return None, {}


def _spoiled_before(fault: WorldFault | None) -> HttpResponse | None:
    if fault is None:
        return None
    if fault.kind == "html-502":
        return HttpResponse(
            502,
            {"content-type": "text/html"},
            b"<html><head><title>502 Bad Gateway</title></head></html>",
        )
    if fault.kind in ("500-before", "503-before"):
        status = int(fault.kind[:3])
        return json_response(status, dict(zip(("id", "message"), PLAIN[status], strict=True)))
    return None


def _parsed(body: bytes | None) -> dict[str, object]:
    if not body:
        return {}
    try:
        content = json.loads(body)
    except ValueError:
        raise Refusal(400, "bad_request", "Unable to parse the request body.") from None
    if not isinstance(content, dict):
        raise Refusal(400, "bad_request", "The request body must be an object.")
    return content
