"""Someone asks what happened in the night, and gets one record of it, with every clock compared."""

import json
from typing import Any

import pytest

from handlers.commands.timeline import span_of
from services.audit.entries import read_entry
from services.common.errors import Refused
from services.runs.run import State
from services.store.keys import run_log_key
from services.timeline import Export, check_export, read_export, runs_in
from simulators.slack.model import File
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import request_and_approve, run_ended

FAST = {"timings": {"power_off_deadline": 60}}


def files(scene: Scene) -> list[File]:
    return list(scene.slack.workspace.files.values())


async def record(scene: Scene, words: str) -> Export:
    """Ask for the timeline as JSON, and return the file that was sent."""
    await scene.ana.type_text("COPS", f"/openvidu timeline {words} --form json")
    await scene.ephemeral("UANA", "Timeline of")
    return read_export((files(scene)[-1].data or b"").decode())


def lines_of(export: Export, source: str) -> list[dict[str, Any]]:
    return [dict(line) for line in export.lines if line["source"] == source]


@pytest.mark.parametrize("ahead", [-90.0, 0.0, 240.0])
def test_the_order_is_that_of_the_world_whatever_digitalocean_s_clock_says(ahead: float) -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene)
            # Written then and read now: what the bot compared with it is over.
            scene.estate.clock_ahead = ahead
            export = await record(scene, "acme-1")
            truth = {
                (d.name.removeprefix("acme-").replace("-node", ""), a.type): a
                for a in scene.estate.actions.values()
                if (d := scene.estate.droplets.get(a.droplet_id)) is not None
                and d.name.startswith("acme-master")
            }
            told = lines_of(export, "DigitalOcean")
            assert len(told) == len(truth) == 4, "each master was shut down once"
            for line in told:
                action = truth[(line["about"], line["text"].partition(" ")[0])]
                assert line["within"] is not None
                assert abs(line["at"] - action.started_at) <= line["within"] + 2
                assert abs(line["told"] - (action.started_at + ahead)) <= 1
            order = [line["text"] for line in export.lines if line["source"] != "Slack"]
            asks = next(i for i, t in enumerate(order) if t.startswith("asks: Power off"))
            sees = next(i for i, t in enumerate(order) if t.startswith("sees it done: Power off"))
            assert all(asks < order.index(line["text"]) < sees for line in told)

    virtual.run(story())


def test_a_stopped_run_names_its_record_and_the_audit_vouches_for_it() -> None:
    async def story() -> None:
        async with Scene(media=1, site=FAST) as scene:
            scene.environment.faults.add("action", "ignored", times=-1)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            run = await scene.run_is("acme-1", State.STOPPED)
            card = await scene.card("is paused")
            assert "`/openvidu timeline acme-1`" in str(card.blocks)
            scene.environment.faults.clear()
            export = await record(scene, run.id)
            texts = [line["text"] for line in export.lines]
            assert any(text.startswith("pauses: ") for text in texts)
            chain = scene.journal.chain
            entries = [e for e in map(read_entry, await chain.texts("acme")) if e is not None]
            journals = {r: await scene.store.read(run_log_key(r)) for r in runs_in(export)}
            assert journals.keys() == {"acme-1"}
            assert check_export(export, entries, journals) == []
            journals["acme-1"] = [t.replace("UANA", "UBEN") for t in journals["acme-1"]]
            assert "the journal of acme-1" in check_export(export, entries, journals)[0].problem

    virtual.run(story())


def test_what_does_not_answer_is_named() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            await request_and_approve(scene, "drain media-1", "Drain media-1")
            await run_ended(scene)
            scene.environment.faults.add("digitalocean", "403", times=-1)
            await scene.ana.type_text("COPS", "/openvidu timeline")
            shown = await scene.ephemeral("UANA", "Timeline of acme-1", timeout=600)
            assert "Not here: " in shown.text
            assert "begins: Drain media-1" in shown.text
            text = (files(scene)[-1].data or b"").decode()
            assert text.startswith("# Timeline of acme-1")
            assert "**Not here:**" in text

    virtual.run(story())


def test_a_span_and_who_may_read_it() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            await scene.dora.type_text("COPS", "/openvidu timeline --since 1h")
            await scene.ephemeral("UDORA", "Only operators")
            assert not files(scene)
            export = await record(scene, "--since 1h")
            assert json.loads(export.text.splitlines()[0])["subject"] == "acme"
            await scene.ana.type_text("COPS", "/openvidu timeline yesterday")
            await scene.ephemeral("UANA", "Write a run, or a day and hours")
            await scene.ana.type_text("COPS", "/openvidu timeline acme-77")
            await scene.ephemeral("UANA", "acme-77")

    virtual.run(story())


def test_days_and_hours() -> None:
    now = 1_800_000_000.0  # 2027-01-15 08:00 UTC
    begins, ends = span_of("2027-01-14", "22:00-4:00", now, "UTC")
    assert (now - begins, now - ends) == (10 * 3600, 4 * 3600)
    assert span_of("today", "07:00-09:00", now, "UTC")[1] == now, "not beyond now"
    for day, hours in (
        ("tomorrow", "1:00-2:00"),
        ("today", "25:00-26:00"),
        ("today", "9:00-10:00"),
    ):
        with pytest.raises(Refused):
            span_of(day, hours, now, "UTC")
