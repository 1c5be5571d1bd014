"""A faulty `secrets.env` in the bucket.

Nothing is stopped that could not start again, and no line of the file ever runs.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.runs.run import State
from simulators.faults import FaultRule, WorldFault
from simulators.slack.model import Message
from tests.procedures import test_windows as windows
from tests.procedures.test_config import NEW, ask, bucket, secrets
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import everything_read, goes_on, in_full, whole

Story = Callable[[Scene], Awaitable[None]]
PLANTED = "pL4ntedV4lue"
FAILS = f"a|{PLANTED}"
RUNS = f"x|;e touch {PLANTED} #"
LINE = "line 12, DASHBOARD_ADMIN_PASSWORD"
PASSWORD = b"DASHBOARD_ADMIN_PASSWORD="
DOWN_FIRST = (
    "shutdown",
    "shutdown --no-drain",
    "resize masters s-8vcpu-16gb",
    "backup create --offline",
)
BOOTS = (*DOWN_FIRST, "restart master-2", "resize masters s-8vcpu-16gb --rolling")
values = pytest.mark.parametrize("value", [FAILS, RUNS])


@pytest.fixture(autouse=True)
def no_value_logged(caplog: pytest.LogCaptureFixture) -> Any:
    """Verify that no log line holds a value of the file."""
    caplog.set_level(logging.INFO)
    yield
    assert PLANTED not in caplog.text


def play(story: Story, **more: Any) -> None:
    async def scene_of_it() -> None:
        async with Scene(media=1, **more) as scene:
            scene.estate.allow_rolling = True
            await story(scene)
            assert PLANTED not in everything_read(scene)
            assert PLANTED not in str(await scene.store.tail("chain:acme", 1000))

    virtual.run(scene_of_it())


def write(scene: Scene, data: bytes) -> None:
    scene.environment.spaces.write(bucket(scene), "secrets.env", data)


def spoil(scene: Scene, value: str = FAILS, key: bytes = PASSWORD) -> None:
    """Edit the file in the bucket's console, as OpenVidu's page describes."""
    lines = [
        key + value.encode() if line.startswith(key) else line
        for line in secrets(scene).split(b"\n")
    ]
    write(scene, b"\n".join(lines))


async def says(scene: Scene, command: str, seconds: float = 20.0) -> str:
    """Return the private answer to Ana's command."""
    before = {m.ts for m in scene.ana.visible_messages("COPS")}
    await scene.ana.type_text("COPS", f"/openvidu {command}")
    await scene.wait(seconds)
    return " ".join(whole(m) for m in scene.ana.visible_messages("COPS") if m.ts not in before)


async def approved(scene: Scene, command: str, run: str, state: State = State.DONE) -> str:
    """Request as Ana, approve as Ben, and wait for the end. Return what the plan shows."""
    own = command.startswith("startup")  # which needs no approval
    answer = await says(scene, f"{command} --now" if own else command, 3)
    if not own:
        card = await to_approve(scene)
        answer += await in_full(scene.ben, card)
        await scene.ben.press(card, "Approve")
    ended = await scene.run_is(run, State.DONE, State.STOPPED, State.ROLLED_BACK)
    assert ended.state is state, ended.stopped or ended.end_text
    return answer


async def to_approve(scene: Scene) -> Message:
    for _ in range(60):
        if found := [m for m in scene.ana.visible_messages("COPS") if "'Approve " in str(m.blocks)]:
            return found[-1]
        await scene.wait(1)
    raise AssertionError("nothing waits for approval")


def boots(scene: Scene) -> list[str]:
    return [m.node.boot_id for m in scene.estate.masters("acme")]


# Faults that keep a master from booting are refused


@values
@pytest.mark.parametrize("command", BOOTS)
def test_no_plan_boots_a_master_with_a_line_that_runs_or_ends_the_boot(
    command: str, value: str
) -> None:
    async def story(scene: Scene) -> None:
        spoil(scene, value)
        before = boots(scene)
        for asked in (f"{command} --dry-run", command):
            answer = await says(scene, asked)
            assert LINE in answer
            assert "Fix it with `/openvidu config set DASHBOARD_ADMIN_PASSWORD`" in answer
            assert ("would run as a command, as root" in answer) == (value == RUNS)
        assert await scene.bot.operations.reader.waiting("acme") == []
        assert boots(scene) == before

    play(story)


