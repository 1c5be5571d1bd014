"""Several clusters at once: one approval, at most so many at a time, each cluster once."""

from typing import Any

from services.access.policy import Actor
from services.operations.batches import BatchPlan, Limits
from services.procedures import Shutdown
from services.runs.batch import Batch, BatchState, PartState
from services.runs.run import State
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import details, with_buttons

ANA, BEN, CARLA = (Actor(u, "T0ACME") for u in ("UANA", "UBEN", "UCARLA"))
THREE = ("acme", "beta", "gamma")


def scene_of(**more: Any) -> Scene:
    return Scene(**{"stacks": THREE, "media": 1, "pydo": False, **more})


async def requested(scene: Scene, names: tuple[str, ...] = THREE, **more: Any) -> BatchPlan:
    limits = Limits(**more)
    return await scene.bot.operations.batches.request(ANA, names, Shutdown(), limits)


async def settled(scene: Scene, name: str, seconds: float = 6 * 3600.0) -> Batch:
    until = scene.clock.now() + seconds
    while scene.clock.now() < until:
        batch = await scene.bot.operations.batch_records.get(name)
        if batch.over:
            return batch
        await scene.wait(10)
    raise AssertionError(batch)


def test_one_after_the_other() -> None:
    async def story() -> None:
        async with scene_of() as scene:
            planned = await requested(scene)
            assert planned.filed
            assert set(planned.plans) == {*THREE}
            await scene.by_bot(scene.bot.operations.batches.approve(planned.batch.id, BEN))
            batch = await settled(scene, planned.batch.id)
            assert [p.state for p in batch.parts] == [PartState.DONE] * 3
            assert batch.state is BatchState.APPROVED
            runs = [await scene.journal.run(p.run) for p in batch.parts]
            assert [r.id for r in runs] == ["acme-1", "beta-1", "gamma-1"]
            assert all(r.state is State.DONE for r in runs)
            assert runs[0].ended_at <= runs[1].opened_at
            assert runs[1].ended_at <= runs[2].opened_at

    virtual.run(story())


def test_in_slack() -> None:
    async def story() -> None:
        async with scene_of(sites={"beta": {"labels": ["production"]}, "gamma": {"labels": ["production"]}}) as scene:
            await scene.ana.type_text("COPS", "/openvidu shutdown --label production --reason 'power work'")
            card = await with_buttons(scene, "Shut down 2 clusters")
            print(card.text); import json; print(json.dumps(card.blocks, indent=1))
            await scene.wait(15)
            print([m.text for m in scene.ana.visible_messages("COPS")])
            view = await details(scene.ben, card)
            print(json.dumps(view.body["blocks"], indent=1)[:3000])
            await scene.ben.press(card, "Approve")
            await scene.wait(60)
            print([m.text for m in scene.ana.visible_messages("COPS")])
            batch = await settled(scene, (await scene.bot.operations.batch_records.unfinished_ids())[0])
            await scene.wait(60)
            for m in scene.ana.visible_messages("COPS"):
                print("-----", m.thread_ts, m.text); print(json.dumps(m.blocks)[:1500])
            print(batch)

    virtual.run(story())
