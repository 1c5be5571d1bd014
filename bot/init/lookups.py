"""What each question of `init` offers to pick from, looked up when the question comes.

One cause is one line: a token that is refused is asked for again, once for each lookup.
"""

import argparse
import asyncio
from collections.abc import Callable, Mapping

from bot.init.discovery import (
    Account,
    Suggestion,
    Workspace,
    look_up_account,
    look_up_buckets,
    look_up_workspace,
)
from bot.init.prompts import print_line
from bot.init.questions import system_zone, zone_of
from services.common.errors import BotError, Forbidden, Refused

# How often a secret is asked for again after it was refused.
TRIES = 3
AskSecret = Callable[[str, str], str]


class Lookups:
    """Lists for the questions. `secrets` holds the known ones; `ask` asks for one of them."""

    def __init__(
        self, options: argparse.Namespace, secrets: dict[str, str], ask: AskSecret
    ) -> None:
        self._options = options
        self._secrets = secrets
        self._ask = ask
        self._account: Account | None = None
        self._workspace: Workspace | None = None
        self.asked: set[str] = set()

    def offers(self, key: str, answers: Mapping[str, str]) -> list[Suggestion]:
        """Return what can be picked for a question; empty if nothing is known."""
        match key:
            case "stack":
                return [Suggestion(s.stack, s.words()) for s in self._at_digitalocean().stacks]
            case "region":
                return list(self._at_digitalocean().regions)
            case "operators":
                return list(self._in_slack().people)
            case "channel":
                return list(self._in_slack().channels)
            case "timezone":
                return _zones(answers.get("region", ""))
            case "bucket":
                return self._buckets(answers)
            case "me":
                return self._operators(answers)
        return []

    def default(self, key: str, answers: Mapping[str, str]) -> str:
        """Return the answer that the lookups suggest; "" for none."""
        if key == "region":
            return self.region_of(answers.get("stack", ""))
        if self._options.no_questions and key != "stack":
            return ""
        offers = self.offers(key, answers)
        if key == "channel":
            return _only_suggested(offers)
        if key == "stack" and (len(offers) == 1 or (offers and not self._options.no_questions)):
            return offers[0].value
        if key == "bucket" and offers and offers[0].value.startswith(f"{answers['stack']}-"):
            return offers[0].value
        return ""

    def region_of(self, stack: str) -> str:
        """Return the region in which the stack's masters are; "" if it was not found."""
        return next((s.region for s in self._at_digitalocean().stacks if s.stack == stack), "")

    def _at_digitalocean(self) -> Account:
        if self._account is None:
            self._account = self._look_up_account()
        return self._account

    def _look_up_account(self) -> Account:
        name = "DIGITALOCEAN_TOKEN"
        for _ in range(TRIES):
            token = self._secret(name, "With it, your stacks are listed now.")
            if not token:
                return Account()
            try:
                account = asyncio.run(look_up_account(token, self._options.digitalocean_api))
            except Forbidden:
                self._refused(name, "DigitalOcean refused the token")
            except BotError as error:
                print_line(f"Your stacks cannot be listed: {error}")
                return Account()
            else:
                if not account.stacks:
                    print_line(
                        "No stack was found: this token sees no droplets named "
                        "STACK-master-node-1 to 4, STACK-master-node or STACK-vm-ce-pro."
                    )
                return account
        return Account()

    def _in_slack(self) -> Workspace:
        if self._workspace is None:
            self._workspace = self._look_up_workspace()
        return self._workspace

    def _look_up_workspace(self) -> Workspace:
        name = "SLACK_BOT_TOKEN"
        for _ in range(TRIES):
            token = self._secret(
                name,
                "With it, members and channels are listed now. No app yet: openvidu-bot manifest.",
            )
            if not token:
                return Workspace()
            try:
                return asyncio.run(look_up_workspace(token, self._options.slack_api))
            except Refused as error:
                self._refused(name, str(error))
            except BotError as error:
                print_line(f"Members and channels cannot be listed: {error}")
                return Workspace()
        return Workspace()

    def _buckets(self, answers: Mapping[str, str]) -> list[Suggestion]:
        key = self._secret("SPACES_ACCESS_KEY_ID", "With it, your buckets are listed now.")
        secret = key and self._secret("SPACES_SECRET_ACCESS_KEY", "")
        if not secret:
            return []
        region = answers["region"]
        endpoint = self._options.spaces_endpoint or f"https://{region}.digitaloceanspaces.com"
        try:
            return asyncio.run(look_up_buckets(endpoint, key, secret, answers["stack"]))
        except Forbidden:
            print_line("This key may not list buckets; a key for one bucket never may.")
        except BotError as error:
            print_line(f"Your buckets cannot be listed: {error}")
        return []

    def _operators(self, answers: Mapping[str, str]) -> list[Suggestion]:
        labels = {offer.value: offer for offer in self._in_slack().people}
        operators = answers.get("operators", "").split(",")
        return [labels.get(member, Suggestion(member)) for member in operators if member]

    def _secret(self, name: str, why: str) -> str:
        """Return a secret that is known, or ask for it once."""
        if value := self._secrets.get(name, ""):
            return value
        if name in self.asked:
            return ""
        self.asked.add(name)
        return self._ask(name, why)

    def _refused(self, name: str, text: str) -> None:
        """Forget a secret that was refused, so that it is asked for again."""
        print_line(f"{name}: {text}.")
        self._secrets.pop(name, None)
        self.asked.discard(name)


def _only_suggested(offers: list[Suggestion]) -> str:
    suggested = [offer.value for offer in offers if offer.suggested]
    if len(suggested) != 1:
        return ""
    return suggested[0]


def _zones(region: str) -> list[Suggestion]:
    offers = [Suggestion(system_zone(), "(this machine)")]
    if zone := zone_of(region):
        offers.append(Suggestion(zone, f"(region {region})"))
    offers.append(Suggestion("UTC"))
    return list({offer.value: offer for offer in reversed(offers)}.values())[::-1]
