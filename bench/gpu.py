"""Run the tests that need a GPU, measure training steps there, and write docs/gpu.md with what was found.

    make gpu                                                   # on a machine with CUDA
    python bench/gpu.py --device cpu --size 32 --batch 4 --steps 2    # tries the measurement; writes nothing
    python bench/gpu.py --not-run                              # writes the page that says that nothing was run

Step rates are medians over `--repeats` turns of `--steps` steps each, after 5 that are not counted, of a ResNet-50
without trained weights on drawn images that are in the main memory: they hold no decoding.
"""

from __future__ import annotations

import argparse
import ast
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import torch

from compete import __version__
from compete.config.load import load_config
from compete.model.finetune import set_training_mode
from compete.session import call_hook
from compete.study.dry_run import dry_run, first_step
from compete.train.loop import train_step

ROOT = Path(__file__).resolve().parents[1]
PAGE, TESTS = ROOT / "docs/gpu.md", ROOT / "tests/gpu/test_training.py"
MODEL = 'model={ name = "timm", backbone = "resnet50" }'
WARM_UP = 5
# What is measured, by its name in the table.
WAYS = {
    "fp32 (TF32)": ["training.precision=32-true"],
    "fp16": ["training.precision=16-mixed"],
    "bf16": ["training.precision=bf16-mixed"],
    "bf16, not channels_last": ["training.precision=bf16-mixed", "training.channels_last=false"],
    "bf16, EMA": ["training.precision=bf16-mixed", 'callbacks=[{ name = "ema" }]'],
    "bf16, clipped, on_nan = skip": [
        "training.precision=bf16-mixed",
        "training.max_grad_norm=1.0",
        "training.on_nan=skip",
    ],
    "bf16, mixup": ["training.precision=bf16-mixed", 'batch_transforms=[{ name = "mixup" }]'],
    "bf16, compiled": ["training.precision=bf16-mixed", "training.compile=true"],
}
REVIEW = "The path was also read line by line: [what was looked for and found](gpu-review.md).\n"


def main() -> None:
    """Do what the arguments ask for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--not-run", action="store_true")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    for name, default in {"size": 224, "batch": 64, "steps": 20, "repeats": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if options.not_run:
        PAGE.write_text(not_run_page(), encoding="utf-8")
    elif options.device == "cpu":
        print(*measure(options, {name: way for name, way in WAYS.items() if name == "fp32 (TF32)"}), sep="\n")
    elif not torch.cuda.is_available():
        sys.exit("make gpu: torch finds no CUDA device here; docs/gpu.md stays as it is")
    else:
        results = list(run_tests())
        rows = list(measure(options, WAYS))
        PAGE.write_text(page(results, rows, options), encoding="utf-8")
        sys.exit(any(outcome == "FAILED" for _, outcome in results))


def not_run_page() -> str:
    """Return the page of a project that was on no GPU yet."""
    tests = [node.name for node in ast.parse(TESTS.read_text()).body if isinstance(node, ast.FunctionDef)]
    wanted = "".join(
        f"- {name.removeprefix('test_').replace('_', ' ')}\n" for name in tests if name.startswith("test_")
    )
    return (
        "# On a GPU\n\n**Nothing on this page was run on a GPU yet.** `make gpu` on a machine with CUDA runs what\n"
        f"follows and writes this page again, with its figures.\n\n## Tests\n\n{wanted}\n## Measurements\n\n"
        "Images per second and peak memory of training steps, ResNet-50 at 224 x 224 in batches of 64:\n\n"
        + "".join(f"- {name}\n" for name in WAYS)
        + f"\n{REVIEW}"
    )


def said(name: str) -> str:
    """Return a test's name as words."""
    return name.removeprefix("test_").replace("_", " ")


def page(results: list[tuple[str, str]], rows: list[str], options: argparse.Namespace) -> str:
    """Return the page of a run."""
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    return (
        f"# On a GPU\n\nWritten by `make gpu` on {time.strftime('%Y-%m-%d')}: {names}; compete {__version__}, torch "
        f"{torch.__version__}, Python {platform.python_version()}.\n\n## Tests\n\n| test | outcome |\n|---|---|\n"
        + "".join(f"| {said(name)} | {outcome} |\n" for name, outcome in results)
        + f"\n## Training steps\n\nResNet-50 at {options.size} x {options.size} in batches of {options.batch}: median "
        f"of {options.repeats} turns of {options.steps} steps each.\n\n"
        "| | images/s | peak memory, GiB |\n|---|---|---|\n" + "".join(f"{row}\n" for row in rows) + f"\n{REVIEW}"
    )


def run_tests() -> Iterator[tuple[str, str]]:
    """Run the tests marked `gpu`; yield each one's name and outcome."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-m", "gpu", f"--junitxml={report}", "-p", "no:cacheprovider"]
        subprocess.run(command, cwd=ROOT, check=False)
        for case in ElementTree.parse(report).iter("testcase"):
            kinds = {child.tag: child.get("message") or "" for child in case}
            failed = "failure" in kinds or "error" in kinds
            skipped = f"skipped: {kinds['skipped']}" if "skipped" in kinds else "passed"
            yield case.get("name") or "?", "FAILED" if failed else skipped


def measure(options: argparse.Namespace, ways: dict[str, list[str]]) -> Iterator[str]:
    """Yield a row of the table for each way; one that fails says why."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "mask"
        subprocess.run([sys.executable, "-m", "compete", "demo", "mask", str(data)], check=True, capture_output=True)
        common = [
            f"competition.root={data}",
            MODEL,
            f"training.device={options.device}",
            f"training.batch_size={options.batch}",
            f"images.size=[{options.size}, {options.size}]",
            "training.accumulation_steps=1",
            "callbacks=[]",
            "batch_transforms=[]",
        ]
        for name, way in ways.items():
            try:
                rate, memory = step_rate([*common, *way], options)
                yield f"| {name} | {rate:,.1f} | {memory:.2f} |"
            except Exception as error:  # a compiler that is not there must not lose the other rows
                yield f"| {name} | failed: {str(error).splitlines()[0][:120]} | |"


def step_rate(overrides: list[str], options: argparse.Namespace) -> tuple[float, float]:
    """Return images per second of training steps, and the peak of the GPU's memory in GiB (0 on a CPU)."""
    on_gpu = options.device == "cuda"
    config = load_config(ROOT / "competitions/mask.toml", overrides)
    with dry_run(config, weights=False) as run:
        for bound in config.many("callbacks"):
            run.session.watch(bound.build())
        trainer, batches = first_step(run)
        if config.training.compile:  # which a dry run leaves out
            object.__setattr__(trainer, "forward", torch.compile(trainer.forward))
        call_hook(run.hook.on_member_start, trainer=trainer)
        set_training_mode(trainer.network)
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()

        def turn(steps: int) -> float:
            started = time.perf_counter()
            for _ in range(steps):
                train_step(trainer, batches)
                call_hook(run.hook.on_step_end, trainer=trainer)
            float(trainer.progress.loss_sum)  # waits for the device
            return time.perf_counter() - started

        turn(WARM_UP if on_gpu else 1)
        seconds = statistics.median(turn(options.steps) for _ in range(options.repeats))
    images = options.steps * sum(len(batch.rows) for batch in batches)
    return images / seconds, torch.cuda.max_memory_allocated() / 2**30 if on_gpu else 0.0


if __name__ == "__main__":
    main()
