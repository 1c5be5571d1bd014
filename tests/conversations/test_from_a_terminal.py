"""A terminal beside a bot with Slack, on the same state: Slack shows the truth, whoever drives."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.terminal.arguments import take_own_options
from bot.terminal.command import TerminalScreen, _confirmed
from handlers.commands.targets import HandlerContext
from handlers.terminal.follow import OutputLine, TerminalContext
from handlers.terminal.session import SYSTEM_USER, TerminalCommand, TerminalSession
from handlers.updates.deferred import DeferredReporter
from services.access.policy import Actor
from services.operations.assembly import assemble
from services.schedule.scheduler import WindowScheduler
from tests.support import virtual
from tests.support.scene import Scene

ANA, BEN, DORA = Actor("UANA"), Actor("UBEN"), Actor(f"{SYSTEM_USER}dora")


class TerminalProcess:
    """A terminal process without Slack: one more worker."""

    def __init__(self, scene: Scene) -> None:
        sites = {
            name: scene.bot.operations.clusters.cluster(name)
            for name in scene.bot.operations.clusters
        }
        self.operations = assemble(sites, scene.store, scene.clock, "terminal:1")
        self.absent = DeferredReporter(
            self.operations.message_refs,
            self.operations.subscribers,
            {"acme": "COPS"},
            self.operations.tasks,
        )
        circle = TerminalContext(
            HandlerContext(zones={"acme": "Europe/Madrid"}), {"UANA": "ana", "UBEN": "ben"}
        )
        self.terminal = TerminalSession(
            self.operations.service,
            self.operations.sweep,
            WindowScheduler(self.operations, scene.clock),
            scene.clock,
            circle,
            drives=True,
        )

    async def types(
        self, who: Actor, verb: str, words: str = "", *, follow: bool = True
    ) -> tuple[int | None, str]:
        """What the person reads, who agrees to what is shown as it is shown."""
        lines = await self.hears(who, TerminalCommand(verb, words, follow))
        if lines[-1].shown and verb != "show":
            lines += await self.hears(who, TerminalCommand(verb, words, follow, lines[-1].shown))
        return lines[-1].code, "\n".join(line.text for line in lines if not line.live)

    async def hears(self, who: Actor, order: TerminalCommand) -> list[OutputLine]:
        return [line async for line in self.terminal.run(order, who)]

    async def leaves(self) -> None:
        await self.operations.aclose()
        await self.absent.settle()


@asynccontextmanager
async def shell_of(scene: Scene) -> AsyncIterator[TerminalProcess]:
    shell = TerminalProcess(scene)
    try:
        yield shell
    finally:
        await shell.leaves()


def play(story: Callable[[Scene, TerminalProcess], Awaitable[None]], **more: object) -> None:
    async def whole() -> None:
        async with Scene(**more) as scene, shell_of(scene) as shell:  # type: ignore[arg-type]
            await story(scene, shell)

    virtual.run(whole())


def test_a_request_from_a_terminal_is_approved_by_a_button() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        asking = asyncio.create_task(shell.types(ANA, "run", 'shutdown --reason "power work"'))
        card = await scene.card("Shut down acme")
        assert "power work" in card.text
        await scene.ben.press(card, "Approve")
        code, said = await asking
        assert (code, "acme is shut down" in said) == (0, True)
        assert card.ts == (await scene.card("acme is shut down")).ts, "the same message, to the end"

    play(story)


def test_a_request_from_slack_is_approved_at_a_terminal_which_drives_it_to_its_end() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("Shut down acme")
        code, said = await shell.types(BEN, "approve")
        assert (code, "acme is shut down" in said) == (0, True)
        assert "reached: Set media pool to 0" in said
        down = await scene.card("acme is shut down")
        assert down.ts == card.ts
        run = await scene.journal.run("acme-1")
        assert run.worker == "terminal:1"

    play(story)


def test_slack_is_told_while_a_terminal_drives_and_a_bot_goes_on_when_it_is_left() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        scene.estate.open_meeting(people=3, minutes=20)
        code, _ = await shell.types(ANA, "run", "shutdown", follow=False)
        assert code == 0
        assert (await shell.types(BEN, "approve", follow=False))[0] == 0
        card = await scene.card("Shutting down acme")
        await scene.wait(60)
        assert (await scene.journal.run("acme-1")).worker == "terminal:1"
        await shell.leaves()
        run = await scene.run_is("acme-1", "done")
        assert run.worker != "terminal:1"
        assert card.ts == (await scene.card("acme is shut down")).ts

    play(story)


def test_only_who_is_somebody_changes_anything() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        assert (await shell.types(DORA, "status"))[0] == 0
        code, said = await shell.types(DORA, "plan", "scale 4")
        assert (code, "Nothing was changed." in said) == (0, True)
        for verb, words in (
            ("run", "scale 4"),
            ("approve", ""),
            ("cancel", "acme-1"),
            ("reject", ""),
            ("answer", "acme-1 wait"),
        ):
            code, said = await shell.types(DORA, verb, words)
            assert (code, "terminal.users" in said) == (1, True), verb
        code, said = await shell.types(DORA, "say", 'hold "audit" until tomorrow 08:00')
        assert (code, "Only operators" in said) == (1, True)
        await shell.types(ANA, "run", "shutdown", follow=False)
        code, said = await shell.types(ANA, "approve")
        assert (code, "someone else must approve it. Ask @ben" in said) == (1, True)
        assert (await shell.types(ANA, "reject"))[0] == 0
        assert await scene.journal.latest("acme", 1) == []

    play(story)


def test_a_question_is_answered_at_a_terminal() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        scene.environment.faults.switch("zero_refused")
        await shell.types(ANA, "run", "shutdown", follow=False)
        following = asyncio.create_task(shell.types(BEN, "approve"))
        await scene.run_is("acme-1", "asking")
        scene.estate.allow_to_stay(d.id for d in scene.estate.media("acme"))
        assert (await shell.types(ANA, "answer", "acme-1 dance"))[1].startswith(
            "Which answer? one of: "
        )
        code, said = await shell.types(ANA, "answer", "acme-1 keep")
        assert (code, "acme is shut down" in said) == (0, True)
        assert "Keep 1 media node" in (await following)[1]

    play(story)


def test_break_glass_is_confirmed_by_whoever_asked_and_everybody_reads_it() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        asking = asyncio.create_task(
            shell.types(ANA, "say", 'break-glass shutdown --reason "the building is on fire"')
        )
        await scene.card("the building is on fire")
        code, said = await shell.types(ANA, "approve")
        assert (code, "acme is shut down" in said) == (0, True), said
        code, said = await asking
        assert (code, "openvidu-bot approve" in said) == (0, True), said
        assert "acme is shut down" in said

    play(story, roles={"break_glass": ["UANA"]})


def test_what_is_not_understood_is_said_in_words_that_fit_a_terminal() -> None:
    async def story(_scene: Scene, shell: TerminalProcess) -> None:
        for verb, words, said in (
            ("run", "shutdwon", "did you mean openvidu-bot run shutdown?"),
            ("run", "status", "status is not a change; use openvidu-bot say status"),
            ("say", "shutdown", "use openvidu-bot run shutdown"),
            ("approve", "", "No request is waiting for approval."),
            ("watch", "", "acme has no open run; openvidu-bot runs lists earlier ones."),
            ("watch", "acme-9", "There is no run acme-9; openvidu-bot runs lists them."),
            (
                "say",
                "config set DASHBOARD_ADMIN_PASSWORD",
                "Only the slash command can open the form: type it in Slack, with config set",
            ),
        ):
            code, told = await shell.types(ANA, verb, words)
            assert (code, said in told) == (1, True), told

    play(story)


def test_words_that_only_read_are_answered_by_run_and_plan_too() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        for verb, words, said in (
            ("run", "shutdown --help", "New meetings are blocked from the start"),
            (
                "plan",
                "scale +1",
                "acme has 3 media nodes; +1 makes 4. Type openvidu-bot run scale 4",
            ),
            ("run", "stop", "Shut down acme"),
        ):
            code, told = await shell.types(ANA, verb, words)
            assert (code, said in told) == (0, True), told
        code, told = await shell.types(ANA, "resume", "")
        assert (code, "No run is open on acme" in told) == (1, True), told
        assert await scene.journal.latest("acme", 1) == []

    play(story)


def test_every_line_but_the_last_says_something() -> None:
    async def story(_scene: Scene, shell: TerminalProcess) -> None:
        lines: list[OutputLine] = [
            line async for line in shell.terminal.run(TerminalCommand("run", "scale 4 --now"), ANA)
        ]
        assert [line.code for line in lines[:-1]] == [None] * (len(lines) - 1)
        assert lines[-1].code == 0
        assert any(line.live for line in lines)

    play(story)


def test_what_needs_no_approval_is_shown_and_only_what_was_shown_starts() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        lines = await shell.hears(ANA, TerminalCommand("run", "scale 4"))
        assert "Scale acme to 4 media nodes" in lines[0].text
        assert lines[-1].text == "Not started yet: openvidu-bot run scale 4 --now"
        assert lines[-1].code == 1
        assert await scene.journal.latest("acme", 1) == []
        assert await scene.bot.operations.reader.waiting("acme") == [], "no card asks in Slack"
        assert (await shell.types(BEN, "run", "scale 5 --now"))[0] == 0
        confirmed = TerminalCommand("run", "scale 6", shown=lines[-1].shown)
        lines = await shell.hears(ANA, confirmed)
        assert "The plan changed, and nothing was started" in lines[0].text
        assert await scene.journal.latest("acme", 9) == ["acme-1"]
        code, said = await shell.types(ANA, "run", "scale 6")
        assert (code, "acme-2 has started" in said) == (0, True)

    play(story)


def test_where_no_one_can_be_asked_it_names_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Under pytest, standard input is no terminal."""
    for verb, option in (("run", "--now"), ("approve", "--yes")):
        assert not _confirmed(argparse.Namespace(verb=verb, yes=False))
        assert option in capsys.readouterr().err


