"""What the cards of runs, their questions and their ends answer."""

from tests.laws.first_screen import Answers

ANSWERS: dict[str, Answers] = {}
# Views that come without a notification.
SILENT: frozenset[str] = frozenset()
