"""Counters and gauges of one process, in Prometheus' text form. What is not listed here is not counted."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class Known:
    """One metric: what it means, and which labels it always carries."""

    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ()


KNOWN: Mapping[str, Known] = MappingProxyType(
    {
        "openvidu_bot_info": Known("gauge", "1, with the version that runs.", ("version",)),
        "openvidu_bot_ready": Known(
            "gauge", "1 while people can be served: Slack is heard and the state store answers."
        ),
        "openvidu_bot_state_up": Known(
            "gauge", "1 while the state store answers; without it no change is made."
        ),
        "openvidu_bot_sockets_open": Known("gauge", "Sockets to Slack that are up; two are usual."),
        "openvidu_bot_slack_token_refused": Known(
            "gauge", "1 while Slack refuses the bot's token: nothing can be said to anyone."
        ),
        "openvidu_bot_channel_closed": Known(
            "gauge", "1 while no card of the cluster can be shown in its channel.", ("cluster",)
        ),
        "openvidu_bot_sweep_age_seconds": Known(
            "gauge", "Seconds since the last round of looking after everything ended well."
        ),
        "openvidu_bot_part_failures_total": Known(
            "counter",
            "Times that a part of the bot went wrong, for one cluster or (empty) as a whole.",
            ("part", "cluster"),
        ),
        "openvidu_bot_part_failing": Known(
            "gauge",
            "1 while a part of the bot does not work for that cluster.",
            ("part", "cluster"),
        ),
        "openvidu_bot_tasks": Known("gauge", "Tasks of the event loop that are alive."),
        "openvidu_bot_runs_total": Known(
            "counter", "Runs that this process saw end, and how.", ("cluster", "procedure", "state")
        ),
        "openvidu_bot_run_seconds_total": Known(
            "counter", "Seconds that these runs took, waiting included.", ("cluster", "procedure")
        ),
        "openvidu_bot_runs_open": Known(
            "gauge", "1 for a cluster that a run has now, by the run's state.", ("cluster", "state")
        ),
        "openvidu_bot_steps_total": Known(
            "counter", "Steps that this process saw reached.", ("cluster", "step")
        ),
        "openvidu_bot_step_seconds_total": Known(
            "counter", "Seconds that these steps took.", ("cluster", "step")
        ),
        "openvidu_bot_step_waiting_seconds": Known(
            "gauge", "Seconds that the open run's step has been worked on.", ("cluster",)
        ),
        "openvidu_bot_question_waiting_seconds": Known(
            "gauge", "Seconds that a run's question has had no answer.", ("cluster",)
        ),
        "openvidu_bot_troubles_total": Known(
            "counter",
            "Looks or asks of a run that got no answer and are tried again.",
            ("cluster",),
        ),
        "openvidu_bot_requests_total": Known(
            "counter", "Requests for approval, by what became of them.", ("cluster", "state")
        ),
        "openvidu_bot_approval_seconds_total": Known(
            "counter", "Seconds that approved requests had waited.", ("cluster",)
        ),
        "openvidu_bot_requests_waiting": Known(
            "gauge", "Requests that wait for approval now.", ("cluster",)
        ),
        "openvidu_bot_api_limit": Known(
            "gauge", "Requests a DigitalOcean token has per hour; its clusters.", ("clusters",)
        ),
        "openvidu_bot_api_remaining": Known(
            "gauge", "Requests that are left of them.", ("clusters",)
        ),
        "openvidu_bot_missed_edges_total": Known(
            "counter", "Closings and openings of windows that came too late.", ("cluster", "kind")
        ),
    }
)


class Metrics:
    """Numbers by name and labels. Bounded: labels are names of clusters and kinds, never what people typed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Count something."""
        key = _key(name, labels, "counter")
        with self._lock:
            self._values[name][key] = self._values[name].get(key, 0.0) + amount

    def put(self, name: str, value: float, **labels: str) -> None:
        """What a gauge shows now."""
        key = _key(name, labels, "gauge")
        with self._lock:
            self._values[name][key] = float(value)

    def forget(self, name: str) -> None:
        """Everything that a gauge showed: what is not put again is gone."""
        with self._lock:
            self._values.pop(name, None)

    def value(self, name: str, **labels: str) -> float:
        """What it says now; 0 when it was never counted."""
        return self._values.get(name, {}).get(tuple(sorted(labels.items())), 0.0)

    def text(self) -> str:
        """The exposition format. A counter without labels is there from the beginning; the others once there is something to count."""
        lines = []
        with self._lock:
            for name, known in KNOWN.items():
                lines += [f"# HELP {name} {known.help}", f"# TYPE {name} {known.kind}"]
                for labels, value in sorted(self._values.get(name, {}).items()):
                    said = ",".join(f'{k}="{_quoted(v)}"' for k, v in labels)
                    lines.append(f"{name}{{{said}}} {value!r}" if said else f"{name} {value!r}")
        return "\n".join(lines) + "\n"


def _key(name: str, labels: Mapping[str, str], kind: str) -> tuple[tuple[str, str], ...]:
    known = KNOWN[name]
    assert known.kind == kind, f"{name} is a {known.kind}"
    assert set(labels) == set(known.labels), f"{name} carries {known.labels}, not {sorted(labels)}"
    return tuple(sorted(labels.items()))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


METRICS = Metrics()
