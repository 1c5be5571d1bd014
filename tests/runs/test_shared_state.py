"""Two deployments on one state store with equal names: each acts on its own clusters only."""

import pytest

from services.access.policy import Actor
from services.cluster.identity import Identity
from services.common.errors import Foreign, Refused
from services.procedures import Shutdown
from services.runs.run import State
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import everything_read, request_and_approve, run_ended, with_buttons

CHANNEL = {"channel": "COPS"}


def two_worlds(**production: object) -> tuple[Scene, Scene]:
    """Staging and production on the same state, with `acme` in both settings."""
    staging = Scene(media=2, seed=1, kind="fixed", site=CHANNEL, start=False)
    staging.estate._numbers += 1_000_000  # droplets of two accounts never share an id
    for master in staging.estate.masters("acme"):
        built_anew(staging, master.id)
    other = Scene(
        media=3,
        seed=2,
        kind="fixed",
        site=CHANNEL,
        store=staging.store,
        roles={"operators": ["UDORA", "UCARLA"]},
        start=False,
    )
    return staging, other


def test_one_deployments_approval_switches_nothing_of_the_other_off() -> None:
    """Staging's approved shutdown was once driven by production's bot, on production."""

    async def story() -> None:
        staging, production = two_worlds()
        async with staging, production:
            production.promises = False
            await staging.start_bot()
            await staging.wait(30)
            for _ in range(3):
                production.estate.open_meeting(people=10, minutes=90)
            staging.estate.open_meeting(people=1, minutes=5)
            await staging.ana.type_text("COPS", "/openvidu status")
            await staging.wait(20)
            await request_and_approve(staging, "shutdown", "Shut down acme")
            await staging.wait(30)
            staging.kill()
            await production.start_bot()
            await production.wait(3600)
            run = await staging.journal.run("acme-1")
            assert run.takes == 1, "nobody else took it up"
            assert production.estate.violations == []
            assert production.estate.signals == {}
            assert [m.on for m in production.estate.masters("acme")] == [True] * 4
            assert all(d.on for d in production.estate.media("acme"))
            said = everything_read(production)
            assert "acme-1" not in said, "what is staging's is not shown in production's channel"
            assert (
                "acme in this state store is another cluster: the DigitalOcean account is" in said
            )
            assert "Give one of them its own state.prefix" in said
            assert [(t.part, t.cluster) for t in production.bot.operations.bulkheads.failures] == [
                ("identity", "acme")
            ]
            with pytest.raises(Refused, match="another cluster"):
                await production.bot.operations.service.request(
                    Actor("UDORA", "T0ACME"), "acme", Shutdown()
                )
            with pytest.raises(Refused, match="another cluster"):
                await production.bot.operations.service.cancel("acme-1", Actor("UDORA", "T0ACME"))
            await staging.start_bot()
            await run_ended(staging)

    virtual.run(story())


def test_a_question_of_one_cannot_be_answered_by_the_other() -> None:
    """One press of "Continue from new state" in production's channel shut production down."""

    async def story() -> None:
        staging, production = two_worlds()
        async with staging, production:
            production.promises = staging.promises = False
            await staging.start_bot()
            staging.estate.open_meeting(people=1, minutes=600)
            await request_and_approve(staging, "shutdown", "Shut down acme")
            await staging.run_is("acme-1", State.ASKING)
            await production.start_bot()
            await production.wait(60)
            run = await staging.journal.run("acme-1")
            assert run.question is not None
            for choice in run.question.choices:
                with pytest.raises(Refused, match="another cluster"):
                    await production.bot.operations.service.answer(
                        "acme-1", run.question.id, choice.id, Actor("UDORA", "T0ACME")
                    )

    virtual.run(story())


def test_replaced_masters_are_the_same_cluster_and_new_ones_end_what_concerned_the_old() -> None:
    async def story() -> None:
        async with Scene(media=1, site=CHANNEL, kind="fixed") as scene:
            scene.promises = False
            scene.estate.open_meeting(people=1, minutes=600)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await scene.wait(30)
            scene.kill()
            await scene.wait(40)
            for master in scene.estate.masters("acme"):  # terraform destroy, terraform apply
                built_anew(scene, master.id)
            await scene.start_bot()
            run = await scene.run_is("acme-1", State.STOPPED, timeout=300)
            assert "acme was rebuilt since the run started: the masters are droplets" in run.stopped
            assert [m.on for m in scene.estate.masters("acme")] == [True] * 4
            await scene.ben.press(await with_buttons(scene, "acme-1 is paused"), "Abandon run…")
            await run_ended(scene, State.ABANDONED)
            assert scene.bot.operations.bulkheads.failures == (), (
                "the name means the new one from now on"
            )

    virtual.run(story())


def built_anew(scene: Scene, master: int) -> None:
    droplets, cluster = scene.estate.droplets, scene.estate.clusters["acme"]
    droplet = droplets.pop(master)
    droplet.id = scene.estate.number()
    droplets[droplet.id] = droplet
    cluster.master_ids[cluster.master_ids.index(master)] = droplet.id


def test_two_bots_of_one_deployment_are_one() -> None:
    async def story() -> None:
        async with Scene(media=1, site=CHANNEL) as scene:
            await scene.start_bot()
            await scene.ana.type_text("COPS", "/openvidu status")
            await scene.wait(60)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await scene.run_is("acme-1", State.RUNNING)
            scene.kill()
            await run_ended(scene)
            assert (await scene.journal.run("acme-1")).bound.stack == "acme"
            assert len((await scene.journal.run("acme-1")).bound.masters) == 4
            assert (await scene.journal.run("acme-1")).bound.account != ""

    virtual.run(story())


def test_a_token_that_may_not_read_its_account_is_told_by_its_masters() -> None:
    async def story() -> None:
        staging, production = two_worlds()
        async with staging, production:
            for scene in (staging, production):
                scene.environment.faults.add(
                    "digitalocean", "403", match="GET /v2/account", times=-1
                )
            await staging.start_bot()
            await staging.ana.type_text("COPS", "/openvidu status")
            await staging.wait(30)
            await production.start_bot()
            await production.wait(60)
            with pytest.raises(Foreign, match=r"the masters are droplets .* here and .* there"):
                await production.bot.operations.reader.open_run("acme")

    virtual.run(story())


# What tells two clusters apart

HERE = Identity("a", "acme", (1, 2, 3, 4))


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (HERE, ""),
        (Identity(), ""),
        (Identity("a", "acme", (5, 6, 7, 8)), ""),
        (Identity("b", "acme", (1, 2, 3, 4)), "the DigitalOcean account is a here and b there"),
        (Identity("a", "prod", (5, 6, 7, 8)), "the stack is acme here and prod there"),
        (Identity("", "acme", (1, 9)), ""),
        (
            Identity("", "acme", (5, 6, 7, 8)),
            "the masters are droplets 1, 2, 3, 4 here and 5, 6, 7, 8 there",
        ),
        (Identity("", "acme", ()), ""),
        (Identity("", "", ()), ""),
    ],
)
def test_what_tells_two_clusters_apart(there: Identity, says: str) -> None:
    assert HERE.differs(there) == says
    assert there.differs(there) == ""
    assert bool(there.differs(HERE)) == bool(says)


def test_what_was_not_seen_takes_nothing_away() -> None:
    assert HERE.merged_with(Identity()) == HERE
    assert HERE.merged_with(Identity(masters=(5, 6))) == Identity("a", "acme", (5, 6))
    assert Identity().merged_with(HERE) == HERE
