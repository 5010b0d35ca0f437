"""The device and its numbers: which one, which precision, how it is seeded."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning_fabric import Fabric

from compete.errors import ConfigError

if TYPE_CHECKING:
    from compete.config.settings import Training


def make_fabric(settings: Training) -> Fabric:
    """Return Fabric for one device with the precision that `[training]` asks for."""
    device = choose_device(settings.device)
    precision = choose_precision(settings.precision, device)
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)  # its banners are not the user's business
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = not settings.deterministic
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may be refused, for it is not
        torch.use_deterministic_algorithms(True, warn_only=device == "cpu")
    fabric = Fabric(accelerator=device, devices=1, precision=precision)
    fabric.launch()
    return fabric


def choose_device(setting: str) -> str:
    """Return "cuda" or "cpu". Raise `ConfigError` when a GPU is asked for and there is none."""
    if setting == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            '[training] device = "cuda": torch finds no CUDA device. Check `nvidia-smi`, or write device = "auto".'
        )
    return "cuda" if setting != "cpu" and torch.cuda.is_available() else "cpu"


def choose_precision(setting: str, device: str) -> str:
    """Return the precision for a device: what is asked for, or what its hardware is fast at."""
    if setting == "16-mixed" and device == "cpu":
        raise ConfigError(
            '[training] precision = "16-mixed": a CPU has no fp16 training. Write "auto" or "bf16-mixed".'
        )
    if setting != "auto":
        return setting
    if device == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return "bf16-mixed" if _cpu_has_bf16() else "32-true"


def _cpu_has_bf16() -> bool:
    # Without these instructions autocast on a CPU is slower than fp32, so it must be asked, not assumed.
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())


def seed_of(*parts: int) -> int:
    """Mix whole numbers into one seed below 2**31; neighbouring parts give unrelated seeds."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0]) >> 1
