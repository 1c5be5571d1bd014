"""What an account at DigitalOcean does where the documents leave it open, as it was seen. Pure.

An answer comes from `openvidu-bot probe`, or from the settings. Without one, a plan assumes what
is documented. An answer never replaces a check: whatever was seen once, a run verifies what it
did.
"""

from collections.abc import Mapping
from dataclasses import dataclass

OLD = 180 * 86400.0  # seconds after which an answer is shown as old
SECONDS = "seconds"  # an answer that is a number of whole seconds
NEVER = "never"

# The answers that each fact can have. Named as in config.values.AccountFactsSettings.
ANSWERS: Mapping[str, tuple[str, ...]] = {
    # Setting a pool to 0 is accepted, is refused, or is accepted without any effect.
    "zero": ("accepted", "refused", "ignored"),
    # How long after a change of a pool the next one is carried out; 0: at once.
    "cooldown": (SECONDS,),
    # Which member goes when a pool shrinks by one.
    "removal": ("newest", "oldest", "other"),
    # How long until a member that was deleted, or powered off, is replaced.
    "refill_deleted": (SECONDS, NEVER),
    "refill_off": (SECONDS, NEVER),
    # What a token needs to edit a pool.
    "pool_scope": ("droplet:create", "droplet:update", "more"),
    # What a resize does to a droplet that is on.
    "resize_on": ("refused", "powers_off", "stays_on"),
    # What Spaces makes of a condition on a PUT.
    "if_match": ("honoured", "ignored", "refused"),
    "if_none_match": ("honoured", "ignored", "refused"),
    # Whether the token may enable and disable the trigger of a function.
    "trigger": ("allowed", "denied"),
}


def is_answer(fact: str, answer: str) -> bool:
    """Return whether a fact can have this answer."""
    allowed = ANSWERS.get(fact, ())
    if answer in allowed and answer != SECONDS:
        return True
    return SECONDS in allowed and answer.isdecimal() and len(answer) <= 6


@dataclass(frozen=True)
class AccountFact:
    """One fact with its answer: one of `ANSWERS`, or whole seconds.

    `at`: when it was seen, in epoch seconds. `stated`: the settings say it.
    """

    name: str
    answer: str
    at: float
    stated: bool = False

    @property
    def seconds(self) -> float | None:
        """Return the answer as seconds; None if it is none."""
        return float(self.answer) if self.answer.isdecimal() else None

    def is_old(self, now: float) -> bool:
        """Return whether it was seen so long ago that it may have changed."""
        return now - self.at > OLD


@dataclass(frozen=True)
class AccountFacts:
    """The facts that are known of an account, at most one of each name."""

    facts: tuple[AccountFact, ...] = ()

    def get(self, name: str) -> AccountFact | None:
        """Return a fact; None if it is not known."""
        return next((fact for fact in self.facts if fact.name == name), None)

    def answer(self, name: str) -> str:
        """Return the answer to a fact; "" if it is not known."""
        fact = self.get(name)
        return fact.answer if fact else ""

    def seconds(self, name: str) -> float | None:
        """Return the seconds of a fact; None if it is not known, or no number."""
        fact = self.get(name)
        return fact.seconds if fact else None

    def overridden_by(self, others: "AccountFacts") -> "AccountFacts":
        """Return these facts, where `others` has no answer of its own."""
        named = {fact.name for fact in others.facts}
        return AccountFacts((*(f for f in self.facts if f.name not in named), *others.facts))

    @property
    def open(self) -> tuple[str, ...]:
        """Return the names of the facts that are not known."""
        return tuple(name for name in ANSWERS if self.get(name) is None)


NO_FACTS = AccountFacts()
