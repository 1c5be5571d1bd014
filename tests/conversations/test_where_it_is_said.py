"""Wherever a command is typed: its card is in the cluster's own channel, or nothing is changed."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from handlers import views
from handlers.slack.client import ReplyTarget
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.scene import Scene, open_message_tab
from tests.support.stories import with_buttons


def play(story: Callable[[Scene], Awaitable[None]], **more: Any) -> None:
    async def whole() -> None:
        async with Scene(**{"media": 1, **more}) as scene:
            place = scene.slack.workspace
            place.add_channel("CPUBLIC", "lunch", ["UANA", "UBEN"], with_bot=False)
            place.add_channel("CPRIVATE", "secret", ["UANA", "UBEN"], private=True, with_bot=False)
            await story(scene)

    virtual.run(whole())


def private(scene: Scene, channel: str, user: str = "UANA") -> list[Message]:
    return [m for m in scene.person(user).visible_messages(channel) if m.ephemeral_to == user]


async def nothing_is_written(scene: Scene) -> None:
    assert await scene.bot.operations.reader.waiting("acme") == []
    assert await scene.journal.latest("acme", 1) == []


@pytest.mark.parametrize("channel", ["CPUBLIC", "CPRIVATE"])
def test_without_the_bot_in_the_channel_people_are_answered_and_the_card_is_in_the_clusters_own(
    channel: str,
) -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text(channel, "/openvidu help")
        await scene.ephemeral("UANA", "You can type ", channel=channel)
        await scene.ana.type_text(channel, "/openvidu shutdown --cluster acme")
        await scene.ephemeral("UANA", "Its card is in <#COPS>", channel=channel)
        card = await with_buttons(scene, "Shut down acme")
        await scene.ben.press(card, "Approve")
        await scene.card("acme is shut down")
        assert not [m for m in scene.ben.visible_messages(channel) if not m.ephemeral_to], (
            "it wrote nothing where it is not a member"
        )

    play(story)


def test_typed_to_the_bot_alone_it_is_approved_in_the_clusters_channel() -> None:
    async def story(scene: Scene) -> None:
        open_message_tab(scene.slack)
        alone = scene.slack.workspace.direct("UANA").id
        await scene.ana.type_text(alone, "/openvidu scale 2 --now")
        await scene.ephemeral("UANA", "Its card is in <#COPS>", channel=alone)
        await scene.card("acme has 2 media nodes ·")
        await scene.ana.type_text(alone, "/openvidu shutdown")
        await scene.ben.press(await with_buttons(scene, "Shut down acme"), "Approve")
        await scene.card("acme is shut down")

    play(story)


def test_a_cluster_without_a_channel_of_its_own_changes_nothing() -> None:
    async def story(scene: Scene) -> None:
        for words in (
            "shutdown",
            "scale 2",
            'break-glass shutdown --reason "fire"',
            "window add nights Mon-Fri 20:00-07:30",
        ):
            await scene.ana.type_text("COPS", f"/openvidu {words}")
            await scene.wait(30)
        refused = [m.text for m in private(scene, "COPS")]
        assert len(refused) == 4
        assert all("Nothing was changed: acme has no channel" in text for text in refused)
        assert all("clusters.acme.channel" in text for text in refused)
        await nothing_is_written(scene)
        await scene.ana.type_text("COPS", "/openvidu shutdown --dry-run")
        await scene.ephemeral("UANA", "Dry run: Shut down acme")
        await scene.ana.type_text("COPS", "/openvidu status")
        await scene.ephemeral("UANA", "acme is in service")

    play(story, site={"channel": None}, settings={"channels": {}}, roles={"break_glass": ["UANA"]})


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (lambda place: place.leave("COPS"), "the bot is not in <#COPS>: invite it there"),
        (lambda place: place.archive("COPS"), "<#COPS> is archived"),
        (lambda place: place.channels.pop("COPS"), "Slack knows no channel COPS"),
    ],
)
def test_where_the_bot_cannot_post_nothing_is_written_and_the_person_reads_why(
    happens: Callable[[Any], None], why: str
) -> None:
    async def story(scene: Scene) -> None:
        happens(scene.slack.workspace)
        for words in ("shutdown", "scale 2"):
            await scene.ana.type_text("CPRIVATE", f"/openvidu {words} --cluster acme")
            await scene.wait(20)
        assert [
            ("no one could read the card" in m.text, why in m.text)
            for m in private(scene, "CPRIVATE")
        ] == [(True, True)] * 2
        await nothing_is_written(scene)
        assert scene.estate.pool("acme").target == 1

    play(story)


def test_a_mention_at_top_level_is_answered_where_people_see_it() -> None:
    async def story(scene: Scene) -> None:
        asked = await scene.ana.mention_bot("COPS", "status")
        assert asked is not None
        answer = await scene.ephemeral("UANA", "acme is in service")
        assert answer.thread_ts is None
        scene.slack.workspace.post(
            scene.slack.workspace.channels["COPS"], "UBEN", "and?", thread_ts=asked.ts
        )
        await scene.ana.mention_bot("COPS", "window list", asked.ts)
        assert (
            await scene.ephemeral("UANA", "acme has no off-hours windows")
        ).thread_ts == asked.ts

    play(story)


def test_after_the_response_url_comes_the_channel_and_then_the_persons_own_conversation() -> None:
    async def story(scene: Scene) -> None:
        for channel, bot in (("COPS", True), ("CPRIVATE", False)):
            url = scene.slack.workspace.issue_response_url("UANA", channel)
            for number in range(7):
                await scene.bot.slack.post_ephemeral(
                    ReplyTarget(channel, "UANA", url=url), views.text_card(f"{channel} {number}")
                )
            here = [m.text for m in private(scene, channel)]
            alone = [
                m.text for m in scene.ana.visible_messages(scene.slack.workspace.direct("UANA").id)
            ]
            assert here == [f"{channel} {n}" for n in range(7 if bot else 5)]
            assert alone == ([] if bot else [f"{channel} 5", f"{channel} 6"])

    play(story)


def test_an_answer_that_the_response_url_loses_comes_by_another_way() -> None:
    async def story(scene: Scene) -> None:
        scene.slack.workspace.response_urls.clear()
        scene.allowed_complaints = ["response url"]
        url = scene.slack.workspace.issue_response_url("UANA", "COPS")
        scene.slack.workspace.response_urls.clear()
        await scene.bot.slack.post_ephemeral(
            ReplyTarget("COPS", "UANA", url=url), views.text_card("by another way")
        )
        await scene.ephemeral("UANA", "by another way")

    play(story)
