"""After every procedure the patch of the Terraform variables leaves a plan without differences.

Without the patch, an apply does what the card says. The plan is that of the estate's own model of
Terraform, which reads the variables with a parser of its own.
"""

import pytest

from handlers.views.terraform import PATCHED, UNPATCHED
from services.procedures import PROCEDURES
from services.runs.run import State
from simulators.cloud import variables_text
from tests.runs.test_every_deployment import CASES, Fleet, Play, _asks, _insist, _prepared, _scene
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import request_and_approve, run_ended
from tests.support.terraform import PATH, SITES, repository, says_what_the_plan_does, terraform

CHANGES = ("Scale", "ResizeMedia", "ResizeMasters")


def test_every_procedure_is_patched_or_says_why_not() -> None:
    patched = {kind.__name__ for kind in PATCHED}
    assert patched.isdisjoint(UNPATCHED)
    assert patched | UNPATCHED.keys() == {kind.__name__ for kind in PROCEDURES}


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("fleet", "play"), CASES)
def test_the_patch_leaves_a_plan_without_differences(fleet: Fleet, play: Play) -> None:
    async def story() -> None:
        async with _scene(fleet, play, sites=SITES) as scene:
            git = repository(scene)
            await _prepared(scene, fleet, play)
            if not play.first:
                git.push("main", {PATH: variables_text(scene.estate, "acme")})
            run = await _insist(scene, _asks(fleet, play))
            assert run.state is State.DONE, run.stopped
            text = git.files("main")[PATH]
            report = await scene.bot.operations.terraform.reading("acme")
            assert report.unknown == ()
            says_what_the_plan_does(report, terraform(scene).plan(text))
            assert (report.patch is not None) == (play.procedure in CHANGES)
            await scene.settled(run)
            (card,) = scene.cards_of(run)
            assert ("Terraform patch" in str(card.blocks)) == (report.patch is not None)
            if report.patch is None:
                assert report.lasting == ()
                return
            assert terraform(scene).plan(report.patch.after.text) == ()
            for canary in scene.estate.canaries:
                assert canary not in report.patch.diff

    virtual.run(story())


def test_a_start_up_with_another_number_is_patched() -> None:
    async def story() -> None:
        async with Scene(site=SITES["acme"], media=2, pydo=False) as scene:
            git = repository(scene)
            text = git.files("main")[PATH]
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene)
            report = await scene.bot.operations.terraform.reading("acme")
            (one,) = report.differences
            says_what_the_plan_does(report, terraform(scene).plan(text))
            assert one.passing
            assert "Apply nothing before" in one.unpatched
            await scene.ana.type_text("COPS", "/openvidu startup 3 --now")
            run = await run_ended(scene, run="acme-2")
            (card,) = scene.cards_of(run)
            assert "Terraform patch" in str(card.blocks)
            report = await scene.bot.operations.terraform.reading("acme")
            says_what_the_plan_does(report, terraform(scene).plan(text))
            assert report.patch is not None
            assert terraform(scene).plan(report.patch.after.text) == ()

    virtual.run(story())
