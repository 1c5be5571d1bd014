"""Plans use what was seen of the account, and are no less careful for it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bot.rehearsal.in_process import InProcessBucket
from services.cloud.secrets_bucket import SecretsBucket
from services.cluster.account_facts import (
    ANSWERS,
    NO_FACTS,
    OLD,
    SECONDS,
    AccountFact,
    AccountFacts,
    is_answer,
)
from services.cluster.model import Autoscaler, Cluster
from services.common.clock import loop_clock
from services.common.errors import Refused, Rejected
from services.memory.account_facts import facts_in, keep_facts
from services.procedures import Configure, Procedure, ResizeMedia, Scale, Shutdown
from services.procedures.plan import Plan, make_plan
from services.runs.run import State
from services.steps import MediaServing, OldGone, PoolTarget
from services.store import Commit
from services.store.keys import ACCOUNT_FACTS
from services.store.sqlite import SqliteStore
from simulators.clock import LoopClock
from simulators.environment import SimulatedEnvironment
from tests.procedures.test_config import NEW, ask, secrets
from tests.support import virtual
from tests.support.clusters import IDLE, NOW, SOLD, autoscaled, ready
from tests.support.crash_injector import CrashInjector
from tests.support.scene import ORIGIN, Scene
from tests.support.stories import everything_read, in_full, request_and_approve, run_ended

OWNER = "5df3e3004a17e242b7c20ca6c9fc25b701a40000"


def facts(at: float = NOW, **answers: str) -> AccountFacts:
    return AccountFacts(tuple(AccountFact(name, answer, at) for name, answer in answers.items()))


def plan(cluster: Cluster, procedure: Procedure, **answers: str) -> Plan:
    return make_plan(replace(cluster, account=facts(NOW, **answers)), procedure)


def notes(planned: Plan) -> str:
    return "\n".join(planned.notes)


# Values


@pytest.mark.parametrize("name", ANSWERS)
def test_only_the_answers_of_a_fact_are_answers(name: str) -> None:
    for answer in ANSWERS[name]:
        assert is_answer(name, "60" if answer == SECONDS else answer)
    for answer in ("", "unknown", "not known", SECONDS, "-1", "1.5", "10000000"):
        assert not is_answer(name, answer)


def test_others_override_and_the_rest_stays() -> None:
    seen, stated = facts(1.0, zero="accepted", cooldown="0"), facts(2.0, zero="refused")
    merged = seen.overridden_by(stated)
    assert (merged.answer("zero"), merged.answer("cooldown")) == ("refused", "0")
    assert seen.overridden_by(NO_FACTS) == seen
    assert set(merged.open) == ANSWERS.keys() - {"zero", "cooldown"}


# Plans


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("accepted", "This account accepts a pool of 0 nodes (seen [[moment"),
        ("refused", "This account refuses a pool of 0 nodes (seen [[moment"),
        ("ignored", "accepts 0 for a pool, and keeps its nodes (seen [[moment"),
        ("", ""),
    ],
)
def test_a_shutdown_says_what_the_account_does_with_zero(answer: str, words: str) -> None:
    def shutdown(at: float) -> Plan:
        seen = facts(at, zero=answer) if answer else NO_FACTS
        return make_plan(replace(ready(3), account=seen), Shutdown())

    planned = shutdown(NOW)
    assert words in notes(planned)
    assert ("pool of 0" in notes(planned) or "accepts 0" in notes(planned)) == bool(answer)
    assert "days ago" not in notes(planned)
    assert ("over 180 days ago" in notes(shutdown(NOW - OLD - 1))) == bool(answer)


def test_newest_is_drained_as_documented() -> None:
    assert plan(ready(5), Scale(3), removal="newest").steps == make_plan(ready(5), Scale(3)).steps
    assert "removes the newest nodes" in notes(plan(ready(5), Scale(3), removal="newest"))


def test_where_the_oldest_goes_both_ends_are_drained() -> None:
    planned = plan(ready(5), Scale(4), removal="oldest")
    assert [s.title() for s in planned.steps] == [
        "Drain media-1 and media-5",
        "Set media pool to 4",
        "Verify that 1 media node is deleted",
        "Wait until 4 media nodes are in service",
    ]
    assert "removes the oldest nodes here" in notes(planned)


def test_the_pool_is_not_lowered_while_a_node_that_may_go_is_not_drained() -> None:
    cluster = replace(ready(5), account=facts(removal="oldest"))
    drained = tuple(replace(n, look=IDLE) if n.id in (101,) else n for n in cluster.media)
    assert PoolTarget(4, was=5).blocker(replace(cluster, media=drained)).startswith("media-5")
    both = tuple(replace(n, look=IDLE) if n.id in (101, 105) else n for n in cluster.media)
    assert not PoolTarget(4, was=5).blocker(replace(cluster, media=both))


@pytest.mark.parametrize(("removal", "number"), [("other", 4), ("oldest", 1)])
def test_where_any_node_may_go_none_is_guessed(removal: str, number: int) -> None:
    nodes = 5 if removal == "other" else 2
    with pytest.raises(Refused, match="DigitalOcean may remove any of"):
        plan(ready(nodes), Scale(number), removal=removal)
    forced = plan(ready(nodes), Scale(number, no_drain=True), removal=removal)
    assert forced.effects.cuts_off


def test_the_cooldown_and_the_refill_are_in_the_estimate() -> None:
    cluster = ready(3, sizes=SOLD)
    usual, slow = (plan(cluster, ResizeMedia("s-8vcpu-16gb"), cooldown=c) for c in ("0", "1200"))
    assert slow.takes - usual.takes == 600.0
    assert usual.takes == make_plan(cluster, ResizeMedia("s-8vcpu-16gb")).takes
    assert "for about 20 min" in notes(slow)
    old = OldGone("s-8vcpu-16gb")
    assert "for about 20 min" in old.waits_for(replace(ready(3), account=facts(cooldown="1200")))
    assert "no sooner than 1200 s after" in notes(plan(ready(3), Scale(5), cooldown="1200"))
    assert "no sooner" not in notes(plan(ready(3), Scale(5), cooldown="0"))


@pytest.mark.parametrize(
    ("answer", "words", "more"),
    [("60", "replaces a deleted member after about 60 s", 60.0), ("never", "does not replace", 0)],
)
def test_a_missing_member_is_waited_for_as_long_as_it_was_seen_to_take(
    answer: str, words: str, more: float
) -> None:
    short = ready(3)
    short = replace(short, media=short.media[:2])
    step = MediaServing(3)
    known = replace(short, account=facts(refill_deleted=answer))
    assert words in step.waits_for(known)
    assert step.expected_seconds(known) == step.expected_seconds(short) + more
    assert "member" not in step.waits_for(short)
    whole = replace(ready(3), account=facts(refill_deleted=answer))
    assert "replace" not in step.waits_for(whole)


def test_a_token_that_may_not_pause_the_autoscaler_is_told() -> None:
    cluster = autoscaled(3)
    assert isinstance(cluster.autoscaler, Autoscaler)
    assert "was not allowed to pause" in notes(plan(cluster, Shutdown(), trigger="denied"))
    assert "was not allowed" not in notes(plan(cluster, Shutdown(), trigger="allowed"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("honoured", "refuses the write if another writer has changed the file"),
        ("ignored", "ignores conditions"),
        ("refused", "refuses conditions"),
    ],
)
def test_a_change_of_secrets_env_says_whether_its_write_is_conditional(
    answer: str, words: str
) -> None:
    change = Configure(keys=("DASHBOARD_ADMIN_PASSWORD",), staged="a")
    known = change.notes(replace(ready(3), account=facts(if_match=answer)))
    assert words in "\n".join(known)
    assert len(known) == len(change.notes(ready(3))) + 1


# The stored document


def test_the_document_outlives_versions_and_damage() -> None:
    async def story() -> None:
        store = SqliteStore(None, loop_clock(ORIGIN), threaded=False)
        await keep_facts(store, "one", facts(5.0, zero="accepted", cooldown="600").facts)
        (text,) = await store.get(ACCOUNT_FACTS)
        document = json.loads(text or "")
        document["accounts"]["one"]["of a newer version"] = {"answer": "yes", "at": 1.0}
        document["accounts"]["one"]["removal"] = {"answer": "sideways", "at": 1.0}
        document |= {"v": 7, "more": "kept"}
        await store.commit(Commit(puts={ACCOUNT_FACTS: json.dumps(document)}))
        await keep_facts(store, "one", facts(9.0, zero="refused").facts)
        await keep_facts(store, "two", facts(9.0, zero="ignored").facts)
        (text,) = await store.get(ACCOUNT_FACTS)
        written = json.loads(text or "")
        assert (written["v"], written["more"]) == (7, "kept")
        assert written["accounts"]["one"]["of a newer version"]["answer"] == "yes"
        one = facts_in(text, "one")
        assert {f.name: (f.answer, f.at) for f in one.facts} == {
            "zero": ("refused", 9.0),
            "cooldown": ("600", 5.0),
        }
        assert facts_in(text, "two").answer("zero") == "ignored"
        for damaged in (None, "", "{", "[]", '{"accounts": 3}', '{"accounts": {"one": 3}}'):
            assert facts_in(damaged, "one") == NO_FACTS
        assert facts_in(text, "") == NO_FACTS

    virtual.run(story())


# The bucket


@pytest.mark.parametrize("conditions", ["honoured", "ignored", "refused"])
def test_a_staged_file_overwrites_no_other_where_that_can_be_seen(conditions: Any) -> None:
    async def story() -> None:
        town = SimulatedEnvironment(LoopClock(ORIGIN))
        name = town.build_cluster("acme", media=1).bucket
        town.spaces.conditions = conditions
        objects = InProcessBucket(town, name, CrashInjector(None))
        bucket = SecretsBucket(objects, loop_clock(ORIGIN))
        file = await bucket.read()
        await bucket.stage("one", file)
        assert town.spaces.read(name, "openvidu-bot/staged/one") == bytes(file)
        town.spaces.write(name, "openvidu-bot/staged/two", b"of another writer")
        if conditions == "ignored":
            return
        with pytest.raises(Rejected) as refused:
            await bucket.stage("two", file)
        assert refused.value.status == 412
        assert town.spaces.read(name, "openvidu-bot/staged/two") == b"of another writer"

    virtual.run(story())


# Stories


async def keep(scene: Scene, **answers: str) -> None:
    """Store answers as a probe does, once the bot has identified the cluster's account."""
    await scene.ana.type_text("COPS", "/openvidu status")
    await scene.wait(120)
    await keep_facts(scene.store, OWNER, facts(scene.clock.now(), **answers).facts)


