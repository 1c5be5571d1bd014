"""Everything that is simulated says what it rests on."""

import dataclasses
import pkgutil
from pathlib import Path
from typing import get_args

import pytest

import simulators
import simulators.cloud
from scripts import evidence
from simulators.cloud.delays import Delays
from simulators.cloud.model import SigquitBehaviour
from simulators.digitalocean.routing import ROUTES
from simulators.evidence import MARKS, Source
from simulators.github import GITHUB_ROUTES
from simulators.livekit import LivekitApi
from simulators.node.scripts import COMMANDS, SCRIPTS
from simulators.slack.webapi import METHODS
from simulators.spaces import OPERATIONS

ROOT = Path(__file__).resolve().parents[2]
# Of `simulators/cloud`: values, wiring and bookkeeping, which behave in no way of their own.
WIRING = {
    "builder", "catalog", "cloud", "events", "invariants", "model", "state", "timeline",
}  # fmt: skip


def marked(party: str) -> set[str]:
    evidence.marks()
    return {what for of, what in MARKS if of == party}


def test_every_route_is_marked() -> None:
    assert ROUTES
    assert {f"{route.verb} {route.path}" for route in ROUTES} <= marked("DigitalOcean")


def test_every_delay_is_marked() -> None:
    assert {field.name for field in dataclasses.fields(Delays)} == marked("durations")


def test_every_method_of_slack_is_marked() -> None:
    assert set(METHODS) == marked("Slack")


def test_every_operation_of_github_is_marked() -> None:
    assert {f"{route.verb} {route.path}" for route in GITHUB_ROUTES} == marked("GitHub")


def test_every_method_of_livekit_is_marked() -> None:
    from tests.contracts.small_world import World  # noqa: PLC0415

    api = LivekitApi(World().estate, World().cluster)
    assert {path.removeprefix("/twirp/livekit.") for path in api._methods} == marked("LiveKit")


def test_every_script_and_operation_is_marked() -> None:
    scripts = {answer.__name__ for answer in SCRIPTS.values()} | {"drain"} | set(COMMANDS)
    assert scripts <= marked("scripts")
    assert set(OPERATIONS) <= marked("Spaces")


def test_every_part_of_the_cloud_is_marked() -> None:
    """What behaves, by its module: nodes, pools, containers, power, the function ..."""
    folder = Path(simulators.cloud.__path__[0])
    parts = {m.name for m in pkgutil.iter_modules([str(folder)])} - WIRING
    unmarked = {
        part for part in parts if "rests_on(" not in (folder / f"{part}.py").read_text("utf-8")
    }
    assert not unmarked
    assert len(get_args(SigquitBehaviour)) == sum(
        w.startswith("an agent") for w in marked("containers")
    )


def test_no_mark_is_of_what_is_no_more() -> None:
    """A route, method or delay that was taken out takes its mark along."""
    routes = {f"{route.verb} {route.path}" for route in ROUTES}
    paths = {what for what in marked("DigitalOcean") if "/v2/" in what}
    assert paths == routes
    assert all(mark.where for mark in evidence.marks())
    assert {mark.source for mark in evidence.marks()} >= {Source.SCHEMA, Source.NOTHING}


def test_the_summary_is_current() -> None:
    assert (ROOT / "ARCHITECTURE.md").read_text("utf-8") == evidence.architecture(), (
        "run: make docs"
    )


def test_a_recording_of_an_account_counts_and_an_example_does_not(tmp_path: Path) -> None:
    story = '{"format": 1, "bot": "x", "kind": "pool"%s}\n'
    line = '{"n": 1, "t": 0, "party": "digitalocean", "ask": "GET /v2/droplets/{droplet_id}"}\n'
    script = '{"n": 2, "t": 0, "party": "ssh", "ask": "restart openvidu", "status": 0}\n'
    page = '{"n": 3, "t": 0, "party": "http", "ask": "GET health page", "status": 200}\n'
    (tmp_path / "real.jsonl").write_text(story % "" + line + script + page)
    (tmp_path / "published.jsonl").write_text(story % ', "published": "examples"' + line)
    shown = evidence.recorded(tmp_path)
    assert shown == {
        ("DigitalOcean", "GET /v2/droplets/{}"): "real.jsonl",
        ("scripts", "systemctl restart openvidu"): "real.jsonl",
        evidence.HEALTH: "real.jsonl",
    }


def test_the_health_page_is_marked() -> None:
    evidence.marks()
    assert evidence.HEALTH in MARKS


def test_a_mark_is_made_once() -> None:
    from simulators.evidence import rests_on  # noqa: PLC0415

    evidence.marks()
    with pytest.raises(AssertionError, match="marked twice"):
        rests_on("Slack", Source.NOTHING, "x", "auth.test")
