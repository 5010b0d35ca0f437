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
from compete.registry import checked_by
from compete.types import Epoch, Member, MemberResult, Metric, Tables, Target, Transform

if TYPE_CHECKING:
    from compete.runs import Run
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
    "unknown_name",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import `Run` and `Trainer`, which need torch, only when somebody asks for them."""
    if name == "Run":
        from compete.runs import Run

        return Run
    if name == "Trainer":
        from compete.trainer import Trainer

        return Trainer
    raise AttributeError(f"module 'compete' has no attribute '{name}'")
