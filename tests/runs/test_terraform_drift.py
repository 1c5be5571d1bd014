"""Differences between variables and cluster are told once before a window, and unknown is said."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.cluster.installation import Installation
from services.cluster.model import Fact
from services.common.clock import Clock
from services.runs.run import State
from services.schedule.terraform_drift import TerraformDrift
from simulators.cloud import Terraform, Variables, variables_text
from simulators.github import SimulatedRepository
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import everything_read, request_and_approve, run_ended, whole
from tests.support.terraform import PATH, SITES, repository, says_what_the_plan_does, terraform

SITE = SITES["acme"]
# The scene begins at 08:00 UTC.
WINDOW = "daily 12:00-14:00 UTC"
HOUR = 3600.0


def tell(
    story: Callable[[Scene, SimulatedRepository], Awaitable[None]],
    site: dict[str, Any] | None = None,
    **more: Any,
) -> None:
    async def run() -> None:
        async with Scene(site={**SITE, **(site or {})}, pydo=False, media=2, **more) as scene:
            await story(scene, repository(scene))
            read = everything_read(scene)
            assert not [c for c in scene.estate.canaries if c in read]

    virtual.run(run())


def set_to(git: SimulatedRepository, **values: str | int) -> None:
    """Edit the variables at GitHub, as a person does."""
    lines = git.files("main")[PATH].splitlines()
    for name, value in values.items():
        written = f'"{value}"' if isinstance(value, str) else value
        lines = [line for line in lines if not line.startswith(name)]
        lines.append(f"{name} = {written}")
    git.push("main", {PATH: "\n".join(lines) + "\n"})


async def windowed(scene: Scene) -> None:
    await request_and_approve(scene, f"window add nights {WINDOW}", "window nights")
    await run_ended(scene)


def told(scene: Scene, text: str) -> list[str]:
    return [
        whole(m)
        for m in scene.ana.visible_messages("COPS")
        if text in m.text and not m.ephemeral_to
    ]


class Nights:
    """The check before windows, at moments of a clock of its own: no night has to pass."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.at = scene, scene.clock.now()
        self.start_again()

    def start_again(self) -> None:
        """Make the check anew, as a bot that was restarted."""
        clock = Clock(read=lambda: self.at)
        self._drift = TerraformDrift(self.scene.bot.operations, clock)

    async def pass_by(self, hours: float) -> None:
        """Look every ten minutes for so long, and let the announcements be posted."""
        for _ in range(round(hours * 6)):
            self.at += HOUR / 6
            await self._drift.tick()
        await self.scene.wait(30)


def test_a_difference_is_told_before_the_window_and_once() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        await windowed(scene)
        nights = Nights(scene)
        set_to(git, fixedNumberOfMediaNodes=5)
        reads = len(scene.environment.github.calls)
        await nights.pass_by(2)
        assert len(scene.environment.github.calls) == reads, "hours before, nothing is compared"
        await nights.pass_by(48)
        (message,) = told(scene, "Terraform and acme differ")
        assert "an apply sets the pool from 2 to 5: adds 3 media nodes" in message
        nights.start_again()
        await nights.pass_by(24)
        assert len(told(scene, "Terraform and acme differ")) == 1, "days later, and restarted"
        set_to(git, masterNodesInstanceType="s-8vcpu-16gb")
        await nights.pass_by(24)
        _, second = told(scene, "Terraform and acme differ")
        assert "masterNodesInstanceType" in second
        assert "fixedNumberOfMediaNodes" not in second, "the old one is known"

    tell(story)


def test_while_a_run_is_open_nothing_is_compared() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        await windowed(scene)
        nights = Nights(scene)
        await nights.pass_by(3)
        await scene.ana.type_text("COPS", "/openvidu scale 4 --now")
        await scene.run_is("acme-2", State.RUNNING)
        await nights.pass_by(0.5)
        assert (await scene.journal.run("acme-2")).state is State.RUNNING
        report = await scene.bot.operations.terraform.reading("acme")
        assert report.differences
        assert report.patch is None, "what is between is no patch"
        assert report.unknown == ("acme-2 is changing acme",)
        assert told(scene, "Terraform and acme differ") == []
        await run_ended(scene, run="acme-2")
        await nights.pass_by(0.5)
        assert len(told(scene, "Terraform and acme differ")) == 1

    tell(story)


def test_what_went_away_and_comes_back_is_told_again() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        await windowed(scene)
        nights = Nights(scene)
        for number, expected in ((5, 1), (2, 1), (5, 2)):
            set_to(git, fixedNumberOfMediaNodes=number)
            await nights.pass_by(24)
            assert len(told(scene, "Terraform and acme differ")) == expected

    tell(story)


