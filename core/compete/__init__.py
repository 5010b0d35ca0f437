"""compete: image competitions from one TOML. This module holds the names that plugin authors may import."""

from typing import TYPE_CHECKING

from compete.config.registry import InputFile, component
from compete.errors import CompeteError, ConfigError, DataError, PluginError, SubmissionError, TrainingError
from compete.files.root import IMAGE_EXTENSIONS, Files, PathTemplate, path_template
from compete.hookspecs import hookimpl
from compete.leaderboard.platform import (
    AccessError,
    BusyError,
    Limits,
    PlatformError,
    Quota,
    Receipt,
    Status,
    UnreachableError,
    Uploader,
)
from compete.text import did_you_mean, format_first, format_list, plural, unknown_name
from compete.types import Epoch, Member, MemberResult, Metric, RunView, Tables, Target, TopK, TrainerView, Transform

if TYPE_CHECKING:
    from compete.predict.top_k import top_labels

__all__ = [
    "IMAGE_EXTENSIONS",
    "AccessError",
    "BusyError",
    "CompeteError",
    "ConfigError",
    "DataError",
    "Epoch",
    "Files",
    "InputFile",
    "Limits",
    "Member",
    "MemberResult",
    "Metric",
    "PathTemplate",
    "PlatformError",
    "PluginError",
    "Quota",
    "Receipt",
    "RunView",
    "Status",
    "SubmissionError",
    "Tables",
    "Target",
    "TopK",
    "TrainerView",
    "TrainingError",
    "Transform",
    "UnreachableError",
    "Uploader",
    "component",
    "did_you_mean",
    "format_first",
    "format_list",
    "hookimpl",
    "path_template",
    "plural",
    "top_labels",
    "unknown_name",
]

__version__ = "0.1.0"


# What needs NumPy or torch is imported when somebody asks for it.
_LATE = {"top_labels": "compete.predict.top_k"}


def __getattr__(name: str) -> object:
    """Import a name of `_LATE`."""
    if name not in _LATE:
        raise AttributeError(f"module 'compete' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)
