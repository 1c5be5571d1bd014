"""Change `secrets.env` through Slack: applied and verified, or rolled back.

Values stay in the bucket.
"""

from collections.abc import Awaitable, Callable

import pytest

from services.runs.run import State
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import in_full, rejects

Story = Callable[[Scene], Awaitable[None]]
NEW = "Correct-Horse-Battery-9"


def play(story: Story) -> None:
    async def scene_of_it() -> None:
        async with Scene(media=1) as scene:
            scene.estate.allow_rolling = True
            await story(scene)

    virtual.run(scene_of_it())


def bucket(scene: Scene) -> str:
    return scene.estate.clusters["acme"].bucket


def secrets(scene: Scene) -> bytes:
    return scene.environment.spaces.read(bucket(scene), "secrets.env") or b""


def staged(scene: Scene) -> list[str]:
    return [
        k
        for k in scene.environment.spaces.buckets[bucket(scene)].objects
        if k.startswith("openvidu-bot/staged/") and _there(scene, k)
    ]


def _there(scene: Scene, key: str) -> bool:
    return scene.environment.spaces.read(bucket(scene), key) is not None


async def ask(
    scene: Scene, key: str = "DASHBOARD_ADMIN_PASSWORD", value: str = NEW, keys: str = ""
) -> Message:
    """Request a change of this key; return the card, whose title names these keys."""
    await scene.ana.type_text("COPS", f"/openvidu config set {key}")
    view = await scene.ana.wait_for(scene.ana.modal)
    assert (
        await scene.ana.fill_and_submit(
            view, {"New value": value, "Reason (shown to others)": "rotation"}
        )
        is None
    )
    card = await scene.card(f"Change {keys or key} of acme")
    assert value not in str(card.blocks) + card.text
    return card


def test_a_value_is_changed_applied_and_verified() -> None:
    async def story(scene: Scene) -> None:
        before = secrets(scene)
        card = await ask(scene)
        shown = await in_full(scene.ben, card)
        assert "Changes DASHBOARD_ADMIN_PASSWORD in secrets.env" in shown
        assert "edits secrets" in shown
        assert secrets(scene) == before
        assert len(staged(scene)) == 1
        await scene.ben.press(card, "Approve")
        await scene.card("acme has its new configuration")
        after = secrets(scene)
        assert f"DASHBOARD_ADMIN_PASSWORD={NEW}\n".encode() in after
        changed = [
            a for a, b in zip(after.splitlines(), before.splitlines(), strict=True) if a != b
        ]
        assert changed == [f"DASHBOARD_ADMIN_PASSWORD={NEW}".encode()]
        assert staged(scene) == []
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
        await scene.ben.type_text("COPS", "/openvidu config history")
        answer = await scene.ephemeral("UBEN", "Versions of secrets.env of acme")
        assert "DASHBOARD_ADMIN_PASSWORD" in answer.text
        assert "<@UANA>" in answer.text
        version = answer.text.split("acme: ")[-1].split("versions: ")[-1]
        kept = [
            k
            for k in scene.environment.spaces.buckets[bucket(scene)].objects
            if k.startswith("openvidu-bot/versions/")
        ]
        name = kept[0].rsplit("/", 1)[-1]
        assert name in version
        await scene.ben.type_text("COPS", f"/openvidu config rollback {name}")
        back = await scene.card("back to version")
        await scene.ana.press(back, "Approve")
        await scene.run_is("acme-2", State.DONE)
        assert secrets(scene) == before

    play(story)


@pytest.mark.parametrize("value", ["with|pipe-and-more", "short", "with space in it"])
def test_what_the_readers_would_break_is_refused_in_the_form(value: str) -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu config set DASHBOARD_ADMIN_PASSWORD")
        view = await scene.ana.wait_for(scene.ana.modal)
        again = await scene.ana.fill_and_submit(view, {"New value": value})
        assert again is not None
        assert again.errors
        assert value not in str(again.errors)
        assert staged(scene) == []

    play(story)


def test_keys_that_must_never_change_are_refused_with_the_reason() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu config set REDIS_PASSWORD")
        await scene.ephemeral("UANA", "REDIS_PASSWORD")
        await scene.dora.type_text("COPS", "/openvidu config set DASHBOARD_ADMIN_PASSWORD")
        await scene.ephemeral("UDORA", "Only operators")
        assert scene.ana.modal() is None
        assert scene.dora.modal() is None

    play(story)


def test_a_master_that_does_not_come_back_brings_the_old_file_back() -> None:
    async def story(scene: Scene) -> None:
        before = secrets(scene)
        card = await ask(scene)
        broken = True
        read = scene.estate.read_secrets
        assert read is not None
        scene.estate.read_secrets = lambda stack: (
            None if broken and NEW.encode() in secrets(scene) else read(stack)
        )
        await scene.ben.press(card, "Approve")
        run = await scene.run_is("acme-1", State.ROLLED_BACK, State.STOPPED)
        assert run.state is State.ROLLED_BACK, run.stopped
        assert secrets(scene) == before
        assert staged(scene) == []
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
        shown = await scene.card("acme-1 failed and was rolled back ·")
        assert "timed out" in shown.text

    play(story)


def test_another_writer_between_request_and_run() -> None:
    async def story(scene: Scene) -> None:
        card = await ask(scene)
        other = secrets(scene).replace(b"pion", b"mediasoup")
        scene.environment.spaces.write(bucket(scene), "secrets.env", other)
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "nother writer changed secrets.env")
        assert secrets(scene) == other

    play(story)


def test_another_writer_s_lock_is_waited_for_and_deleted_only_on_request() -> None:
    async def story(scene: Scene) -> None:
        card = await ask(scene)
        scene.environment.spaces.write(bucket(scene), "lock.lock", b"")
        await scene.ben.press(card, "Approve")
        await scene.card("another writer to release lock.lock")
        await scene.card("acme-1 needs a decision")
        asked = next(
            m
            for m in scene.ana.visible_messages("COPS")
            if m.text.startswith("acme-1 needs a decision")
        )
        assert _there(scene, "lock.lock")
        await scene.ana.press(asked, "Delete the lock")
        await scene.ephemeral("UANA", "someone else must")
        await scene.ben.press(asked, "Delete the lock")
        await scene.card("acme has its new configuration")
        assert NEW.encode() in secrets(scene)

    play(story)


@pytest.mark.parametrize("expires", [False, True])
def test_what_is_not_approved_leaves_nothing_behind(expires: bool) -> None:
    async def story(scene: Scene) -> None:
        card = await ask(scene)
        if expires:
            await scene.wait(2000)
        else:
            await rejects(scene.ben, card)
            await scene.wait(30)
        assert staged(scene) == []
        assert NEW.encode() not in secrets(scene)

    play(story)


def test_the_list_shows_names_and_no_secret() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu config list")
        answer = await scene.ephemeral("UANA", "secrets.env of acme")
        shown = answer.text + str(answer.blocks)
        for line in secrets(scene).decode().splitlines():
            key, _, value = line.partition("=")
            assert key in shown
            if len(value) > 8 and any(
                word in key for word in ("PASSWORD", "API_SECRET", "LICENSE")
            ):
                assert value not in shown

    play(story)