@pytest.mark.parametrize("world", ["oldest", "newest"])
def test_no_one_is_disconnected_whether_the_answer_is_true_or_false(world: str) -> None:
    """The account was seen to remove the oldest. The one that goes was drained, one serves on."""

    async def story() -> None:
        async with Scene(media=4, seed=3) as scene:
            scene.estate.pool_scaler.removal_order = world  # type: ignore[assignment]
            for _ in range(4):
                scene.estate.open_meeting(people=2, minutes=10, recordings=0)
            await keep(scene, removal="oldest")
            first, last = scene.estate.media("acme")[0], scene.estate.media("acme")[-1]
            await request_and_approve(scene, "scale 3", "Scale acme to 3 media nodes")
            run = await run_ended(scene)
            assert run.state is State.DONE
            assert scene.estate.people_disconnected == 0
            assert len(scene.estate.serving("acme")) == 3
            gone, stays = (first, last) if world == "oldest" else (last, first)
            assert gone.id not in scene.estate.droplets
            assert stays in scene.estate.serving("acme")

    virtual.run(story())


def test_an_account_that_refuses_zero_is_planned_for_before_it_is_asked() -> None:
    async def story() -> None:
        policy = {"zero_refused": "keep_one"}
        async with Scene(media=2, allow_zero="refused", policy=policy) as scene:
            scene.estate.allow_to_stay(d.id for d in scene.estate.media("acme"))
            await keep(scene, zero="refused")
            card = await request_and_approve(scene, "shutdown", "Shut down acme")
            assert "This account refuses a pool of 0 nodes" in await in_full(scene.ben, card)
            run = await run_ended(scene)
            assert run.state is State.DONE
            assert "Verify that only 1 drained media node is left" in [s.title() for s in run.steps]
            assert not run.asked

    virtual.run(story())