@pytest.mark.parametrize("number", [2, 5])
def test_a_cluster_that_is_shut_down_is_no_news(number: int) -> None:
    """At its opening the pool is at 0, as a closing leaves it: that is no drift."""

    async def story(scene: Scene, git: SimulatedRepository) -> None:
        set_to(git, fixedNumberOfMediaNodes=number)
        await windowed(scene)
        nights = Nights(scene)
        await nights.pass_by(24)
        before = told(scene, "Terraform and acme differ")
        assert len(before) == (number == 5)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene, run="acme-2")
        await nights.pass_by(24)
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await run_ended(scene, run="acme-3")
        await nights.pass_by(24)
        assert told(scene, "Terraform and acme differ") == before
        reads = [c for c in scene.environment.github.calls if c.startswith("GET contents")]
        assert len(reads) == 6, "once before each closing and opening"

    tell(story)


@pytest.mark.parametrize("why", ["token", "outage", "damaged", "gone"])
def test_what_cannot_be_read_is_unknown_and_told_once(why: str) -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        await windowed(scene)
        nights = Nights(scene)
        files = git.files("main")
        reasons = {
            "token": "does not accept the token",
            "outage": "GitHub answers 503",
            "damaged": "line 1: this is no assignment of a variable",
            "gone": "no such repository, branch or file",
        }
        if why == "token":
            scene.environment.github.token = "other"
        elif why == "outage":
            scene.environment.faults.add("github", "503", times=-1)
        else:
            git.push("main", {PATH: "<<<<<<< HEAD\n"} if why == "damaged" else {"other": ""})
        await scene.ana.type_text("COPS", "/openvidu terraform drift")
        answer = await scene.ephemeral("UANA", "Whether Terraform and acme differ is unknown")
        assert reasons[why] in whole(answer)
        assert "agree" not in whole(answer)
        await nights.pass_by(48)
        (message,) = told(scene, "Whether Terraform and acme differ is unknown")
        assert reasons[why] in message
        scene.environment.github.token = "github_pat_sim"
        scene.environment.faults.rules.clear()
        git.push("main", files)
        await nights.pass_by(24)
        assert len(told(scene, "Terraform")) == 1

    tell(story)


@pytest.mark.thorough
def test_whole_nights_are_silent() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        await windowed(scene)
        await scene.wait(24 * HOUR)
        assert told(scene, "Terraform") == []
        reads = [c for c in scene.environment.github.calls if c.startswith("GET contents")]
        assert len(reads) == 2, "once before the closing and once before the opening"

    tell(story)


def test_a_cluster_that_is_not_seen_is_unknown() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        scene.environment.faults.switch("api_down", True)
        await scene.ana.type_text("COPS", "/openvidu terraform patch")
        answer = await scene.ephemeral("UANA", "Whether Terraform and acme differ is unknown")
        assert "agree" not in whole(answer)
        assert "Open pull request" not in whole(answer)

    tell(story)


CASES: tuple[tuple[str, str, dict[str, str | int], bool], ...] = (
    ("high availability", "pool", {"masterNodesInstanceType": "c-8"}, True),
    ("high availability", "pool", {"mediaNodeInstanceType": "c-8"}, True),
    ("high availability", "pool", {"fixedNumberOfMediaNodes": 1}, True),
    ("high availability", "fixed", {"mediaNodeInstanceType": "c-8"}, True),
    ("elastic", "pool", {"masterNodeInstanceType": "c-8"}, True),
    ("single node", "co-located", {"instanceType": "c-8"}, True),
)


@pytest.mark.parametrize(("deployment", "kind", "values", "patched"), CASES)
def test_each_difference_is_the_plans(
    deployment: str, kind: str, values: dict[str, str | int], patched: bool
) -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        set_to(git, **values)
        report = await scene.bot.operations.terraform.reading("acme")
        says_what_the_plan_does(report, terraform(scene).plan(git.files("main")[PATH]))
        assert (report.patch is not None) == patched
        if report.patch is not None:
            assert terraform(scene).plan(report.patch.after.text) == ()

    more: dict[str, Any] = {"deployment": deployment, "kind": kind}
    if kind != "co-located":
        more["media"] = 2

    async def run() -> None:
        async with Scene(site=SITE, pydo=False, **more) as scene:
            await story(scene, repository(scene))

    virtual.run(run())


def test_fixed_nodes_that_an_apply_would_replace_get_no_patch() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        set_to(git, fixedNumberOfMediaNodes=3)
        plan = terraform(scene).plan(git.files("main")[PATH])
        assert [c.action for c in plan].count("replace") == 2
        report = await scene.bot.operations.terraform.reading("acme")
        (one,) = report.differences
        assert "replaces every one" in one.apply
        assert report.patch is None

    tell(story, kind="fixed")


def test_an_autoscaler_that_an_apply_would_remove() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        set_to(git, fixedNumberOfMediaNodes=2)
        plan = terraform(scene).plan(git.files("main")[PATH])
        assert {c.action for c in plan} == {"destroy", "create"}
        report = await scene.bot.operations.terraform.reading("acme")
        (one,) = report.differences
        assert "removes the autoscaler, deletes every media node without draining" in one.apply
        assert report.patch is not None
        assert terraform(scene).plan(report.patch.after.text) == ()

    tell(story, kind="autoscaler")


