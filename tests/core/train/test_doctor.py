"""Every check of the doctor finds the mistake that is planted for it, and is silent about sound networks."""

from __future__ import annotations

import random
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from compete.config.load import load_config
from compete.model.finetune import plan_training
from compete.session import RunOptions
from compete.stages.runner import run_competition
from compete.study.dry_run import dry_run
from compete.train import doctor
from compete.train.doctor import diagnose
from compete.train.patient import Patient
from compete.train.trainer import build_trainer


def found(trainer, name: str) -> list[str]:
    [check] = [check for check in doctor.CHECKS if check.name == name]
    torch.manual_seed(0)
    return list(check.examine(Patient.of(trainer, doctor.MANY_ROWS)))


@pytest.fixture
def trainer(make_run):
    run = make_run()
    return build_trainer(run, run.members[0])


class Planted(nn.Module):
    """A sound network for 8 x 8 images, except for what a subclass changes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(8, 3)

    def features(self, images):
        return torch.relu(self.stem(images)).mean(dim=(2, 3))

    def forward(self, images):
        return self.head(self.dropout(self.features(images)))


class Sigmoid(Planted):
    def forward(self, images):
        return torch.sigmoid(super().forward(images))


class LargeHead(Planted):
    def __init__(self) -> None:
        super().__init__()
        nn.init.normal_(self.head.weight, std=300.0)


class AlwaysDropout(Planted):
    def forward(self, images):
        return self.head(F.dropout(self.features(images), 0.5))


class UnusedDropout(Planted):
    def forward(self, images):
        return self.head(self.features(images))


class MixedSamples(Planted):
    def forward(self, images):
        features = self.features(images)
        return self.head(self.dropout(features.T.reshape(len(features), -1)))


class Detached(Planted):
    def forward(self, images):
        return self.head(self.features(images).detach())


class BlindNetwork(Planted):
    def forward(self, images):
        return self.head(self.features(torch.ones_like(images)) + 0 * images.mean(dim=(1, 2, 3))[:, None])


class HiddenState(Planted):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.rand(8) + 0.5  # neither parameter nor buffer

    def forward(self, images):
        return self.head(self.dropout(self.features(images) * self.scale))


class BiasBeforeNorm(Planted):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8))


def with_network(trainer, network: nn.Module):
    """The trainer with another network, and an optimizer of all its parameters."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    plan = plan_training(network, trainer.run.config, trainer.target.outputs)
    return replace(trainer, network=network, forward=network, optimizer=optimizer, plan=plan)


@pytest.mark.parametrize(
    ("network", "check", "message"),
    [
        (Sigmoid, "outputs are logits", "between 0 and 1"),
        (LargeHead, "initial loss", "starts with large weights"),
        (AlwaysDropout, "train and eval mode", "in eval mode two forwards of one batch differ"),
        (UnusedDropout, "train and eval mode", "1 dropout module in training mode changed nothing"),
        (MixedSamples, "samples are independent", "depend on other images of the batch"),
        (Detached, "gradients arrive", r"no gradient reaches stem\.weight, stem\.bias"),
        (Detached, "samples are independent", "do not depend on the images at all"),
        (BiasBeforeNorm, "bias before BatchNorm", r"1 layer right before BatchNorm with a bias \(Conv2d 0\)"),
    ],
)
def test_a_planted_mistake_is_found(trainer, network, check, message):
    torch.manual_seed(0)
    assert [text for text in found(with_network(trainer, network()), check) if re.search(message, text)]


@pytest.mark.parametrize("check", [check.name for check in doctor.CHECKS if check.name != "loading keeps up"])
def test_a_sound_network_has_no_finding(trainer, monkeypatch, check):
    torch.manual_seed(0)
    monkeypatch.setattr(doctor, "build_network", lambda *_, **__: Planted())
    assert found(with_network(trainer, Planted()), check) == []


def test_a_network_that_is_not_what_its_state_dict_says(trainer, monkeypatch):
    network = HiddenState()
    monkeypatch.setattr(doctor, "build_network", lambda *_, **__: HiddenState())
    assert "register_buffer()" in found(with_network(trainer, network), "weights can be reloaded")[0]


def test_a_network_that_does_not_see_its_images(trainer):
    found_texts = found(with_network(trainer, BlindNetwork()), "one batch can be learnt")
    assert "cannot be learnt" in found_texts[0] or "the images do not help" in found_texts[0]


def test_labels_already_known_are_found(make_run):
    run = make_run("model.name=oracle")
    assert "the weights have seen these labels" in found(build_trainer(run, run.members[0]), "initial loss")[0]


