"""How to train: a rate that fits the batch, what is averaged, drawn and corrected."""

from __future__ import annotations

from collections.abc import Iterator

from compete.advice.domains import augmentation, views
from compete.advice.facts import CLASS_KINDS, Facts, Section, section
from compete.advice.models import SCRATCH_WIDTH, Model
from compete.advice.pace import Pace, choose_pace
from compete.advice.transfer import finetune
from compete.files.proposals import Choice

USUAL_BATCH, SCRATCH_LR = 32, 3e-3
UNEVEN, SLIGHTLY_UNEVEN = 10, 1.5
EQUAL_CLASSES = ("macro_f1",)  # metrics that count classes equally, whatever their rows
COUNTS_ROWS = ("log_loss", "accuracy", "error", "micro_f1", "weighted_f1", "map_at_k")  # rows, not classes
LOSSES = {
    "one_hot": ("cross_entropy", "one class for each row"),
    "label": ("cross_entropy", "one class for each row"),
    "votes": ("soft_cross_entropy", "soft targets: shares of votes"),
    "ordinal": ("mse", "levels are learned as numbers"),
    "regression": ("mse", "a number, scaled to 0..1"),
}
YES_OR_NO = ("bce", "each output is a yes or no of its own")


def recipe(facts: Facts, model: Model) -> Iterator[Section]:
    """Yield the tables that say how to train and predict, in a TOML's usual order."""
    pace = choose_pace(facts, model.pretrained)
    augmented = list(augmentation(facts))
    yield from augmented
    yield from sampler(facts)
    yield model_table(model)
    yield section("loss", Choice("name", *LOSSES.get(facts.kind, YES_OR_NO)))
    if model.pretrained:
        yield finetune(facts)
    yield optimizer(model, pace)
    why = "a rise over a tenth of the steps, then half a cosine: a new head's first gradients do not shake the backbone"
    yield section("scheduler", Choice("name", "cosine", why), Choice("warmup_share", 0.1))
    yield training(facts, pace)
    yield from callbacks()
    yield from views(augmented)
    yield from correction(facts)


def model_table(model: Model) -> Section:
    """Return `[model]`."""
    if model.weights is None:
        narrow = (Choice("width", model.width, model.width_why),) if model.width != SCRATCH_WIDTH else ()
        return section("model", Choice("name", "resnet9", model.why), *narrow)
    backbone = Choice("backbone", model.weights.backbone, model.why)
    if model.weights.is_file:
        return section("model", Choice("name", "timm"), backbone, Choice("weights", model.weights.at))
    return section(
        "model", Choice("name", "timm"), backbone, Choice("pretrained", True, f"weights: {model.weights.said}")
    )


def optimizer(model: Model, pace: Pace) -> Section:
    """Return `[optimizer]`: the rate grows with the root of the batch."""
    base = model.candidate.lr if model.pretrained else SCRATCH_LR
    rate = float(f"{base * (pace.batch / USUAL_BATCH) ** 0.5:.1e}")
    start = "usual for this backbone" if model.pretrained else "usual from scratch"
    why = f"{base:g} at a batch of {USUAL_BATCH}, {start}, times the root of the batch's ratio"
    return section("optimizer", Choice("name", "adamw"), Choice("lr", rate, why))


def training(facts: Facts, pace: Pace) -> Section:
    """Return `[training]`."""
    steps = f"{pace.steps:,} optimizer steps for each member"
    return section(
        "training",
        Choice("epochs", pace.epochs, f"for {facts.rows:,} rows: {steps}"),
        Choice("batch_size", pace.batch, "the largest usual one with enough steps"),
    )


def callbacks() -> Iterator[Section]:
    """Yield the best epoch's weights, and their moving average."""
    yield section("callbacks", Choice("name", "best_checkpoint"), repeats=True)
    yield section(
        "callbacks",
        Choice("name", "ema", "the average of the last steps varies less than any one of them"),
        repeats=True,
    )


def corrects_prior(facts: Facts) -> bool:
    """Return whether the metric counts classes equally and their rows differ."""
    return facts.kind in ("label", "one_hot") and facts.metric in EQUAL_CLASSES and facts.imbalance >= SLIGHTLY_UNEVEN


def correction(facts: Facts) -> Iterator[Section]:
    """Yield what moves predictions towards rare classes, where the metric counts classes equally."""
    if corrects_prior(facts):
        why = f"{facts.metric} counts all classes equally, and training did not: fitted on OOF, scored by nested folds"
        yield section("postprocess", Choice("name", "prior", why), repeats=True)


def sampler(facts: Facts) -> Iterator[Section]:
    """Yield how rows are drawn, where classes are uneven: never against the metric."""
    if facts.kind not in CLASS_KINDS or facts.imbalance < UNEVEN:
        return
    why = f"{facts.imbalance:.0f}:1 between the largest and the smallest class"
    if facts.metric in COUNTS_ROWS:
        cost = "would spoil probabilities" if facts.metric == "log_loss" else f"costs rows that {facts.metric} counts"
        yield section("sampler", Choice("name", "shuffle", f"{why}; 'weighted' {cost}"))
        return
    rest = "; what that leaves to correct, 'prior' below fits" if corrects_prior(facts) else ""
    why = f"{why}: rare classes are drawn more often, and so learned; power 0.5 goes half the way{rest}"
    yield section("sampler", Choice("name", "weighted", why), Choice("power", 0.5))
