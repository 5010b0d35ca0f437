"""A bundle predicts on the device that is there, whatever the run was trained on."""

from __future__ import annotations

import pytest

import compete
from compete.bundle.offline import predict_competition
from compete.bundle.write import write_bundle


@pytest.mark.filterwarnings("default")
def test_another_device_than_at_training(tiny, monkeypatch, capsys):
    done = compete.run(tiny / "tiny.toml", ["training.epochs=1"])
    toml = done.folder / "config.toml"
    text = toml.read_text().replace('"cpu"', '"mps"')
    toml.write_text(text.replace('precision = "32-true"', 'precision = "16-mixed"'))
    write_bundle(done.folder, tiny / "bundle")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    predict_competition(tiny / "bundle", done.folder.name, "data", "out")
    told = 'trained with precision = "16-mixed", predicts with "auto" on cpu\n'
    assert told in capsys.readouterr().err
    assert len((tiny / "out/submission.csv").read_text().splitlines()) == 8
