"""compete: image competitions from one TOML. This module holds the names that plugin authors may import."""

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
from compete.hookspecs import hookimpl
from compete.options import checked_by
from compete.types import Epoch, Member, MemberResult, Metric, Tables, Target, Transform

__all__ = [
    "CompeteError",
    "ConfigError",
    "DataError",
    "Epoch",
    "Member",
    "MemberResult",
    "Metric",
    "PluginError",
    "SubmissionError",
    "Tables",
    "Target",
    "TrainingError",
    "Transform",
    "checked_by",
    "choices",
    "did_you_mean",
    "hookimpl",
    "unknown_name",
]

__version__ = "0.1.0"
