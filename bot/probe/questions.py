"""The questions that a probe answers, and what each takes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

MINUTE = 60.0


@dataclass(frozen=True)
class ProbeQuestion:
    """One question. `facts`: the names of its answers in services.cluster.account_facts.

    `pool`: how many droplets of a pool it needs at once; `extra`: how many it may cause beside
    them; `droplet`: it needs one outside a pool. `usual` and `longest` in seconds.
    """

    name: str
    text: str
    facts: tuple[str, ...]
    usual: float
    longest: float
    pool: int = 0
    extra: int = 0
    droplet: bool = False


# In the order in which they are answered: those about one pool share it.
QUESTIONS: tuple[ProbeQuestion, ...] = (
    ProbeQuestion(
        "pool-scope",
        "which scope does a token need to edit a pool?",
        ("pool_scope",),
        usual=5,
        longest=MINUTE,
        pool=1,
    ),
    ProbeQuestion(
        "cooldown",
        "how long after a change of a pool is the next one carried out?",
        ("cooldown",),
        usual=MINUTE,
        longest=22 * MINUTE,
        pool=2,
    ),
    ProbeQuestion(
        "removal",
        "which member does a pool remove when its number is lowered?",
        ("removal",),
        usual=5 * MINUTE,
        longest=45 * MINUTE,
        pool=3,
    ),
    ProbeQuestion(
        "refill",
        "does a pool replace a member that was deleted or powered off, and when?",
        ("refill_deleted", "refill_off"),
        usual=18 * MINUTE,
        longest=32 * MINUTE,
        pool=1,
        extra=2,
    ),
    ProbeQuestion(
        "zero",
        "does a pool of fixed size accept 0 members?",
        ("zero",),
        usual=2 * MINUTE,
        longest=22 * MINUTE,
        pool=1,
        extra=1,
    ),
    ProbeQuestion(
        "resize-on",
        "is a droplet that is powered on resized, powered off for it, or refused?",
        ("resize_on",),
        usual=3 * MINUTE,
        longest=20 * MINUTE,
        droplet=True,
    ),
    ProbeQuestion(
        "conditional-writes",
        "does the bucket honour If-Match and If-None-Match on a PUT?",
        ("if_match", "if_none_match"),
        usual=20,
        longest=2 * MINUTE,
    ),
    ProbeQuestion(
        "trigger-scope",
        "may the token enable and disable a function's trigger?",
        ("trigger",),
        usual=5,
        longest=2 * MINUTE,
    ),
)
BY_NAME = {question.name: question for question in QUESTIONS}
QUESTION_OF = {fact: question.name for question in QUESTIONS for fact in question.facts}


class NoSuchQuestion(ValueError):
    """A name that is none of the questions; the message says which are."""


def chosen_questions(names: Sequence[str]) -> tuple[ProbeQuestion, ...]:
    """Return the questions of these names, all for none or for `all`, in their order."""
    if not names or "all" in names:
        return QUESTIONS
    for name in names:
        if name not in BY_NAME:
            close = get_close_matches(name, BY_NAME, n=1, cutoff=0.5)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise NoSuchQuestion(
                f"there is no question {name}{hint}; allowed: {', '.join(BY_NAME)}, all"
            )
    return tuple(question for question in QUESTIONS if question.name in names)
