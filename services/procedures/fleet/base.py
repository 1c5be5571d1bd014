"""What every kind of media fleet can be asked."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.cluster.model import Cluster, MediaNode, short
from services.common.errors import Refused
from services.common.text import count, listed
from services.procedures import find_node as nodes
from services.steps import Step

PLAN_FIRST = "read the plan before you apply it"


@dataclass(frozen=True)
class Way:
    """How something is done with a fleet: the steps, what people should know before, and what they should do afterwards."""

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    afterwards: tuple[str, ...] = ()
    next: str = ""  # what to do next, said at the end


@dataclass(frozen=True)
class Alarm:
    """Something that nobody asked about and somebody should know. Told once by its name."""

    name: str
    text: str


class Fleet(ABC):
    """The media nodes of one look at a cluster: how they are seen, let go and brought back. Refused where a kind cannot do a thing."""

    name: str  # as people say it: "an autoscale pool"
    saves = True  # nodes that are let go are not billed any more
    installs = True  # nodes that come are new droplets, which install themselves with what secrets.env says

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    # The way down and up

    @abstractmethod
    def let_go(
        self,
        *,
        drain: bool = True,
        alone: bool = False,
        limit: float | None = None,
        gives_up: float = 0.0,
    ) -> Iterator[Step]:
        """Every media node finishes and is let go. `alone`: the masters stay on; `limit` and `gives_up`: of a window."""

    def until_final(self, gives_up: float) -> int:
        """How many media nodes stay in service while the whole fleet is let go: as long as people may still say that it stays up."""
        return self.cluster.min_serving if gives_up else 0

    def floor_without(self, going: Iterable[MediaNode]) -> int:
        """How many stay in service while these are drained: as the settings say, and no more than the others that can be."""
        ids = {n.id for n in going}
        others = [
            n
            for n in self.cluster.media
            if n.id not in ids and n.member_status != "deleting" and not n.droplet.off
        ]
        # One that is not reached at this moment counts: a plan must not become another one because SSH did not answer.
        return min(
            self.cluster.min_serving,
            len([n for n in others if not (n.parked or n.draining or n.held)]),
        )

    def must_leave(self, number: int) -> None:
        """Refused when so few media nodes would stay in service at the end."""
        name, least = self.cluster.name, self.cluster.min_serving
        if number < least:
            left = f"{count(number, 'media node')} would stay in service, and `drain.min_serving` of {name} is {least}"
            raise Refused(
                f"{left}; [[command shutdown]] closes {name}, and the setting says how few are enough"
            )

    @property
    def kept(self) -> tuple[int, ...]:
        """Media droplets that may stay while the masters are off."""
        return ()

    @abstractmethod
    def bring_back(self, number: int) -> Iterator[Step]:
        """That many media nodes serve again."""

    @property
    @abstractmethod
    def before(self) -> int:
        """How many to bring back when the masters were off for something."""

    def check_round(self) -> None:  # noqa: B027 - most can
        """Refused when they could be let go, and not be brought back."""

    @abstractmethod
    def startup_number(self, said: int | None) -> int | None:
        """How many media nodes a start-up ends with; None when nobody said and nothing tells."""

    @property
    def most(self) -> int | None:
        """The largest number that can be said to a start-up; 0 where none can be, None where any can."""
        return None

    @abstractmethod
    def check_startup(self, said: int | None) -> None:
        """Refused when that number makes no sense."""

    def check_opening(self, number: int) -> None:  # noqa: B027 - a pool takes any
        """Refused when a window cannot open with that number."""

    def down_notes(self) -> tuple[str, ...]:
        """What people should know before a shutdown."""
        return ()

    def up_notes(self) -> tuple[str, ...]:
        """What people should know before a start-up."""
        return ()

    def up_afterwards(self, said: int | None) -> tuple[str, ...]:  # noqa: ARG002
        """What people should do after a start-up."""
        return ()

    @abstractmethod
    def down_next(self) -> str:
        """How it is started again, said after a shutdown."""

    def unmoved(self, steps: Iterable[Step]) -> Iterator[Step]:
        """These steps, while nothing adds a media node."""
        return iter(steps)

    def moved(self) -> Iterator[Step]:
        """What holds still only because of us moves again: the way back."""
        return iter(())

    # Numbers and sizes

    @abstractmethod
    def scale(self, number: int, *, harsh: bool) -> Way:
        """Another number of media nodes."""

    @abstractmethod
    def resize(self, size: str, *, harsh: bool) -> Way:
        """Media nodes of another size."""

    def resize_back(self, step: Step) -> Iterator[Step]:  # noqa: ARG002
        """The way back when a resize cannot be done."""
        return iter(())

    # Single nodes

    def pick(self, said: str) -> tuple[MediaNode, ...]:
        """The nodes that are meant: all of them, one by its name or id."""
        if said.lower() == "all":
            return tuple(n for n in self.cluster.media if n.member_status != "deleting")
        return (nodes.media(self.cluster, said),)

    @abstractmethod
    def drain(self, chosen: tuple[MediaNode, ...], said: str) -> Way:
        """These nodes finish their meetings."""

    def check_restart(self, node: MediaNode, said: str) -> None:  # noqa: B027 - most may
        """Refused when OpenVidu is not to be restarted there."""

    # What only one kind can do

    def freeze(self) -> Way:
        """The number of nodes stays as it is."""
        raise Refused(
            f"{self.cluster.name} has {self.name}, which changes nothing by itself; there is nothing to freeze"
        )

    def unfreeze(self) -> Way:
        """The number of nodes changes by itself again."""
        raise Refused(
            f"{self.cluster.name} has {self.name}, which changes nothing by itself; there is nothing to unfreeze"
        )

    def park(self, said: str, *, harsh: bool) -> Way:  # noqa: ARG002
        """Nodes are drained and switched off."""
        raise Refused(
            f"parking is for fixed media nodes; {self.cluster.name} has {self.name}: {self.fewer}"
        )

    def unpark(self, said: str) -> Way:  # noqa: ARG002
        """Parked nodes serve again."""
        raise Refused(f"parking is for fixed media nodes; {self.cluster.name} has {self.name}")

    def roll(self, size: str) -> Way:  # noqa: ARG002
        """Nodes of another size go one after the other, as new ones come."""
        raise Refused(
            f"rolling is for an autoscaler; {self.cluster.name} has {self.name}: [[command resize media]] changes their size"
        )

    fewer = ""  # how to run fewer, said where something else was asked for

    # What is told

    @abstractmethod
    def words(self) -> str:
        """What keeps the media nodes, in one line."""

    def means(self) -> str:
        """What that means for who operates it."""
        return ""

    def warnings(self) -> tuple[str, ...]:
        """What somebody should look at."""
        return ()

    def alarms(self) -> tuple[Alarm, ...]:
        """What is told though nobody asked, while no run has the cluster."""
        return ()

    def who(self, chosen: tuple[MediaNode, ...]) -> str:
        """Their names, when they are few; else ""."""
        return nodes.who(self.cluster, chosen)

    def short(self, chosen: Iterable[MediaNode]) -> str:
        """All their names."""
        return listed(short(n.name, self.cluster.stack) for n in chosen)


def masters_must_serve(cluster: Cluster) -> None:
    """Refused while a master is not healthy: new media nodes register with them."""
    sick = [short(m.name, cluster.stack) for m in cluster.masters if not m.well]
    if sick:
        raise Refused(
            f"{listed(sick)} {'is' if len(sick) == 1 else 'are'} not healthy, and new media nodes register with the masters: "
            f"see [[command status {sick[0]}]], then [[command restart {sick[0]}]] or [[command startup]]"
        )
