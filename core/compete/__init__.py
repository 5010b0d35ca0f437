"""compete: image competitions from one TOML. This module holds the names that plugin authors may import."""

from typing import TYPE_CHECKING

from compete.config.registry import Backbone, Backbones, InputFile, component
from compete.errors import CompeteError, ConfigError, DataError, PluginError, SubmissionError, TrainingError
from compete.files.proposals import Basis, Choice, Excerpt, Proposal
from compete.files.root import IMAGE_EXTENSIONS, Files, PathTemplate, path_template
from compete.files.scan import Scan, spread
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
from compete.reports import (
    STAGES,
    ImagesReport,
    NetworkReport,
    OptimizationReport,
    PlanReport,
    RowsReport,
    StageReport,
    TrainingReport,
)
from compete.text import (
    did_you_mean,
    duration,
    format_first,
    format_list,
    name_words,
    plain_name,
    plural,
    same_name,
    unknown_name,
)
from compete.types import Epoch, Member, MemberResult, Metric, RunView, Tables, Target, TopK, TrainerView, Transform

if TYPE_CHECKING:
    from compete.predict.top_k import top_labels
    from compete.scores import ClassScores, CvScores, EpochScores, MemberScores, Scores, read_scores

__all__ = [
    "IMAGE_EXTENSIONS",
    "STAGES",
    "AccessError",
    "Backbone",
    "Backbones",
    "Basis",
    "BusyError",
    "Choice",
    "ClassScores",
    "CompeteError",
    "ConfigError",
    "CvScores",
    "DataError",
    "Epoch",
    "EpochScores",
    "Excerpt",
    "Files",
    "ImagesReport",
    "InputFile",
    "Limits",
    "Member",
    "MemberResult",
    "MemberScores",
    "Metric",
    "NetworkReport",
    "OptimizationReport",
    "PathTemplate",
    "PlanReport",
    "PlatformError",
    "PluginError",
    "Proposal",
    "Quota",
    "Receipt",
    "RowsReport",
    "RunView",
    "Scan",
    "Scores",
    "StageReport",
    "Status",
    "SubmissionError",
    "Tables",
    "Target",
    "TopK",
    "TrainerView",
    "TrainingError",
    "TrainingReport",
    "Transform",
    "UnreachableError",
    "Uploader",
    "component",
    "did_you_mean",
    "duration",
    "format_first",
    "format_list",
    "hookimpl",
    "name_words",
    "path_template",
    "plain_name",
    "plural",
    "read_scores",
    "same_name",
    "spread",
    "top_labels",
    "unknown_name",
]

__version__ = "0.2.0"


# What needs pydantic, NumPy or torch is imported when somebody asks for it.
_LATE = {
    "ClassScores": "compete.scores",
    "CvScores": "compete.scores",
    "EpochScores": "compete.scores",
    "MemberScores": "compete.scores",
    "Scores": "compete.scores",
    "read_scores": "compete.scores",
    "top_labels": "compete.predict.top_k",
}


def __getattr__(name: str) -> object:
    """Import a name of `_LATE`."""
    if name not in _LATE:
        raise AttributeError(f"module 'compete' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)
