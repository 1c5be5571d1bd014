"""`secrets.env`, and how the programs that read it interpret it. Pure; no value in any message."""

from services.secrets_env.changes import Change, ChangeKind, Consequences, changes, consequences
from services.secrets_env.file import SecretsFile
from services.secrets_env.findings import (
    ABSENT,
    Danger,
    Finding,
    Reader,
    SecretsFindings,
    SecretsUnread,
    damaged_keys,
    findings,
    findings_text,
    remedy,
    worst_consequence,
)
from services.secrets_env.keys import KEYS, ChangePolicy, SecretsKey, nearest
from services.secrets_env.layout import HIGH_AVAILABILITY, SecretsLayout
from services.secrets_env.lint import LintVerdict, lint, may_change
from services.secrets_env.mask import Masker, mask
from services.secrets_env.problems import Harm, Problem

__all__ = [
    "ABSENT",
    "HIGH_AVAILABILITY",
    "KEYS",
    "Change",
    "ChangeKind",
    "ChangePolicy",
    "Consequences",
    "Danger",
    "Finding",
    "Harm",
    "LintVerdict",
    "Masker",
    "Problem",
    "Reader",
    "SecretsFile",
    "SecretsFindings",
    "SecretsKey",
    "SecretsLayout",
    "SecretsUnread",
    "changes",
    "consequences",
    "damaged_keys",
    "findings",
    "findings_text",
    "lint",
    "mask",
    "may_change",
    "nearest",
    "remedy",
    "worst_consequence",
]