def test_break_glass_does_not_override_the_file_check() -> None:
    async def story(scene: Scene) -> None:
        spoil(scene, RUNS)
        answer = await says(scene, 'break-glass shutdown --reason "on fire"')
        assert LINE in answer
        assert await scene.bot.operations.reader.waiting("acme") == []

    play(story, roles={"break_glass": ["UANA"]})


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "scale 2 --dry-run",
        "drain --dry-run",
        "restart media-1 --dry-run",
        "backup create --dry-run",
    ],
)
def test_what_boots_no_master_is_planned_as_always_and_status_warns(command: str) -> None:
    told_too = ("status", "scale 2 --dry-run")  # new media nodes read the file

    async def story(scene: Scene) -> None:
        spoil(scene)
        answer = await says(scene, command)
        assert ("has a pipe character" in answer) == (command in told_too), answer
        assert command == "status" or "Dry run: " in answer

    play(story)


@values
def test_from_a_faulty_file_to_a_shutdown_and_a_start_up(value: str) -> None:
    """The remedy in the refusal works: repair the file, shut down, start up."""

    async def story(scene: Scene) -> None:
        spoil(scene, value)
        assert LINE in await says(scene, "shutdown")
        await scene.ben.press(await ask(scene), "Approve")
        await scene.run_is("acme-1", State.DONE)
        assert "secrets.env" not in await says(scene, "status")
        scene.estate.allow_rolling = False
        await approved(scene, "shutdown", "acme-2")
        await approved(scene, "startup", "acme-3")
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
        assert NEW.encode() in secrets(scene)

    play(story)


def test_a_file_damaged_between_request_and_approval() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.allow_rolling = False
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await to_approve(scene)
        spoil(scene, RUNS)
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", LINE)
        await scene.wait(600)
        assert scene.estate.front_is_up("acme")
        assert await scene.bot.operations.reader.open_run("acme") is None

    play(story)


def test_a_file_damaged_while_meetings_end_keeps_the_masters_on() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.allow_rolling = False
        scene.estate.open_meeting(people=4, minutes=60)
        await says(scene, "shutdown", 3)
        await scene.ben.press(await to_approve(scene), "Approve")
        await scene.wait(1200)
        spoil(scene, RUNS)
        run = await scene.run_is("acme-1", State.STOPPED, State.DONE)
        assert run.state is State.STOPPED
        assert f"secrets.env to be fixed: {LINE}" in run.stopped
        assert all(m.on for m in scene.estate.masters("acme"))
        spoil(scene, "Sound-Horse-Battery-9")
        await goes_on(
            scene,
            next(m for m in scene.ana.visible_messages("COPS") if "is paused" in m.text),
            label="Resume run",
        )
        await scene.run_is("acme-1", State.DONE)

    play(story)


# A cluster that is down already


@values
def test_a_cluster_that_is_down_is_repaired_before_it_starts(value: str) -> None:
    async def story(scene: Scene) -> None:
        scene.estate.allow_rolling = False
        await approved(scene, "shutdown", "acme-1")
        spoil(scene, value)
        for command in ("startup", "startup 2 --dry-run"):
            answer = await says(scene, command)
            assert LINE in answer
            assert "Fix it with `/openvidu config set DASHBOARD_ADMIN_PASSWORD`" in answer
        assert all(m.status == "off" for m in scene.estate.masters("acme"))
        card = await ask(scene)
        assert "Only the file is written; masters read it at their next start" in whole(card)
        assert "Restarts" not in whole(card)
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-2", State.DONE)
        assert all(m.status == "off" for m in scene.estate.masters("acme"))
        await approved(scene, "startup", "acme-3")
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))

    play(story)


def test_masters_started_by_hand_with_a_faulty_file_are_recovered() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.allow_rolling = False
        await approved(scene, "shutdown", "acme-1")
        spoil(scene)
        for master in scene.estate.masters("acme"):
            scene.estate.power.request(master.id, "power_on")
        await scene.wait(900)
        assert not any(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
        card = await ask(scene)
        assert "Only the file is written" in whole(card)
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-2", State.DONE)
        await approved(scene, "startup", "acme-3")
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))

    play(story)


