"""Change configuration files through Slack: as OpenVidu's page says, or rolled back.

The page: go to one of the masters, edit a file below /opt/openvidu/config, restart OpenVidu there,
and look at openvidu-init, at restarting containers and at nodes_errors.log.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.runs.run import State
from simulators.cloud.configuration import CLUSTER, ERRORS_LOG, READERS, secret_of
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import in_full

Story = Callable[[Scene], Awaitable[None]]
LIVEKIT = next(iter(READERS))
SECRET = secret_of("acme")
_FIFTY = b"max_participants: 50"


def play(story: Story, **options: Any) -> None:
    async def scene_of_it() -> None:
        async with Scene(**{"media": 2, **options}) as scene:
            scene.estate.allow_rolling = True
            await story(scene)

    virtual.run(scene_of_it())


def files(scene: Scene, path: str = LIVEKIT) -> list[bytes]:
    """Return a file as each master has it."""
    return [m.node.files[path] for m in scene.estate.masters("acme")]


def left_behind(scene: Scene) -> list[str]:
    """Return what a change has left in the bucket and on the masters."""
    bucket = scene.estate.clusters["acme"].bucket
    spaces = scene.environment.spaces
    staged = [
        key
        for key in spaces.buckets[bucket].objects
        if key.startswith("openvidu-bot/staged/") and spaces.read(bucket, key) is not None
    ]
    masters = scene.estate.masters("acme")
    return staged + [p for m in masters for p in m.node.files if "/openvidu-bot/" in p[:-1]]


async def set_value(scene: Scene, words: str) -> Message:
    await scene.ana.type_text("COPS", f"/openvidu config file set livekit.yaml {words}")
    return await scene.card("Change livekit.yaml of acme")


def test_a_value_of_livekit_yaml_is_changed_as_the_page_says() -> None:
    async def story(scene: Scene) -> None:
        before = files(scene)
        starts = [m.node.invocation for m in scene.estate.masters("acme")]
        servers = [d.node.containers["openvidu"].started_at for d in scene.estate.media("acme")]
        card = await set_value(scene, "room.max_participants 50")
        shown = await in_full(scene.ben, card)
        assert "-   max_participants: 0" in shown
        assert "+   max_participants: 50" in shown
        assert "running meetings end" in shown
        assert "not in secrets.env" in shown
        assert files(scene) == before
        await scene.ben.press(card, "Approve")
        await scene.card("acme has its new configuration")
        new = [text.replace(b"max_participants: 0", b"max_participants: 50") for text in before]
        assert files(scene) == new
        now = [m.node.invocation for m in scene.estate.masters("acme")]
        assert [a != b for a, b in zip(now, starts, strict=True)] == [True, False, False, False]
        assert all(
            d.node.containers["openvidu"].started_at not in servers
            for d in scene.estate.media("acme")
        )
        assert left_behind(scene) == []
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))

    play(story)


def test_a_section_is_edited_in_a_form_that_hides_secrets() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu config file edit livekit.yaml rtc")
        view = await scene.ana.wait_for(lambda: _form(scene))
        text = _content(view)
        assert "    <kept" in text
        assert SECRET not in str(view)
        edited = text.replace("tcp_port: 7881", "tcp_port: 7882")
        assert await scene.ana.fill_and_submit(view, {"Content": edited}) is None
        card = await scene.card("Change livekit.yaml of acme")
        assert SECRET not in str(card.blocks) + card.text
        await scene.ben.press(card, "Approve")
        await scene.card("acme has its new configuration")
        assert {f.count(SECRET.encode()) for f in files(scene)} == {2}
        assert all(b"tcp_port: 7882" in f for f in files(scene))

    play(story)


def test_a_hidden_value_cannot_be_moved_to_where_it_is_shown() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu config file edit livekit.yaml openvidu")
        view = await scene.ana.wait_for(lambda: _form(scene))
        text = _content(view)
        mark = next(line.split(": ")[1] for line in text.split("\n") if "mongo_url" in line)
        moved = text.replace("interval: 10s", f"interval: {mark}")
        await scene.ana.fill_and_submit(view, {"Content": moved})
        answer = await scene.ephemeral("UANA", "would become visible")
        assert SECRET not in answer.text
        assert left_behind(scene) == []

    play(story)


def _form(scene: Scene) -> Any:
    view = scene.ana.modal()
    return view if view is not None and view.body["callback_id"] == "config_file" else None


def _content(view: Any) -> str:
    block = next(b for b in view.body["blocks"] if b.get("block_id") == "file_text")
    return str(block["element"]["initial_value"])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("livekit.yaml room.max_participants many", "is a whole number"),
        ("livekit.yaml room.max_participant 5", "may be a secret, or is unknown"),
        ("livekit.yaml redis.password hunter2", "may be a secret, or is unknown"),
        ("livekit.yaml room.max_participants 0", "is already like that"),
        ("livekit.yaml bind_addresses x", "is a section or a list"),
        ("mongo.env X 1", "restarts a database"),
        ("master_node.env X 1", "each node has a file of its own"),
        ("caddy.yaml admin.disabled false", "here are several"),
        ("/etc/passwd root x", "is no configuration file"),
        ("loki.yaml auth_enabled [", "not valid YAML"),
    ],
)
def test_what_is_refused_and_its_text(words: str, reason: str) -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", f"/openvidu config file set {words}")
        answer = await scene.ephemeral("UANA", reason)
        assert "hunter2" not in answer.text
        assert left_behind(scene) == []

    play(story)


def test_an_approver_can_read_every_line_of_the_difference() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu config file edit livekit.yaml rtc")
        view = await scene.ana.wait_for(lambda: _form(scene))
        servers = [f"stun-{n}.{'a' * 60}.example:3478" for n in range(28)]
        items = "".join(f"    - {server}\n" for server in servers)
        edited = f"{_content(view)}\n  stun_servers:\n{items}"
        assert await scene.ana.fill_and_submit(view, {"Content": edited}) is None
        card = await scene.card("Change livekit.yaml of acme")
        shown = await in_full(scene.ben, card)
        assert [server for server in servers if server not in shown] == []
        assert "put back and verified, by itself" in shown

    play(story)


# What goes wrong is rolled back


def test_what_the_nodes_refuse_is_rolled_back() -> None:
    async def story(scene: Scene) -> None:
        before = files(scene)
        card = await set_value(scene, "node_selector.kind nonsense")
        await scene.ben.press(card, "Approve")
        run = await scene.run_is("acme-1", State.ROLLED_BACK, State.STOPPED)
        assert run.state is State.ROLLED_BACK, run.stopped
        assert files(scene) == before
        assert b"unsupported kind" in files(scene, ERRORS_LOG)[0]
        assert left_behind(scene) == []
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
        assert all(d.node.running("openvidu") for d in scene.estate.media("acme"))
        shown = await scene.card("acme-1 failed and was rolled back ·")
        assert "timed out" in shown.text

    play(story)


def test_one_media_node_that_rejects_is_enough() -> None:
    async def story(scene: Scene) -> None:
        before = files(scene)
        scene.estate.configuration.rejecting.add(scene.estate.media("acme")[1].id)
        card = await set_value(scene, "room.max_participants 50")
        await scene.ben.press(card, "Approve")
        run = await scene.run_is("acme-1", State.ROLLED_BACK, State.STOPPED)
        assert run.state is State.ROLLED_BACK, run.stopped
        assert "nodes_errors.log" in run.recovering
        assert files(scene) == before
        assert left_behind(scene) == []

    play(story)


def test_a_media_node_that_stops_answering_is_no_proof_that_it_serves() -> None:
    async def story(scene: Scene) -> None:
        before = files(scene)
        node = scene.estate.media("acme")[1]
        card = await set_value(scene, "room.max_participants 50")
        await scene.ben.press(card, "Approve")
        await scene.ana.wait_for(lambda: files(scene)[0] != before[0])
        scene.environment.faults.make_ill(node.name, "docker-down")
        run = await scene.run_is("acme-1", State.ROLLED_BACK, State.STOPPED, State.DONE)
        assert run.state is State.STOPPED
        assert "media-2 to answer" in run.stopped + run.recovering
        assert files(scene) == before

    play(story)


def test_a_media_node_that_cannot_be_seen_is_named_before_anything_is_written() -> None:
    async def story(scene: Scene) -> None:
        node = scene.estate.media("acme")[1]
        scene.environment.faults.make_ill(node.name, "docker-down")
        await scene.ana.type_text(
            "COPS", "/openvidu config file set livekit.yaml room.max_participants 50"
        )
        answer = await scene.ephemeral("UANA", "cannot be seen")
        assert "media-2" in answer.text
        assert left_behind(scene) == []

    play(story)


def test_a_master_that_does_not_come_back_gets_the_old_file() -> None:
    async def story(scene: Scene) -> None:
        before = files(scene)
        scene.estate.configuration.poison = b"max_participants: 50"
        card = await set_value(scene, "room.max_participants 50")
        await scene.ben.press(card, "Approve")
        run = await scene.run_is("acme-1", State.ROLLED_BACK, State.STOPPED)
        assert run.state is State.ROLLED_BACK, run.stopped
        assert files(scene) == before
        assert left_behind(scene) == []
        assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))

    play(story)


def test_a_file_that_was_changed_meanwhile_is_not_overwritten() -> None:
    async def story(scene: Scene) -> None:
        card = await set_value(scene, "room.max_participants 50")
        master = scene.estate.masters("acme")[0]
        master.node.files[LIVEKIT] += b"region: here\n"
        changed = master.node.files[LIVEKIT]
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "livekit.yaml was changed on master-1")
        assert master.node.files[LIVEKIT] == changed

    play(story)


def test_a_file_that_was_changed_behind_an_open_form_is_not_overwritten() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu config file edit livekit.yaml room")
        view = await scene.ana.wait_for(lambda: _form(scene))
        master = scene.estate.masters("acme")[0]
        master.node.files[LIVEKIT] += b"region: here\n"
        edited = _content(view).replace("empty_timeout: 300", "empty_timeout: 60")
        await scene.ana.fill_and_submit(view, {"Content": edited})
        await scene.ephemeral("UANA", "was changed since the form was opened")
        assert left_behind(scene) == []

    play(story)


def test_the_same_change_by_hand_is_not_taken_for_the_bot_s() -> None:
    async def story(scene: Scene) -> None:
        card = await set_value(scene, "room.max_participants 50")
        for master in scene.estate.masters("acme"):
            text = master.node.files[LIVEKIT]
            master.node.files[LIVEKIT] = text.replace(b"max_participants: 0", _FIFTY)
        await scene.ben.press(card, "Approve")
        run = await scene.run_is("acme-1", State.ROLLED_BACK, State.STOPPED)
        assert "was changed on master 1" in run.recovering + run.stopped
        assert all(_FIFTY in text for text in files(scene))
        assert left_behind(scene) == []

    play(story)


# Keys that are in secrets.env too


def test_a_key_of_secrets_env_goes_that_way_and_the_card_says_so() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text(
            "COPS", "/openvidu config file set openvidu.env DASHBOARD_ADMIN_USERNAME boss"
        )
        card = await scene.card("Change DASHBOARD_ADMIN_USERNAME of acme")
        shown = await in_full(scene.ben, card)
        assert "Requested for openvidu.env" in shown
        assert "alone would be lost" in shown
        await scene.ben.press(card, "Approve")
        await scene.card("acme has its new configuration")
        paths = [f"{CLUSTER}/openvidu.env"]
        assert all(b"DASHBOARD_ADMIN_USERNAME=boss\n" in f for f in files(scene, paths[0]))

    play(story)


def test_both_ways_at_once_are_refused() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu config file edit openvidu.env")
        view = await scene.ana.wait_for(lambda: _form(scene))
        text = _content(view)
        edited = text.replace("=dashboardadmin", "=boss").replace("=9080", "=9081")
        assert edited.count("boss") == edited.count("9081") == 1
        await scene.ana.fill_and_submit(view, {"Content": edited})
        await scene.ephemeral("UANA", "DASHBOARD_ADMIN_USERNAME is in secrets.env too")
        assert left_behind(scene) == []

    play(story)


# Webhooks


def test_a_webhook_is_added_with_a_form_listed_and_removed() -> None:
    url = "https://hooks.example.com/services/T0/B0/tops3cret?token=abc123"

    async def story(scene: Scene) -> None:
        before = files(scene)
        await scene.ana.type_text("COPS", "/openvidu webhook add")
        view = await scene.ana.wait_for(scene.ana.modal)
        assert await scene.ana.fill_and_submit(view, {"URL": url}) is None
        card = await scene.card("Change livekit.yaml of acme: webhook https://hooks.example.com")
        shown = await in_full(scene.ben, card)
        assert "tops3cret" not in shown
        assert "abc123" not in shown
        await scene.ben.press(card, "Approve")
        await scene.card("acme has its new configuration")
        assert all(f"    - {url}\n".encode() in f for f in files(scene))
        await scene.ben.type_text("COPS", "/openvidu webhook list")
        answer = await scene.ephemeral("UBEN", "Webhooks of acme")
        assert "2. https://hooks.example.com/…/…/…/…?…" in answer.text.replace("`", "")
        assert "tops3cret" not in answer.text + str(answer.blocks)
        await scene.ben.type_text("COPS", "/openvidu webhook remove 2")
        back = await scene.card("Change livekit.yaml of acme: webhook https://hooks.example.com/…")
        await scene.ana.press(back, "Approve")
        await scene.run_is("acme-2", State.DONE)
        assert files(scene) == before

    play(story)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("add ftp://x.example/", "begins with https://"),
        ("add https://x.example/hook/s3cretpath", "may contain a secret"),
        ("add https://user:pw@x.example/hook", "may contain a secret"),
        ("add https:///hook", "needs a host"),
        ("remove 7", "no webhook of that number"),
        ("add openviduMeet", "is already there"),
    ],
)
def test_webhooks_that_are_refused(words: str, reason: str) -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", f"/openvidu webhook {words}")
        answer = await scene.ephemeral("UANA", reason)
        assert "s3cretpath" not in answer.text
        assert left_behind(scene) == []

    play(story)


# Modules


def test_a_module_is_turned_off_and_on_as_the_page_says() -> None:
    async def story(scene: Scene) -> None:
        masters = scene.estate.masters("acme")
        await scene.ana.type_text("COPS", "/openvidu module list")
        listed = await scene.ephemeral("UANA", "Modules of acme")
        assert "v2compatibility" in listed.text
        await scene.ana.type_text("COPS", "/openvidu module off observability")
        card = await scene.card("Turn off observability of acme")
        shown = await in_full(scene.ben, card)
        assert "Removes grafana, loki and mimir from every master" in shown
        assert "Grafana does not answer" in shown
        assert "changed in secrets.env" in shown
        await scene.ben.press(card, "Approve")
        await scene.card("acme has its new modules")
        assert not any("grafana" in m.node.containers for m in masters)
        await scene.ana.type_text("COPS", "/openvidu module on observability")
        card = await scene.card("Turn on observability of acme")
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-2", State.DONE)
        assert all(m.node.running("grafana") for m in masters)
        assert left_behind(scene) == []

    play(story)


def test_a_module_without_its_webhook_is_refused_with_the_remedy() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu module on v2compatibility")
        answer = await scene.ephemeral("UANA", "does not post its events to v2compatibility")
        assert "webhook add v2compatibility" in answer.text
        await scene.ana.type_text("COPS", "/openvidu webhook add v2compatibility")
        card = await scene.card("Change livekit.yaml of acme: webhook add v2compatibility")
        await scene.ben.press(card, "Approve")
        await scene.card("acme has its new configuration")
        await scene.ana.type_text("COPS", "/openvidu module on v2compatibility")
        card = await scene.card("Turn on v2compatibility of acme")
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-2", State.DONE)
        assert all(m.node.running("openvidu-v2compatibility") for m in scene.estate.masters("acme"))

    play(story)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("on openviduMeet", "is already on"),
        ("off v2compatibility", "is already off"),
        ("off grafana", "no such module"),
    ],
)
def test_modules_that_are_refused(words: str, reason: str) -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", f"/openvidu module {words}")
        await scene.ephemeral("UANA", reason)
        assert left_behind(scene) == []

    play(story)


# The other deployments


def test_elastic_says_that_the_one_master_is_down_meanwhile() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.allow_disconnects = True
        card = await set_value(scene, "room.max_participants 50")
        shown = await in_full(scene.ben, card)
        assert "running meetings end, and none can begin until OpenVidu runs again" in shown
        await scene.ben.press(card, "Approve")
        await scene.card("acme has its new configuration")
        assert all(b"max_participants: 50" in f for f in files(scene))

    play(story, deployment="elastic", kind="fixed")


def test_a_single_node_is_configured_in_its_own_files() -> None:
    async def story(scene: Scene) -> None:
        (master,) = scene.estate.masters("acme")
        flat = "/opt/openvidu/config/livekit.yaml"
        await scene.ana.type_text(
            "COPS", "/openvidu config file set livekit.yaml room.max_participants 50"
        )
        card = await scene.card("Change livekit.yaml of acme")
        shown = await in_full(scene.ben, card)
        assert "running meetings end, and none can begin" in shown
        await scene.ben.press(card, "Approve")
        await scene.card("acme has its new configuration")
        assert _FIFTY in master.node.files[flat]
        assert left_behind(scene) == []

    play(story, deployment="single node", kind="co-located")
