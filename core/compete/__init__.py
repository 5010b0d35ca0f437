"""compete: image competitions from one TOML.

A notebook calls `run`, `blend`, `load_run`, `init` and `validate`. The other names are what plugins may import.
"""

from typing import TYPE_CHECKING

from compete.config.registry import Backbone, Backbones, DataFile, InputFile, ModelInput, Weights, component
from compete.errors import (
    CompeteError,
    ConfigError,
    DataError,
    PluginError,
    SubmissionError,
    TrainingError,
    code_of_others,
    error_location,
)
from compete.files.encodings import Decoded, Reading, decode, foreign_names, prose, readings
from compete.files.proposals import Basis, Choice, Excerpt, Proposal, columns_called_label
from compete.files.root import IMAGE_EXTENSIONS, Files, PathTemplate, path_template
from compete.files.safety import left_behind
from compete.files.scan import Scan, spread
from compete.hookspecs import hookimpl
from compete.leaderboard.platform import (
    AccessError,
    BusyError,
    CodeEntry,
    Limits,
    PendingError,
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
    RunView,
    StageReport,
    TrainingReport,
)
from compete.submission.form import counts_rows, describe_form, form_of
from compete.text import (
    did_you_mean,
    duration,
    format_first,
    format_list,
    name_words,
    plain_name,
    plural,
    same_name,
    signal_name,
    unknown_name,
    without_secrets,
)
from compete.types import (
    Epoch,
    Member,
    MemberResult,
    Metric,
    SampleForm,
    Tables,
    Target,
    TopK,
    TrainerView,
    Transform,
)

if TYPE_CHECKING:
    from compete.api.calls import InitResult, Result, blend, init, load_run, run, validate
    from compete.config.table import Count, Number
    from compete.data.columns import cell_numbers
    from compete.data.leaks import linked_rows
    from compete.jobs.failures import failure, failure_record
    from compete.jobs.job import Job, TrainMember, python_command
    from compete.jobs.shipment import Shipment
    from compete.model.fitted import Fitted, FittedHead, HeadData
    from compete.model.selectors import find_head, match_modules
    from compete.predict.top_k import top_labels
    from compete.scores import ClassScores, CvScores, EpochScores, MemberScores, Scores, fit_verdict, read_scores
    from compete.workers.work import Worker, missing_here, run_job

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
    "CodeEntry",
    "CompeteError",
    "ConfigError",
    "Count",
    "CvScores",
    "DataError",
    "DataFile",
    "Decoded",
    "Epoch",
    "EpochScores",
    "Excerpt",
    "Files",
    "Fitted",
    "FittedHead",
    "HeadData",
    "ImagesReport",
    "InitResult",
    "InputFile",
    "Job",
    "Limits",
    "Member",
    "MemberResult",
    "MemberScores",
    "Metric",
    "ModelInput",
    "NetworkReport",
    "Number",
    "OptimizationReport",
    "PathTemplate",
    "PendingError",
    "PlanReport",
    "PlatformError",
    "PluginError",
    "Proposal",
    "Quota",
    "Reading",
    "Receipt",
    "Result",
    "RowsReport",
    "RunView",
    "SampleForm",
    "Scan",
    "Scores",
    "Shipment",
    "StageReport",
    "Status",
    "SubmissionError",
    "Tables",
    "Target",
    "TopK",
    "TrainMember",
    "TrainerView",
    "TrainingError",
    "TrainingReport",
    "Transform",
    "UnreachableError",
    "Uploader",
    "Weights",
    "Worker",
    "blend",
    "cell_numbers",
    "code_of_others",
    "columns_called_label",
    "component",
    "counts_rows",
    "decode",
    "describe_form",
    "did_you_mean",
    "duration",
    "error_location",
    "failure",
    "failure_record",
    "find_head",
    "fit_verdict",
    "foreign_names",
    "form_of",
    "format_first",
    "format_list",
    "hookimpl",
    "init",
    "left_behind",
    "linked_rows",
    "load_run",
    "match_modules",
    "missing_here",
    "name_words",
    "path_template",
    "plain_name",
    "plural",
    "prose",
    "python_command",
    "read_scores",
    "readings",
    "run",
    "run_job",
    "same_name",
    "signal_name",
    "spread",
    "top_labels",
    "unknown_name",
    "validate",
    "without_secrets",
]

__version__ = "0.2.0"


# What needs pydantic, NumPy or torch is imported when somebody asks for it.
_LATE = {
    **dict.fromkeys(("InitResult", "Result", "blend", "init", "load_run", "run", "validate"), "compete.api.calls"),
    "ClassScores": "compete.scores",
    "Count": "compete.config.table",
    "CvScores": "compete.scores",
    "EpochScores": "compete.scores",
    "MemberScores": "compete.scores",
    **dict.fromkeys(("Job", "TrainMember", "python_command"), "compete.jobs.job"),
    "Number": "compete.config.table",
    "Shipment": "compete.jobs.shipment",
    "Scores": "compete.scores",
    **dict.fromkeys(("Fitted", "FittedHead", "HeadData"), "compete.model.fitted"),
    "cell_numbers": "compete.data.columns",
    "find_head": "compete.model.selectors",
    **dict.fromkeys(("failure", "failure_record"), "compete.jobs.failures"),
    "fit_verdict": "compete.scores",
    "linked_rows": "compete.data.leaks",
    "match_modules": "compete.model.selectors",
    "read_scores": "compete.scores",
    **dict.fromkeys(("Worker", "missing_here", "run_job"), "compete.workers.work"),
    "top_labels": "compete.predict.top_k",
}


def __getattr__(name: str) -> object:
    """Import a name of `_LATE`."""
    if name not in _LATE:
        raise AttributeError(f"module 'compete' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)
