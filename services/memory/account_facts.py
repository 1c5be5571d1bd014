"""What was seen of each DigitalOcean account where its documents leave it open.

One document for all accounts: they are few, and every look at a cluster reads it.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from services.cluster.account_facts import (
    NO_FACTS,
    AccountFact,
    AccountFacts,
    is_answer,
)
from services.store import Store
from services.store.edit import edit
from services.store.keys import ACCOUNT_FACTS

VERSION = 1


@lru_cache(maxsize=64)
def facts_in(text: str | None, account: str) -> AccountFacts:
    """Return the facts of an account in the stored document.

    What this version does not know, or cannot read, is left out: it costs a better estimate only.
    """
    stored = _document(text)["accounts"].get(account)
    if not account or not isinstance(stored, dict):
        return NO_FACTS
    facts = (_fact(name, entry) for name, entry in stored.items())
    return AccountFacts(tuple(fact for fact in facts if fact is not None))


async def read_facts(store: Store, account: str) -> AccountFacts:
    """Return what is stored of an account."""
    (text,) = await store.get(ACCOUNT_FACTS)
    return facts_in(text, account)


async def keep_facts(store: Store, account: str, facts: Iterable[AccountFact]) -> None:
    """Store facts of an account, over earlier answers to the same; others stay."""
    new = {fact.name: {"answer": fact.answer, "at": fact.at} for fact in facts}

    def change(text: str | None) -> str:
        document = _document(text)
        accounts = document["accounts"]
        before = accounts.get(account)
        kept = before if isinstance(before, dict) else {}
        return json.dumps({**document, "accounts": {**accounts, account: {**kept, **new}}})

    await edit(store, ACCOUNT_FACTS, change, "what was seen of the account")


def _document(text: str | None) -> dict[str, Any]:
    """Return the document; an empty one in place of what cannot be read."""
    try:
        document = json.loads(text or "{}")
    except ValueError:
        document = {}
    if not isinstance(document, dict) or not isinstance(document.get("accounts"), dict):
        return {"v": VERSION, "accounts": {}}
    return {**document, "v": max(VERSION, document.get("v") or VERSION)}


def _fact(name: str, entry: object) -> AccountFact | None:
    if not isinstance(entry, dict):
        return None
    answer, at = str(entry.get("answer")), entry.get("at")
    if not is_answer(name, answer) or isinstance(at, bool) or not isinstance(at, int | float):
        return None
    return AccountFact(name, answer, float(at))
