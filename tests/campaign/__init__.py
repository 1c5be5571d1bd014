"""Whole procedures in virtual time, with seeded faults in every party at once.

The invariants are judged without the bot's help.

`make campaign SEEDS=10000` plays many stories, `make campaign SEED=123` one of them again, exactly
as it was.
"""