def test_a_valid_file_is_not_changed_while_the_cluster_is_down() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.allow_rolling = False
        await approved(scene, "shutdown", "acme-1")
        await scene.ana.type_text("COPS", "/openvidu config set DASHBOARD_ADMIN_PASSWORD")
        await scene.ana.fill_and_submit(
            await scene.ana.wait_for(scene.ana.modal), {"New value": NEW}
        )
        await scene.ephemeral("UANA", "`/openvidu startup` first")

    play(story)


# Empty, truncated, deleted


async def edits(scene: Scene, key: str = "DASHBOARD_ADMIN_PASSWORD", value: str = NEW) -> str:
    """Return the answer after Ana has submitted the form."""
    before = {m.ts for m in scene.ana.visible_messages("COPS")}
    await scene.ana.type_text("COPS", f"/openvidu config set {key}")
    await scene.ana.fill_and_submit(await scene.ana.wait_for(scene.ana.modal), {"New value": value})
    await scene.wait(20)
    return " ".join(m.text for m in scene.ana.visible_messages("COPS") if m.ts not in before)


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "emptied": lambda _: b"",
    "only a comment left": lambda _: b"# moved to the wiki\n",
    "cut short": lambda data: b"".join(data.splitlines(keepends=True)[:11]),
    "without its first lines": lambda data: b"".join(data.splitlines(keepends=True)[4:]),
    "cut in the middle of a line": lambda data: data[: len(data) // 2],
    "without the key that new nodes wait for": lambda data: data.replace(
        b"ALL_SECRETS_GENERATED=true\n", b""
    ),
    "with an empty password": lambda data: data.replace(
        b"REDIS_PASSWORD=Zz9", b"REDIS_PASSWORD=\nX=Zz9"
    ),
    "without one master's address": lambda data: data.replace(
        b"MASTER_NODE_PRIVATE_IP_2=", b"MASTER_NODE_2_PRIVATE_IP="
    ),
    "without any address": lambda data: data.replace(b"MASTER_NODE_PRIVATE_IP_", b"OLD_IP_"),
    "gone": lambda _: None,
}
damaged = pytest.mark.parametrize("how", DAMAGE)


def damage(scene: Scene, how: str) -> None:
    data = DAMAGE[how](secrets(scene))
    if data is None:
        scene.environment.spaces.buckets[bucket(scene)].objects.pop("secrets.env")
    else:
        write(scene, data)


def missing(scene: Scene) -> bool:
    return scene.environment.spaces.read(bucket(scene), "secrets.env") is None


@damaged
def test_an_edit_of_a_damaged_file_is_refused_with_the_version_to_go_back_to(how: str) -> None:
    async def story(scene: Scene) -> None:
        await scene.ben.press(await ask(scene), "Approve")
        await scene.run_is("acme-1", State.DONE)
        original, before = secrets(scene), boots(scene)
        version = next(
            k for k in scene.environment.spaces.buckets[bucket(scene)].objects if "/versions/" in k
        ).rsplit("/", 1)[-1]
        damage(scene, how)
        left = secrets(scene)
        if how == "without any address":
            return  # only plans know that a pool's nodes need them
        answer = await edits(scene, value="Another-Horse-Battery-9")
        assert f"`/openvidu config rollback {version}` restores the version" in answer
        assert "Nothing was written" in answer
        assert (secrets(scene), boots(scene)) == (left, before)
        assert missing(scene) == (how == "gone")
        said = await approved(scene, f"config rollback {version}", "acme-2")
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
        assert secrets(scene).splitlines()[:11] == original.splitlines()[:11]
        if how in ("emptied", "gone"):
            assert "Restores" in said
            assert "REDIS_PASSWORD" in said

    play(story)


@damaged
def test_a_pool_is_not_emptied_when_no_new_node_would_come(how: str) -> None:
    async def story(scene: Scene) -> None:
        damage(scene, how)
        for command in (
            "shutdown --dry-run",
            "shutdown --media-only --dry-run",
            "scale 3 --dry-run",
        ):
            answer = await says(scene, command)
            masters_only = how == "gone" and command != "shutdown --dry-run"
            assert ("Dry run" in answer) == (how == "without its first lines" or masters_only), (
                answer
            )
        assert "secrets.env" in await says(scene, "status")

    play(story)


