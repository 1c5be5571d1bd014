"""What can go wrong around a change of `secrets.env`.

No edit is lost, no working state is reverted, nothing is left half done.
"""

from collections.abc import Callable
from typing import Any

import pytest

from services.runs.run import State
from simulators.faults import FaultRule, WorldFault
from simulators.object_store import Denied
from tests.procedures.test_config import NEW, ask, bucket, play, secrets, staged
from tests.support.scene import Scene
from tests.support.stories import in_full, whole, with_buttons

ENDS = (State.DONE, State.ROLLED_BACK, State.STOPPED, State.CANCELLED)
ENGINE, OTHER = b"OPENVIDU_RTC_ENGINE=pion", b"OPENVIDU_RTC_ENGINE=mediasoup"


def refuse_deletes(scene: Scene) -> None:
    def refuse(*_: Any) -> Any:
        raise Denied(403, "AccessDenied")

    scene.environment.spaces._delete = refuse  # type: ignore[method-assign,assignment]


def version(scene: Scene) -> str:
    return next(
        k for k in scene.environment.spaces.buckets[bucket(scene)].objects if "/versions/" in k
    ).rsplit("/", 1)[-1]


async def until(scene: Scene, so: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if so():
            return
        await scene.wait(0.5)
    raise AssertionError("it never came to that")


def test_the_rollback_does_not_overwrite_an_external_change() -> None:
    async def story(scene: Scene) -> None:
        card = await ask(scene)
        read = scene.estate.read_secrets
        assert read is not None
        scene.estate.read_secrets = lambda stack: (
            None if NEW.encode() in secrets(scene) else read(stack)
        )
        await scene.ben.press(card, "Approve")
        await until(scene, lambda: NEW.encode() in secrets(scene))
        await scene.wait(200)
        theirs = secrets(scene).replace(ENGINE, OTHER)
        scene.environment.spaces.write(bucket(scene), "secrets.env", theirs)
        run = await scene.run_is("acme-1", *ENDS)
        assert run.state is State.STOPPED
        assert "another writer changed secrets.env" in run.stopped
        assert secrets(scene) == theirs

    play(story)


@pytest.mark.parametrize("reads", [1, 2])
def test_a_stale_read_is_not_taken_for_a_change(reads: int) -> None:
    async def story(scene: Scene) -> None:
        card = await ask(scene)
        put, late = (
            scene.environment.spaces._put,
            FaultRule("spaces", WorldFault("stale"), f"GET /{bucket(scene)}/secrets.env", reads),
        )

        def putting(name: str, key: str, *more: Any) -> Any:
            answer = put(name, key, *more)
            if key == "secrets.env":
                scene.environment.faults.rules.append(late)
            return answer

        scene.environment.spaces._put = putting  # type: ignore[method-assign,assignment]
        await scene.ben.press(card, "Approve")
        run = await scene.run_is("acme-1", *ENDS)
        assert run.state is State.DONE, run.stopped
        assert NEW.encode() in secrets(scene)

    play(story)


def test_a_failed_cleanup_does_not_roll_back() -> None:
    async def story(scene: Scene) -> None:
        card = await ask(scene)
        refuse_deletes(scene)
        await scene.ben.press(card, "Approve")
        run = await scene.run_is("acme-1", *ENDS)
        assert (run.state, run.recovering) == (State.STOPPED, "")
        assert NEW.encode() in secrets(scene)

    play(story)


def test_a_lock_that_cannot_be_deleted_restarts_nothing() -> None:
    async def story(scene: Scene) -> None:
        before = secrets(scene)
        card = await ask(scene)
        scene.environment.spaces.write(bucket(scene), "lock.lock", b"")
        refuse_deletes(scene)
        boots = [m.node.boot_id for m in scene.estate.masters("acme")]
        await scene.ben.press(card, "Approve")
        await scene.card("acme-1 needs a decision")
        asked = next(
            m
            for m in scene.ana.visible_messages("COPS")
            if m.text.startswith("acme-1 needs a decision")
        )
        await scene.ben.press(asked, "Delete the lock")
        run = await scene.run_is("acme-1", *ENDS)
        assert run.state is State.STOPPED
        assert [m.node.boot_id for m in scene.estate.masters("acme")] == boots
        assert secrets(scene) == before

    play(story)


def test_a_file_that_would_stop_a_master_is_not_restored() -> None:
    async def story(scene: Scene) -> None:
        bad = secrets(scene).replace(b"DASHBOARD_ADMIN_PASSWORD=", b"DASHBOARD_ADMIN_PASSWORD=a|")
        scene.environment.spaces.write(bucket(scene), "openvidu-bot/versions/byhand", bad)
        await scene.ana.type_text("COPS", "/openvidu config rollback byhand")
        answer = await scene.ephemeral("UANA", "would stay stopped")
        assert "a pipe character" in answer.text
        assert "a|" not in answer.text
        assert staged(scene) == []

    play(story)


def test_a_value_that_would_stop_a_master_can_be_fixed_through_slack() -> None:
    async def story(scene: Scene) -> None:
        bad = secrets(scene).replace(b"DASHBOARD_ADMIN_PASSWORD=", b"DASHBOARD_ADMIN_PASSWORD=a|")
        scene.environment.spaces.write(bucket(scene), "secrets.env", bad)
        await scene.ben.press(await ask(scene), "Approve")
        await scene.run_is("acme-1", State.DONE)
        assert f"DASHBOARD_ADMIN_PASSWORD={NEW}\n".encode() in secrets(scene)

    play(story)


def test_another_domain_changes_its_addresses_and_rolls_back_with_them() -> None:
    async def story(scene: Scene) -> None:
        before = secrets(scene)
        keys = "DOMAIN_NAME, OPENVIDU_URL, LIVEKIT_URL and 3 more keys"
        card = await ask(scene, "DOMAIN_NAME", "meet.example.org", keys)
        shown = await in_full(scene.ben, card)
        assert "the old address stops working" in shown
        assert "Restarts OpenVidu on master 1" in shown
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-1", State.DONE)
        assert b"\nOPENVIDU_URL=https://meet.example.org/\n" in secrets(scene)
        await scene.ben.type_text("COPS", f"/openvidu config rollback {version(scene)}")
        await scene.ana.press(await scene.card("back to version"), "Approve")
        await scene.run_is("acme-2", State.DONE)
        assert secrets(scene) == before

    play(story)


def test_a_version_with_another_key_that_must_not_change_is_refused_by_name() -> None:
    async def story(scene: Scene) -> None:
        old = secrets(scene).replace(b"REDIS_PASSWORD=", b"REDIS_PASSWORD=x")
        scene.environment.spaces.write(bucket(scene), "openvidu-bot/versions/old", old)
        await scene.ana.type_text("COPS", "/openvidu config rollback old")
        await scene.ephemeral("UANA", "would also change REDIS_PASSWORD, which must never change")
        assert staged(scene) == []

    play(story)


def test_a_cancel_waits_until_master_1_runs_with_the_new_file() -> None:
    async def story(scene: Scene) -> None:
        await scene.ben.press(await ask(scene), "Approve")
        await until(scene, lambda: NEW.encode() in secrets(scene))
        await scene.ana.type_text("COPS", "/openvidu cancel acme-1")
        run = await scene.run_is("acme-1", *ENDS)
        assert run.state is State.CANCELLED
        assert "DASHBOARD_ADMIN_PASSWORD changed in secrets.env" in run.end_text
        await scene.wait(300)
        scene.estate.settle()
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
        master = scene.estate.masters("acme")[0]
        assert any(NEW.encode() in content for content in master.node.files.values()), (
            "it reads the file at boot"
        )
        assert staged(scene) == []

    play(story)


def test_the_staged_file_is_kept_when_the_plan_is_shown_again() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=4, minutes=600)
        card = await ask(scene)
        scene.estate.open_meeting(people=40, minutes=600, recordings=1)
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "needs its own approval")
        (request,) = await scene.bot.operations.reader.waiting("acme")
        assert len(staged(scene)) == 1
        title = "Change DASHBOARD_ADMIN_PASSWORD of acme"
        again = await with_buttons(scene, f"requests approval: {title}")
        await scene.ben.press(again, "Approve")
        run = await scene.run_is("acme-1", *ENDS)
        assert run.state is State.DONE, run.stopped
        assert run.request == request.id
        assert staged(scene) == []

    play(story)


