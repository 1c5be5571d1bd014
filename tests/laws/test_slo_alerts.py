"""The burn-rate rules, evaluated over the series of their promtool tests."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.schedule.slo import Objectives as Targets
from services.schedule.slo import SloReport, Span
from tests.support.promql import evaluate, seconds, series_of

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
RULES: dict[str, Any] = {
    rule["alert"]: rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
}
OURS = ("OpenviduSloFastBurn", "OpenviduSloSlowBurn", "OpenviduUnnamedDisconnect")
CASES = [
    (test, case)
    for test in yaml.safe_load((FOLDER / "alerts.test.yaml").read_text())["tests"]
    for case in test["alert_rule_test"]
    if case["alertname"] in OURS
]


@pytest.mark.parametrize(
    ("test", "case"), CASES, ids=[f"{t['name'][:30]} {c['eval_time']}" for t, c in CASES]
)
def test_a_rule_fires_when_its_test_says(test: dict[str, Any], case: dict[str, Any]) -> None:
    series = series_of(test["input_series"], seconds(test["interval"]))
    rule = RULES[case["alertname"]]
    firing = evaluate(rule["expr"], series, seconds(case["eval_time"]))
    found = [{**dict(labels), **rule["labels"]} for labels in firing]
    assert found == [one["exp_labels"] for one in case["exp_alerts"]]


def test_every_rule_is_seen_to_fire_and_not_to_fire() -> None:
    for name in OURS:
        seen = {bool(case["exp_alerts"]) for _, case in CASES if case["alertname"] == name}
        assert seen == {True, False}, name


def test_each_objective_has_its_counters() -> None:
    report = SloReport("acme", Span(0.0, 1.0, "a second"), Targets(), 0.0)
    assert set(report.counts) == set(report.shares)
