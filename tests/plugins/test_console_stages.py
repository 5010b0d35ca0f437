"""The lines of each stage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compete import ImagesReport, NetworkReport, OptimizationReport, PlanReport, RowsReport, TrainingReport
from compete_plugins.console._stages import stage_lines

ROWS = RowsReport(1200, 1, None, "labels", 3, (8, 16), "stratified", "f00d", (400, 400, 400))
IMAGES = ImagesReport(1200, 300, 224, 192, True, (), (), "shuffle")
NETWORK = NetworkReport("timm", "resnet18", "linear", 3, 11_180_000, 1539)
OPTIMIZATION = OptimizationReport("cross_entropy", 1, "macro_f1", "adamw", (0.001,), "cosine", 32)
PLAN = PlanReport(3, 1, 10, "cuda:0", "bf16-mixed", (), "mean", "auto")


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (
            ROWS,
            [
                "1,200 training rows, 1 test row",
                "target labels: 3 classes, 8 to 16 rows per class (imbalance 2:1)",
                "folds stratified: 3 folds of 400 rows, key f00d",
            ],
        ),
        (replace(ROWS, groups=12, test_rows=7), ["1,200 training rows in 12 groups, 7 test rows"]),
        (replace(ROWS, class_rows=(8, 8)), ["target labels: 3 classes, 8 rows per class (imbalance 1:1)"]),
        (replace(ROWS, target="binary", outputs=1), ["target binary: 1 output, 8 to 16 rows per class (imbalance 2:1)"]),
        (replace(ROWS, target="value", outputs=1, class_rows=None), ["target value: 1 output"]),
        (replace(ROWS, fold_rows=(4, 6)), ["folds stratified: 2 folds of 4 to 6 rows, key f00d"]),
        (
            IMAGES,
            [
                "1,200 training and 300 test images at 224 x 192 pixels, decoded once into a cache",
                "augmentation: none",
                "sampler: shuffle",
            ],
        ),
        (
            replace(IMAGES, cached=False, transforms=("albumentations",), batch_transforms=("mixup",), columns=1),
            [
                "1,200 training and 300 test images at 224 x 192 pixels",
                "augmentation: albumentations, mixup",
                "columns: 1 input beside the images of a row",
            ],
        ),
        (replace(IMAGES, batch_transforms=("mixup",)), ["augmentation: mixup"]),
        (NETWORK, ["model timm resnet18: 11.18 M parameters, 3 outputs"]),
        (
            replace(NETWORK, backbone="", head="cosine", frozen=tuple("abcdef"), notes=("weights: resnet18",)),
            [
                "model timm: 11.18 M parameters, 3 outputs, head cosine",
                "1,539 of the parameters are trained; frozen: a, b, c, d and 2 more",
                "weights: resnet18",
            ],
        ),
        (
            OPTIMIZATION,
            [
                "loss cross_entropy; metric macro_f1",
                "optimizer adamw, learning rate 1.0e-03",
                "scheduler cosine",
                "batches of 32 images",
            ],
        ),
        (
            replace(OPTIMIZATION, heads=3, learning_rates=(0.0001, 0.001), accumulation_steps=2),
            [
                "loss cross_entropy for each of 3 heads; metric macro_f1",
                "optimizer adamw, learning rate 1.0e-04 and 1.0e-03",
                "batches of 32 images, 2 batches per step",
            ],
        ),
        (
            PLAN,
            [
                "3 folds x 1 seed x 10 epochs on cuda:0, bf16-mixed",
                "TTA none; ensemble mean; submission auto",
            ],
        ),
        (
            replace(PLAN, tta=("hflip", "vflip"), finished=("fold0-seed42",), notes=("a note",)),
            ["TTA hflip, vflip; ensemble mean; submission auto", "already finished: fold0-seed42", "a note"],
        ),
        (TrainingReport("submissions/pets/run-001"), ["run folder submissions/pets/run-001"]),
    ],
)  # fmt: skip
def test_lines(report, expected):
    lines = list(stage_lines(report))
    assert [line for line in lines if line in expected] == expected, lines