def test_a_form_survives_a_crash_of_the_bot_and_leaves_nothing_staged() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu config set DASHBOARD_ADMIN_PASSWORD")
        view = await scene.ana.wait_for(scene.ana.modal)
        await scene.ana.fill_and_submit(view, {"New value": NEW})
        await until(scene, lambda: bool(staged(scene)))
        scene.kill()
        await scene.start_bot()
        answer = await scene.ephemeral("UANA", "restarted before it could plan", timeout=900)
        assert "config set DASHBOARD" in answer.text
        await scene.wait(1500)
        assert staged(scene) == []

    play(story)


def newest_with(scene: Scene, text: str) -> str:
    """Return the newest private message to Ana that holds this text."""
    return next(whole(m) for m in reversed(scene.ana.visible_messages("COPS")) if text in m.text)


def test_a_dry_run_shows_the_plan_without_a_value_and_leaves_nothing() -> None:
    async def story(scene: Scene) -> None:
        before, boots = secrets(scene), [m.node.boot_id for m in scene.estate.masters("acme")]
        await scene.ana.type_text("COPS", "/openvidu config set LIVEKIT_API_SECRET --dry-run")
        plan = whole(await scene.ephemeral("UANA", "Dry run: Change LIVEKIT_API_SECRET of acme"))
        changes = ("Changes LIVEKIT_API_SECRET in secrets.env", "Restarts OpenVidu on master 1")
        for expected in (*changes, "Power off master 1", "masters 1-4 are healthy"):
            assert expected in plan, f"{expected!r} in {plan}"
        assert scene.ana.modal() is None
        scene.environment.spaces.write(
            bucket(scene), "openvidu-bot/versions/old", before.replace(ENGINE, OTHER)
        )
        await scene.ana.type_text("COPS", "/openvidu config rollback old --dry-run")
        await scene.wait(10)
        assert "Changes OPENVIDU_RTC_ENGINE" in newest_with(scene, "Dry run")
        assert staged(scene) == []
        assert await scene.bot.operations.reader.waiting("acme") == []
        assert (secrets(scene), [m.node.boot_id for m in scene.estate.masters("acme")]) == (
            before,
            boots,
        )

    play(story)


