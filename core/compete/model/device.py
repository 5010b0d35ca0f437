"""The device, its precision and its seeds."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning_fabric import Fabric

from compete.errors import ConfigError
from compete.text import format_list, plural

if TYPE_CHECKING:
    from compete.config.settings import Training


def make_fabric(settings: Training, number: int = 0) -> Fabric:
    """Return Fabric for one device, by its number among GPUs, and the precision of `[training]`."""
    device = choose_device(settings.device)
    precision = choose_precision(settings.precision, device)
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)  # hides its banners
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = not settings.deterministic
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else torch refuses cuBLAS
        torch.use_deterministic_algorithms(True, warn_only=device == "cpu")
    fabric = Fabric(accelerator=device, devices=[number] if device == "cuda" else 1, precision=precision)
    fabric.launch()
    return fabric


def refuse_devices(settings: Training, here: bool = True) -> None:
    """Raise `ConfigError` where a member cannot be trained on `[training] devices`, those of this machine if `here`."""
    devices, device = settings.devices, choose_device(settings.device)
    where = f"[training] devices = {devices}:"
    problems = []
    if device == "mps" and devices > 1:
        problems.append(f'{where} an Apple GPU is one device. Set devices = 1, or device = "cpu" to try it.')
    if here and device == "cuda" and devices > torch.cuda.device_count():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        problems.append(f"{where} torch finds {plural(len(names), 'GPU')}: {format_list(names)}. Set fewer devices.")
    if settings.total_devices > settings.batch_size:
        where = f"[training] devices = {devices} on nodes = {settings.nodes}:" if settings.nodes > 1 else where
        problems.append(f"{where} batch_size = {settings.batch_size} gives some of them no image. Set a larger one.")
    if problems:
        raise ConfigError(problems)


def choose_device(setting: str) -> str:
    """Return "cuda", "mps" or "cpu". Raise `ConfigError` if a GPU is required and there is none."""
    if setting == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            '[training] device = "cuda": torch finds no CUDA device. Check `nvidia-smi`, or set device = "auto".'
        )
    if setting == "mps" and not torch.backends.mps.is_available():
        raise ConfigError('[training] device = "mps": torch finds no Apple GPU. Set device = "auto".')
    if setting != "auto":
        return setting
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def choose_precision(setting: str, device: str) -> str:
    """Return the precision for a device: the configured one, or the fastest that its hardware supports."""
    if setting == "16-mixed" and device == "cpu":
        raise ConfigError('[training] precision = "16-mixed": a CPU cannot train in fp16. Use "auto" or "bf16-mixed".')
    if setting not in ("auto", "32-true") and device == "mps":
        raise ConfigError(f'[training] precision = "{setting}": an Apple GPU trains in fp32 here. Set it to "auto".')
    if setting != "auto" or device == "mps":
        return "32-true" if setting == "auto" else setting
    if device == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return "bf16-mixed" if _cpu_has_bf16() else "32-true"


def _cpu_has_bf16() -> bool:
    # Without these instructions autocast on a CPU is slower than fp32.
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())


def seed_device(device: torch.device, seed: int) -> None:
    """Seed a GPU's generator, without the host's and those of other GPUs, as `torch.manual_seed` would.

    That takes 89 us a call where CUDA is not initialised, as it formats the stack for later; the CPU's generator 1 us.
    """
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def seed_of(*parts: int) -> int:
    """Mix integers into one seed below 2**31; neighbouring parts give unrelated seeds."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0]) >> 1
