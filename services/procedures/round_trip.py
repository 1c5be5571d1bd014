"""A shutdown with an operation in the middle, and a start-up to the state before."""

from collections.abc import Iterator

from services.cluster.model import Cluster
from services.procedures import fleet
from services.procedures.node_service import start_stopped_masters, start_stopped_media
from services.steps import FrontAnswers, Healthy, PowerOff, PowerOn, Step


def shutdown(cluster: Cluster) -> Iterator[Step]:
    """Yield the whole shutdown."""
    media = fleet.fleet_of(cluster)
    yield from media.shutdown_steps()
    yield PowerOff(tuple(m.name for m in cluster.masters), kept=media.allowed_to_stay)


def startup(cluster: Cluster, number: int) -> Iterator[Step]:
    """Yield the whole start-up. `number` 0: without media nodes."""
    names = tuple(m.name for m in cluster.masters)
    for name in names:
        yield PowerOn(name)
    yield from start_stopped_masters(cluster)
    yield Healthy(names)
    yield FrontAnswers()
    if number:
        yield from start_stopped_media(cluster)
        yield from fleet.fleet_of(cluster).startup_steps(number)


def round_trip(cluster: Cluster, middle: Iterator[Step], least: int = 0) -> Iterator[Step]:
    """Yield a shutdown, the steps in the middle, and a start-up.

    It ends with as many media nodes as before, and with at least `least`.
    """
    number, now = max(fleet.fleet_of(cluster).number_to_restore, least), cluster
    for step in shutdown(cluster):
        yield step
        if not step.is_done(now):
            now = step.after(now)
    yield from middle
    yield from startup(now, number)


def returns_to_service(left: tuple[Step, ...]) -> bool:
    """Return whether these remaining steps end with the cluster up, as it was before."""
    return fleet.promised_nodes(left) > 0 or any(
        isinstance(s, PowerOn | Healthy | FrontAnswers) for s in left
    )


def rest_of_trip(
    cluster: Cluster, middle: tuple[Step, ...], left: tuple[Step, ...]
) -> Iterator[Step]:
    """Yield the rest of a round trip in progress, with these steps `left`.

    Without steps in the middle, nothing more is stopped.
    """
    least = fleet.promised_nodes(left)
    if middle:
        yield from round_trip(cluster, iter(middle), least)
    else:
        yield from startup(cluster, max(fleet.fleet_of(cluster).number_to_restore, least))
