"""The pretend Slack on a local port: API, sockets, response urls, uploads, and the page."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path

from aiohttp import web

from simulators.clock import WorldClock
from simulators.slack.actions import do_action
from simulators.slack.arguments import parse_args
from simulators.slack.delivery import AppDelivery
from simulators.slack.fake_slack import FakeSlack
from simulators.slack.faults import SlackFault, SlackFaults
from simulators.slack.model import JSON, SlackError
from simulators.slack.screen import Guide, ScreenSnapshots
from simulators.slack.socketmode import SocketMode
from simulators.slack.user import SimulatedUser, wait_for
from simulators.slack.webapi import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET
from simulators.slack.workspace import SlackWorkspace

UI = Path(__file__).with_name("ui")
PAGES = {"": "index.html"} | {
    name: name
    for name in (
        "page.js",
        "blocks.js",
        "mrkdwn.js",
        "panel.js",
        "dom.js",
        "page.css",
        "gallery.js",
    )
}
PAGES |= {"gallery": "gallery.html"}
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# One snapshot per so many seconds is enough for the eye.
FRAME, PANEL = 0.05, 1.0


class SlackServer:
    """A workspace with HTTP and sockets for bots, and a page for people.

    It listens on this machine only.

    `panel_state` and `panel_act` let the page show and change a world that this simulator does not
    know. `starting` returns what is still being started, and "" when commands are answered.
    `welcome` stands in an empty channel, a paragraph each. `gallery` (a name, and text and blocks
    or a view) is what /gallery draws. More than 25 methods:
    one for each route of the page, beside those of the API.
    """

    def __init__(
        self,
        workspace: SlackWorkspace,
        manifest: JSON,
        clock: WorldClock,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        faults: SlackFaults | None = None,
        delivery: AppDelivery | None = None,
        completions: Sequence[JSON] = (),
        welcome: Sequence[str] = (),
        guide: Sequence[JSON] = (),
        guide_facts: Callable[[], Collection[str]] = tuple,
        guide_detour: JSON | None = None,
        starting: Callable[[], str] = str,
        panel_state: Callable[[], JSON] | None = None,
        panel_act: Callable[[str, JSON], Awaitable[str]] | None = None,
        panel_actions: Sequence[JSON] = (),
        gallery: Sequence[JSON] = (),
    ) -> None:
        if host not in ("127.0.0.1", "localhost"):
            raise ValueError(
                f"the pretend Slack has no locks and listens on this machine only, not on {host}"
            )
        self.slack = FakeSlack(workspace, manifest, faults)
        self.workspace, self.clock, self.host, self.port = workspace, clock, host, port
        self.sockets = SocketMode(self.slack.journal, self.slack.faults, workspace.app_id)
        self.slack.connect(delivery or self.sockets)
        self.slack.webapi.open_socket = self.sockets.open_url
        self.gallery, self.welcome = list(gallery), list(welcome)
        self.panel_state, self.panel_act, self.panel_actions = (
            panel_state,
            panel_act,
            list(panel_actions),
        )
        self.screen = ScreenSnapshots(
            self.slack,
            completions,
            Guide(self.slack, guide, guide_facts, guide_detour),
            panel_state,
            starting,
        )
        self.bot_token, self.app_token, self.signing_secret = BOT_TOKEN, APP_TOKEN, SIGNING_SECRET
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()

    @property
    def url(self) -> str:
        """The URL of the page."""
        return f"http://{self.host}:{self.port}"

    @property
    def api_url(self) -> str:
        """The base_url for Slack's client."""
        return f"{self.url}/api/"

    def human(self, user: str) -> SimulatedUser:
        """Return this user, at a screen."""
        return self.slack.user(user)

    async def start(self) -> None:
        """Listen."""
        app = web.Application(middlewares=[self._guard], client_max_size=32 * 1024 * 1024)
        app.add_routes(
            [
                web.route("*", "/api/{method}", self._api),
                web.get("/link", self.sockets.serve),
                web.post("/respond/{token}", self._respond),
                web.post("/upload/{file}", self._upload),
                web.get("/files/{file}", self._file),
                web.get("/_ui/stream", self._stream),
                web.get("/_ui/start", self._start_values),
                web.get("/_ui/gallery", self._gallery),
                web.get("/_ui/journal", self._everything),
                web.post("/_ui/act", self._act),
                web.post("/_ui/panel", self._panel),
                web.post("/_control/act", self._act),
                web.get("/_control/state", self._state),
                web.get("/_control/journal", self._journal),
                web.get("/_control/problems", self._problems),
                web.get("/_control/wait", self._wait),
                web.post("/_control/fault", self._fault),
                web.post("/_control/refresh", self._refresh),
                web.get("/archives/{channel}/{message}", self._permalink),
                web.get("/{page:[a-z.]*}", self._page),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        self.workspace.base_url = self.sockets.base_url = self.url

    async def stop(self) -> None:
        """Stop listening, and close sockets and pages."""
        self._closing.set()
        await self.sockets.close()
        if self.slack.delivery is not self.sockets:
            await self.slack.delivery.close()
        if self._runner:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuse other sites in the same browser.

        A page elsewhere can send requests here, but not with our Host, Origin and JSON.
        """
        ours = {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}
        origin = request.headers.get("Origin")
        if request.host not in ours or (
            origin is not None and origin.removeprefix("http://") not in ours
        ):
            return web.json_response({"ok": False, "error": "not from here"}, status=403)
        if (
            request.method == "POST"
            and request.path.startswith(("/_ui/", "/_control/"))
            and request.content_type != "application/json"
        ):
            return web.json_response({"ok": False, "error": "send JSON"}, status=415)
        return await handler(request)

    # --- for the bot

    async def _api(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        try:
            if request.content_type == "multipart/form-data":
                args = {key: str(value) for key, value in (await request.post()).items()}
            else:
                args = parse_args(request.content_type, await request.read(), request.query)
        except SlackError as refused:
            self.slack.journal.complain(f"{request.match_info['method']}: {refused.code}")
            return web.json_response({"ok": False, "error": refused.code} | refused.extra)
        answer = self.slack.webapi.handle(request.match_info["method"], token, args)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.lost and request.transport:
            request.transport.abort()
        return web.json_response(answer.json, status=answer.status, headers=answer.headers)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        status, text = self.slack.responses.handle(
            request.match_info["token"], await request.json()
        )
        return web.Response(status=status, text=text)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        file = self.workspace.files.get(request.match_info["file"])
        data = await request.read()
        if file is None or len(data) != file.length:
            return web.Response(status=400, text="bad upload")
        file.data = data
        return web.Response(text=f"OK - {len(data)}")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        file = self.workspace.files.get(request.match_info["file"])
        if file is None or file.data is None:
            return web.Response(status=404)
        kinds = {
            ".png": "image/png",
            ".jpg": "image/jpeg",
            ".gif": "image/gif",
            ".txt": "text/plain",
        }
        kind = kinds.get(Path(file.name).suffix.lower(), "application/octet-stream")
        return web.Response(body=file.data, content_type=kind, headers=SAFE)

    # --- for people

    async def _page(self, request: web.Request) -> web.StreamResponse:
        name = PAGES.get(request.match_info["page"])
        if name is None:
            return web.Response(status=404)
        page = UI / name
        return web.Response(
            text=page.read_text("utf-8"), content_type=TYPES[page.suffix], headers=SAFE
        )

    async def _permalink(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"/#in={request.match_info['channel']}")

    async def _start_values(self, _request: web.Request) -> web.StreamResponse:
        people = [
            user.as_json()
            for user in self.workspace.users.values()
            if not user.is_bot and not user.deleted
        ]
        values = {
            "people": people,
            "completions": self.screen.completions,
            "welcome": self.welcome,
            "panel_actions": self.panel_actions,
        }
        return web.json_response(values, headers=SAFE)

    async def _gallery(self, request: web.Request) -> web.StreamResponse:
        """Return messages and views to look at, with what a client needs to draw them."""
        shown = [
            one
            for one in self.gallery
            if str(one["name"]).startswith(request.query.get("only", ""))
        ]
        return web.json_response(
            self.screen.snapshot(next(iter(self.workspace.users))) | {"gallery": shown},
            headers=SAFE,
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        user = request.query.get("as", "")
        if user not in self.workspace.users:
            return web.Response(status=404)
        stream = web.StreamResponse(headers=SAFE | {"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        # One flag instead of a queue: a slow page gets only the latest state, however much happens.
        news = asyncio.Event()
        news.set()
        stop = self.workspace.watch(news.set)
        drawn = ""
        try:
            while not self._closing.is_set():
                news.clear()
                drawing = json.dumps(self.screen.snapshot(user))
                if drawing != drawn:
                    await stream.write(f"data: {drawing}\n\n".encode())
                    drawn = drawing
                await asyncio.sleep(FRAME)
                await self._news_or_panel(news)
        except ConnectionError:
            pass
        finally:
            stop()
        return stream

    async def _news_or_panel(self, news: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(news.wait()), asyncio.ensure_future(self._closing.wait())]
        await asyncio.wait(waits, timeout=PANEL, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _act(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(await do_action(self.slack, await request.json()))

    async def _panel(self, request: web.Request) -> web.StreamResponse:
        order = await request.json()
        if self.panel_act is None or order.get("id") not in [
            one["id"] for one in self.panel_actions
        ]:
            return web.json_response({"ok": False, "error": "there is no such switch"})
        text = await self.panel_act(str(order["id"]), dict(order.get("args") or {}))
        self.slack.journal.write("note", f"fault menu: {order['id']}", note=text)
        self.workspace.changed()
        return web.json_response({"ok": True, "text": text})

    async def _everything(self, request: web.Request) -> web.StreamResponse:
        """Return what went over the wire, to Slack and to the other services."""
        entries = self.slack.journal.everything(int(request.query.get("after", 0)))
        return web.json_response({"entries": [entry.as_json() for entry in entries]}, headers=SAFE)

    # --- for test harnesses

    async def _journal(self, request: web.Request) -> web.StreamResponse:
        after = int(request.query.get("after", 0))
        entries = [entry.as_json() for entry in self.slack.journal.entries if entry.number > after]
        return web.json_response({"entries": entries[-300:]}, headers=SAFE)

    async def _problems(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"problems": list(self.slack.journal.problems)})

    async def _state(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.screen.snapshot(request.query["as"]))

    async def _wait(self, request: web.Request) -> web.StreamResponse:
        human, channel, text = (
            self.human(request.query["as"]),
            request.query["channel"],
            request.query["text"],
        )

        def seen() -> str | None:
            return next(
                (
                    m.ts
                    for m in reversed(human.visible_messages(channel))
                    if text in m.text or text in str(m.blocks)
                ),
                None,
            )

        try:
            message = await wait_for(self.workspace, seen, float(request.query.get("timeout", 30)))
        except TimeoutError:
            return web.json_response({"ok": False, "error": "timeout"}, status=408)
        return web.json_response({"ok": True, "ts": message})

    async def _fault(self, request: web.Request) -> web.StreamResponse:
        order = await request.json()
        faults = self.slack.faults
        faults.drop_acks += int(order.pop("drop_acks", 0))
        faults.fail_handshakes += int(order.pop("fail_handshakes", 0))
        if "method" in order:
            faults.add(SlackFault(**order))
        return web.json_response({"ok": True})

    async def _refresh(self, request: web.Request) -> web.StreamResponse:
        order = await request.json()
        await self.sockets.refresh(float(order.get("warning_seconds", 10)))
        return web.json_response({"ok": True})
