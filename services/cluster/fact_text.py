"""Sentences about what was seen of an account. Pure."""

from services.cluster.account_facts import AccountFact, AccountFacts
from services.common.markers import moment


def seen_text(fact: AccountFact, now: float) -> str:
    """Return where a fact comes from: `seen …`, or that the settings say so."""
    if fact.at == float("inf"):
        return "by the settings"
    text = f"seen {moment(fact.at)}"
    if fact.is_old(now):
        text += ", over 180 days ago"
    return text


def with_source(text: str, account: AccountFacts, name: str, now: float) -> str:
    """Return the text with where its fact comes from; "" if the fact is not known."""
    fact = account.get(name)
    return f"{text} ({seen_text(fact, now)})" if fact else ""
