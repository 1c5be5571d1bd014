"""OpenVidu's configuration files: which may be edited, what of them is shown, what is valid. Pure.

A whole content is never in a message, a log or a journal: `masking` decides what of it is shown.
"""

from services.config_files.catalog import (
    FILES,
    GLOBAL,
    LARGEST,
    LIVEKIT,
    MEET,
    ConfigFile,
    Place,
    Syntax,
    file_named,
    is_known,
    known_file,
)
from services.config_files.checks import ConfigText, KnownKeys, env_values, problems
from services.config_files.differences import difference, hides
from services.config_files.masking import ShownText, is_public_url, is_shown, shown_text, shown_url

__all__ = [
    "FILES",
    "GLOBAL",
    "LARGEST",
    "LIVEKIT",
    "MEET",
    "ConfigFile",
    "ConfigText",
    "KnownKeys",
    "Place",
    "ShownText",
    "Syntax",
    "difference",
    "env_values",
    "file_named",
    "hides",
    "is_known",
    "is_public_url",
    "is_shown",
    "known_file",
    "problems",
    "shown_text",
    "shown_url",
]