def test_shown_is_not_approved() -> None:
    """Meanwhile the request is replaced: what Ben confirmed is not what would be done."""

    async def story(scene: Scene, shell: TerminalProcess) -> None:
        await scene.ana.type_text("COPS", "/openvidu restart master-2")
        card = await scene.card("Restart master-2")
        (*_, last) = await shell.hears(BEN, TerminalCommand("show", ""))
        assert last.shown
        await scene.ana.press(card, "Reject")
        for _ in range(6):
            scene.estate.open_meeting(people=5, minutes=120)
        await scene.ana.type_text("COPS", "/openvidu shutdown --no-drain")
        await scene.card("Shut down acme")
        lines = await shell.hears(
            BEN, TerminalCommand("approve", "", follow=False, shown=last.shown)
        )
        said = "\n".join(line.text for line in lines)
        assert "The request has changed since you saw it. Nothing was approved." in said
        assert "Shut down acme" in said
        assert "Ends 6 running meetings" in said
        assert (lines[-1].code, lines[-1].shown != last.shown) == (1, True)
        lines = await shell.hears(
            BEN,
            TerminalCommand(
                "approve", last.shown.partition(":")[0], follow=False, shown=last.shown
            ),
        )
        assert "No such request is waiting" in lines[-1].text
        assert await scene.journal.latest("acme", 1) == []
        assert scene.estate.people_disconnected == 0

    play(story)