def test_a_minimum_that_the_settings_state_differently() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        report = await scene.bot.operations.terraform.reading("acme")
        (one,) = report.differences
        assert (one.stated, one.actual) == (2, 3)
        assert one.apply == "changes nothing"
        assert "`autoscaler.minimum: 2`" in one.unpatched
        assert report.patch is None

    tell(story, site={"autoscaler": {"minimum": 3}}, kind="autoscaler")


def test_masters_of_different_sizes_have_no_patch_yet() -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        scene.estate.masters("acme")[1].size = "c-8"
        report = await scene.bot.operations.terraform.reading("acme")
        (one,) = report.differences
        assert "powers off 1 master at once and resizes it to s-4vcpu-8gb" in one.apply
        assert "finish their resize first" in one.unpatched
        assert report.patch is None

    tell(story)


VERSIONED = {"terraform": {**SITE["terraform"], "template": "acme/main.tf"}}
TEMPLATE = "locals {\n  user_data = <<-EOF\nset -e\n\nOPENVIDU_VERSION=%s\nDOMAIN=\nEOF\n}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEMPLATE % "3.6.0", "a node that it creates or replaces gets 3.6.0"),
        (TEMPLATE % "VERSION", ""),
        ("locals {}", "acme/main.tf has 0 values of OPENVIDU_VERSION"),
        (TEMPLATE % "1" + TEMPLATE % "2", "acme/main.tf has 2 values of OPENVIDU_VERSION"),
        (None, "no such repository, branch or file"),
    ],
)
def test_the_version_of_the_template_is_compared(text: str | None, said: str) -> None:
    async def story(scene: Scene, git: SimulatedRepository) -> None:
        cluster = await scene.bot.operations.reader.look("acme", frozenset({Fact.VERSIONS}))
        installed = cluster.masters[0].installation
        assert isinstance(installed, Installation)
        if text is not None:
            template = text.replace("VERSION\n", f"{installed.version}\n")
            git.push("main", {**git.files("main"), "acme/main.tf": template})
        await scene.ana.type_text("COPS", "/openvidu terraform")
        answer = await scene.ephemeral("UANA", "Terraform and acme")
        report = await scene.bot.operations.terraform.reading("acme")
        if said:
            assert said in whole(answer)
            assert report.differences or report.unknown
        else:
            assert "Terraform and acme agree" in whole(answer)
        assert report.patch is None
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        report = await scene.bot.operations.terraform.reading("acme")
        assert report.unknown == (), "a cluster that is shut down tells no version"

    tell(story, site=VERSIONED)


def test_without_a_file_the_lines_are_those_of_the_cluster() -> None:
    async def run() -> None:
        async with Scene(pydo=False, media=2) as scene:
            await scene.ana.type_text("COPS", "/openvidu terraform patch")
            answer = await scene.ephemeral("UANA", "Terraform variables of acme as it is")
            assert "fixedNumberOfMediaNodes = 2" in whole(answer)
            assert 'masterNodesInstanceType = "s-4vcpu-8gb"' in whole(answer)
            assert "agree" not in whole(answer)
            await scene.ana.type_text("COPS", "/openvidu terraform open abc")
            await scene.ephemeral("UANA", "is not configured")

    virtual.run(run())


def test_a_file_on_this_machine_is_read_and_never_written(tmp_path: Any) -> None:
    file = tmp_path / "acme.tfvars"

    async def run() -> None:
        async with Scene(site={"terraform": {"file": str(file)}}, pydo=False, media=2) as scene:
            text = variables_text(scene.estate, "acme").replace("Nodes  = 2", "Nodes  = 3")
            file.write_text(text)
            await scene.ana.type_text("COPS", "/openvidu drift")
            await scene.ephemeral("UANA", "Terraform and acme differ")
            await scene.ana.type_text("COPS", "/openvidu terraform patch")
            answer = await scene.ephemeral("UANA", "Terraform patch for acme")
            assert "git apply --unidiff-zero" in whole(answer)
            assert "Open pull request" not in whole(answer)
            file.unlink()
            await scene.ana.type_text("COPS", "/openvidu terraform drift")
            await scene.ephemeral("UANA", "No such file")
            file.write_bytes(b"\xff\xfe")
            await scene.ana.type_text("COPS", "/openvidu terraform drift")
            await scene.ephemeral("UANA", "no readable text")

    virtual.run(run())


def test_the_model_applies_what_it_plans() -> None:
    """The plan of the model and its older applies are about the same."""

    async def story(scene: Scene, git: SimulatedRepository) -> None:
        await scene.wait(60)
        for node in scene.estate.media("acme"):
            node.size = "c-8"
        text = git.files("main")[PATH]
        applied = Terraform(scene.estate, "acme", Variables(2, "s-4vcpu-8gb", "s-4vcpu-8gb"))
        assert len(applied.plan(text)) == 2
        applied.apply()
        assert applied.plan(text) == ()

    tell(story, kind="fixed")
