"""The process that a notebook or script goes on using: what a run sets for itself is set back."""

from __future__ import annotations

import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np
import torch

from compete.text import echo

VARIABLES = ("CUBLAS_WORKSPACE_CONFIG", "NO_ALBUMENTATIONS_UPDATE")


@contextmanager
def state_kept() -> Iterator[None]:
    """Set random generators, torch's switches, warning filters and a log level back, however the work ends."""
    python, host, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    precision, benchmark = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    strict, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    logger = logging.getLogger("lightning_fabric")
    level, variables = logger.level, {name: os.environ.get(name) for name in VARIABLES}
    try:
        with warnings.catch_warnings():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(host)
        torch.set_rng_state(cpu)
        if devices:
            torch.cuda.set_rng_state_all(devices)
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.benchmark = benchmark
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)
        logger.setLevel(level)
        for name, value in variables.items():
            _set_variable(name, value)


def warn(message: str) -> None:
    """Warn at the line that called compete."""
    level = 1
    frame: FrameType | None = sys._getframe()
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in ("compete", "functools"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print warnings on stderr as a command's messages, without the line of source that they come from."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: echo(f"warning: {message}", err=True)
        yield


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
