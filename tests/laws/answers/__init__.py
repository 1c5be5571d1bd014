"""Where each golden card answers the five questions: one module per family of cards.

To add a card: an entry in the module of its family. Its name is that of its golden file below
`tests/laws/golden`, without `.json`. `tests/laws/test_first_screen.py` then holds the golden to the
limits of `tests/laws/first_screen.py`. A view without a notification text goes into `SILENT`.
"""

from tests.laws.answers import notices, plan, run, status

ANSWERS = {**plan.ANSWERS, **run.ANSWERS, **status.ANSWERS, **notices.ANSWERS}
SILENT = plan.SILENT | run.SILENT | status.SILENT | notices.SILENT
