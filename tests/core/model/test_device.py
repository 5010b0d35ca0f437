"""The device and its precision, on machines that this one is not."""

from __future__ import annotations

import pytest

from compete.errors import ConfigError
from compete.model.device import choose_device, choose_precision


@pytest.fixture
def machine(monkeypatch):
    def have(*devices):
        monkeypatch.setattr("torch.cuda.is_available", lambda: "cuda" in devices)
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: "mps" in devices)

    return have


@pytest.mark.parametrize(
    ("devices", "setting", "chosen"),
    [
        ((), "auto", "cpu"),
        (("mps",), "auto", "mps"),
        (("cuda",), "auto", "cuda"),
        (("mps",), "cpu", "cpu"),
        (("mps",), "mps", "mps"),
    ],
)
def test_the_device(machine, devices, setting, chosen):
    machine(*devices)
    assert choose_device(setting) == chosen


@pytest.mark.parametrize("setting", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(machine, setting):
    machine()
    with pytest.raises(ConfigError, match=f'device = "{setting}": torch finds no'):
        choose_device(setting)


def test_an_apple_gpu_trains_in_fp32():
    assert choose_precision("auto", "mps") == choose_precision("32-true", "mps") == "32-true"
    for setting in ("bf16-mixed", "16-mixed"):
        with pytest.raises(ConfigError, match=f'precision = "{setting}": an Apple GPU trains in fp32 here'):
            choose_precision(setting, "mps")
