"""What the messages beside the cards answer."""

from tests.laws.first_screen import Answers, NotAsked

LOOKS_BACK = NotAsked("a report of what was")
ANSWERS: dict[str, Answers] = {
    "notices/weekly-digest": Answers(
        who=LOOKS_BACK,
        long=LOOKS_BACK,
        cost="$9.84",
        do="Everything went as planned",
        undo=LOOKS_BACK,
    ),
    "notices/weekly-digest-trouble": Answers(
        who=LOOKS_BACK,
        long="2 openings late",
        cost="unknown (nothing was recorded)",
        do="1 scheduled change missed",
        undo=LOOKS_BACK,
    ),
}
# Views that come without a notification.
SILENT: frozenset[str] = frozenset()