def test_an_immediate_command_has_no_dry_run() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", '/openvidu hold "exam week" until 18:00 --dry-run')
        await scene.ephemeral("UANA", "does not know --dry-run")
        await scene.ana.type_text("COPS", "/openvidu hold")
        await scene.wait(10)
        assert not any(
            "exam week" in m.text for m in scene.ana.visible_messages("COPS") if m.user != "UANA"
        )

    play(story)


@pytest.mark.parametrize(
    "command", ["{key} {value}", "{key}={value}", "{key} --value={value}", "{value}"]
)
def test_a_value_in_the_channel_is_refused_and_not_echoed(command: str) -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text(
            "COPS",
            f"/openvidu config set {command.format(key='DASHBOARD_ADMIN_PASSWORD', value=NEW)}",
        )
        await scene.wait(10)
        (message,) = [m for m in scene.ana.visible_messages("COPS") if m.user != "UANA"]
        assert NEW not in message.text + str(message.blocks)
        assert "no such key" in message.text or "type only the key" in message.text.lower()
        assert scene.ana.modal() is None

    play(story)


def test_the_plan_names_the_faults_it_fixes() -> None:
    async def story(scene: Scene) -> None:
        scene.environment.spaces.write(bucket(scene), "secrets.env", secrets(scene).rstrip(b"\n"))
        card = await ask(scene)
        shown = await in_full(scene.ben, card)
        assert "Fixes in the current file: line 30, MINIO_URL: has no line end" in shown
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-1", State.DONE)
        assert secrets(scene).endswith(b"\n")

    play(story)


