"""LiveKit's metrics page on a node."""

from simulators.evidence import Source, rests_on
from simulators.node.session import Session

METRICS_PATIENCE = 2.0
"""curl's `-m`, in seconds."""


def gauges(session: Session) -> list[str]:
    """Return LiveKit's gauges, as its metrics page shows them at port 6789."""
    session.substitute()
    if not session.droplet.node.running("openvidu"):
        return []
    if "metrics-silent" in session.faults:
        session.spend(METRICS_PATIENCE)
        return []
    meetings = [m for m in session.estate.meetings_on(session.droplet.id) if not m.roomless]
    if "metrics-empty" in session.faults:
        meetings = []
    labels = f'{{node_id="ND_{session.droplet.id}",node_type="SERVER"}}'
    people = sum(m.people + m.hidden for m in meetings)
    return [
        f"livekit_room_total{labels} {len(meetings)}",
        f"livekit_participant_total{labels} {people}",
    ]


rests_on(
    "scripts",
    Source.SOURCE,
    "livekit pkg/telemetry/prometheus",
    "LiveKit's gauges",
)
