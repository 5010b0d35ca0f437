"""compete: image competitions from one TOML. This module holds the names that plugin authors may import."""

from typing import TYPE_CHECKING

from compete.errors import (
    CompeteError,
    ConfigError,
    DataError,
    PluginError,
    SubmissionError,
    TrainingError,
    choices,
    did_you_mean,
    unknown_name,
)
from compete.files import PICTURE_ENDINGS, Files, PathTemplate, path_template
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
from compete.registry import InputFile, checked_by
from compete.types import Epoch, Member, MemberResult, Metric, Tables, Target, Transform

if TYPE_CHECKING:
    from compete.runs import Run
    from compete.topk import TopK, top_labels
    from compete.trainer import Trainer

__all__ = [
    "PICTURE_ENDINGS",
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
    "Run",
    "Status",
    "SubmissionError",
    "Tables",
    "Target",
    "TopK",
    "Trainer",
    "TrainingError",
    "Transform",
    "UnreachableError",
    "Uploader",
    "checked_by",
    "choices",
    "did_you_mean",
    "hookimpl",
    "path_template",
    "top_labels",
    "unknown_name",
]

__version__ = "0.1.0"


# What needs NumPy or torch is imported when somebody asks for it.
_LATE = {"Run": "compete.runs", "TopK": "compete.topk", "Trainer": "compete.trainer", "top_labels": "compete.topk"}


def __getattr__(name: str) -> object:
    """Import a name of `_LATE`."""
    if name not in _LATE:
        raise AttributeError(f"module 'compete' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)
