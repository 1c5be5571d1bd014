"""What the cards of plans and requests answer."""

from dataclasses import replace

from tests.laws.first_screen import Answers, NotAsked

_OVER = NotAsked("nothing was changed, so no one is affected")
_ON_THE_RUN = NotAsked("the card of its run says so")

SHUTDOWN = Answers(
    who=("No one is disconnected: 1 meeting (5 people)", "Disconnected no one"),
    long=("back in service after /openvidu startup", "Back in service after /openvidu startup"),
    cost=("saves $0.21/h; masters still $0.29/h"),
    do=("Approve or reject: <@UBEN> or <@UCARLA>", "needs <@UBEN> or <@UCARLA>"),
    undo=("back in service after /openvidu startup", "Back in service after /openvidu startup"),
)
HARSH = replace(
    SHUTDOWN,
    who="Ends 1 running meeting: 5 people",
)
RESUME = replace(HARSH, do=("Approve or reject", "Approve resume of shutdown"))
START = replace(SHUTDOWN, do=("Start or cancel: <@UANA>", "only <@UANA> can start it"))
SCHEDULED = replace(SHUTDOWN, do=("Cancel with /openvidu later cancel", "Cancel…"))
STARTED = Answers(
    who=_ON_THE_RUN, long=_ON_THE_RUN, cost=_ON_THE_RUN, do=NotAsked("nothing"), undo=_ON_THE_RUN
)


def _over(what_now: str | NotAsked) -> Answers:
    """Return the answers of a request that came to nothing."""
    return Answers(who="Nothing was changed", long=_OVER, cost=_OVER, do=what_now, undo=_OVER)


AGAIN = _over("Request it again with /openvidu shutdown")
DECIDED = _over(NotAsked("nothing: a person decided"))
NEW_PLAN = _over("A new plan was posted")

ANSWERS: dict[str, Answers] = {
    "request": SHUTDOWN,
    "request-no-drain": HARSH,
    "request-resume": RESUME,
    "request-resume-approved": STARTED,
    "request-resume-expired": _over("Press Resume again on the message of acme-7"),
    "request-resume-outdated": _over(NotAsked("nothing: the run has moved on")),
    "request-resume-glass": replace(HARSH, do="nly <@UANA> can confirm it"),
    "request-onward": replace(RESUME, do=("Approve or reject", "needs <@UBEN> or <@UCARLA>")),
    "request-onward-expired": _over("Press the answer again on the message of acme-7"),
    "request-eased": START,
    "request-eased-expired": AGAIN,
    "request-expired": AGAIN,
    "request-rejected": DECIDED,
    "request-superseded": NEW_PLAN,
    "request-later": SHUTDOWN,
    "request-later-agreed": SCHEDULED,
    "request-later-free": SCHEDULED,
    "request-later-delayed": SCHEDULED,
    "request-later-started": STARTED,
    "request-later-undone": AGAIN,
    "request-later-asked-again": _over("A new request for approval was posted"),
    "request-later-called-off": DECIDED,
    "request-silent": replace(SHUTDOWN, do=("Needs 1 approval", "needs 1 approval")),
    "request-media-only": replace(
        SHUTDOWN,
        cost="saves $0.21/h",
        long=("Shut down only the media nodes of acme", "Back in service after /openvidu startup"),
    ),
    "request-startup": Answers(
        who=("No one is disconnected", "Disconnected no one"),
        long="Takes about",
        cost="more",
        do=("Approve or reject", "Approve startup"),
        undo=NotAsked("a shutdown undoes it, and is a change of its own"),
    ),
    "request-restart-service": Answers(
        who=("No one is disconnected", "Disconnected no one"),
        long="Takes about",
        cost="no change",
        do=("Approve or reject", "Approve restart"),
        undo=NotAsked("a restart changes nothing"),
    ),
    "request-warned": replace(
        SHUTDOWN, do=("3 warnings in Details", "secrets.env: line 7, DOMAIN_NAME")
    ),
    "request-scale": Answers(
        who=("No one is disconnected: 1 meeting (5 people)", "Disconnected no one"),
        long="about 74 s after the last meeting",
        cost="saves $0.07/h",
        do=("Approve or reject", "Approve scaling"),
        undo=("Undo: /openvidu scale 3", "Undo /openvidu scale 3"),
    ),
    "request-scale-up": Answers(
        who=("No one is disconnected", "Disconnected no one"),
        long=("Takes about 4 min", "Takes about 4 min"),
        cost="$0.14/h more",
        do=("Approve or reject", "Approve scaling"),
        undo=("Undo: /openvidu scale 3", "Undo /openvidu scale 3"),
    ),
    "request-restart": Answers(
        who=("No one is disconnected", "Disconnected no one"),
        long="Takes about 3 min",
        cost="no change",
        do=("Approve or reject", "Approve restart"),
        undo=NotAsked("a restart changes nothing"),
    ),
    "request-resize-masters": Answers(
        who=("No one is disconnected: 1 meeting (5 people)", "Disconnected no one"),
        long="after 14 min to 2 h 14 min",
        cost="$0.29/h more",
        do=("Approve or reject", "Approve resize"),
        undo=("Undo: /openvidu resize masters s-4vcpu-8gb", "Undo /openvidu resize masters"),
    ),
    "request-resize-rolling": Answers(
        who=("No one is disconnected", "Disconnected no one"),
        long="Takes about 29 min",
        cost="$0.29/h more",
        do=("Approve or reject", "Approve resize"),
        undo=("Undo: /openvidu resize masters s-4vcpu-8gb", "Undo /openvidu resize masters"),
    ),
    "request-window": Answers(
        who="Running meetings are never ended",
        long=("20:00-22:31 (daily, Europe/Madrid)"),
        cost="saves about $14.10 in four weeks",
        do=("Approve or reject", "Approve window"),
        undo=("Undo: /openvidu window remove nights", "Undo /openvidu window remove nights"),
    ),
    "request-backup": Answers(
        who=("No one is disconnected", "Disconnected no one"),
        long="Takes about 4 min",
        cost="$0.06 a month",
        do=("Approve or reject", "Approve backup"),
        undo=NotAsked("a backup changes nothing in the cluster"),
    ),
    "request-config": Answers(
        who=("No one is disconnected", "Disconnected no one"),
        long="Takes about 3 min",
        cost="no change",
        do=("Approve or reject", "Approve change"),
        undo=("Undo: /openvidu config rollback", "Undo /openvidu config rollback"),
    ),
    "request-unknown": replace(
        HARSH, who="Ends all running meetings; how many meetings run is unknown"
    ),
    "dry-run": replace(SHUTDOWN, do="Nothing was changed"),
    "nothing-to-do": Answers(
        who="Nothing was changed",
        long=_OVER,
        cost=_OVER,
        do="acme is shut down already",
        undo=_OVER,
    ),
}
# Views that come without a notification.
SILENT: frozenset[str] = frozenset()
