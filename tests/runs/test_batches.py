"""Several clusters at once: one approval, at most so many at a time, each cluster once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from services.access.policy import Actor
from services.audit.verify import verify
from services.common.errors import BotError, Forbidden, Refused, Unreachable
from services.memory.message_refs import MessageRefs
from services.operations.batches import BatchPlan, Limits
from services.procedures import AddWindow, Procedure, Scale, Shutdown
from services.runs.batch import Batch, BatchState, PartState
from services.runs.request import RequestState
from services.runs.run import Run, State
from services.store.keys import BATCH_CARDS
from tests.support import virtual
from tests.support.coverage_level import PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.stories import details, rejects, whole, with_buttons

ANA, BEN, CARLA = (Actor(u, "T0ACME") for u in ("UANA", "UBEN", "UCARLA"))
THREE = ("acme", "beta", "gamma")
LABELLED = {name: {"labels": ["production"]} for name in ("beta", "gamma")}
WINDOW = AddWindow("nights daily 20:00-07:00")


def scene_of(**more: Any) -> Scene:
    return Scene(**{"stacks": THREE, "media": 1, "pydo": False, **more})


def played(story: Callable[[Scene], Awaitable[None]], **more: Any) -> None:
    async def told() -> None:
        async with scene_of(**more) as scene:
            scene.allowed_complaints.append("ratelimited")  # three clusters' cards in one channel
            await story(scene)
            for name in THREE:
                assert (await verify(scene.store, scene.journal.chain, name)).flaws == ()
            assert scene.bot.operations.bulkheads.failures == ()

    virtual.run(told())


async def requested(
    scene: Scene,
    names: tuple[str, ...] = THREE,
    procedure: Procedure = WINDOW,
    *,
    later: tuple[float, str] | None = None,
    **limits: Any,
) -> BatchPlan:
    asked = scene.bot.operations.batches.request(
        ANA, names, procedure, Limits(**limits), channel="COPS", later=later
    )
    planned = await scene.by_bot(asked)
    assert planned is not None
    return planned


async def approved(scene: Scene, planned: BatchPlan, who: Actor = BEN) -> Batch:
    batch = await scene.by_bot(scene.bot.operations.batches.approve(planned.batch.id, who))
    assert batch is not None
    return batch


async def now(scene: Scene, planned: BatchPlan) -> Batch:
    return await scene.bot.operations.batch_records.get(planned.batch.id)


async def settled(scene: Scene, planned: BatchPlan, seconds: float = 6 * 3600.0) -> Batch:
    until = scene.clock.now() + seconds
    while scene.clock.now() < until:
        batch = await now(scene, planned)
        if batch.over:
            return batch
        await scene.wait(10)
    raise AssertionError(batch)


def states(batch: Batch) -> list[str]:
    return [str(part.state) for part in batch.parts]


async def runs_of(scene: Scene, batch: Batch) -> list[Run]:
    return [await scene.journal.run(part.run) for part in batch.parts if part.run]


def most_at_once(runs: list[Run]) -> int:
    """Return how many of these runs were open at the same moment, at most."""
    return max(
        sum(other.opened_at <= run.opened_at < other.ended_at for other in runs) for run in runs
    )


def texts(scene: Scene) -> str:
    return "\n".join(whole(m) for m in scene.ana.visible_messages("COPS"))


# In order, and how many


def test_one_after_the_other_in_slack() -> None:
    async def story(scene: Scene) -> None:
        words = "shutdown --label production --reason 'power work'"
        await scene.ana.type_text("COPS", f"/openvidu {words}")
        card = await with_buttons(scene, "Shut down 2 clusters?")
        assert "Requested by <@UANA>: power work, label production" in whole(card)
        assert "*beta* · no meetings now" in whole(card)
        assert "acme" not in whole(card)
        view = str((await details(scene.ben, card)).body)
        assert "4. Power off masters" in view
        assert "Can be approved by <@UBEN> or <@UCARLA>" in view
        await scene.ben.press(card, "Approve shutdown of 2 clusters")
        (name,) = await scene.bot.operations.batch_records.unfinished_ids()
        batch = await scene.bot.operations.batch_records.get(name)
        end = await settled(scene, BatchPlan(batch, {}))
        assert states(end) == ["done", "done"]
        runs = await runs_of(scene, end)
        assert [r.cluster for r in runs] == ["beta", "gamma"]
        assert most_at_once(runs) == 1
        assert [a.user for r in runs for a in r.approvers] == ["UBEN", "UBEN"]
        await scene.wait(30)
        shown = next(m for m in scene.ana.visible_messages("COPS") if m.ts == card.ts)
        assert "Shut down 2 clusters: done" in shown.text
        assert "|beta-1>" in whole(shown), "a link to each run's own message"
        own = next(m for m in scene.cards_of(runs[0]))
        assert f"|{name}>" in whole(own), "and back"
        assert "<@UANA>: shut down 2 clusters: done" in texts(scene)
        assert await MessageRefs(scene.store, BATCH_CARDS).unfinished() == []

    played(story, sites=LABELLED)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_never_more_than_so_many_at_a_time(at_once: int) -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene, procedure=Shutdown(), at_once=at_once)
        await approved(scene, planned)
        runs = await runs_of(scene, await settled(scene, planned))
        assert len(runs) == 3
        assert most_at_once(runs) == min(at_once, 3)

    played(story)


def test_what_needs_no_approval_is_started_by_its_requester_alone() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene, procedure=Scale(2))
        assert planned.batch.startable
        with pytest.raises(Refused, match=r"only .*UANA.* can start it"):
            await approved(scene, planned)
        await approved(scene, planned, ANA)
        assert (await settled(scene, planned)).succeeded

    played(story)


def test_a_cluster_given_twice_is_changed_once() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene, ("acme", "beta", "acme"))
        await approved(scene, planned)
        end = await settled(scene, planned)
        assert end.clusters == ("acme", "beta")
        assert await scene.journal.latest("acme", 9) == ["acme-1"]

    played(story)


# Failures


def test_after_a_failure_the_rest_is_not_started_and_it_is_told() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene, procedure=Shutdown())
        await approved(scene, planned)
        await scene.run_is("acme-1", State.RUNNING)
        await scene.by_bot(scene.bot.operations.service.cancel("acme-1", BEN))
        end = await settled(scene, planned)
        assert states(end) == ["failed", "not started", "not started"]
        assert end.state is BatchState.STOPPED
        assert await scene.journal.latest("beta", 9) == []
        await scene.wait(30)
        said = texts(scene)
        assert "Shut down 3 clusters: stopped, 0 of 3 done" in said
        assert "The rest is not started, because acme failed" in said
        assert "/openvidu shutdown --cluster acme,beta,gamma" in said
        for part in end.parts[1:]:
            request = await scene.journal.request(part.request)
            assert request.state is RequestState.SUPERSEDED

    played(story)


def test_more_failures_are_tolerated_where_that_was_requested() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene, procedure=Shutdown(), stop_after=2)
        await approved(scene, planned)
        await scene.run_is("acme-1", State.RUNNING)
        await scene.by_bot(scene.bot.operations.service.cancel("acme-1", BEN))
        end = await settled(scene, planned)
        assert states(end) == ["failed", "done", "done"]
        assert end.state is BatchState.APPROVED

    played(story)


def test_a_paused_run_keeps_its_place_and_counts_as_a_failure() -> None:
    async def story(scene: Scene) -> None:
        api = scene.bot.operations.clusters.cluster("acme").world.account.api  # type: ignore[attr-defined]
        writes, acme = api.writes, scene.estate.pool("acme").id

        def refusing(guard: Any) -> Any:
            real = writes(guard)
            put = real.put_pool

            async def put_pool(pool: str, *more: Any, **named: Any) -> Any:
                if pool == acme:
                    raise Forbidden("changing autoscale pool: the token lacks", status=403)
                return await put(pool, *more, **named)

            real.put_pool = put_pool
            return real

        api.writes = refusing
        planned = await requested(scene, procedure=Shutdown(), stop_after=2)
        await approved(scene, planned)
        await scene.run_is("acme-1", State.STOPPED)
        await scene.wait(120)
        batch = await now(scene, planned)
        assert states(batch) == ["running", "waiting", "waiting"], "one at a time, also if resumed"
        assert batch.failures == 1
        assert "*acme* · :warning: *paused*" in texts(scene)
        api.writes = writes
        await scene.by_bot(scene.bot.operations.service.resume("acme-1", BEN))
        assert states(await settled(scene, planned)) == ["done"] * 3

    played(story)


def test_a_cluster_that_changed_meanwhile_is_left_out_and_told() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene, procedure=Shutdown())
        with scene.estate.by_administrator("a node destroyed"):
            scene.estate.power.destroy(scene.estate.media("beta")[0].id)
        await scene.wait(900)  # the pool has replaced it
        await approved(scene, planned)
        end = await settled(scene, planned)
        assert states(end) == ["done", "not covered", "done"]
        assert "1 media node was added since the approval" in end.part("beta").why
        assert [m.on for m in scene.estate.masters("beta")] == [True] * 4
        assert (
            await scene.journal.request(end.part("beta").request)
        ).state is not RequestState.OPEN
        await scene.wait(30)
        assert "*beta* · *not done*: 1 media node was added since the approval" in texts(scene)

    played(story)


def test_a_locked_or_held_cluster_is_shown_and_left_out() -> None:
    async def story(scene: Scene) -> None:
        operations = scene.bot.operations
        await scene.ana.type_text("COPS", '/openvidu hold "exam week" until 23:00 --cluster beta')
        await scene.wait(5)
        planned = await requested(scene)
        assert states(planned.batch) == ["waiting", "refused", "waiting"]
        card = await with_buttons(scene, "Add window nights to 2 clusters?")
        assert ":no_entry_sign: *beta* · not included: beta is on hold" in whole(card)
        assert "Not included: beta" in card.text
        await scene.ana.type_text("COPS", '/openvidu hold "power" until 23:00 --cluster gamma')
        await scene.wait(5)
        await approved(scene, planned)
        end = await settled(scene, planned)
        assert states(end) == ["done", "refused", "not covered"]
        assert "on hold" in end.part("gamma").why
        assert await operations.reader.latest("gamma", 5) == []

    played(story)


def test_two_requests_with_overlapping_sets() -> None:
    async def story(scene: Scene) -> None:
        first = await requested(scene, ("acme", "beta"), Shutdown())
        second = await requested(scene, ("beta", "gamma"), Shutdown())
        assert states(second.batch) == ["refused", "waiting"]
        assert f"in `{first.batch.id}`" in second.batch.part("beta").why
        await scene.wait(10)
        third = await requested(scene, ("beta", "gamma"), Scale(3))
        await scene.wait(10)
        await approved(scene, first)
        await scene.wait(10)
        await approved(scene, third, ANA)
        ends = [await settled(scene, planned) for planned in (first, third)]
        assert states(ends[0]) == ["done", "not covered"], "beta was locked, or has other nodes"
        assert states(ends[1]) == ["done", "done"]
        assert await scene.journal.latest("beta", 9) == ["beta-1"]

    played(story)


def test_a_window_that_closed_one_of_them_meanwhile_is_no_second_shutdown() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene, ("acme", "beta"), Shutdown())
        single = scene.bot.operations.service
        waiting = await scene.by_bot(single.request(ANA, "beta", Shutdown(), channel="COPS"))
        assert waiting is not None
        await scene.by_bot(single.approve(waiting.request.id, BEN))  # type: ignore[union-attr]
        await scene.run_is("beta-1", State.DONE)
        await approved(scene, planned)
        end = await settled(scene, planned)
        assert states(end) == ["done", "nothing to do"]
        assert end.succeeded
        assert await scene.journal.latest("beta", 9) == ["beta-1"]

    played(story)


# Who


def test_the_role_is_needed_on_every_cluster() -> None:
    async def story(scene: Scene) -> None:
        with pytest.raises(Refused, match="you need the role on every cluster; beta: "):
            await requested(scene)

    played(story, sites={"beta": {"roles": {"operators": ["UBEN", "UCARLA"]}}})


def test_an_approver_needs_the_role_on_every_cluster() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene)
        card = await with_buttons(scene, "Add window nights to 3 clusters?")
        assert "needs <@UCARLA>" in whole(card)
        view = str((await details(scene.ben, card)).body)
        assert "Can be approved by <@UBEN> or <@UCARLA>" in view
        with pytest.raises(Refused, match="covers every cluster, and on beta yours does not count"):
            await approved(scene, planned, BEN)
        assert (await now(scene, planned)).approvals == ()
        await approved(scene, planned, CARLA)
        assert states(await settled(scene, planned)) == ["done"] * 3

    roles = {"operators": ["UANA", "UBEN", "UCARLA"], "approvers": ["UANA", "UCARLA"]}
    played(story, sites={"beta": {"roles": roles}})


def test_what_no_one_could_approve_is_refused_before() -> None:
    async def story(scene: Scene) -> None:
        with pytest.raises(Refused, match="no one could approve this on every cluster") as refused:
            await requested(scene)
        assert "beta: [[person UCARLA]]" in str(refused.value)
        assert "gamma: [[person UBEN]]" in str(refused.value)

    both = ["UANA", "UBEN", "UCARLA"]
    one = {"roles": {"operators": both, "approvers": ["UCARLA"]}}
    other = {"roles": {"operators": both, "approvers": ["UBEN"]}}
    played(story, sites={"beta": one, "gamma": other})


def test_two_approvals_where_one_cluster_needs_them() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene)
        assert planned.batch.needs == 2
        assert (await approved(scene, planned, BEN)).state is BatchState.OPEN
        with pytest.raises(Refused, match="already approved"):
            await approved(scene, planned, BEN)
        await approved(scene, planned, CARLA)
        assert states(await settled(scene, planned)) == ["done"] * 3

    played(story, sites={"beta": {"policy": {"approvals": 2}}})


def test_an_approver_who_lost_the_role_covers_nothing_at_its_turn() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene, procedure=Shutdown())
        await approved(scene, planned)
        await scene.run_is("acme-1", State.RUNNING)
        sites = scene.bot.operations.clusters._sites
        rules = replace(sites["beta"].rules, approvers=frozenset({"UCARLA"}))
        sites["beta"] = replace(sites["beta"], rules=rules)
        end = await settled(scene, planned)
        assert states(end) == ["done", "not covered", "done"]
        assert "no longer counts" in end.part("beta").why

    played(story)


# Which


def test_the_set_that_was_shown_is_the_set_that_is_approved() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown --label production")
        await with_buttons(scene, "Shut down 2 clusters?")
        (name,) = await scene.bot.operations.batch_records.unfinished_ids()
        batch = await scene.bot.operations.batch_records.get(name)
        sites = scene.bot.operations.clusters._sites
        sites["acme"] = replace(sites["acme"], labels=("production",))
        sites["gamma"] = replace(sites["gamma"], labels=())
        planned = BatchPlan(batch, {})
        await approved(scene, planned)
        assert (await settled(scene, planned)).clusters == ("beta", "gamma")
        assert await scene.journal.latest("acme", 5) == []

    played(story, sites=LABELLED)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("shutdown --cluster acme,nowhere", "here is no cluster “nowhere”"),
        ("shutdown --cluster production", "“production” is a label, not a cluster"),
        ("shutdown --cluster acme,production", "“production” is a label, not a cluster"),
        ("shutdown --label acme", "it is a cluster: use"),
        ("shutdown --label nothing", "has the label “nothing”; there are: production"),
        ("shutdown --label production --cluster acme", "both choose clusters; use one of them"),
        ("shutdown --at-once 2", "is for several clusters"),
        ("shutdown --cluster acme,beta --at-once 9", "is a number from 1 to 5"),
        ("shutdown --cluster acme,beta --at-once 0", "takes a number from 1 on"),
        ("rehearse shutdown --cluster acme,beta", "takes one cluster at a time"),
        ("config list --cluster acme,beta", "takes one cluster at a time"),
        ("break-glass shutdown --cluster acme,beta", "takes one cluster at a time"),
        ("window add nights --cluster acme,beta", "write the whole window"),
        ("status media-1 --cluster acme,beta", "node is one cluster's"),
    ],
)
@pytest.mark.sampled(5)
def test_what_is_refused_and_why(words: str, answer: str) -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", f"/openvidu {words}")
        await scene.ephemeral("UANA", answer)
        assert await scene.bot.operations.batch_records.unfinished_ids() == []

    played(story, sites=LABELLED)


# Decisions


def test_rejected_with_a_reason() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene)
        card = await with_buttons(scene, "Add window nights to 3 clusters?")
        await rejects(scene.ben, card)
        end = await settled(scene, planned)
        assert states(end) == ["not started"] * 3
        for part in end.parts:
            request = await scene.journal.request(part.request)
            assert (request.state, request.why_closed) == (RequestState.REJECTED, "not tonight")
        await scene.wait(30)
        assert "Add window nights to 3 clusters: rejected" in texts(scene)
        with pytest.raises(Refused, match=r"rejected by .*UBEN"):
            await approved(scene, planned, CARLA)

    played(story)


def test_it_expires_without_an_approval() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene)
        await scene.wait(1900)
        end = await now(scene, planned)
        assert end.state is BatchState.EXPIRED
        await scene.wait(30)
        assert "no one approved it in time. Nothing was changed." in texts(scene)
        with pytest.raises(Refused, match="expired"):
            await approved(scene, planned)

    played(story)


def test_cancelling_all_drops_what_has_not_begun_and_stops_what_runs() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=3, minutes=60)
        planned = await requested(scene, procedure=Shutdown())
        await approved(scene, planned)
        await scene.run_is("acme-1", State.RUNNING)
        await scene.wait(30)
        card = await with_buttons(scene, "Shutting down 3 clusters")
        await scene.ben.press(card, "Cancel all…")
        end = await settled(scene, planned)
        assert end.state is BatchState.CANCELLED
        assert states(end)[1:] == ["not started"] * 2
        assert (await scene.journal.run("acme-1")).cancel == replace(BEN, name="Ben")
        assert await scene.journal.latest("beta", 5) == []
        await scene.wait(30)
        assert "Cancelled by <@UBEN>" in texts(scene)

    played(story)


def test_a_stranger_cancels_nothing() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene, procedure=Shutdown())
        await approved(scene, planned)
        with pytest.raises(Refused, match="only operators"):
            await scene.bot.operations.batches.cancel(planned.batch.id, Actor("UDORA", "T0ACME"))
        assert (await settled(scene, planned)).succeeded

    played(story)


def test_later_all_of_it_begins_at_its_moment() -> None:
    async def story(scene: Scene) -> None:
        at = scene.clock.now() + 3600.0
        planned = await requested(scene, ("acme", "beta"), Shutdown(), later=(at, "UTC"))
        card = await with_buttons(scene, "Shut down 2 clusters on ")
        assert "UTC?" in str(card.blocks)
        await approved(scene, planned)
        await scene.wait(3500)
        assert states(await now(scene, planned)) == ["waiting", "waiting"]
        assert "scheduled for" in texts(scene)
        end = await settled(scene, planned)
        runs = await runs_of(scene, end)
        assert runs[0].opened_at >= at
        assert end.succeeded

    played(story)


def test_a_cluster_that_cannot_be_read_holds_up_the_others_for_five_minutes() -> None:
    async def story(scene: Scene) -> None:
        planned = await requested(scene, procedure=Shutdown())
        world = scene.bot.operations.clusters["acme"].world
        observe = world.observe

        async def silent(*_: Any, **__: Any) -> Any:
            raise Unreachable("DigitalOcean does not answer for acme")

        world.observe = silent  # type: ignore[method-assign]
        await approved(scene, planned)
        await scene.wait(60)
        assert "*acme* · :warning: waits: DigitalOcean does not answer for acme" in texts(scene)
        await scene.run_is("beta-1", State.RUNNING)
        world.observe = observe  # type: ignore[method-assign]
        end = await settled(scene, planned)
        assert states(end) == ["not covered", "done", "done"]

    played(story)


# Windows of a label


def test_a_window_for_a_label_gives_each_cluster_its_own_standing_approval() -> None:
    async def story(scene: Scene) -> None:
        words = "window add nights daily 20:00-07:00 --label production"
        await scene.ana.type_text("COPS", f"/openvidu {words}")
        card = await with_buttons(scene, "Add window nights to 2 clusters?")
        assert "Each of them closes for *nights*" in whole(card)
        await scene.ben.press(card, "Approve window of 2 clusters")
        await scene.run_is("gamma-1", State.DONE)
        for name in ("beta", "gamma"):
            _, book = await scene.bot.operations.memory.books.read(name)
            (standing,) = await scene.bot.operations.reader.standing_approvals(
                book, ["nights"], surely=True
            )
            assert standing.given is not None
            assert [a.user for a in standing.given.approvers] == ["UBEN"]
        await scene.ana.type_text("COPS", "/openvidu window list --label production")
        listed = await scene.ephemeral("UANA", "Windows of beta")
        assert "Windows of gamma" in whole(listed)
        await scene.ana.type_text("COPS", "/openvidu window remove nights --label production")
        removed = await scene.ephemeral("UANA", "no longer closes beta")
        assert "no longer closes gamma" in whole(removed)
        for name in ("beta", "gamma"):
            _, book = await scene.bot.operations.memory.books.read(name)
            assert book.windows == ()

    played(story, sites=LABELLED)


# Reading


def test_one_answer_about_several() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu status --cluster acme,beta")
        answer = await scene.ephemeral("UANA", "2 clusters: 2 in service")
        assert "*beta* is in service" in whole(answer)
        assert "gamma" not in whole(answer)
        await scene.ana.type_text("COPS", "/openvidu status --all")
        await scene.ephemeral("UANA", "3 clusters: 3 in service")
        await scene.ana.type_text("COPS", "/openvidu shutdown --label production --dry-run")
        dry = await scene.ephemeral("UANA", "Shut down 2 clusters: dry run")
        assert "Nothing was changed." in whole(dry)
        await scene.ana.press(dry, "Request this")
        await with_buttons(scene, "Shut down 2 clusters?")
        (name,) = await scene.bot.operations.batch_records.unfinished_ids()
        await scene.by_bot(scene.bot.operations.batches.cancel(name, ANA))
        await scene.ana.type_text("COPS", "/openvidu why --cluster acme,beta")
        why = await scene.ephemeral("UANA", "acme is in service")
        assert "beta is in service" in whole(why)
        await scene.ana.type_text("COPS", "/openvidu cost --label production")
        await scene.ephemeral("UANA", "Nothing is recorded for beta and gamma yet")
        assert await scene.bot.operations.batch_records.unfinished_ids() == []

    played(story, sites=LABELLED)


# Crashes, and several bots


async def insist(scene: Scene, procedure: Procedure, cancels: int = 0) -> Batch:
    """Start a crashed bot again, request again what was not taken, approve what waits.

    `cancels`: after so many rounds it is cancelled.
    """
    for number in range(2000):
        if scene.crash_injectors[-1].is_dead:
            await scene.start_bot()
        names = await scene.store.names("batch:")
        if names:
            batch = await scene.bot.operations.batch_records.get(names[0].partition(":")[2])
            if batch.over:
                return batch
        await scene.by_bot(_push(scene, procedure, bool(cancels) and number >= cancels))
        await scene.wait(15)
    raise AssertionError("it never came to an end")


async def _push(scene: Scene, procedure: Procedure, cancels: bool) -> None:
    batches = scene.bot.operations.batches
    try:
        waiting = await batches.unfinished(ANA)
        if not waiting and not await scene.store.names("batch:"):
            await batches.request(ANA, THREE, procedure, Limits(2), channel="COPS")
            waiting = await batches.unfinished(ANA)
        for batch in waiting:
            if batch.state is BatchState.OPEN:
                await batches.approve(batch.id, ANA if batch.startable else BEN)
            elif cancels:
                await batches.cancel(batch.id, BEN)
    except BotError:
        return


def windows_everywhere(die_at: CrashPoint) -> int:
    async def story() -> int:
        async with scene_of(start=False) as scene:
            # The messages of all runs stand in one channel here; the SDK waits and sends again.
            scene.allowed_complaints = ["ratelimited"]
            await scene.start_bot(die_at)
            batch = await insist(scene, WINDOW)
            assert states(batch) == ["done"] * 3
            for name in THREE:
                assert await scene.journal.latest(name, 9) == [f"{name}-1"], "each once"
                assert (await verify(scene.store, scene.journal.chain, name)).flaws == ()
            assert most_at_once(await runs_of(scene, batch)) <= 2
            await shows_the_end(scene, batch)
            return scene.crash_injectors[0].points

    return virtual.run(story())


def cancelled_anywhere(cancels: int, die_at: CrashPoint) -> int:
    async def story() -> int:
        async with scene_of(start=False) as scene:
            # The messages of all runs stand in one channel here; the SDK waits and sends again.
            scene.allowed_complaints = ["ratelimited"]
            await scene.start_bot(die_at)
            batch = await insist(scene, Shutdown(), cancels)
            assert batch.over
            begun = [p for p in batch.parts if p.run]
            for part in batch.parts:
                expected = [part.run] if part.run else []
                assert await scene.journal.latest(part.cluster, 9) == expected, "each once"
                assert part.state is not PartState.WAITING, "none is forgotten"
            for part in begun:
                assert (await scene.journal.run(part.run)).over
            await shows_the_end(scene, batch)
            return scene.crash_injectors[0].points

    return virtual.run(story())


async def shows_the_end(scene: Scene, batch: Batch) -> None:
    """One message shows it, and shows its end."""
    for _ in range(30):
        if scene.crash_injectors[-1].is_dead:
            await scene.start_bot()
        if not await MessageRefs(scene.store, BATCH_CARDS).unfinished():
            break
        await scene.wait(10)
    marked = [
        m
        for m in scene.slack.workspace.channels["COPS"].messages.values()
        if m.metadata and m.metadata["event_payload"].get("of") == batch.id
    ]
    (message,) = marked
    assert str(len([p for p in batch.parts if p.state is PartState.DONE])) in message.text or (
        ": done" in message.text
    ), message.text


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point(part: int) -> None:
    assert_survives_any_crash("windows of three clusters", windows_everywhere, 24, part)


@pytest.mark.sampled
@pytest.mark.parametrize("cancels", [1, 4])
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point_and_cancelled(cancels: int, part: int) -> None:
    story = partial(cancelled_anywhere, cancels)
    assert_survives_any_crash(f"cancelled after {cancels} rounds", story, 8, part)


def test_a_bot_that_read_the_batch_before_another_changed_it_begins_nothing() -> None:
    async def story(scene: Scene) -> None:
        at = scene.clock.now() + 3600.0
        planned = await requested(scene, ("acme", "beta"), Shutdown(), later=(at, "UTC"))
        await approved(scene, planned)
        operations, stale = scene.bot.operations, await now(scene, planned)
        seen = replace(stale.part("beta"), waits="a look of another bot", waits_since=at)
        assert await operations.batch_records.change(stale, stale.with_parts([seen]))
        await scene.by_bot(operations.batch_driver._begin(stale, stale.part("acme")))
        assert await scene.journal.latest("acme", 5) == []
        assert (await now(scene, planned)).part("beta").waits == "a look of another bot"
        assert (await settled(scene, planned)).succeeded

    played(story)


def test_three_bots_on_one_state_begin_each_part_once() -> None:
    async def story(scene: Scene) -> None:
        await scene.start_bot()
        await scene.start_bot()
        await scene.wait(40)
        planned = await requested(scene, procedure=Shutdown(), at_once=2)
        await approved(scene, planned)
        await asyncio.gather(
            *(bot.operations.batch_driver.advance(planned.batch.id) for bot in scene.bots)
        )
        await scene.wait(30)
        scene.crash_injectors[0].crash()
        scene.crash_injectors[1].crash()
        end = await settled(scene, planned)
        assert states(end) == ["done"] * 3
        runs = await runs_of(scene, end)
        assert most_at_once(runs) == 2
        for name in THREE:
            assert await scene.journal.latest(name, 9) == [f"{name}-1"]
        await shows_the_end(scene, end)

    played(story, shared=True)
