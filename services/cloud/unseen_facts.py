"""The facts that a look needed and did not see."""

from services.cluster.model import Fact
from services.common.errors import BotError


class UnseenFacts:
    """Collects them with their reasons. One that is not among `tolerates` ends the look."""

    def __init__(self, tolerates: frozenset[Fact]) -> None:
        self._tolerates = tolerates
        self.facts: list[tuple[Fact, str]] = []

    def require(self, fact: Fact, why: BotError) -> None:
        """Note a needed fact. Raises `why` when the look does not tolerate that."""
        if fact not in self._tolerates:
            raise why
        self.note(fact, why)

    def note(self, fact: Fact, why: BotError) -> None:
        """Note a fact that a look can do without."""
        self.facts.append((fact, str(why)))

    def reason(self, fact: Fact) -> str:
        """Return why a fact was not seen; "" when it was."""
        return next((why for unseen, why in self.facts if unseen is fact), "")

    def problem(self, stack: str) -> str:
        """Return why nothing may be changed after such a look; "" when all that needs was seen."""
        reasons = dict(reversed(self.facts))
        if Fact.DROPLETS in reasons:
            return f"not all droplets of {stack} were observed ({reasons[Fact.DROPLETS]})"
        if Fact.POOL in reasons:
            return f"the media fleet of {stack} was not observed"
        return ""