def test_an_obsolete_request_is_closed_and_leaves_nothing_staged() -> None:
    async def story(scene: Scene) -> None:
        card = await ask(scene)
        scene.environment.spaces.write(
            bucket(scene), "secrets.env", secrets(scene).replace(ENGINE, OTHER)
        )
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "nother writer changed secrets.env")
        await scene.wait(10)
        message = newest_with(scene, "Change DASHBOARD_ADMIN_PASSWORD of acme")
        assert (
            "cannot be done as requested. Nothing was changed. "
            "Request it again with /openvidu config set DASHBOARD_ADMIN_PASSWORD" in message
        )
        assert staged(scene) == []
        assert await scene.bot.operations.reader.waiting("acme") == []

    play(story)


async def asked_about_the_lock(scene: Scene) -> Any:
    await scene.card("acme-1 needs a decision")
    return next(
        m
        for m in scene.ana.visible_messages("COPS")
        if m.text.startswith("acme-1 needs a decision")
    )


def test_only_the_lock_that_was_asked_about_is_deleted() -> None:
    async def story(scene: Scene) -> None:
        card = await ask(scene)
        scene.environment.spaces.write(bucket(scene), "lock.lock", b"")
        await scene.ben.press(card, "Approve")
        asked = await asked_about_the_lock(scene)
        await scene.wait(30)
        # The first writer has finished, another one has begun.
        scene.environment.spaces.write(bucket(scene), "lock.lock", b"")
        await scene.ben.press(asked, "Delete the lock")
        await scene.wait(60)
        assert scene.environment.spaces.read(bucket(scene), "lock.lock") is not None
        assert NEW.encode() not in secrets(scene)
        scene.environment.spaces.buckets[bucket(scene)].objects.pop("lock.lock")
        await scene.run_is("acme-1", State.DONE)
        assert NEW.encode() in secrets(scene)

    play(story)


def test_a_lock_that_comes_at_the_last_moment_is_seen() -> None:
    async def story(scene: Scene) -> None:
        card = await ask(scene)
        put = scene.environment.spaces._put

        def putting(name: str, key: str, *more: Any) -> Any:
            if "/versions/" in key:
                scene.environment.spaces.write(name, "lock.lock", b"")
            return put(name, key, *more)

        scene.environment.spaces._put = putting  # type: ignore[method-assign,assignment]
        await scene.ben.press(card, "Approve")
        await scene.wait(60)
        assert NEW.encode() not in secrets(scene)
        scene.environment.spaces.buckets[bucket(scene)].objects.pop("lock.lock")
        scene.environment.spaces._put = put  # type: ignore[method-assign]
        await scene.run_is("acme-1", State.DONE)
        assert NEW.encode() in secrets(scene)

    play(story)


def test_the_rollback_waits_for_a_lock_too() -> None:
    async def story(scene: Scene) -> None:
        before = secrets(scene)
        card = await ask(scene)
        read = scene.estate.read_secrets
        assert read is not None
        scene.estate.read_secrets = lambda stack: (
            None if NEW.encode() in secrets(scene) else read(stack)
        )
        await scene.ben.press(card, "Approve")
        await until(scene, lambda: NEW.encode() in secrets(scene))
        scene.environment.spaces.write(bucket(scene), "lock.lock", b"")
        asked = await asked_about_the_lock(scene)
        assert NEW.encode() in secrets(scene)
        await scene.ben.press(asked, "Delete the lock")
        run = await scene.run_is("acme-1", *ENDS)
        assert run.state is State.ROLLED_BACK, run.stopped
        assert secrets(scene) == before
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))

    play(story)


def test_a_cluster_that_is_down_is_started_first() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.allow_rolling = False
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.ben.press(await scene.card("Shut down acme"), "Approve")
        await scene.run_is("acme-1", State.DONE)
        await scene.ana.type_text("COPS", "/openvidu config set DASHBOARD_ADMIN_PASSWORD")
        await scene.ana.fill_and_submit(
            await scene.ana.wait_for(scene.ana.modal), {"New value": NEW}
        )
        await scene.ephemeral("UANA", "`/openvidu startup` first")
        assert staged(scene) == []

    play(story)
