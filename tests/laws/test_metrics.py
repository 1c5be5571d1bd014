"""The metrics page: complete, in Prometheus' format, with everything dashboards and alerts use."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.metrics import MetricsCollector
from services.access.policy import Actor
from services.common.metrics import KNOWN, METRICS, Metrics
from services.operations.results import WaitingForApproval
from services.procedures import Scale, Shutdown
from services.runs.authorization import ANY_PLAN
from services.runs.progress import Progress
from services.runs.run import Run
from tests.support.scene import Scene
from tests.support.virtual import run

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "openvidu-bot.json"
LABEL = r'[a-z_]+="(?:[^"\\\n]|\\[\\n"])*"'
SAMPLE = re.compile(rf"(?P<name>[a-z_]+)(?:\{{(?P<labels>{LABEL}(?:,{LABEL})*)\}})? (?P<value>\S+)")
NAME = re.compile(r"openvidu_bot_[a-z_]+")


def read(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The page as Prometheus reads it: each sample below the HELP and TYPE of its own metric."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    about, kinds = "", {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            about = line.split()[2]
            assert about not in kinds, f"{about} stands there twice"
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name == about
            kinds[name] = kind
            found[name] = []
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match["name"] == about
            labels = dict(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', match["labels"] or ""))
            found[about].append((labels, float(match["value"])))
    assert kinds == {name: known.kind for name, known in KNOWN.items()}
    return found


def test_every_metric_says_what_it_is() -> None:
    for name, known in KNOWN.items():
        assert NAME.fullmatch(name)
        assert name.endswith("_total") == (known.kind == "counter"), name
        assert known.help.endswith("."), name
        assert "\n" not in known.help


def test_a_label_may_hold_anything() -> None:
    metrics = Metrics()
    metrics.set("openvidu_bot_info", 1, version='1"\\\n2')
    assert read(metrics.text())["openvidu_bot_info"] == [({"version": '1\\"\\\\\\n2'}, 1.0)]


def test_what_is_not_listed_or_labelled_otherwise_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Metrics().add("openvidu_bot_dances_total")
    with pytest.raises(ValueError, match="label"):
        Metrics().add("openvidu_bot_missed_edges_total", cluster="acme")
    with pytest.raises(ValueError, match="label"):
        Metrics().add("openvidu_bot_missed_edges_total")
    with pytest.raises(ValueError, match="label"):
        Metrics().set("openvidu_bot_ready", 1, cluster="acme")
    with pytest.raises(AssertionError, match="is a gauge"):
        Metrics().add("openvidu_bot_ready")


def test_a_gauge_is_unknown_until_it_is_set() -> None:
    metrics = Metrics()
    before = read(metrics.text())
    assert math.isnan(before["openvidu_bot_ready"][0][1])
    assert before["openvidu_bot_channel_closed"] == []
    metrics.set("openvidu_bot_ready", 0)
    assert read(metrics.text())["openvidu_bot_ready"] == [({}, 0.0)]


def test_a_shutdown_is_counted_as_it_happens_and_measured_while_it_lasts() -> None:
    async def story() -> None:
        async with Scene() as scene:
            operations = scene.bots[0].operations
            measures = MetricsCollector(operations, scene.clock.now, "1.2.3")
            before = read(METRICS.text())
            ana, ben = Actor("UANA", "T0ACME"), Actor("UBEN", "T0ACME")
            asked = await operations.service.request(ana, "acme", Shutdown())
            assert isinstance(asked, WaitingForApproval)
            await measures.measure(ready=True, state_up=True, sockets=2, silent=3.0)
            page = read(METRICS.text())
            assert page["openvidu_bot_requests_waiting"] == [({"cluster": "acme"}, 1.0)]
            assert page["openvidu_bot_runs_open"] == []
            assert page["openvidu_bot_sockets_open"] == [({}, 2.0)]
            assert page["openvidu_bot_api_limit"] == [({"clusters": "acme"}, 5000.0)]
            await scene.clock.sleep(60)
            await operations.service.approve(asked.request.id, ben)
            await scene.clock.sleep(20)
            await measures.measure(ready=True, state_up=True, sockets=2, silent=3.0)
            page = read(METRICS.text())
            assert page["openvidu_bot_runs_open"] == [
                ({"cluster": "acme", "state": "running"}, 1.0)
            ]
            assert page["openvidu_bot_step_waiting_seconds"][0][1] > 0
            await over(scene, "acme-1")
            await measures.measure(ready=False, state_up=False, sockets=0, silent=3.0)
            page = read(METRICS.text())
            ended = {"cluster": "acme", "procedure": "shutdown", "state": "done"}
            assert gained(before, page, "openvidu_bot_runs_total", ended) == 1
            assert gained(
                before, page, "openvidu_bot_approval_seconds_total", {"cluster": "acme"}
            ) == pytest.approx(60, abs=5)
            steps = [
                labels["step"]
                for labels, _ in page["openvidu_bot_steps_total"]
                if labels["cluster"] == "acme"
            ]
            assert len(set(steps)) == 4
            assert page["openvidu_bot_runs_open"] == [], "what is not known is not shown"
            assert page["openvidu_bot_state_up"] == [({}, 0.0)]

    run(story())


async def over(scene: Scene, name: str) -> Run:
    while True:
        found = await scene.journal.run(name)
        if found.over:
            return found
        await scene.clock.sleep(5)


def gained(before: Any, after: Any, name: str, labels: dict[str, str]) -> float:
    values = [
        dict_of.get(tuple(sorted(labels.items())), 0.0)
        for dict_of in (by_labels(before[name]), by_labels(after[name]))
    ]
    return values[1] - values[0]


def by_labels(
    samples: list[tuple[dict[str, str], float]],
) -> dict[tuple[tuple[str, str], ...], float]:
    return {tuple(sorted(labels.items())): value for labels, value in samples}


def test_what_an_earlier_life_reached_is_not_counted_again() -> None:
    async def story() -> None:
        async with Scene() as scene:
            operations = scene.bots[0].operations
            ana = Actor("UANA", "T0ACME")
            await operations.service.request(ana, "acme", Scale(5), confirmed=ANY_PLAN)
            done = await over(scene, "acme-1")
            picked_up = replace(done, takes=2, state=done.state)
            measures = MetricsCollector(operations, scene.clock.now, "1")
            before = read(METRICS.text())["openvidu_bot_steps_total"]
            measures.run(Progress(picked_up, None, "", None, "", scene.clock.now()))
            assert read(METRICS.text())["openvidu_bot_steps_total"] == before

    run(story())


# Dashboard and alerts


def expressions() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alert {rule['alert']}", str(rule["expr"])
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"]


def test_dashboard_and_alerts_speak_only_of_metrics_and_labels_that_there_are() -> None:
    for where, expression in expressions():
        names = NAME.findall(re.sub(r'"[^"]*"', "", expression))
        assert names, where
        for name in names:
            assert name in KNOWN, f"{where}: {name}"
        for name, matched in re.findall(r"(openvidu_bot_[a-z_]+)\{([^}]*)\}", expression):
            assert set(re.findall(r"(\w+)(?:=~|=|!=|!~)", matched)) <= set(KNOWN[name].labels), (
                f"{where}: {matched}"
            )
        for by in re.findall(r"by \(([^)]*)\)", expression):
            known = {label for name in names for label in KNOWN[name].labels} | {"instance"}
            assert {b.strip() for b in by.split(",")} <= known, f"{where}: by ({by})"


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {
        name
        for where, expression in expressions()
        if where.startswith("panel")
        for name in NAME.findall(expression)
    }
    assert set(KNOWN) <= shown


def test_an_alert_says_what_to_do_and_where_its_labels_come_from() -> None:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            said = rule["annotations"]
            assert set(said) == {"summary", "description"}
            labels = {
                label
                for name in NAME.findall(rule["expr"])
                if name in KNOWN
                for label in KNOWN[name].labels
            }
            assert set(re.findall(r"\$labels\.(\w+)", str(said))) <= labels, rule["alert"]
            for path in re.findall(r"docs/[\w/-]+\.md", said["description"]):
                assert (ROOT / path).is_file(), path
