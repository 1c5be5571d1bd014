"""What the cards of status, Home, menu and lists answer."""

from tests.laws.first_screen import Answers, NotAsked

_STILL = NotAsked("nothing changes by it")
_NOTHING = NotAsked("nothing is wrong")

ALL_WELL = Answers(
    who="Meetings now",
    long=_STILL,
    cost="$0.50/h",
    do=_NOTHING,
    undo=_STILL,
)


def _now(
    who: str | tuple[str, str] | NotAsked = (
        "Meetings now: 3 (14 people",
        "Meetings now 3 (14 people",
    ),
    long: str | NotAsked = _STILL,
    cost: str | NotAsked = "$0.50/h",
    do: str | tuple[str, str] | NotAsked = _NOTHING,
) -> Answers:
    """Return the answers of an overview: whom it is about, what it costs, and the next step."""
    return Answers(who=who, long=long, cost=cost, do=do, undo=_STILL)


ANSWERS: dict[str, Answers] = {
    "status-up": ALL_WELL,
    "status-down": _now(who="none while shut down", cost="$0.29/h for powered-off masters"),
    "status-problem": _now(
        who="Nothing can be changed here",
        cost="$0.43/h",
        do="exactly four are needed",
    ),
    "status-unknown": _now(
        who="unknown (LiveKit does not answer)", do="Waiting for approval: Shut down acme"
    ),
    "later-list": _now(
        who=NotAsked("the cards of the requests say so"),
        long="Shut down acme",
        cost=NotAsked("the cards of the requests say so"),
        do="/openvidu later cancel ID",
    ),
    "views/status": _now(do=("acme is in service", "Shut down…")),
    "views/status-busy": _now(long="step 1 of 4", do=("takes no new meetings", "Cancel run…")),
    "views/status-wrong": _now(
        do="/openvidu startup puts media nodes back in service", cost="$0.50/h"
    ),
    "views/menu": _now(do=("You may: Status, Shut down", "Shut down…")),
    "views/menu-approver": _now(do=("Waiting for you: Shut down acme", "Approve shutdown")),
    "views/menu-busy": _now(long="step 1 of 4", do=("this run has ended", "Cancel run…")),
    "views/menu-down": _now(
        who="none while shut down",
        cost="$0.29/h for powered-off masters",
        do=("You may: Status, Start up", "Start up…"),
    ),
    "views/menu-held": _now(long="on hold until", do=("End the hold", "End the hold")),
    "views/menu-reader": _now(do="Ask <@UANA> or <@UBEN>"),
    "views/home": _now(
        who="No one is disconnected: 3 meetings (14 people, 1 recording)",
        long="expires",
        cost=NotAsked("below, with its cluster"),
        do="Approve shutdown",
    ),
    "views/home-quiet": _now(who="Meetings now 3 (14 people", long="closes", do="Shut down…"),
    "views/home-reader": _now(who="Meetings now 3 (14 people", long="closes"),
    "views/home-busy": _now(
        who="media-2: 1 meeting, 2 people",
        long="times out at",
        cost=NotAsked("below, with its cluster"),
        do="Cancel run…",
    ),
    "views/home-stopped": _now(
        who="acme stays locked",
        cost=NotAsked("below, with its cluster"),
        do="Resume run",
    ),
    "views/home-outsider": _now(
        who="Guests of the workspace may not operate clusters",
        cost=NotAsked("nothing is shown"),
        do="ask a full member",
    ),
}
# Views that come without a notification.
SILENT: frozenset[str] = frozenset(name for name in ANSWERS if name.startswith("views/home"))
