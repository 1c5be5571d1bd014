"""Who sent a payload, and whether their Slack account may change anything."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from handlers.slack.api import SlackApi, slack_code
from services.access.policy import Actor
from services.common.clock import Clock
from services.common.errors import Unreachable

KNOWN_FOR = 600.0  # seconds for which an account is cached
JUST_NOW = 10.0  # the same where it decides whether an approval counts
MOST_CACHED = 1000
UNKNOWN = "Slack does not say who you are at the moment; try again"
ELSEWHERE = "you belong to another workspace; only members of this one may use it"


@dataclass(frozen=True)
class SlackUser:
    """An account. `outsider`: why it can change nothing; `teams`: the workspaces it is in."""

    name: str = ""
    outsider: str = ""
    team: str = ""
    enterprise: str = ""
    teams: frozenset[str] = frozenset()


class SlackUsers:
    """Accounts, cached for some minutes. `teams`: ids of the workspaces that the bot serves."""

    def __init__(self, api: SlackApi, clock: Clock, teams: frozenset[str]) -> None:
        self._api = api
        self._clock = clock
        self._teams = teams
        self._cache: dict[str, tuple[float, SlackUser]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def set_home_workspace(self, team: str, enterprise: str = "") -> None:
        """Serve the workspace and the organisation of the token, unless others were named."""
        if not self._teams:
            self._teams = frozenset(filter(None, (team, enterprise)))

    async def actor(self, body: Mapping[str, Any]) -> Actor:
        """Return who sent a payload; an outsider carries the reason why they change nothing."""
        user, team = _mapping(body, "user"), _mapping(body, "team")
        user_id = str(body.get("user_id") or user.get("id") or "")
        team_id = str(user.get("team_id") or body.get("team_id") or team.get("id") or "")
        organisation = body.get("enterprise") or {}
        enterprise = str(body.get("enterprise_id") or organisation.get("id") or "")
        if self._teams and not self._teams & {team_id, enterprise}:
            return Actor(user_id, team_id, enterprise, outsider=ELSEWHERE)
        account = await self._user(user_id)
        if account.team:
            team_id = min(self._teams & account.teams, default=account.team)
            enterprise = account.enterprise
        elif team and team_id != team.get("id"):
            # Only the payload tells, and a guest of a shared channel comes with an organisation
            # that may be the channel's and not theirs.
            enterprise = ""
        return Actor(user_id, team_id, enterprise, account.name, account.outsider)

    async def known(self, actor: Actor) -> Actor:
        """Return the actor with their account as it is now. Unreachable when Slack is silent."""
        account = await self._user(actor.user, max_age=JUST_NOW)
        if account.outsider == UNKNOWN:
            raise Unreachable(
                f"Slack does not say at the moment whether the account of {actor.mention} is active"
            )
        return replace(actor, outsider=account.outsider)

    async def _user(self, user_id: str, max_age: float = KNOWN_FOR) -> SlackUser:
        # With the lock, many presses at once make one request.
        async with self._locks.setdefault(user_id, asyncio.Lock()):
            return await self._read(user_id, max_age)

    async def _read(self, user_id: str, max_age: float) -> SlackUser:
        if user_id in self._cache:
            at, cached = self._cache[user_id]
            if self._clock.now() - at < max_age:
                return cached
        try:
            answer = (await self._api.read("users.info", {"user": user_id}))["user"]
        except Unreachable as error:
            if slack_code(error) == "missing_scope":
                # Roles name people one by one; without users:read, the id is all there is.
                return SlackUser()
            return SlackUser(outsider=UNKNOWN)
        account = _user_of(answer, self._teams)
        if len(self._cache) > MOST_CACHED:
            self._cache.clear()
            self._locks = {user: lock for user, lock in self._locks.items() if lock.locked()}
        self._cache[user_id] = (self._clock.now(), account)
        return account


def _mapping(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object of a payload; some payloads have a plain id in its place."""
    value = body.get(name)
    if isinstance(value, Mapping):
        return value
    return {}


def _user_of(answer: Mapping[str, Any], teams: frozenset[str]) -> SlackUser:
    organisation = answer.get("enterprise_user") or {}
    team = str(answer.get("team_id") or "")
    enterprise = str(organisation.get("enterprise_id") or "")
    everywhere = frozenset(str(t) for t in (team, *(organisation.get("teams") or ())) if t)
    here = not teams or not team or bool(teams & {enterprise, *everywhere})
    name = str(answer.get("real_name") or answer.get("name") or "")
    return SlackUser(name, _outsider(answer, here=here), team, enterprise, everywhere)


def _outsider(answer: Mapping[str, Any], *, here: bool) -> str:
    """Return why an account can change nothing; "" for a full member of a served workspace."""
    if answer.get("deleted"):
        return "your account is deactivated"
    if answer.get("is_bot"):
        return "bots may not operate clusters"
    if answer.get("is_restricted") or answer.get("is_ultra_restricted"):
        return "guests of the workspace may not operate clusters; ask a full member"
    if answer.get("is_stranger") or not here:
        return ELSEWHERE
    return ""
