"""`secrets.env`, and how the programs that read it interpret it. Pure; no value in any message."""

from services.secrets_env.changes import Change, Impact, Kind, changes, effects
from services.secrets_env.file import SecretsFile
from services.secrets_env.findings import (
    ABSENT,
    Danger,
    Finding,
    Linted,
    Reader,
    Unread,
    damaged,
    described,
    findings,
    remedy,
    would,
)
from services.secrets_env.keys import KEYS, Key, Policy, nearest
from services.secrets_env.lint import Verdict, lint, may_change
from services.secrets_env.mask import Masker, mask
from services.secrets_env.problems import Harm, Problem

__all__ = [
    "ABSENT",
    "KEYS",
    "Change",
    "Danger",
    "Finding",
    "Harm",
    "Impact",
    "Key",
    "Kind",
    "Linted",
    "Masker",
    "Policy",
    "Problem",
    "Reader",
    "SecretsFile",
    "Unread",
    "Verdict",
    "changes",
    "damaged",
    "described",
    "effects",
    "findings",
    "lint",
    "mask",
    "may_change",
    "nearest",
    "remedy",
    "would",
]
