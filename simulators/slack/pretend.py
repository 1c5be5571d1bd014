"""All of a pretend Slack that needs no network: workspace, Web API, journal, faults and people."""

from collections.abc import Awaitable, Callable

from simulators.slack import payloads
from simulators.slack.delivery import Delivery, InProcess
from simulators.slack.faults import Faults
from simulators.slack.human import Human
from simulators.slack.journal import Journal
from simulators.slack.model import JSON
from simulators.slack.responses import Responses
from simulators.slack.webapi import WebApi
from simulators.slack.workspace import Workspace


class PretendSlack:
    """One workspace with one app installed, and a road to that app once it is connected."""

    def __init__(self, workspace: Workspace, manifest: JSON, faults: Faults | None = None) -> None:
        self.workspace = workspace
        self.manifest = manifest
        self.faults = faults or Faults()
        self.journal = Journal(workspace.clock.now)
        self.webapi = WebApi(workspace, manifest, self.faults, self.journal)
        self.responses = Responses(workspace, self.journal)
        self._delivery: Delivery | None = None

    @property
    def delivery(self) -> Delivery:
        """The road to the app."""
        if self._delivery is None:
            raise RuntimeError("the app is not connected to the pretend Slack")
        return self._delivery

    def connect(self, road: Delivery | Callable[[str, JSON], Awaitable[JSON | None]]) -> Delivery:
        """Take this road to the app: a delivery, or a coroutine function that receives (kind, payload)."""
        self._delivery = (
            road if isinstance(road, Delivery) else InProcess(road, self.journal, self.faults)
        )
        return self._delivery

    async def happens(self, event: str, **body: object) -> None:
        """Something of the Events API that nobody types or presses, such as `channel_archive`; told only where the manifest asks for it."""
        if event in self.manifest.get("settings", {}).get("event_subscriptions", {}).get(
            "bot_events", []
        ):
            await self.delivery.deliver(
                "events_api", payloads.event(self.workspace, {"type": event, **body})
            )

    def human(self, user: str) -> Human:
        """This person, at a screen."""
        return Human(self.workspace, self.delivery, user, self.manifest)
