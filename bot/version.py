"""Which version this is: the one place where it is written. The wheel, the image and /metrics take it from here."""

VERSION = "0.2.0"


def own_version() -> str:
    """The version of the code that runs, however it was installed."""
    return VERSION
