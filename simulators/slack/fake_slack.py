"""The parts of a pretend Slack without a network: workspace, Web API, journal, faults and users."""

from collections.abc import Awaitable, Callable

from simulators.slack import payloads
from simulators.slack.delivery import AppDelivery, InProcess
from simulators.slack.faults import SlackFaults
from simulators.slack.journal import WireLog
from simulators.slack.model import JSON
from simulators.slack.response_urls import Responses
from simulators.slack.user import SimulatedUser
from simulators.slack.webapi import WebApi
from simulators.slack.workspace import SlackWorkspace


class FakeSlack:
    """A workspace with one app installed, and a transport to that app once it is connected."""

    def __init__(
        self, workspace: SlackWorkspace, manifest: JSON, faults: SlackFaults | None = None
    ) -> None:
        self.workspace = workspace
        self.manifest = manifest
        self.faults = faults or SlackFaults()
        self.journal = WireLog(workspace.clock.now)
        self.webapi = WebApi(workspace, manifest, self.faults, self.journal)
        self.responses = Responses(workspace, self.journal)
        self._delivery: AppDelivery | None = None

    @property
    def delivery(self) -> AppDelivery:
        """The transport to the app."""
        if self._delivery is None:
            raise RuntimeError("the app is not connected to the pretend Slack")
        return self._delivery

    def connect(
        self, road: AppDelivery | Callable[[str, JSON], Awaitable[JSON | None]]
    ) -> AppDelivery:
        """Use this transport to the app.

        A delivery, or a coroutine function that receives (kind, payload).
        """
        self._delivery = (
            road if isinstance(road, AppDelivery) else InProcess(road, self.journal, self.faults)
        )
        return self._delivery

    async def send_event(self, event: str, **body: object) -> None:
        """Send an event without a user action, such as `channel_archive`, if the app subscribes."""
        if event in self.manifest.get("settings", {}).get("event_subscriptions", {}).get(
            "bot_events", []
        ):
            await self.delivery.deliver(
                "events_api", payloads.event(self.workspace, {"type": event, **body})
            )

    def user(self, user: str) -> SimulatedUser:
        """Return this user, at a screen."""
        return SimulatedUser(self.workspace, self.delivery, user, self.manifest)