def test_an_approval_that_names_nothing_shows_and_approves_nothing() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.card("Shut down acme")
        lines = await shell.hears(BEN, TerminalCommand("approve", "", follow=False))
        assert "Shut down acme" in lines[0].text
        assert "Not approved yet. To approve it, run: openvidu-bot approve " in lines[-1].text
        request, digest = lines[-1].shown.split(":")
        assert (await scene.journal.request(request)).approvals == ()
        for other in ("x", f"{request}:", f":{digest}", f"{request}:{digest[:-1]}"):
            assert (
                await shell.hears(
                    BEN, TerminalCommand("approve", request, follow=False, shown=other)
                )
            )[-1].code == 1
        assert (await scene.journal.request(request)).approvals == ()
        lines = await shell.hears(
            BEN, TerminalCommand("approve", request[:8], follow=False, shown=f"{request}:{digest}")
        )
        assert lines[-1].code == 0
        await scene.run_is("acme-1", "done")

    play(story)


def test_an_answer_that_loses_something_is_given_to_the_question_that_was_shown() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        for _ in range(3):
            scene.estate.open_meeting(people=4, minutes=600)
        await shell.types(ANA, "run", "shutdown", follow=False)
        await shell.types(BEN, "approve", follow=False)
        await scene.run_is("acme-1", "asking")
        lines = await shell.hears(BEN, TerminalCommand("answer", "acme-1 force", follow=False))
        assert "ends immediately what runs on media-1: 1 meeting, 4 people" in lines[-1].text
        assert (lines[-1].code, lines[-1].shown) == (1, "drain-deadline.1")
        assert (await shell.hears(BEN, TerminalCommand("answer", "acme-1 wait", follow=False)))[
            -1
        ].code == 0
        await scene.run_is("acme-1", "running")
        await scene.run_is("acme-1", "asking")
        lines = await shell.hears(
            BEN, TerminalCommand("answer", "acme-1 force", follow=False, shown="drain-deadline.1")
        )
        assert lines[-1].shown == "drain-deadline.2", "another question by now"
        assert scene.estate.people_disconnected == 0
        scene.estate.allow_disconnects = True
        lines = await shell.hears(
            BEN, TerminalCommand("answer", "acme-1 force", follow=False, shown="drain-deadline.2")
        )
        assert lines[-1].code == 0
        await scene.run_is("acme-1", "done")
        assert scene.estate.people_disconnected == 12

    play(story, site={"drain": {"deadline_minutes": 10}})