def test_a_wrong_answer_about_zero_is_a_question_and_nothing_worse() -> None:
    async def story() -> None:
        async with Scene(media=2, allow_zero="refused") as scene:
            await keep(scene, zero="accepted")
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await scene.card("DigitalOcean refused to set the pool to 0")
            assert all(m.status == "active" for m in scene.estate.masters("acme"))

    virtual.run(story())


def test_the_settings_override_what_was_probed() -> None:
    async def story() -> None:
        site = {"account_facts": {"zero": "refused", "seen": "2026-06-03"}}
        async with Scene(media=2, site=site) as scene:
            await keep(scene, zero="accepted", cooldown="1200")
            await scene.ana.type_text("COPS", "/openvidu shutdown --dry-run")
            await scene.wait(30)
            shown = everything_read(scene)
            assert "This account refuses a pool of 0 nodes (seen " in shown
            assert "over 180 days ago" in shown, "the scene is in January 2027"
            assert "no sooner than 1200 s" in shown

    virtual.run(story())


@pytest.mark.parametrize(("answer", "state"), [("refused", State.DONE), ("honoured", None)])
def test_where_every_condition_is_refused_the_write_has_none(
    answer: str, state: State | None
) -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.estate.allow_rolling = True
            await keep(scene, if_match=answer)
            scene.environment.spaces.conditions = "refused"
            card = await ask(scene)
            await scene.ben.press(card, "Approve")
            if state is None:
                run = await scene.run_is("acme-1", State.STOPPED, State.ROLLED_BACK)
                assert NEW.encode() not in secrets(scene)
                return
            run = await scene.run_is("acme-1", state)
            assert NEW.encode() in secrets(scene)
            assert "refuses conditions, so a change in the same second" in notes(run.plan)

    virtual.run(story())
