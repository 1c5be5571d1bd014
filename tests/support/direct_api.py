"""The bot"s client without pydo"s pipeline, as rehearsals use it: `bot/rehearsal/direct_api.py`."""

from bot.rehearsal.direct_api import GETS, OTHERS, DirectApi, use_direct_api

__all__ = ["GETS", "OTHERS", "DirectApi", "use_direct_api"]