def test_a_parameter_outside_the_optimizer_or_twice_in_it(trainer):
    network = Planted()
    partial = torch.optim.SGD(network.head.parameters(), lr=0.1)
    texts = found(replace(with_network(trainer, network), optimizer=partial), "gradients arrive")
    assert texts == ["stem.weight, stem.bias trains, but is not in the optimizer: its weights never change"]
    partial.param_groups.append(dict(partial.param_groups[0]))
    texts = found(replace(with_network(trainer, network), optimizer=partial), "gradients arrive")
    assert any("head.weight, head.bias is in the optimizer more than once" in text for text in texts)


def test_an_optimizer_that_does_not_clear_gradients(trainer):
    class Keeps(torch.optim.SGD):
        def zero_grad(self, set_to_none: bool = True) -> None:
            pass

    network = Planted()
    kept = replace(with_network(trainer, network), optimizer=Keeps(network.parameters(), lr=0.1))
    assert "gradients add up over steps" in found(kept, "gradients are cleared")[0]
    assert all(parameter.grad is None for parameter in network.parameters())


def test_labels_mixed_by_another_share_than_pixels(make_run):
    run = make_run('batch_transforms=[{name="mixup", alpha=1.0}, {name="cutmix", alpha=1.0, probability=1.0}]')
    trainer = build_trainer(run, run.members[0])
    assert found(trainer, "labels follow pixels") == []
    wrong = [trainer.batch_transforms[0], lambda images, targets: (images, targets.flip(0) * 0.5 + targets * 0.5)]
    texts = found(replace(trainer, batch_transforms=wrong), "labels follow pixels")
    assert len(texts) == 1 and '[[batch_transforms]] name = "cutmix"' in texts[0]


def test_a_fixed_transform_that_is_random(make_run):
    run = make_run("images.cache=false")
    trainer = build_trainer(run, run.members[0])
    images = run.images.train.images
    generator = np.random.default_rng(0)
    monkey = replace(
        images, decode=lambda path, d=images.decode: np.clip(d(path) + generator.integers(9, size=(8, 8, 3)), 0, 255)
    )
    noisy = replace(run, images=replace(run.images, train=replace(run.images.train, images=monkey)))
    assert "a fixed transform is random" in found(replace(trainer, run=noisy), "decoding is repeatable")[0]
    assert found(trainer, "decoding is repeatable") == []


def seed_all() -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)


def test_the_doctor_changes_nothing(trainer):
    weights = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    seed_all()
    expected = random.random(), float(np.random.rand()), float(torch.rand(()))
    seed_all()
    mode = trainer.network.training
    list(diagnose(trainer))
    assert (random.random(), float(np.random.rand()), float(torch.rand(()))) == expected
    assert trainer.network.training == mode and all(p.grad is None for p in trainer.network.parameters())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in trainer.network.state_dict().items())
    assert trainer.optimizer.state_dict()["state"] == {}


def test_a_run_with_and_without_the_doctor_trains_the_same(tiny: Path):
    config = load_config(tiny / "tiny.toml", ["model.dropout=0.5"])
    first = run_competition(config)
    second = run_competition(config, fresh=True, options=RunOptions(doctor=False))
    for name in ("oof.parquet", "submission.csv", "members/fold0-seed42/weights.safetensors"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_a_run_warns_of_what_its_quick_checks_find(tiny: Path):
    config = load_config(tiny / "tiny.toml", ["training.epochs=1", "model.name=oracle"])
    warned = [text for text in run_competition(config).session.warnings if text.startswith("initial loss: ")]
    assert len(warned) == 1 and "--no-doctor" in warned[0]
    assert not [
        t
        for t in run_competition(config, fresh=True, options=RunOptions(doctor=False)).session.warnings
        if t.startswith("initial loss")
    ]


def test_a_batch_has_every_label_before_any_twice(trainer):
    patient = Patient.of(trainer, 3)
    assert sorted(patient.labels.tolist()) == [0, 1, 2]


@pytest.mark.parametrize("cache", [True, False])
def test_loading_is_measured_as_the_run_loads(tiny: Path, monkeypatch, cache):
    """Decoding takes long here: only a run without a cache decodes while it trains."""
    with dry_run(load_config(tiny / "tiny.toml", [f"images.cache={str(cache).lower()}"])) as run:
        trainer = build_trainer(run, run.members[0])
        decode = run.images.train.images.decode
        slow = replace(run.images.train.images, decode=lambda path: (time.sleep(0.05), decode(path))[1])
        run = replace(run, images=replace(run.images, train=replace(run.images.train, images=slow)))
        texts = found(replace(trainer, run=run), "loading keeps up")
    assert len(texts) == (0 if cache else 1)
    assert cache or "Set [images] cache = true, or [training] workers to" in texts[0]
