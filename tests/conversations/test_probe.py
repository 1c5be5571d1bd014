"""`openvidu-bot probe`: each question finds each answer, leaves nothing, and costs what it said."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from bot.probe.estimate import LIMIT
from bot.probe.questions import BY_NAME, QUESTION_OF, QUESTIONS
from bot.probe.session import PREFIX
from services.cluster.account_facts import ANSWERS, SECONDS
from tests.support import virtual
from tests.support.coverage_level import QUICK
from tests.support.probed_account import TRIED_TOKEN, Probed, ProbedAccount

WITHOUT_CREATE = {"droplet:read", "droplet:update", "tag:read", "ssh_key:read"}
WITH_CREATE = WITHOUT_CREATE | {"droplet:create"}


def play(story: Coroutine[Any, Any, None]) -> None:
    virtual.run(story)


def scopes(*without: str) -> set[str]:
    everything = {
        f"{kind}:{verb}"
        for kind in ("droplet", "tag", "ssh_key", "function", "image", "account", "sizes", "vpc")
        for verb in ("create", "read", "update", "delete", "admin")
    }
    return everything - set(without)


Case = tuple[str, dict[str, Any], dict[str, str], str]
# Question, the world's knobs, the answers ("": not known), and what is said of them.
CASES: dict[str, Case] = {
    "zero accepted": ("zero", {}, {"zero": "accepted"}, "can be set to 0"),
    "zero shown as an empty config": (
        "zero",
        {"pool_zero": "omitted"},
        {"zero": "accepted"},
        "can be set to 0",
    ),
    "zero refused": (
        "zero",
        {"pool_zero": "refused"},
        {"zero": "refused"},
        "refuses to set a pool to 0 (“target_number_instances must be at least 1”)",
    ),
    "zero ignored": ("zero", {"pool_zero": "ignored"}, {"zero": "ignored"}, "keeps its number"),
    "zero accepted after a cooldown": (
        "zero",
        {"cooldown_refuses_edits": True},
        {"zero": "accepted"},
        "can be set to 0",
    ),
    "zero refused beside a cooldown": (
        "zero",
        {"cooldown_refuses_edits": True, "pool_zero": "refused"},
        {"zero": "refused"},
        "refuses to set a pool to 0",
    ),
    "no capacity": ("zero", {"capacity": False}, {"zero": ""}, "reports “no capacity for"),
    "no room in the account": (
        "zero",
        {"droplet_limit": 6},
        {"zero": ""},
        "will exceed your droplet limit",
    ),
    "no SSH key": ("zero", {"ssh_keys": []}, {"zero": ""}, "has no SSH key"),
    "no scope to create": (
        "zero",
        {"probe_scopes": scopes("droplet:create")},
        {"zero": ""},
        "lacks droplet:create",
    ),
    "cooldown: none": ("cooldown", {}, {"cooldown": "0"}, "right after another one"),
    "cooldown: waits": (
        "cooldown",
        {"cooldown_gates_edits": True},
        {"cooldown": "600"},
        "a change waits until",
    ),
    "cooldown: refuses": (
        "cooldown",
        {"cooldown_refuses_edits": True},
        {"cooldown": "600"},
        "is refused until",
    ),
    "removal: newest": ("removal", {}, {"removal": "newest"}, "twice the newest"),
    "removal: oldest": (
        "removal",
        {"removal_order": "oldest"},
        {"removal": "oldest"},
        "twice the oldest",
    ),
    "removal: neither": (
        "removal",
        {"removal_order": "middle"},
        {"removal": "other"},
        "neither always",
    ),
    "refill: deleted only": (
        "refill",
        {},
        {"refill_deleted": "60", "refill_off": "never"},
        "deleted is replaced after about",
    ),
    "refill: both": (
        "refill",
        {"refills_off": True},
        {"refill_deleted": "60", "refill_off": "70"},
        "powered off is replaced after about",
    ),
    "refill: neither": (
        "refill",
        {"refills_destroyed": False},
        {"refill_deleted": "never", "refill_off": ""},
        "none to power off",
    ),
    "pool-scope: create": (
        "pool-scope",
        {"tried_scopes": WITHOUT_CREATE},
        {"pool_scope": "droplet:create"},
        "may not edit a pool",
    ),
    "pool-scope: update": (
        "pool-scope",
        {"tried_scopes": WITHOUT_CREATE, "pool_edit_scopes": frozenset({"droplet:update"})},
        {"pool_scope": "droplet:update"},
        "without droplet:create may edit",
    ),
    "pool-scope: more": (
        "pool-scope",
        {
            "tried_scopes": WITH_CREATE,
            "pool_edit_scopes": frozenset({"droplet:create", "project:read"}),
        },
        {"pool_scope": "more"},
        "alone is not enough",
    ),
    "pool-scope: undecided": (
        "pool-scope",
        {"tried_scopes": WITH_CREATE},
        {"pool_scope": ""},
        "try one without it",
    ),
    "resize-on: powers off": ("resize-on", {}, {"resize_on": "powers_off"}, "is powered off"),
    "resize-on: refused": (
        "resize-on",
        {"resize_powers_off": False},
        {"resize_on": "refused"},
        "is not resized (“Droplet must be powered off",
    ),
    "resize-on: stays on": (
        "resize-on",
        {"resize_stays_on": True},
        {"resize_on": "stays_on"},
        "stays on during",
    ),
    "resize-on: never": (
        "resize-on",
        {"resizes": False},
        {"resize_on": ""},
        "also of a powered-off droplet (“Resizing is not available",
    ),
    "resize-on: an error": (
        "resize-on",
        {"outcome": lambda kind, _droplet: "errored" if kind == "resize" else "done"},
        {"resize_on": ""},
        "ended in an error",
    ),
    "conditions honoured": (
        "conditional-writes",
        {},
        {"if_match": "honoured", "if_none_match": "honoured"},
        "never overwrites",
    ),
    "conditions ignored": (
        "conditional-writes",
        {"conditions": "ignored"},
        {"if_match": "ignored", "if_none_match": "ignored"},
        "that does not hold is carried out",
    ),
    "conditions refused": (
        "conditional-writes",
        {"conditions": "refused"},
        {"if_match": "refused", "if_none_match": "refused"},
        "refused also when it holds",
    ),
    "trigger allowed": ("trigger-scope", {}, {"trigger": "allowed"}, "may enable and disable"),
    "trigger denied": (
        "trigger-scope",
        {
            "tried_scopes": {"function:update", "function:read"},
            "trigger_scopes": frozenset({"function:admin"}),
        },
        {"trigger": "denied"},
        "may not change a trigger",
    ),
    "trigger: no function": (
        "trigger-scope",
        {"triggers_need_function": True},
        {"trigger": ""},
        "creates no trigger without a function",
    ),
    "trigger: no scope": (
        "trigger-scope",
        {"probe_scopes": scopes("function:create", "function:admin")},
        {"trigger": ""},
        "lacks function:create",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_question_finds_each_answer(case: str, tmp_path: Path) -> None:
    name, knobs, wanted, words = CASES[case]

    async def story() -> None:
        account = ProbedAccount(tmp_path, **knobs)
        result = await account.probe(name, tried=TRIED_TOKEN if "tried_scopes" in knobs else "")
        for fact, answer in wanted.items():
            found = result.stored.get(fact, "")
            if answer.isdecimal() and found.isdecimal():
                assert abs(int(found) - int(answer)) <= 60, (fact, found)
            else:
                assert found == answer, (fact, result.text)
        assert words in _one_line(result.text)
        assert result.code == (0 if all(wanted.values()) else 2)
        _left_as_it_was(account, result)

    play(story())


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _left_as_it_was(account: ProbedAccount, result: Probed) -> None:
    """Nothing of the probe is there, everything else is as before, and the cost was told."""
    assert account.left() == []
    assert account.state() == account.before
    assert account.environment.estate.violations == []
    assert account.journal.read().sessions == ()
    assert account.cost <= _told(result.text) <= LIMIT


def _told(text: str) -> float:
    return float(text.partition("It costs at most $")[2].partition("\n")[0].rstrip("."))


def test_every_answer_is_found_by_a_case() -> None:
    found = {
        (fact, answer) for _, _, wanted, _ in CASES.values() for fact, answer in wanted.items()
    }
    for fact, allowed in ANSWERS.items():
        for answer in ("", *allowed):
            if answer == SECONDS:
                assert any(f == fact and a.isdecimal() for f, a in found), fact
            elif answer:
                assert (fact, answer) in found, (fact, answer)
    assert {QUESTION_OF[fact] for fact, answer in found if not answer} >= set(BY_NAME) - {
        "cooldown",
        "removal",
        "conditional-writes",
    }


@pytest.mark.parametrize("name", ["cooldown", "removal", "conditional-writes"])
def test_without_an_answer_it_is_not_known_and_says_why(name: str, tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path, capacity=False)
        result = await account.probe(name, bucket="")
        assert result.code == 2
        assert result.stored == {}
        assert "Not known:" in result.text
        _left_as_it_was(account, result)

    play(story())


def test_a_condition_that_is_checked_too_late_is_no_condition(tmp_path: Path) -> None:
    """One after the other each is refused; at once, several writers are told that they wrote."""

    async def story() -> None:
        account = ProbedAccount(tmp_path, conditions="late")
        result = await account.probe("conditional-writes")
        assert result.stored["if_none_match"] == "ignored"
        assert "more than one wins" in result.text

    play(story())


WORLDS: dict[str, dict[str, Any]] = {
    "as documented": {},
    "everything waits": {"cooldown_gates_edits": True, "refills_off": True},
    "everything is refused": {
        "cooldown_refuses_edits": True,
        "pool_zero": "refused",
        "resize_powers_off": False,
        "conditions": "refused",
    },
}


@pytest.mark.parametrize("world", WORLDS)
def test_all_questions_at_once_cost_at_most_ten_cents(world: str, tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path, tried_scopes=WITHOUT_CREATE, **WORLDS[world])
        result = await account.probe("all", tried=TRIED_TOKEN)
        assert result.code in (0, 2)
        assert set(result.stored) | set(_not_known(result.text)) == set(ANSWERS)
        assert 0.01 <= account.cost <= LIMIT
        _left_as_it_was(account, result)

    play(story())


def _not_known(text: str) -> list[str]:
    listed = text.partition("Not known:")[2]
    return [fact for fact in ANSWERS if f"({fact})" in listed]


def test_nothing_is_created_without_a_yes(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)
        result = await account.probe("all", yes=False, answers=[False])
        assert result.code == 1
        assert "Nothing was created" in result.text
        for told in ("in ams3", "openvidu-bot-probe-", "It takes about", "It costs at most $0.0"):
            assert told in result.text
        assert {line.partition(" ")[0] for line in result.gate.seen} == {"GET"}

    play(story())


def test_beside_a_bot_that_observes_somebody_is_asked_whatever_was_typed(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)
        account.settings = account.settings.model_copy(update={"mode": "observe"})
        result = await account.probe("all", yes=True, answers=[False])
        assert result.code == 1
        assert "only observes" in result.text
        assert "Nothing was created" in result.text
        assert {line.partition(" ")[0] for line in result.gate.seen} == {"GET"}

    play(story())


def test_a_size_that_is_too_expensive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.probe.estimate.OTHER_PLANS", ("s-1", "s-2", "s-4", "c-"))

    async def story() -> None:
        account = ProbedAccount(tmp_path)
        result = await account.probe("all")
        assert result.code == 1
        assert "a probe costs at most $0.10" in result.text
        assert {line.partition(" ")[0] for line in result.gate.seen} == {"GET"}

    play(story())


def test_no_token_is_printed_or_kept(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path, tried_scopes=WITHOUT_CREATE)
        result = await account.probe("all", tried=TRIED_TOKEN, kill_at=60)
        assert account.journal.path.exists()
        kept = account.journal.path.read_text()
        for secret in ("dop_v1_", *account.environment.estate.canaries):
            assert secret not in result.text + kept

    play(story())


# Killed at any point


async def _killed(folder: Path, at: int, *, after: bool, clean: bool) -> bool:
    """Kill a probe at one request; False if it made fewer. The next call leaves nothing."""
    account = ProbedAccount(folder, tried_scopes=WITHOUT_CREATE)
    killed = await account.probe("all", tried=TRIED_TOKEN, kill_at=at, after=after)
    if killed.code is not None:
        return False
    # What a lost request began goes on without the process.
    await account.clock.sleep(120.0)
    result = await account.probe("trigger-scope", clean=clean)
    assert result.code == 0, (at, killed.gate.seen[-1], result.text)
    assert account.left() == [], (at, after, killed.gate.seen[-1])
    assert account.state() == account.before
    assert account.environment.estate.violations == []
    assert account.journal.read().sessions == ()
    assert account.cost <= LIMIT
    return True


def _points(tmp_path: Path) -> list[str]:
    """Return every request of a whole probe."""
    seen: list[str] = []

    async def story() -> None:
        account = ProbedAccount(tmp_path, tried_scopes=WITHOUT_CREATE)
        seen.extend((await account.probe("all", tried=TRIED_TOKEN)).gate.seen)

    play(story())
    return seen


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_a_request_that_changes_something(after: bool, tmp_path: Path) -> None:
    """Every request that changes something (in the quick level one in nine), and some reads."""
    seen = _points(tmp_path)
    changes = [n for n, line in enumerate(seen, 1) if not line.startswith("GET")]
    assert len(changes) > 40
    chosen = [*changes[:: 9 if QUICK else 1], *range(1, len(seen), 90 if QUICK else 10)]
    for number, at in enumerate(chosen):
        folder = tmp_path / f"{at}"
        folder.mkdir(exist_ok=True)
        play(_must_be_killed(folder, at, after=after, clean=number % 2 == 0))


async def _must_be_killed(folder: Path, at: int, *, after: bool, clean: bool) -> None:
    assert await _killed(folder, at, after=after, clean=clean), at


@pytest.mark.thorough
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_single_request(after: bool, tmp_path: Path) -> None:
    for at in range(1, len(_points(tmp_path)) + 1):
        folder = tmp_path / f"{at}"
        folder.mkdir()
        play(_must_be_killed(folder, at, after=after, clean=at % 2 == 0))


def test_leftovers_of_a_lost_journal_are_deleted_when_it_is_said(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)
        assert (await account.probe("zero", kill_at=12, after=True)).code is None
        assert account.left()
        account.journal.path.unlink()
        refused = await account.probe("zero")
        assert refused.code == 1
        assert "something of another probe" in refused.text
        assert account.left()
        cleaned = await account.probe("zero", clean=True)
        assert cleaned.code == 0
        assert account.left() == []
        # While the pool is there it would replace members: they are looked for again before.
        seen = cleaned.gate.seen
        pool = next(n for n, line in enumerate(seen) if line.endswith("/dangerous"))
        assert not seen[pool + 1].startswith("DELETE /v2/droplets/")

    play(story())


def test_a_second_probe_at_once_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)
        with account.journal.alone():
            result = await account.probe("zero")
        assert (result.code, result.text) == (1, "another probe runs on this machine.")

    play(story())


def test_a_lost_answer_to_a_creation_is_looked_for(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)
        faults = account.environment.faults
        faults.add("digitalocean", "reset-after", "POST /v2/droplets/autoscale")
        result = await account.probe("zero")
        assert result.stored == {"zero": "accepted"}
        _left_as_it_was(account, result)

    play(story())


@pytest.mark.parametrize("scope", ["droplet:delete", "tag:delete", "tag:read"])
def test_what_could_not_be_deleted_is_not_created(scope: str, tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path, probe_scopes=scopes(scope) | {"regions:read"})
        result = await account.probe("zero", bucket="")
        assert result.code == 1
        assert f"lacks {scope}" in result.text
        assert not [line for line in result.gate.seen if line.startswith("POST")]
        assert account.journal.read().sessions == ()

    play(story())


def test_a_namespace_that_could_not_be_deleted_is_not_created(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path, probe_scopes=scopes("function:delete", "function:admin"))
        result = await account.probe("trigger-scope")
        assert result.code == 2
        assert "lacks function:delete" in _one_line(result.text)
        assert not [line for line in result.gate.seen if line.startswith("POST")]

    play(story())


def test_an_interrupted_probe_deletes_what_it_created(tmp_path: Path) -> None:
    """As Ctrl-C does it: the task is cancelled in the middle of a wait."""

    async def story() -> None:
        account = ProbedAccount(tmp_path)
        probe = asyncio.create_task(account.probe("all"))
        await account.clock.sleep(300.0)
        assert account.left()
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert account.left() == []
        assert account.journal.read().sessions == ()

    play(story())


def test_more_droplets_than_announced_end_the_probe(tmp_path: Path) -> None:
    """A pool that keeps replacing its members would cost more than was announced."""

    async def story() -> None:
        account = ProbedAccount(tmp_path)
        estate = account.environment.estate

        async def churn() -> None:
            while True:
                await account.clock.sleep(50.0)
                estate.settle()
                for droplet in [d for d in estate.droplets.values() if PREFIX in d.name]:
                    estate.power.destroy(droplet.id)

        churning = asyncio.create_task(churn())
        result = await account.probe("removal")
        churning.cancel()
        assert result.code == 2
        assert "more droplets than announced" in _one_line(result.text)
        assert account.environment.estate.billing.count(PREFIX) <= 6
        assert account.left() == []
        assert account.cost <= LIMIT

    play(story())


def test_a_damaged_journal_is_refused_and_not_overwritten(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)
        account.journal.path.write_text("{")
        result = await account.probe("zero")
        assert result.code == 1
        assert "it is damaged" in result.text
        assert account.journal.path.read_text() == "{"

    play(story())


def test_the_questions_are_told_apart_by_name() -> None:
    assert len(BY_NAME) == len(QUESTIONS)
    assert {fact for q in QUESTIONS for fact in q.facts} == set(ANSWERS)
    assert all(q.text.endswith("?") for q in QUESTIONS)
