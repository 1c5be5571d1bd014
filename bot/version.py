"""The version, written in this one place: the wheel, the image and /metrics read it here."""

VERSION = "0.2.0"


def own_version() -> str:
    """Return the version of the running code, however it was installed."""
    return VERSION