def test_without_an_earlier_version_the_masters_copies_are_named() -> None:
    async def story(scene: Scene) -> None:
        write(scene, b"")
        answer = await edits(scene)
        assert "/opt/openvidu/secrets.env" in answer
        assert secrets(scene) == b""

    play(story)


def test_an_edit_that_repairs_only_one_of_two_lines_is_refused_with_the_other() -> None:
    async def story(scene: Scene) -> None:
        spoil(scene, RUNS)
        spoil(scene, FAILS, b"MONGO_ADMIN_PASSWORD=")
        before = secrets(scene)
        answer = await edits(scene)
        assert "line 7, MONGO_ADMIN_PASSWORD" in answer
        assert (
            "DASHBOARD"
            not in answer.split("Nothing was written")[0].split("would stay stopped")[-1]
        )
        assert secrets(scene) == before

    play(story)


def test_a_key_that_was_lost_is_set_again() -> None:
    async def story(scene: Scene) -> None:
        write(
            scene,
            b"".join(
                line
                for line in secrets(scene).splitlines(keepends=True)
                if not line.startswith(PASSWORD)
            ),
        )
        answer = await edits(scene, "GRAFANA_ADMIN_PASSWORD")
        assert "DASHBOARD_ADMIN_PASSWORD is missing" in answer
        await scene.ben.press(await ask(scene), "Approve")
        await scene.run_is("acme-1", State.DONE)
        assert PASSWORD + NEW.encode() + b"\n" in secrets(scene)

    play(story)


def test_fixed_nodes_do_not_read_the_file_again_so_a_missing_key_is_only_a_warning() -> None:
    async def story(scene: Scene) -> None:
        write(scene, b"")
        answer = await says(scene, "shutdown --dry-run")
        assert "Dry run: Shut down acme" in answer
        assert "secrets.env: it is empty" in answer
        spoil(scene)
        write(scene, PASSWORD + FAILS.encode() + b"\n")
        assert "would stay stopped" in await says(scene, "shutdown --dry-run")

    play(story, kind="fixed")


def test_a_repair_that_does_not_come_up_is_not_undone() -> None:
    """The old file would run its line as a command on master 1."""

    async def story(scene: Scene) -> None:
        spoil(scene, RUNS)
        card = await ask(scene)
        assert "the previous file is not restored" in whole(card)
        read = scene.estate.read_secrets
        assert read is not None
        scene.estate.read_secrets = lambda stack: (
            None if NEW.encode() in secrets(scene) else read(stack)
        )
        await scene.ben.press(card, "Approve")
        run = await scene.run_is("acme-1", State.STOPPED, State.ROLLED_BACK, State.DONE)
        assert run.state is State.STOPPED
        assert NEW.encode() in secrets(scene)

    play(story)


# A bucket that does not answer


def silent(scene: Scene, times: int = 10_000) -> None:
    scene.environment.faults.rules.append(
        FaultRule("spaces", WorldFault("503"), f"GET /{bucket(scene)}/secrets.env", times)
    )


@pytest.mark.parametrize("command", [*DOWN_FIRST, "shutdown --media-only"])
def test_a_cluster_is_not_stopped_while_its_file_is_unread(command: str) -> None:
    async def story(scene: Scene) -> None:
        silent(scene)
        answer = await says(scene, command)
        assert "secrets.env could not be read" in answer
        assert "503" in answer
        assert await scene.bot.operations.reader.waiting("acme") == []

    play(story)


def test_a_start_up_and_a_restart_warn_and_leave_it_to_people() -> None:
    async def story(scene: Scene) -> None:
        assert "secrets.env: it could not be read" in await approved_when_silent(
            scene, "restart master-2", "acme-1"
        )
        scene.estate.allow_rolling = False
        await approved(scene, "shutdown", "acme-2")
        assert "secrets.env: it could not be read" in await approved_when_silent(
            scene, "startup", "acme-3"
        )
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))

    play(story)


async def approved_when_silent(scene: Scene, command: str, run: str) -> str:
    silent(scene)
    answer = await approved(scene, command, run)
    scene.environment.faults.rules.clear()
    return answer


