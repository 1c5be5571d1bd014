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
        "openvidu_bot_info": Metric("gauge", "1, with the version that runs.", ("version",)),
        "openvidu_bot_ready": Metric(
            "gauge", "1 while people can be served: Slack is heard and the state store answers."
        ),
        "openvidu_bot_state_up": Metric(
            "gauge", "1 while the state store answers; without it no change is made."
        ),
        "openvidu_bot_sockets_open": Metric(
            "gauge", "Sockets to Slack that are up; two are usual."
        ),
        "openvidu_bot_slack_token_refused": Metric(
            "gauge", "1 while Slack refuses the bot's token: nothing can be said to anyone."
        ),
        "openvidu_bot_channel_closed": Metric(
            "gauge", "1 while no card of the cluster can be shown in its channel.", ("cluster",)
        ),
        "openvidu_bot_sweep_age_seconds": Metric(
            "gauge", "Seconds since the last round of looking after everything ended well."
        ),
        "openvidu_bot_part_failures_total": Metric(
            "counter",
            "Times that a part of the bot went wrong, for one cluster or (empty) as a whole.",
            ("part", "cluster"),
        ),
        "openvidu_bot_part_failing": Metric(
            "gauge",
            "1 while a part of the bot does not work for that cluster.",
            ("part", "cluster"),
        ),
        "openvidu_bot_tasks": Metric("gauge", "Tasks of the event loop that are alive."),
        "openvidu_bot_runs_total": Metric(
            "counter", "Runs that this process saw end, and how.", ("cluster", "procedure", "state")
        ),
        "openvidu_bot_run_seconds_total": Metric(
            "counter", "Seconds that these runs took, waiting included.", ("cluster", "procedure")
        ),
        "openvidu_bot_runs_open": Metric(
            "gauge", "1 for a cluster that a run has now, by the run's state.", ("cluster", "state")
        ),
        "openvidu_bot_steps_total": Metric(
            "counter", "Steps that this process saw reached.", ("cluster", "step")
        ),
        "openvidu_bot_step_seconds_total": Metric(
            "counter", "Seconds that these steps took.", ("cluster", "step")
        ),
        "openvidu_bot_step_waiting_seconds": Metric(
            "gauge", "Seconds that the open run's step has been worked on.", ("cluster",)
        ),
        "openvidu_bot_question_waiting_seconds": Metric(
            "gauge", "Seconds that a run's question has had no answer.", ("cluster",)
        ),
        "openvidu_bot_troubles_total": Metric(
            "counter",
            "Looks or asks of a run that got no answer and are tried again.",
            ("cluster",),
        ),
        "openvidu_bot_requests_total": Metric(
            "counter", "Requests for approval, by what became of them.", ("cluster", "state")
        ),
        "openvidu_bot_approval_seconds_total": Metric(
            "counter", "Seconds that approved requests had waited.", ("cluster",)
        ),
        "openvidu_bot_requests_waiting": Metric(
            "gauge", "Requests that wait for approval now.", ("cluster",)
        ),
        "openvidu_bot_api_limit": Metric(
            "gauge", "Requests a DigitalOcean token has per hour; its clusters.", ("clusters",)
        ),
        "openvidu_bot_api_remaining": Metric(
            "gauge", "Requests that are left of them.", ("clusters",)
        ),
        "openvidu_bot_missed_edges_total": Metric(
            "counter", "Closings and openings of windows that came too late.", ("cluster", "kind")
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
