"""A patch of the Terraform variables becomes one pull request, whatever happens in between."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.clusters import guarded, variables_of
from handlers.terminal.plaintext import TerminalReader, render_card
from handlers.views.terraform import patch_card
from services.access.policy import Actor
from services.audit.entries import AuditAction
from services.cloud.clients.github import GitHubFile
from services.common.errors import (
    Forbidden,
    NotFound,
    ObservesOnly,
    Rejected,
    Unreachable,
    Unreadable,
)
from services.memory.terraform import ASKED, FAILED
from services.terraform.port import ProposedChange
from simulators.github import TOKEN, SimulatedRepository
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.coverage_level import PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.stories import everything_read, run_ended, whole
from tests.support.terraform import PATH, REPOSITORY, SITES, repository, terraform

SITE = SITES["acme"]


async def scaled(scene: Scene) -> Message:
    """Scale to 4 and return the card of the end."""
    await scene.ana.type_text("COPS", "/openvidu scale 4 --now")
    run = await run_ended(scene)
    (card,) = scene.cards_of(run)
    return card


async def shown_patch(scene: Scene) -> Message:
    """Press the button of the end card and return the patch."""
    await scene.ana.press(await scaled(scene), "Terraform patch")
    return await scene.ephemeral("UANA", "Terraform patch for acme")


def one_pull(git: SimulatedRepository) -> None:
    """There is one pull request, on one branch with one commit; the base branch is untouched."""
    (pull,) = git.pulls
    assert len(git.branches) == 2
    head = git.commits[git.branches[pull.head]]
    assert head.parents == (git.branches["main"],)
    assert "fixedNumberOfMediaNodes  = 4" in git.files(pull.head)[PATH]
    assert git.files(pull.head)["README.md"] == git.files("main")["README.md"]
    assert "fixedNumberOfMediaNodes  = 3" in git.files("main")[PATH]
    assert pull.base == "main"
    assert "Requested by Ana" in pull.body


def silent(scene: Scene, git: SimulatedRepository) -> None:
    """No token and no secret of the file is anywhere that people read, nor in a pull request."""
    read = everything_read(scene) + str(git.pulls)
    for secret in (TOKEN, *scene.estate.canaries):
        assert secret not in read


def tell(story: Callable[[Scene, SimulatedRepository], Awaitable[Any]], **more: Any) -> Any:
    async def run() -> Any:
        async with Scene(site=SITE, pydo=False, **more) as scene:
            git = repository(scene)
            result = await story(scene, git)
            silent(scene, git)
            return result

    return virtual.run(run())


def test_one_press_opens_a_pull_request_and_the_plan_shows_no_difference() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        patch = await shown_patch(scene)
        assert "An apply sets the pool from 4 to 3: removes 1 media node" in whole(patch)
        assert "-fixedNumberOfMediaNodes  = 3" in whole(patch)
        assert "+fixedNumberOfMediaNodes  = 4" in whole(patch)
        assert git.pulls == [], "shown is not sent"
        await scene.ana.press(patch, "Open pull request")
        await scene.ephemeral("UANA", "Pull request #1 is open")
        await scene.card("Pull request #1 of <@UANA> for Terraform")
        one_pull(git)
        assert "after acme-1" in git.pulls[0].body
        assert "sets the pool from 4 to 3" in git.pulls[0].body
        entries = await scene.bot.operations.journal.chain.newest("acme", 5)
        assert AuditAction.PULL_REQUEST in {e.what for e in entries}
        git.merge(1)
        assert terraform(scene).plan(git.files("main")[PATH]) == ()
        await scene.ana.type_text("COPS", "/openvidu terraform")
        await scene.ephemeral("UANA", "Terraform and acme agree")

    tell(story)


def test_pressed_again_and_by_others_it_is_the_same_one() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        patch = await shown_patch(scene)
        await asyncio.gather(*(scene.ana.press(patch, "Open pull request") for _ in range(2)))
        await scene.wait(60)
        await scene.ben.type_text("COPS", "/openvidu terraform patch")
        again = await scene.ephemeral("UBEN", "Pull request #1")
        digest = git.pulls[0].head.rpartition("-")[2]
        await scene.ben.type_text("COPS", f"/openvidu terraform open {digest}")
        await scene.ephemeral("UBEN", "Pull request #1 is open")
        one_pull(git)
        assert "Open pull request" not in whole(again)

    tell(story)


def test_one_that_was_closed_is_opened_anew_when_someone_presses_again() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        await scene.ana.press(await shown_patch(scene), "Open pull request")
        await scene.card("Pull request #1 of")
        git.pulls[0].state = "closed"
        digest = git.pulls[0].head.rpartition("-")[2]
        await scene.ben.type_text("COPS", f"/openvidu terraform open {digest}")
        await scene.card("Pull request #2 of <@UBEN>")
        assert [p.state for p in git.pulls] == ["closed", "open"]
        assert git.pulls[1].head == f"{git.pulls[0].head}-2"

    tell(story)


def told(scene: Scene) -> int:
    """Return how many messages of the channel say that it is there."""
    return sum("Pull request #1 of" in m.text for m in scene.ana.visible_messages("COPS"))


def crashed(die_at: CrashPoint, *, second: bool) -> int:
    async def story(scene: Scene, git: SimulatedRepository) -> int:
        patch = await shown_patch(scene)
        if second:
            await scene.start_bot()
        life = scene.crash_injectors[-1]
        life.points, life.die_at = 0, die_at
        scene.allowed_complaints = ["not acked"]
        await scene.ana.press(patch, "Open pull request")
        for _ in range(40):
            if life.is_dead and not second and scene.crash_injectors[-1] is life:
                await scene.start_bot()
            await scene.wait(5)
            if told(scene):
                break
        if not git.pulls:  # the bot died before it had stored the press: nothing was sent
            assert life.is_dead
            assert git.branches.keys() == {"main"}
            return life.points
        one_pull(git)
        assert told(scene) == 1
        return life.points

    return int(tell(story, shared=second))


@pytest.mark.parametrize("part", range(PARTS))
def test_one_is_opened_whatever_point_the_bot_dies_at(part: int) -> None:
    assert_survives_any_crash("a pull request", lambda at: crashed(at, second=False), 24, part)


@pytest.mark.parametrize("part", range(PARTS))
def test_two_bots_open_one(part: int) -> None:
    assert_survives_any_crash("two bots", lambda at: crashed(at, second=True), 8, part)


def test_two_bots_at_the_same_moment_open_one() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        await scaled(scene)
        await scene.start_bot()
        parts = [bot.operations.terraform for bot in scene.bots]
        report = await parts[0].reading("acme")
        assert report.patch is not None
        who = [Actor("UANA", "T0ACME", name="Ana"), Actor("UBEN", "T0ACME", name="Ben")]
        notes = await asyncio.gather(
            *(
                part.open_pull("acme", report.patch.digest, actor)
                for part, actor in zip(parts, who, strict=True)
            )
        )
        assert {n.number for n in notes} == {1}
        one_pull(git)

    tell(story)


@pytest.mark.parametrize("kind", ["503", "rate", "reset-before", "reset-after"])
def test_an_outage_is_told_and_the_rounds_continue(kind: str) -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        patch = await shown_patch(scene)
        scene.environment.faults.add("github", kind, "POST", times=5)
        await scene.ana.press(patch, "Open pull request")
        answer = await scene.ephemeral("UANA", "Not open yet")
        assert "I try again until" in answer.text
        await scene.card("Pull request #1 of", timeout=300.0)
        one_pull(git)

    tell(story)


def test_what_is_there_is_not_made_again() -> None:
    """The branch is there, and only the pull request is missing."""

    async def story(scene: Scene, git: SimulatedRepository) -> None:
        patch = await shown_patch(scene)
        scene.environment.faults.add("github", "503", "POST pulls", times=3)
        await scene.ana.press(patch, "Open pull request")
        await scene.card("Pull request #1 of", timeout=300.0)
        calls = scene.environment.github.calls
        assert [calls.count(f"POST git/{what}") for what in ("trees", "commits", "refs")] == [1] * 3
        assert calls.count("POST pulls") == 4
        one_pull(git)

    tell(story)


def test_one_whose_answer_was_lost_and_that_was_merged_meanwhile_is_found() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        patch = await shown_patch(scene)
        scene.environment.faults.add("github", "reset-after", "POST pulls")
        await scene.ana.press(patch, "Open pull request")
        await scene.ephemeral("UANA", "Not open yet")
        git.merge(1)
        await scene.card("Pull request #1 of", timeout=300.0)
        assert len(git.pulls) == 1
        assert "No pull request was opened" not in everything_read(scene)

    tell(story)


def test_what_changes_during_an_outage_is_never_pushed() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        patch = await shown_patch(scene)
        rule = scene.environment.faults.add("github", "503", "POST", times=-1)
        await scene.ana.press(patch, "Open pull request")
        await scene.ephemeral("UANA", "Not open yet")
        files = git.files("main")
        git.push("main", {**files, PATH: f"# mine\n{files[PATH]}"})
        scene.environment.faults.remove(rule)
        card = await scene.card("No pull request was opened", timeout=300.0)
        assert "has changed since the patch was shown" in whole(card)
        assert git.pulls == []
        assert git.branches.keys() == {"main"}

    tell(story)


def test_a_bot_that_is_late_does_not_undo_what_another_has_done() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        await scene.ana.press(await shown_patch(scene), "Open pull request")
        await scene.card("Pull request #1 of")
        part = scene.bot.operations.terraform
        (done,) = (await part.notes.read("acme")).pulls
        scene.environment.github.token = "other"
        late = await part._open("acme", replace(done, state=ASKED, number=0, url=""))
        assert late == done
        await scene.wait(30)
        assert "No pull request was opened" not in everything_read(scene)
        assert (await part.notes.read("acme")).pulls == (done,)

    tell(story)


def test_after_ten_minutes_it_says_so_and_stops() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        patch = await shown_patch(scene)
        scene.environment.faults.add("github", "503", "POST", times=-1)
        await scene.ana.press(patch, "Open pull request")
        card = await scene.card("No pull request was opened", timeout=1200.0)
        assert "no success within 10 min" in whole(card)
        sent = len(scene.environment.github.calls)
        await scene.wait(600)
        assert len(scene.environment.github.calls) == sent
        assert git.pulls == []

    tell(story)


def test_a_file_or_a_cluster_that_changed_is_not_what_was_shown() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        patch = await shown_patch(scene)
        files = git.files("main")
        git.push("main", {**files, PATH: f"# mine\n{files[PATH]}"})
        await scene.ana.press(patch, "Open pull request")
        await scene.ephemeral("UANA", "have changed since this patch was shown")
        assert git.pulls == []
        assert git.branches.keys() == {"main"}

    tell(story)


def test_a_branch_with_something_else_is_left_alone() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        patch = await shown_patch(scene)
        report = await scene.bot.operations.terraform.reading("acme")
        assert report.patch is not None
        branch = f"openvidu-bot/acme-{report.patch.digest}"
        git.push(branch, {PATH: "other = 1\n"})
        was = dict(git.branches)
        await scene.ana.press(patch, "Open pull request")
        await scene.ephemeral("UANA", "holds something else")
        assert git.branches == was
        notes = await scene.bot.operations.terraform.notes.read("acme")
        assert [p.state for p in notes.pulls] == [FAILED]

    tell(story)


def test_who_has_no_role_opens_none() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        await scaled(scene)
        await scene.dora.type_text("COPS", "/openvidu terraform patch")
        patch = await scene.ephemeral("UDORA", "Terraform patch for acme")
        await scene.dora.press(patch, "Open pull request")
        await scene.ephemeral("UDORA", "operator")
        assert git.pulls == []
        assert [c for c in scene.environment.github.calls if c.startswith("POST")] == []

    tell(story)


def test_a_bot_that_observes_sends_nothing() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        files = git.files("main")
        git.push("main", {PATH: files[PATH].replace("Nodes  = 3", "Nodes  = 5")})
        await scene.ana.type_text("COPS", "/openvidu terraform patch")
        patch = await scene.ephemeral("UANA", "Terraform patch for acme")
        await scene.ana.press(patch, "Open pull request")
        await scene.ephemeral("UANA", "only observes")
        assert (await scene.bot.operations.terraform.notes.read("acme")).pulls == ()
        await scene.wait(60)
        assert [c for c in scene.environment.github.calls if c.startswith("POST")] == []

    tell(story, settings={"mode": "observe"})


def test_the_client_tells_each_refusal_apart_and_never_shows_a_body() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        settings = scene.settings.clusters["acme"]
        client = variables_of(settings, scene.bot.adapters)
        assert client is not None
        assert await client.read() == git.files("main")[PATH]
        github = scene.environment.github
        github.token = "other"
        with pytest.raises(Forbidden, match="does not accept the token"):
            await client.read()
        github.token = TOKEN
        for branch in ("main", "other", "openvidu-bot"):
            with pytest.raises(Rejected, match="no branch of the bot"):
                await client.propose(ProposedChange(branch, "", "", "", ""))
        own = "openvidu-bot/base"
        odd_base = GitHubFile(scene.bot.adapters.http, TOKEN, "", REPOSITORY, PATH, own)
        with pytest.raises(Rejected, match="no branch of the bot"):
            await odd_base.propose(ProposedChange(own, "", "", "", ""))
        stale = ProposedChange("openvidu-bot/x", "other = 1\n", "other = 2\n", "", "")
        with pytest.raises(Rejected, match="has changed since the patch was shown"):
            await client.propose(stale)
        assert git.branches.keys() == {"main"}
        github.repositories.clear()
        with pytest.raises(NotFound, match="no such repository, branch or file"):
            await client.read()
        scene.environment.faults.add("github", "rate")
        with pytest.raises(Unreachable, match="rate limit"):
            await client.read()
        github.create(REPOSITORY, {PATH: "a = 1\n"})
        handle: Any = github.handle
        change = ProposedChange("openvidu-bot/x", "a = 1\n", "a = 2\n", "", "")

        def elsewhere(*call: Any, **_: Any) -> Any:
            return handle(*call[:5], "javascript:x <!channel>")

        github.handle = elsewhere  # type: ignore[method-assign]
        with pytest.raises(Unreadable, match="html_url"):
            await client.propose(change)

        def odd(*call: Any, **more: Any) -> Any:
            answer = handle(*call, **more)
            answer.body = b'{"encoding": "none"}'
            return answer

        github.handle = odd  # type: ignore[method-assign]
        with pytest.raises(Unreadable):
            await client.read()

    tell(story)


def test_the_wall_of_a_bot_that_observes_refuses_a_pull_request() -> None:
    """Also where nothing in front of the client has refused it."""

    async def story(scene: Scene, git: SimulatedRepository) -> None:
        ways = guarded(scene.settings, scene.bot.adapters)
        client = variables_of(scene.settings.clusters["acme"], ways)
        assert client is not None
        before = await client.read()
        change = ProposedChange("openvidu-bot/x", before, f"# x\n{before}", "x", "x")
        with pytest.raises(ObservesOnly):
            await client.propose(change)
        assert [c for c in scene.environment.github.calls if c.startswith("POST")] == []
        assert git.branches.keys() == {"main"}

    tell(story, settings={"mode": "observe"})


def test_a_terminal_shows_what_to_type_for_the_button() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        await scaled(scene)
        report = await scene.bot.operations.terraform.reading("acme")
        assert report.patch is not None
        shown = render_card(patch_card(report), TerminalReader())
        assert f"openvidu-bot say terraform open {report.patch.digest}" in shown
        assert "+fixedNumberOfMediaNodes  = 4" in shown
        assert git.pulls == []

    tell(story)