def test_a_warning_that_was_not_on_the_card_shows_the_plan_again() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu restart master-2")
        card = await to_approve(scene)
        assert "could not be read" not in whole(card)
        silent(scene)
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "needs its own approval")
        assert "could not be read" in whole(await to_approve(scene))
        assert await scene.bot.operations.reader.open_run("acme") is None

    play(story)


def test_a_single_failed_read_does_not_count_as_unreachable() -> None:
    async def story(scene: Scene) -> None:
        silent(scene, 1)
        assert "could not be read" not in await says(scene, "shutdown --dry-run")

    play(story)


def test_without_a_bucket_the_plan_says_that_nothing_was_checked() -> None:
    async def story(scene: Scene) -> None:
        for command, checked in (
            ("shutdown", False),
            ("restart master-2", False),
            ("drain media-1", True),
        ):
            answer = await says(scene, f"{command} --dry-run")
            assert (
                "The file secrets.env is not checked: no bucket is configured" in answer
            ) != checked, answer
        assert "secrets.env" not in await says(scene, "status")

    play(story, site={"spaces": None})


def test_a_file_that_has_not_changed_is_not_sent_again() -> None:
    async def story(scene: Scene) -> None:
        await says(scene, "shutdown --dry-run")
        begun = len(scene.environment.spaces.requests)
        for _ in range(3):
            await says(scene, "shutdown --dry-run")
        answers = [
            status
            for method, path, status, _ in scene.environment.spaces.requests[begun:]
            if path.endswith("/secrets.env")
        ]
        assert answers == [304] * 3
        spoil(scene)
        assert LINE in await says(scene, "shutdown --dry-run")

    play(story)


# Windows

NIGHTS = "nights Mon-Fri 20:00-07:30 Europe/Madrid"


@values
def test_a_window_does_not_close_what_would_not_open_again(value: str) -> None:
    async def story(scene: Scene) -> None:
        await windows.add(scene, NIGHTS)
        spoil(scene, value)
        await windows.until(scene, "2026-11-25T20:01")
        card = await scene.card("acme did not close at 20:00")
        assert "acme stays in service" in card.text
        assert LINE in card.text
        await windows.until(scene, "2026-11-26T07:00")
        assert windows.up(scene)
        assert (
            len([m for m in scene.ana.visible_messages("COPS") if "did not close" in m.text]) == 1
        )
        assert PLANTED not in everything_read(scene)

    windows.play(story)


def test_the_announcement_says_that_the_window_will_not_close() -> None:
    """Posted half an hour before, so that the file can be repaired in time."""

    async def story(scene: Scene) -> None:
        await windows.add(scene, NIGHTS)
        spoil(scene)
        await windows.until(scene, "2026-11-25T19:31")
        card = await scene.card("acme closes at 20:00 (in 30 min)")
        assert "acme closes only if this is fixed" in card.text
        assert LINE in card.text
        scene.estate.allow_rolling = True
        await scene.ben.press(await ask(scene), "Approve")
        await scene.run_is("acme-2", State.DONE)
        scene.estate.allow_rolling = False
        await windows.until(scene, "2026-11-25T20:20")
        assert windows.down(scene)

    windows.play(story)


@values
def test_a_window_opens_when_the_file_is_repaired_and_warns_before(value: str) -> None:
    async def story(scene: Scene) -> None:
        await windows.add(scene, NIGHTS)
        await windows.until(scene, "2026-11-25T20:20")
        assert windows.down(scene)
        spoil(scene, value)
        await windows.until(scene, "2026-11-26T07:31")
        card = await scene.card("acme will not be in service by 07:30")
        assert LINE in card.text
        assert all(m.status == "off" for m in scene.estate.masters("acme"))
        await scene.ben.press(await ask(scene), "Approve")
        await windows.until(scene, "2026-11-26T07:50")
        assert windows.up(scene)
        assert PLANTED not in everything_read(scene)

    windows.play(story)


def test_a_window_that_cannot_see_the_file_closes_once_it_can() -> None:
    async def story(scene: Scene) -> None:
        await windows.add(scene, NIGHTS)
        silent(scene)
        await windows.until(scene, "2026-11-25T20:10")
        assert windows.up(scene)
        scene.environment.faults.rules.clear()
        await windows.until(scene, "2026-11-25T20:30")
        assert windows.down(scene)

    windows.play(story)