def test_a_resume_that_is_not_covered_is_asked_for_and_did_not_happen() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        for action in ("shutdown", "power_off"):
            scene.environment.faults.add(
                "action", "ignored", match=f"{action} acme-master-node-2", times=99
            )
        await shell.types(ANA, "run", "shutdown", follow=False)
        await shell.types(BEN, "approve", follow=False)
        await scene.run_is("acme-1", "stopped")
        scene.environment.faults.rules.clear()
        await scene.wait(3600)
        code, said = await shell.types(ANA, "resume", "acme-1")
        assert (code, "acme-1 was not resumed. Changed: it was approved 1 h" in said) == (1, True)
        code, said = await shell.types(BEN, "approve", follow=False)
        assert (code, "Resume acme-1 (Shut down acme)" in said) == (0, True)
        await scene.run_is("acme-1", "done")

    play(story)


def test_a_log_is_printed_or_stored_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(_scene: Scene, shell: TerminalProcess) -> None:
        lines = await shell.hears(ANA, TerminalCommand("logs", "media-1"))
        card, file, end = (line for line in lines if not line.live)
        assert "OpenVidu on media-1 of acme" in card.text
        assert "direct messages" not in card.text
        assert file.file.startswith("acme-media-1-openvidu-")
        assert "Started openvidu.service" in file.text
        assert end.code == 0
        stored = tmp_path / "media-1.log"
        for screen in (TerminalScreen(), TerminalScreen(stored)):
            screen.show(file)
        shown = capsys.readouterr().out
        assert shown == f"{file.text}\n{stored} has it.\n"
        assert stored.read_text() == f"{file.text}\n"
        assert stored.stat().st_mode & 0o777 == 0o600
        refused = await shell.hears(DORA, TerminalCommand("logs", "media-1"))
        assert refused[-1].code == 1
        assert "Started" not in "".join(line.text for line in refused)

    play(story, media=1)


def test_the_output_of_logs_is_an_option_of_the_program() -> None:
    options = argparse.Namespace(words=["media-1", "--output", "x.log", "--since", "2h"])
    options.verb, options.output = "logs", None
    assert take_own_options(options) == ["media-1", "--since", "2h"]
    assert options.output == Path("x.log")
