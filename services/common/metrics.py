"""Counters and gauges of one process, kept and written by prometheus-client.

They live in a registry of their own: its global one adds metrics of the process and of Python.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)

# Prometheus needs no series with the time at which each counter was created.
_leave_out_created: Callable[[], None] = disable_created_metrics
_leave_out_created()


@dataclass(frozen=True)
class Metric:
    """Declares a metric: its type, help text, and the labels it always carries."""

    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ()


KNOWN: Mapping[str, Metric] = MappingProxyType(
    {
        "openvidu_bot_info": Metric(
            "gauge", "Always 1; the label is the running version.", ("version",)
        ),
        "openvidu_bot_ready": Metric(
            "gauge",
            "1 while the bot can answer people: Slack is connected and the state store answers.",
        ),
        "openvidu_bot_state_up": Metric(
            "gauge", "1 while the state store answers; without it, no change is made."
        ),
        "openvidu_bot_sockets_open": Metric("gauge", "Open sockets to Slack; two are usual."),
        "openvidu_bot_slack_token_refused": Metric(
            "gauge", "1 while Slack refuses the bot's token, so that it cannot post anything."
        ),
        "openvidu_bot_channel_closed": Metric(
            "gauge", "1 while the bot cannot post in the cluster's channel.", ("cluster",)
        ),
        "openvidu_bot_sweep_age_seconds": Metric(
            "gauge", "Seconds since the last complete round over all clusters."
        ),
        "openvidu_bot_round_seconds": Metric(
            "gauge", "Seconds that the last round over all clusters took; one begins every ten."
        ),
        "openvidu_bot_part_failures_total": Metric(
            "counter",
            "Failures of a part of the bot, for one cluster, or for all (empty).",
            ("part", "cluster"),
        ),
        "openvidu_bot_part_failing": Metric(
            "gauge",
            "1 while a part of the bot fails for that cluster.",
            ("part", "cluster"),
        ),
        "openvidu_bot_clusters_driven": Metric(
            "gauge",
            "Clusters whose windows, looks and open runs are left to this bot, of those it shares.",
        ),
        "openvidu_bot_tasks": Metric("gauge", "Running tasks of the event loop."),
        "openvidu_bot_runs_total": Metric(
            "counter",
            "Runs that ended in this process, by final state.",
            ("cluster", "procedure", "state"),
        ),
        "openvidu_bot_run_seconds_total": Metric(
            "counter",
            "Duration of these runs in seconds, including waits.",
            ("cluster", "procedure"),
        ),
        "openvidu_bot_runs_open": Metric(
            "gauge", "1 for a cluster with an open run, by the run's state.", ("cluster", "state")
        ),
        "openvidu_bot_steps_total": Metric(
            "counter", "Steps completed in this process.", ("cluster", "step")
        ),
        "openvidu_bot_step_seconds_total": Metric(
            "counter", "Duration of these steps in seconds.", ("cluster", "step")
        ),
        "openvidu_bot_step_waiting_seconds": Metric(
            "gauge", "Seconds since the open run's current step started.", ("cluster",)
        ),
        "openvidu_bot_question_waiting_seconds": Metric(
            "gauge", "Seconds that a run's question has been open.", ("cluster",)
        ),
        "openvidu_bot_troubles_total": Metric(
            "counter",
            "Observations or requests of a run without an answer, which are retried.",
            ("cluster",),
        ),
        "openvidu_bot_requests_total": Metric(
            "counter", "Requests for approval, by final state.", ("cluster", "state")
        ),
        "openvidu_bot_approval_seconds_total": Metric(
            "counter", "Seconds that approved requests waited for approval.", ("cluster",)
        ),
        "openvidu_bot_requests_waiting": Metric(
            "gauge", "Requests now waiting for approval.", ("cluster",)
        ),
        "openvidu_bot_api_limit": Metric(
            "gauge",
            "Requests per hour allowed for a DigitalOcean token; the label lists its clusters.",
            ("clusters",),
        ),
        "openvidu_bot_api_remaining": Metric(
            "gauge", "Requests remaining in that hour.", ("clusters",)
        ),
        "openvidu_bot_slo_events_total": Metric(
            "counter",
            "What an objective counts: openings, closings, seconds observed, answers needed.",
            ("cluster", "objective"),
        ),
        "openvidu_bot_slo_breaches_total": Metric(
            "counter", "Those of them that were not good.", ("cluster", "objective")
        ),
        "openvidu_bot_slo_target": Metric(
            "gauge", "The share of them that is to be good.", ("cluster", "objective")
        ),
        "openvidu_bot_unnamed_disconnects_total": Metric(
            "counter",
            "Times that people were disconnected whom no card had named.",
            ("cluster",),
        ),
        "openvidu_bot_missed_edges_total": Metric(
            "counter", "Closings and openings of windows that were missed.", ("cluster", "kind")
        ),
    }
)


class Metrics:
    """Values by metric name and labels; only names in `KNOWN` exist, others raise KeyError.

    Bounded: labels are names of clusters and kinds, never what people typed. Labels other than the
    declared ones raise ValueError. A gauge without labels is NaN until it is set: unknown is not 0.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._metrics: dict[str, Counter | Gauge] = {}
        for name, known in KNOWN.items():
            kind = Counter if known.kind == "counter" else Gauge
            metric = kind(name, known.help, known.labels, registry=self._registry)
            if isinstance(metric, Gauge) and not known.labels:
                metric.set(math.nan)
            self._metrics[name] = metric

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Increase a counter."""
        counter = self._metrics[name]
        assert isinstance(counter, Counter), f"{name} is a gauge"
        (counter.labels(**labels) if labels else counter).inc(amount)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._metrics[name]
        assert isinstance(gauge, Gauge), f"{name} is a counter"
        (gauge.labels(**labels) if labels else gauge).set(value)

    def clear(self, name: str) -> None:
        """Remove all series of a metric with labels; only those set again show up afterwards."""
        self._metrics[name].clear()

    def value(self, name: str, **labels: str) -> float:
        """Return the current value; 0 for a series that does not exist."""
        return self._registry.get_sample_value(name, labels) or 0.0

    def text(self) -> str:
        """Return the text exposition format. A series with labels appears with its first value."""
        return generate_latest(self._registry).decode()


METRICS = Metrics()
