"""What the cards of status, Home, menu and lists answer."""

from tests.laws.first_screen import Answers

ANSWERS: dict[str, Answers] = {}
# Views that come without a notification.
SILENT: frozenset[str] = frozenset()
