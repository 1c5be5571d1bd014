"""What the cards of runs, their questions and their ends answer."""

from dataclasses import replace

from tests.laws.first_screen import Answers, NotAsked

_PLAN = NotAsked("the approved plan said so; it does not change while the run goes on")
_WAIT = NotAsked("nothing: it goes on by itself")
_NOTHING = NotAsked("nothing")

RUNNING = Answers(
    who=("2 of 3 media nodes drained", "2 of 3 media nodes drained"),
    long=("running for 10 min", "about 2 min left after the last meeting"),
    cost=_PLAN,
    do=("running for 10 min", "Cancel run…"),
    undo=NotAsked("the dialog of Cancel run… says what stays"),
)
BEGUN = replace(RUNNING, who="Drain 3 media nodes")
ASKS = Answers(
    who="1 meeting",
    long=NotAsked("as long as people decide"),
    cost=NotAsked("an answer that loses something says so in its dialog"),
    do=("Answers: Wait 30 min more", "Wait 30 min more"),
    undo=("continues by itself", "No one is disconnected unless you choose it"),
)
PAUSED = Answers(
    who=("acme stays locked", "acme stays locked"),
    long=NotAsked("until someone decides"),
    cost=NotAsked("nothing changes until then"),
    do="until you choose Resume run or Abandon run",
    undo=NotAsked("the dialog of Abandon run… says what stays"),
)
ENDED = Answers(
    who="Whether people can meet on acme was not checked",
    long=("took 65 s", "65 s, until"),
    cost=_PLAN,
    do=("/openvidu status", "Restore service"),
    undo=("Changed: 3 media nodes drained", "Restore service"),
)
DOWN = Answers(
    who="No one can meet on acme until someone starts it",
    long=("took 5 min", "5 min, until"),
    cost=_PLAN,
    do=("until someone starts it", "Start up acme"),
    undo=("until someone starts it", "Start up acme"),
)

ANSWERS: dict[str, Answers] = {
    "run-draining": replace(RUNNING, who=("1 meeting, 2 people", "1 meeting, 2 people")),
    "run-trouble": RUNNING,
    "run-powering-off": replace(
        RUNNING,
        who=("waiting for master-3 and master-4", "2 of 4 masters powered off"),
        long=("running for 4 min", "about 25 s left"),
        do=("running for 4 min", "Cancel run…"),
    ),
    "run-warned": replace(RUNNING, who=("Drain 3 media nodes", "secrets.env: line 7")),
    "run-doubted": RUNNING,
    "run-cancelling": replace(RUNNING, do=("Cancelling acme-7", "Cancelling acme-7")),
    "run-by-window": BEGUN,
    "run-by-glass": BEGUN,
    "run-drain-question": ASKS,
    "run-zero-question": replace(
        ASKS,
        who=("DigitalOcean refused", "3 drained media nodes take no new meetings"),
        do=("Answers: Keep 1 media node running", "Keep 1 media node running"),
        undo=("nothing is changed until then", "Put the 3 nodes back into service"),
    ),
    "run-stopped": PAUSED,
    "run-cancelled": ENDED,
    "run-abandoned": replace(ENDED, long=("took 2 min", "2 min, until")),
    "run-needs-you": replace(
        ENDED,
        who="No new meetings on acme: 3 media nodes draining",
        do=("acme needs you", "Restore service"),
        undo=("Changed: 3 media nodes draining", "Restore service"),
    ),
    "run-closed-by-window": replace(
        DOWN, who="Opens by itself", do=("Opens by itself", "Start up acme"), undo="Opens by itself"
    ),
    "run-left": replace(
        ENDED,
        long=("took 10 s", "10 s, until"),
        undo=("Changed: 3 media nodes draining", "Restore service"),
    ),
    "run-done": DOWN,
    "run-noted": DOWN,
    "run-startup-done": replace(
        DOWN,
        who="acme is back in service",
        long=("took 10 min", "10 min, until"),
        do=_NOTHING,
        undo=NotAsked("a start-up takes nothing from anyone"),
    ),
}
# Views that come without a notification.
SILENT: frozenset[str] = frozenset()
