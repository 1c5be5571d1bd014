"""The clients against small servers on this machine: what each answer, or none, becomes."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncssh
import jwt
import pytest
from aiohttp import web

from bot.packages import LATE
from services.cloud.clients import digitalocean
from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cloud.clients.http import HttpClient
from services.cloud.clients.livekit import LivekitClient
from services.cloud.clients.spaces import SpacesClient
from services.cloud.clients.ssh import Host, Output, SshClient
from services.cloud.clients.ssh_pool import OUTPUT_LIMIT
from services.common.clock import Clock
from services.common.errors import (
    BotError,
    Forbidden,
    NotFound,
    Refused,
    Rejected,
    Unreachable,
    Unreadable,
)
from tests.support.pydo_transport import InProcessTransport

NOW = 1_800_000_000.0
CLOCK = Clock(read=lambda: NOW)
TOKEN = "dop_v1_not_a_token"
USER_DATA = "#cloud-config\nexport DO_TOKEN=hunter2hunter2\n"
TEMPLATE = {"user_data": USER_DATA, "size": "s-4vcpu-8gb"}

HOURLY = {"ratelimit-remaining": "0", "ratelimit-reset": f"{NOW + 90:.0f}"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Run a server of that one handler; yields its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def ask_digitalocean(handler: Handler, ask: Callable[[DigitalOceanClient], Awaitable[Any]]) -> Any:
    """Return what one call returns."""

    async def run() -> Any:
        async with serving(handler) as url:
            api = DigitalOceanClient(TOKEN, endpoint=url, clock=CLOCK)
            try:
                return await ask(api)
            finally:
                await api.aclose()

    return asyncio.run(run())


def free(api: DigitalOceanClient) -> digitalocean.DigitalOceanWrites:
    """Return the requests that change something, without a check before them."""
    return api.writes(lambda: None)


def trouble(handler: Handler, ask: Callable[[DigitalOceanClient], Awaitable[Any]]) -> BotError:
    """Return the error that one call raises."""
    with pytest.raises(BotError) as raised:
        ask_digitalocean(handler, ask)
    return raised.value


def answering(status: int, body: object = None, headers: dict[str, str] | None = None) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        if isinstance(body, str):
            return web.Response(status=status, text=body, content_type="text/html", headers=headers)
        return (
            web.json_response(body, status=status, headers=headers)
            if body is not None
            else web.Response(status=status, headers=headers)
        )

    return handler


def error(name: str, message: str) -> dict[str, str]:
    return {"id": name, "message": message, "request_id": "r-1"}


# DigitalOcean: what statuses become


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "words", "again_in", "sent"),
    [
        (
            401,
            error("Unauthorized", "Unable to authenticate you."),
            {},
            Forbidden,
            "the token was refused (401); this needs droplet:update",
            None,
            None,
        ),
        (
            403,
            error("forbidden", "You do not have permission."),
            {},
            Forbidden,
            "the token lacks droplet:update (403)",
            None,
            None,
        ),
        (
            404,
            error("not_found", "gone"),
            {},
            NotFound,
            "asking for shutdown of droplet 5: not found",
            None,
            None,
        ),
        (
            422,
            error("unprocessable_entity", "Droplet already has a pending event."),
            {},
            Rejected,
            "pending event",
            None,
            None,
        ),
        (400, error("bad_request", "no"), {}, Rejected, "answered 400: no", None, None),
        (409, error("conflict", "busy"), {}, Rejected, "answered 409: busy", None, None),
        (
            429,
            error("too_many_requests", "slow"),
            {"retry-after": "17"},
            Unreachable,
            "too many requests",
            17.0,
            False,
        ),
        (
            429,
            error("too_many_requests", "slow"),
            HOURLY,
            Unreachable,
            "too many requests",
            90.0,
            False,
        ),
        (429, error("too_many_requests", "slow"), {}, Unreachable, "", 60.0, False),
        (500, error("server_error", "oops"), {}, Unreachable, "answered 500", None, None),
        (
            503,
            error("service_unavailable", "oops"),
            {"retry-after": "9"},
            Unreachable,
            "answered 503",
            9.0,
            None,
        ),
        (502, "<html>Bad gateway</html>", {}, Unreachable, "answered 502", None, None),
        (403, "<html>Blocked</html>", {}, Unreachable, "answered 403, not by the API", None, None),
        (201, "<html>Sign in</html>", {}, Unreachable, "not by the API", None, None),
        (302, None, {"location": "/elsewhere"}, Unreachable, "answered 302", None, None),
        (
            201,
            {"something": "else"},
            {},
            Unreadable,
            "the answer has no readable action",
            None,
            None,
        ),
    ],
)
def test_what_an_answer_to_an_action_becomes(
    status: int,
    body: object,
    headers: dict[str, str],
    kind: type[BotError],
    words: str,
    again_in: float | None,
    sent: bool | None,
) -> None:
    raised = trouble(
        answering(status, body, headers), lambda api: free(api).droplet_action(5, "shutdown")
    )
    assert type(raised) is kind
    assert words in str(raised)
    assert str(raised).startswith("asking for shutdown of droplet 5: ")
    if isinstance(raised, Unreachable):
        assert (raised.retry_after, raised.sent) == (again_in, sent)
    if isinstance(raised, Rejected):
        assert (raised.status, raised.request_id) == (status, "r-1")


def test_a_404_that_pydo_would_return_as_a_value_is_raised() -> None:
    handler = answering(
        404, error("not_found", "The resource you were accessing could not be found.")
    )
    for ask in (
        lambda api: api.pool("p"),
        lambda api: api.members("p"),
        lambda api: api.history("p"),
        lambda api: api.actions(1),
        lambda api: free(api).put_pool("p", {}),
        lambda api: free(api).delete_snapshot("s"),
    ):
        assert isinstance(trouble(handler, ask), NotFound)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_request_is_sent_once_whatever_the_answer(status: int) -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.method)
        return web.json_response(error("x", "y"), status=status, headers={"retry-after": "0"})

    trouble(handler, lambda api: free(api).droplet_action(5, "power_off"))
    trouble(handler, lambda api: free(api).put_pool("p", {}))
    trouble(handler, lambda api: api.pool("p"))
    assert seen == ["POST", "PUT", "GET"]


def test_a_reset_after_a_post_leaves_open_whether_it_took_effect() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.method)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    raised = trouble(handler, lambda api: free(api).droplet_action(5, "shutdown"))
    assert isinstance(raised, Unreachable)
    assert (raised.sent, seen) == (None, ["POST"])


def test_a_refused_connection_was_certainly_not_sent() -> None:
    async def run() -> None:
        async with serving(answering(200, {})) as url:
            pass
        api = DigitalOceanClient(TOKEN, endpoint=url, clock=CLOCK)
        try:
            await free(api).droplet_action(5, "shutdown")
        finally:
            await api.aclose()

    with pytest.raises(Unreachable, match="connection refused") as raised:
        asyncio.run(run())
    assert raised.value.sent is False


def test_an_answer_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digitalocean, "CALL_SECONDS", 0.2)

    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3)
        return web.Response()

    raised = trouble(handler, lambda api: free(api).droplet_action(5, "shutdown"))
    assert isinstance(raised, Unreachable)
    assert raised.sent is None
    assert "no answer within" in str(raised)


@pytest.mark.parametrize("body", [b"{not json", b""])
def test_broken_json_is_no_answer(body: bytes) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=200, body=body, content_type="application/json")

    assert isinstance(trouble(handler, lambda api: api.droplets()), Unreachable)


# DigitalOcean's lists


def test_a_list_is_read_to_its_end() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        page = int(request.query["page"])
        assert request.query["per_page"] == "200"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        items = [{"id": number} for number in range((page - 1) * 2, page * 2)]
        links = {"pages": {"next": "there is more"}} if page < 3 else {}
        return web.json_response({"droplets": items, "links": links, "meta": {"total": 6}})

    found = ask_digitalocean(handler, lambda api: api.droplets())
    assert [droplet["id"] for droplet in found] == [0, 1, 2, 3, 4, 5]


def test_a_list_that_changes_while_it_is_read_is_not_believed() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        page = int(request.query["page"])
        links = {"pages": {"next": "more"}} if page == 1 else {}
        return web.json_response({"droplets": [{"id": 1}], "links": links, "meta": {"total": 2}})

    assert "changed while" in str(trouble(handler, lambda api: api.droplets()))


def test_an_answer_without_the_list_is_not_an_empty_list() -> None:
    assert isinstance(
        trouble(answering(200, {"meta": {"total": 0}}), lambda api: api.droplets()), Unreachable
    )
    nothings: tuple[Any, ...] = ([], None)
    for nothing in nothings:
        alone: dict[str, Any] = {"droplets": nothing}
        assert isinstance(trouble(answering(200, alone), lambda api: api.droplets()), Unreachable)
        whole = alone | {"meta": {"total": 0}}
        assert ask_digitalocean(answering(200, whole), lambda api: api.droplets()) == []


# DigitalOcean: secrets and the budget


def test_the_pool_goes_out_as_it_came_in() -> None:
    body = {
        "name": "p",
        "config": {"target_number_instances": 0},
        "droplet_template": {**TEMPLATE, "unknown": None, "project_id": ""},
    }

    async def handler(request: web.Request) -> web.StreamResponse:
        assert (request.method, request.path) == ("PUT", "/v2/droplets/autoscale/p-1")
        assert json.loads(await request.read()) == body
        return web.json_response({"autoscale_pool": body})

    assert ask_digitalocean(handler, lambda api: free(api).put_pool("p-1", body)) == body


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 429, 500])
def test_no_error_and_no_log_holds_what_was_sent(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    quoting = error("unprocessable_entity", f"cannot use {USER_DATA} of {TOKEN}")
    body = {"droplet_template": TEMPLATE}
    raised = trouble(
        answering(status, {**quoting, **body}), lambda api: free(api).put_pool("p", body)
    )
    headers = (
        f"{raised!r} {raised} {getattr(raised, 'message', '')} {raised.__cause__!r} {caplog.text}"
    )
    assert "hunter2" not in headers
    assert TOKEN not in headers
    assert raised.__context__ is None or "hunter2" not in repr(raised.__context__)


def test_the_budget_is_that_of_the_last_answer() -> None:
    headers = {
        "ratelimit-limit": "5000",
        "ratelimit-remaining": "4711",
        "ratelimit-reset": "1800000123",
    }

    async def ask(api: DigitalOceanClient) -> digitalocean.RequestBudget:
        assert api.budget.remaining is None
        await api.sizes()
        return api.budget

    budget = ask_digitalocean(answering(200, {"sizes": [], "meta": {"total": 0}}, headers), ask)
    assert (budget.limit, budget.remaining, budget.reset) == (5000, 4711, 1800000123.0)


def test_pydo_runs_without_a_socket() -> None:
    asked: list[tuple[str, str, bytes]] = []

    def handle(method: str, path: str, query: dict[str, str], headers: Any, body: bytes) -> Any:
        asked.append((method, path, body))
        if path.endswith("/actions"):
            return SimpleNamespace(
                status=201, headers={}, body={"action": {"id": 1}}, delay=0.01, fate="answer"
            )
        return SimpleNamespace(status=0, headers={}, body=None, delay=0.0, fate="reset")

    async def run() -> None:
        api = DigitalOceanClient(
            TOKEN,
            endpoint="https://api.digitalocean.com",
            clock=CLOCK,
            transport=InProcessTransport(handle),
        )
        assert await free(api).droplet_action(5, "resize", size="s-2vcpu-4gb", disk=False) == {
            "id": 1
        }
        with pytest.raises(Unreachable, match="connection was lost"):
            await api.droplets()
        await api.aclose()

    asyncio.run(run())
    assert asked[0] == (
        "POST",
        "/v2/droplets/5/actions",
        b'{"type": "resize", "size": "s-2vcpu-4gb", "disk": false}',
    )
    assert "not_a_token" not in repr(DigitalOceanClient(TOKEN, endpoint="https://x", clock=CLOCK))


# HTTP


def test_http_hands_back_any_answer_and_raises_for_none() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/slow":
                await asyncio.sleep(2)
            case "/cut":
                assert request.transport is not None
                request.transport.abort()
            case "/moved":
                return web.Response(status=302, headers={"location": "/"})
        return web.Response(status=503, body=await request.read() or b"no")

    async def run() -> None:
        http = HttpClient()
        async with serving(handler) as url:
            assert (await http.get(f"{url}/", timeout=5)).status == 503
            assert (await http.post(f"{url}/", {"a": 1}, timeout=5)).body == b'{"a": 1}'
            assert (await http.get(f"{url}/moved", timeout=5)).status == 302
            with pytest.raises(Unreachable, match="no answer within"):
                await http.get(f"{url}/slow?key=secret", timeout=0.1)
            with pytest.raises(
                Unreachable, match="closed the connection without an answer"
            ) as lost:
                await http.post(f"{url}/cut?key=secret", {}, timeout=5)
        assert lost.value.sent is None
        assert "secret" not in str(lost.value)
        with pytest.raises(Unreachable, match="connection refused") as never:
            await http.get(f"{url}/", timeout=5)
        assert never.value.sent is False
        await http.aclose()

    asyncio.run(run())


# LiveKit

SECRET = "s" * 44


def livekit_answers(request: web.Request, body: Any) -> dict[str, Any]:
    match request.path.rpartition("/")[2]:
        case "ListRooms":
            rooms = [{"sid": "a", "num_participants": 3, "creation_time": f"{NOW - 4320:.0f}"}]
            return {
                "rooms": [
                    *rooms,
                    {"sid": "b", "numParticipants": 2, "creationTime": f"{NOW - 60:.0f}"},
                    {"sid": "empty"},
                ]
            }
        case "ListEgress":
            assert body == {"active": True}
            return {"items": [{"egress_id": "e"}]}
        case _:
            return {
                "items": [
                    {"state": {"status": "ENDPOINT_PUBLISHING"}},
                    {"state": {"status": "ENDPOINT_INACTIVE"}},
                    {},
                ]
            }


def load_from(handler: Handler) -> Any:
    async def run() -> Any:
        http = HttpClient()
        async with serving(handler) as url:
            try:
                return await LivekitClient(url, "APIkey", SECRET, http, CLOCK).load()
            finally:
                await http.aclose()

    return asyncio.run(run())


def test_livekit_counts_meetings_and_people() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        token = request.headers["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(
            token, SECRET, ["HS256"], options={"verify_exp": False, "verify_nbf": False}
        )
        assert claims["iss"] == "APIkey"
        assert claims["nbf"] <= NOW < claims["exp"]
        assert claims["video"]["roomList"]
        return web.json_response(livekit_answers(request, await request.json()))

    assert load_from(handler) == {
        "rooms": 2,
        "participants": 5,
        "egress": 1,
        "ingress": 1,
        "longest_seconds": 4320.0,
    }


@pytest.mark.parametrize("number", ["many", None, [3]])
def test_a_number_of_people_that_is_none_is_not_seen(number: object) -> None:
    with pytest.raises(Unreachable, match="no number for num_participants"):
        load_from(answering(200, {"rooms": [{"sid": "a", "num_participants": number}]}))


def test_livekit_without_participants() -> None:
    assert load_from(answering(200, {})) == {
        "rooms": 0,
        "participants": 0,
        "egress": 0,
        "ingress": 0,
        "longest_seconds": 0.0,
    }


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {}, Forbidden),
        (403, {}, Forbidden),
        (404, "<html>", Unreachable),
        (502, "<html>", Unreachable),
        (200, "<html>", Unreachable),
        (400, {}, Rejected),
    ],
)
def test_livekit_that_cannot_be_asked_is_not_zero(
    status: int, body: object, kind: type[BotError]
) -> None:
    with pytest.raises(kind) as raised:
        load_from(answering(status, body))
    assert SECRET not in str(raised.value)


# SSH


class MemoryPins:
    """Host keys in memory."""

    def __init__(self) -> None:
        self.kept: dict[int, str] = {}

    async def get(self, droplet_id: int) -> str | None:
        return self.kept.get(droplet_id)

    async def put(self, droplet_id: int, key: str) -> None:
        self.kept[droplet_id] = key


class Door(asyncssh.SSHServer):
    """Counts logins."""

    connections = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        type(self).connections += 1


async def shell(process: "asyncssh.SSHServerProcess[str]") -> None:
    arguments = (process.command or "").split()
    match arguments[0]:
        case "exit":
            process.stdout.write("out")
            process.stderr.write("err")
            process.exit(int(arguments[1]))
        case "cat":
            process.stdout.write(await process.stdin.read())
            process.exit(0)
        case "flood":
            process.stdout.write("x" * (OUTPUT_LIMIT + 100_000))
            await process.stdout.drain()
            process.exit(0)
        case "sleep":
            await asyncio.sleep(30)
        case "cut":
            process.get_extra_info("connection").abort()
        case "die":
            process.exit_with_signal("KILL")


@asynccontextmanager
async def node(
    folder: Any, host_key: asyncssh.SSHKey | None = None, port: int = 0
) -> AsyncIterator[int]:
    """Run an SSH server that accepts the key in folder/id; yields its port."""
    if not (folder / "id").exists():
        client = asyncssh.generate_private_key("ssh-ed25519")
        client.write_private_key(str(folder / "id"))
        client.write_public_key(str(folder / "id.pub"))
    server = await asyncssh.create_server(
        Door,
        "127.0.0.1",
        port,
        server_host_keys=[host_key or asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=str(folder / "id.pub"),
        process_factory=shell,
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


HOST = Host(42, "127.0.0.1")


def test_ssh_hands_back_what_a_command_left(tmp_path: Any) -> None:
    async def run() -> None:
        Door.connections = 0
        async with node(tmp_path) as port:
            ssh = SshClient("root", port, str(tmp_path / "id"), None, MemoryPins())
            assert await ssh.run(HOST, "exit 0", timeout=5) == Output(0, "out", "err")
            assert (await ssh.run(HOST, "exit 7", timeout=5)).exit_status == 7
            assert (await ssh.run(HOST, "cat", stdin="héllo\n", timeout=5)).stdout == "héllo\n"
            assert len((await ssh.run(HOST, "flood", timeout=5)).stdout) == OUTPUT_LIMIT
            assert (await ssh.run(HOST, "die", timeout=5)).exit_status != 0
            both = await asyncio.gather(
                ssh.run(HOST, "exit 1", timeout=5), ssh.run(HOST, "exit 2", timeout=5)
            )
            assert [output.exit_status for output in both] == [1, 2]
            assert Door.connections == 1
            await ssh.aclose()

    asyncio.run(run())


def test_ssh_closes_what_is_not_used(tmp_path: Any) -> None:
    async def run() -> None:
        Door.connections = 0
        async with node(tmp_path) as port:
            ssh = SshClient(
                "root", port, str(tmp_path / "id"), None, MemoryPins(), idle_seconds=0.05
            )
            await ssh.run(HOST, "exit 0", timeout=5)
            await asyncio.sleep(0.15)
            await ssh.run(HOST, "exit 0", timeout=5)
            assert Door.connections == 2
            await ssh.aclose()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("command", "words"), [("cut", "connection was (lost|reset)"), ("sleep", "not finished within")]
)
def test_a_command_without_a_status_may_have_been_carried_out(
    tmp_path: Any, command: str, words: str
) -> None:
    async def run() -> None:
        async with node(tmp_path) as port:
            ssh = SshClient("root", port, str(tmp_path / "id"), None, MemoryPins())
            with pytest.raises(Unreachable, match=words) as raised:
                await ssh.run(HOST, command, timeout=0.5)
            assert raised.value.sent is None
            assert (await ssh.run(HOST, "exit 0", timeout=5)).exit_status == 0
            await ssh.aclose()

    asyncio.run(run())


def test_no_ssh_server_means_nothing_was_sent(tmp_path: Any) -> None:
    async def run() -> None:
        async with node(tmp_path) as port:
            pass
        ssh = SshClient("root", port, str(tmp_path / "id"), None, MemoryPins())
        with pytest.raises(Unreachable, match="connection refused") as raised:
            await ssh.run(HOST, "exit 0", timeout=5)
        assert raised.value.sent is False

    asyncio.run(run())


def test_a_changed_host_key_is_refused_with_both_fingerprints(tmp_path: Any) -> None:
    async def run() -> None:
        first, second = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        pins = MemoryPins()
        async with node(tmp_path, first) as port:
            ssh = SshClient("root", port, str(tmp_path / "id"), None, pins)
            await ssh.run(HOST, "exit 0", timeout=5)
            await ssh.aclose()
            assert list(pins.kept) == [42]
            await ssh.run(HOST, "exit 0", timeout=5)  # the same key again is accepted
            await ssh.aclose()
        async with node(tmp_path, second) as port:
            ssh = SshClient("root", port, str(tmp_path / "id"), None, pins)
            with pytest.raises(Refused) as raised:
                await ssh.run(HOST, "exit 0", timeout=5)
            assert first.get_fingerprint() in str(raised.value)
            assert second.get_fingerprint() in str(raised.value)
            # Another droplet at the same address is another host.
            await ssh.run(Host(43, HOST.address), "exit 0", timeout=5)
            await ssh.aclose()

    asyncio.run(run())


def test_a_known_hosts_file_decides_alone(tmp_path: Any) -> None:
    async def run() -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        known = tmp_path / "known_hosts"
        pins = MemoryPins()
        async with node(tmp_path, key) as port:
            line = key.export_public_key("openssh").decode()
            known.write_text(f"[127.0.0.1]:{port} {line}")
            ssh = SshClient("root", port, str(tmp_path / "id"), str(known), pins)
            await ssh.run(HOST, "exit 0", timeout=5)
            await ssh.aclose()
            known.write_text(f"[127.0.0.9]:{port} {line}")
            with pytest.raises(Refused, match=r"host key of droplet 42 .* is not in"):
                await ssh.run(HOST, "exit 0", timeout=5)
        assert not pins.kept

    asyncio.run(run())


def test_a_refused_or_missing_login_key_is_reported(tmp_path: Any) -> None:
    async def run() -> None:
        async with node(tmp_path) as port:
            asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(tmp_path / "other"))
            with pytest.raises(Forbidden, match="refused for user root"):
                await SshClient("root", port, str(tmp_path / "other"), None, MemoryPins()).run(
                    HOST, "exit 0", timeout=5
                )
            with pytest.raises(Refused, match="nowhere"):
                await SshClient("root", port, str(tmp_path / "nowhere"), None, MemoryPins()).run(
                    HOST, "exit 0", timeout=5
                )

    asyncio.run(run())


# Spaces


class Bucket:
    """The part of S3 that is used."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.acls: dict[str, str | None] = {}
        self.requests: list[tuple[str, str]] = []
        self.status = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        key = request.path.removeprefix("/bucket").lstrip("/")
        self.requests.append((request.method, key))
        if self.status:
            return self.no(self.status, "SlowDown")
        match request.method:
            case "PUT":
                return await self.put(request, key)
            case "DELETE":
                self.objects.pop(key, None)
                return web.Response(status=204)
            case _ if not key:
                return self.listing(request.query.get("prefix", ""))
            case _ if key not in self.objects:
                return self.no(404, "NoSuchKey")
            case _:
                headers = {"etag": self.etag(key), "last-modified": "Wed, 25 Nov 2026 10:00:00 GMT"}
                if request.headers.get("if-none-match") == self.etag(key):
                    return web.Response(status=304, headers={"etag": self.etag(key)})
                return web.Response(body=self.objects[key], headers=headers)

    async def put(self, request: web.Request, key: str) -> web.StreamResponse:
        body = await request.read()
        wanted = request.headers.get("if-match")
        if (wanted and (key not in self.objects or wanted != self.etag(key).strip('"'))) or (
            request.headers.get("if-none-match") and key in self.objects
        ):
            return self.no(412, "PreconditionFailed")
        self.acls[key] = request.headers.get("x-amz-acl")
        if source := request.headers.get("x-amz-copy-source"):
            self.objects[key] = self.objects[source.partition("/")[2]]
            return web.Response(
                text=f"<CopyObjectResult><ETag>{self.etag(key)}</ETag></CopyObjectResult>",
                content_type="application/xml",
            )
        assert "x-amz-trailer" not in request.headers
        self.objects[key] = body
        return web.Response(headers={"etag": self.etag(key)})

    def etag(self, key: str) -> str:
        return f'"{self.objects[key].hex()[:8]}"'

    def listing(self, prefix: str) -> web.StreamResponse:
        items = "".join(
            f"<Contents><Key>{key}</Key><ETag>{self.etag(key)}</ETag><Size>{len(body)}</Size>"
            "<LastModified>2026-11-25T10:00:00.000Z</LastModified></Contents>"
            for key, body in self.objects.items()
            if key.startswith(prefix)
        )
        page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
        return web.Response(text=page, content_type="application/xml")

    def no(self, status: int, code: str) -> web.StreamResponse:
        return web.Response(
            status=status,
            text=f"<Error><Code>{code}</Code><Message>m</Message></Error>",
            content_type="application/xml",
        )


