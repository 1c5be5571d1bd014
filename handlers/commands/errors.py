"""Errors as private answers: what happened, what it means for the cluster, what to do next."""

import logging
from collections.abc import Container

from handlers import views
from handlers.slack.client import ReplyTarget, SlackClient
from services.common.errors import BotError, Refused, Rejected, Superseded, Unreachable
from services.store.port import new_id

log = logging.getLogger(__name__)


class ErrorAnswers:
    """An async context manager whose errors become private answers.

    An unexpected error gets a number, under which the log has its traceback.
    """

    def __init__(self, slack: SlackClient, reply_to: ReplyTarget, clusters: Container[str]) -> None:
        self._slack = slack
        self._reply_to = reply_to
        self._clusters = clusters

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        card = views.text_card(error_text(error, self._clusters))
        try:
            await self._slack.post_ephemeral(self._reply_to, card)
        except Unreachable as unanswered:
            log.warning("could not answer %s: %s", self._reply_to.user, unanswered)
        return True


def error_text(error: Exception, names: Container[str]) -> str:
    """Return an error as sentences. `names`: clusters, whose names keep their case."""
    match error:
        case Refused():
            return views.sentence(str(error), names)
        case Unreachable():
            return f"No usable answer: {error}. Nothing was changed; try again in a minute."
        case Rejected():
            return f"Refused: {error}. Nothing more was changed."
        case Superseded():
            return "Another bot process continues this run; its card shows the progress."
        case BotError():
            return views.sentence(str(error), names)
        case _:
            number = new_id()[:8]
            log.error("#%s: %r", number, error, exc_info=error)
            return (
                "The bot failed here and changed nothing more. "
                f"Its log has the details under #{number}."
            )
