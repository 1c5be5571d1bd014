"""Who sent a payload: what Slack says about them, or no more than is certain without Slack."""

from collections.abc import Mapping
from typing import Any

import pytest

from handlers.slack.client import SlackClient
from services.access.policy import Actor
from services.common.clock import loop_clock
from simulators.slack.inprocess import InProcessWebClient
from simulators.slack.webapi import WebApi
from simulators.slack.workspace import SlackWorkspace
from tests.support import virtual
from tests.support.scene import MANIFEST, ORIGIN

COMMAND = {"user_id": "UANA", "team_id": "T0ACME", "enterprise_id": "E0ORG"}
BRANCH = {"user_id": "UANA", "team_id": "T0BRANCH", "enterprise_id": "E0ORG"}
PRESS = {
    "user": {"id": "UANA", "team_id": "T0ACME"},
    "team": {"id": "T0ACME", "enterprise_id": "E0ORG"},
    "enterprise": {"id": "E0ORG"},
}
FOREIGN_PRESS = {
    "user": {"id": "UANA", "team_id": "T0OTHER"},
    "team": {"id": "T0ACME"},
    "enterprise": {"id": "E0ORG"},
}
NOWHERE = {"user_id": "UANA"}


def actor(
    body: Mapping[str, Any],
    *,
    scoped: bool = True,
    homes: tuple[str, str] = ("T0ACME", "E0ORG"),
    **person: Any,
) -> Actor:
    """Who that is, to a bot at home in these."""

    async def story() -> Actor:
        clock = loop_clock(ORIGIN)
        place = SlackWorkspace(clock)
        place.add_user("UANA", "ana", **person)
        manifest = MANIFEST | (
            {} if scoped else {"oauth_config": {"scopes": {"bot": ["chat:write", "commands"]}}}
        )
        voice = SlackClient(InProcessWebClient(WebApi(place, manifest)), clock)
        voice.set_home_workspace(*homes)
        return await voice.actor(body)

    return virtual.run(story())


@pytest.mark.parametrize("body", [COMMAND, BRANCH, PRESS])
def test_one_person_of_the_organisation_is_the_same_through_every_door(
    body: Mapping[str, Any],
) -> None:
    found = actor(body, team_id="T0BRANCH", enterprise_id="E0ORG", teams=("T0BRANCH", "T0ACME"))
    assert (found.user, found.team, found.enterprise, found.outsider) == (
        "UANA",
        "T0ACME",
        "E0ORG",
        "",
    )


@pytest.mark.parametrize("body", [COMMAND, PRESS, FOREIGN_PRESS])
@pytest.mark.parametrize("org", ["", "E0OTHER"])
def test_somebody_at_home_elsewhere_is_an_outsider_whatever_the_payload_says(
    body: Mapping[str, Any], org: str
) -> None:
    found = actor(body, team_id="T0OTHER", enterprise_id=org)
    assert "another workspace" in found.outsider
    assert (found.team, found.enterprise) == ("T0OTHER", org)


def test_without_users_read_the_payload_counts_for_what_is_sure_in_it() -> None:
    assert actor(COMMAND, scoped=False).outsider == ""
    assert actor(BRANCH, scoped=False).enterprise == "E0ORG"
    foreign = actor(FOREIGN_PRESS, scoped=False)
    assert (foreign.team, foreign.enterprise) == ("T0OTHER", ""), (
        "the organisation may be the channel's"
    )


def test_a_payload_that_names_no_workspace_is_nobodys() -> None:
    assert "another workspace" in actor(NOWHERE).outsider