def test_spaces_sends_what_has_changed_only() -> None:
    async def run() -> None:
        bucket = Bucket()
        async with serving(bucket.serve) as url:
            spaces = SpacesClient(url, "bucket", "key", "secret-secret")
            etag = await spaces.put("secrets.env", b"one")
            assert await spaces.get_if_changed("secrets.env", "") == (b"one", etag)
            assert await spaces.get_if_changed("secrets.env", etag) is None
            newer = await spaces.put("secrets.env", b"two")
            assert await spaces.get_if_changed("secrets.env", etag) == (b"two", newer)
            bucket.objects.clear()
            with pytest.raises(NotFound):
                await spaces.get_if_changed("secrets.env", newer)
            await spaces.aclose()

    asyncio.run(run())


def test_spaces_stores_privately_and_under_conditions() -> None:
    async def run() -> None:
        bucket = Bucket()
        async with serving(bucket.serve) as url:
            spaces = SpacesClient(url, "bucket", "key", "secret-secret")
            etag = await spaces.put("a/secrets.env", b"one", if_none_match=True)
            assert await spaces.get("a/secrets.env") == (b"one", etag)
            assert '"' not in etag
            with pytest.raises(Rejected) as held:
                await spaces.put("a/secrets.env", b"two", if_none_match=True)
            assert held.value.status == 412
            with pytest.raises(Rejected):
                await spaces.put("a/secrets.env", b"two", if_match="stale")
            newer = await spaces.put("a/secrets.env", b"two", if_match=f'"{etag}"')
            assert await spaces.copy("a/secrets.env", "a/backup") == newer
            assert set(bucket.acls.values()) == {"private"}
            assert [found.key for found in await spaces.list("a/")] == ["a/secrets.env", "a/backup"]
            assert (await spaces.head("a/backup")).size == 3
            await spaces.delete("a/backup")
            with pytest.raises(NotFound):
                await spaces.get("a/backup")
            with pytest.raises(NotFound):
                await spaces.head("a/backup")
            assert "secret-secret" not in repr(spaces)
            await spaces.aclose()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "kind"), [(403, Forbidden), (503, Unreachable), (500, Unreachable), (400, Rejected)]
)
def test_spaces_sends_once_and_reports_the_answer(status: int, kind: type[BotError]) -> None:
    async def run() -> None:
        bucket = Bucket()
        bucket.status = status
        async with serving(bucket.serve) as url:
            spaces = SpacesClient(url, "bucket", "key", "secret-secret")
            with pytest.raises(kind) as raised:
                await spaces.put("k", b"content-of-it")
            assert len(bucket.requests) == 1
            assert "content-of-it" not in str(raised.value)
            await spaces.aclose()

    asyncio.run(run())


def test_no_spaces_server_means_nothing_was_sent() -> None:
    async def run() -> None:
        async with serving(Bucket().serve) as url:
            pass
        spaces = SpacesClient(url, "bucket", "key", "secret-secret")
        with pytest.raises(Unreachable) as raised:
            await spaces.get("k")
        assert raised.value.sent is False
        await spaces.aclose()

    asyncio.run(run())


# What a start loads

LOADED = """
import sys
import bot.serve
print(*(name for name in sys.modules if name in sys.argv[1:]))
"""


def test_a_start_loads_no_library_of_a_client() -> None:
    """Each is loaded by the first call that needs it: together they take more than 50 MB."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", LOADED, *LATE, "botocore", "simulators"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
