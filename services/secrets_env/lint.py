"""Whether a key may be set to a value: an allow list of what every reader of the file keeps."""

from dataclasses import dataclass

from services.secrets_env.formats import forbidden_character
from services.secrets_env.keys import KEYS, ChangePolicy, nearest


@dataclass(frozen=True)
class LintVerdict:
    """Yes, or no with a reason, which names the key or a place in the value, never the value."""

    ok: bool
    reason: str = ""


YES = LintVerdict(ok=True)


def _no(reason: str) -> LintVerdict:
    return LintVerdict(ok=False, reason=reason)


def may_change(name: str) -> LintVerdict:
    """Return whether a key may be changed at all, before a value is typed."""
    key = KEYS.get(name)
    if key is None:
        # The typed name is not repeated: it may be a password in the wrong place.
        suggestion = nearest(name)
        hint = f"; did you mean {suggestion}?" if suggestion else ""
        return _no(f"there is no such key in secrets.env, and OpenVidu would ignore it{hint}")
    if key.policy is ChangePolicy.REFUSED:
        return _no(f"{name} is read-only here: {key.why}")
    return YES


def lint(name: str, value: str) -> LintVerdict:
    """Return whether a key may be set to this value."""
    verdict = may_change(name)
    if not verdict.ok:
        return verdict
    if not value:
        return _no(
            f"{name} cannot be empty: the boot script skips empty values, and the old one stays"
        )
    if complaint := forbidden_character(value):
        return _no(complaint)
    form = KEYS[name].form
    assert form is not None, f"{name} may be changed and has no form"
    if complaint := form.complaint(value):
        return _no(complaint)
    return YES
