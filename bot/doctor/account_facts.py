"""Checks what is known of each account where the documents leave it open, and leftovers of probes.

It asks nothing that changes something: `openvidu-bot probe` does.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.check import Check, CheckFinding, fine, skipped, wrong
from bot.doctor.cloud import account_name, account_needs
from bot.doctor.context import DoctorContext, Target
from bot.probe.leftovers import droplets_in, pools_in
from bot.probe.questions import BY_NAME, QUESTION_OF
from services.cloud.listings import SharedAccount
from services.cluster.account_facts import ANSWERS, AccountFacts
from services.common.errors import Unreachable
from services.common.text import count_of
from services.memory.account_facts import facts_in
from services.store.keys import ACCOUNT_FACTS


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield a check of each account."""
    for account in context.accounts:
        targets = [target for target in context.targets if target.world.account is account]
        name = f"{account_name(context, account)}: probes"
        needs = account_needs(context, targets[0])
        yield Check(name, partial(_account, context, account, targets, name), 60.0, needs)


async def _account(
    context: DoctorContext, account: SharedAccount, targets: Sequence[Target], name: str
) -> Sequence[CheckFinding]:
    findings = []
    left = [*pools_in(await account.api.pools()), *droplets_in(await account.api.droplets())]
    if left:
        text = f"{count_of(len(left), 'thing')} of a probe left, which costs money: {left[0].text}"
        findings.append(wrong(f"{name} left", text, "run openvidu-bot probe --clean"))
    try:
        (stored,) = await context.store.get(ACCOUNT_FACTS)
    except Unreachable:
        return [*findings, skipped(name, "the state cannot be read")]
    known = facts_in(stored, await account.owner())
    stated = [target.world.config.account for target in targets]
    return [*findings, _open(name, known, stated, context.clock.now())]


def _open(
    name: str, known: AccountFacts, stated: Sequence[AccountFacts], now: float
) -> CheckFinding:
    """Return which questions are open for some cluster of the account, and what answers them."""
    facts = [known.overridden_by(each) for each in stated]
    unknown = {QUESTION_OF[fact] for each in facts for fact in each.open}
    old = {QUESTION_OF[f.name] for each in facts for f in each.facts if f.is_old(now)} - unknown
    if not unknown and not old:
        return fine(name, f"all {len(ANSWERS)} open facts of the account are known")
    parts = []
    if unknown:
        parts.append(f"not known: {_names(unknown)}")
    if old:
        parts.append(f"older than 180 days: {_names(old)}")
    return skipped(name, f"{'; '.join(parts)}: openvidu-bot probe answers it")


def _names(questions: set[str]) -> str:
    return ", ".join(name for name in BY_NAME if name in questions)
