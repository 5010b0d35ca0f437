"""Which network at which size: the largest that the device can train in the time that one is ready to wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from compete.advice.facts import Facts, Weights
from compete.advice.pace import choose_pace

USUAL_SIDE, SMALLER_SIDES = 224, (192, 160, 128, 96)
LEAST_SIDE = 96  # a backbone halves its input five times: of 96 px it keeps 3 x 3 places, of 32 px one
# ResNet-9's widths and sides, the best first: from scratch it learns no more from more than 96 px. Where it only stands
# in for weights that cannot be had, a run must end soon, since its score is not the last.
SCRATCH_WIDTH, SCRATCH_GMACS = 64, 18.6
SCRATCH_STEPS = ((64, 96), (32, 96), (32, 64), (16, 64), (16, 48), (16, 32))
STAND_IN_SHARE = 1 / 4  # of the hours below
MANY_ROWS_OF_SMALL, SMALL_SIDE = 20_000, 64
HOURS = {"cpu": 2.0, "mps": 3.0, "cuda": 4.0}  # that one is ready to wait for a whole run
# Billions of multiplications and additions a second, forward and backward: of a core, measured (docs/defaults.md); of
# an Apple GPU and a small data-centre GPU in half precision, guessed low.
SPEED = {"cpu": 8.0, "mps": 600.0, "cuda": 3_000.0}
FORWARD_AND_BACKWARD = 3


@dataclass(frozen=True)
class Candidate:
    """A backbone of timm: billions of multiplications at 224 px, millions of parameters, and its rate."""

    backbone: str
    gmacs: float
    parameters: float
    lr: float


# The smallest first. Rates are those of the head at a batch of 32; the backbone's is a part of them.
CANDIDATES = (
    Candidate("mobilenetv3_large_100.ra_in1k", 0.22, 5.5, 1.4e-3),
    Candidate("efficientnet_b0.ra_in1k", 0.40, 5.3, 1.4e-3),
    Candidate("resnet34.a1_in1k", 3.67, 21.8, 1e-3),
    Candidate("convnext_tiny.fb_in22k_ft_in1k", 4.46, 28.6, 5e-4),
    Candidate("convnext_small.fb_in22k_ft_in1k", 8.71, 50.2, 5e-4),
)
UNKNOWN = Candidate("", 0.4, 0.0, 1.4e-3)  # a backbone that only its file's name tells


@dataclass(frozen=True)
class Model:
    """The network that was chosen, its weights (None: from scratch) and the size of its images' greater side."""

    candidate: Candidate
    weights: Weights | None
    side: int
    side_why: str = ""
    why: str = ""
    missing: bool = False  # from scratch only because no weights can be had
    width: int = SCRATCH_WIDTH  # of a network from scratch
    width_why: str = ""

    @property
    def pretrained(self) -> bool:
        """Whether it starts from trained weights."""
        return self.weights is not None


def choose_model(
    facts: Facts, epochs: int, find: Callable[[str, bool], Weights], local: Callable[[str], Weights | None]
) -> Model:
    """Choose the network.

    `find` says where a backbone's weights are, and may ask the hub; `local` names a file of weights lying about.
    """
    if facts.side <= SMALL_SIDE and facts.rows >= MANY_ROWS_OF_SMALL and not facts.versions:
        why = f"{facts.rows:,} images of {facts.side} px are enough to learn from scratch, at their own size"
        return replace(_from_scratch(facts, 1.0, facts.side), why=why)
    best = wanted_backbone(facts, epochs)
    found = find(best, True)
    if not found.at:
        mine = local(best)
        found = mine if mine and mine.backbone == best else _cached(best, find) or mine or found
    if not found.at:
        stand_in = _from_scratch(facts, STAND_IN_SHARE)
        return replace(stand_in, why="no pretrained weights can be had now: see the TODO", missing=True)
    candidate = next((c for c in CANDIDATES if c.backbone == found.backbone), UNKNOWN)
    hours = f"the largest of {len(CANDIDATES)} that the device trains in about {HOURS[facts.device]:g} hours"
    why = hours if found.backbone == best else f"weights of {best} can NOT be had now, and these can"
    return Model(candidate, found, *choose_side(candidate, facts, epochs), why=why)


def _from_scratch(facts: Facts, share: float, side: int | None = None) -> Model:
    """Return the best ResNet-9 that trains in a share of the usual hours, else the fastest, of the given side."""
    if side is None and not _may_resize(facts):
        side = facts.side
    epochs = choose_pace(facts, pretrained=False).epochs
    for width, smaller in SCRATCH_STEPS:
        chosen = side or min(facts.side, smaller)
        network = Candidate("", SCRATCH_GMACS * (width / SCRATCH_WIDTH) ** 2, 0.0, 0.0)
        if _hours(network, facts, chosen, epochs) <= share * HOURS[facts.device]:
            break
    why = f"of {SCRATCH_WIDTH}, for the time that a run takes on {facts.device}: a wider network learns more"
    reduced = chosen < min(facts.side, SCRATCH_STEPS[0][1])
    side_why = f"reduced, for the time that a run takes on {facts.device}" if reduced else ""
    return Model(UNKNOWN, None, chosen, side_why, width=width, width_why=why)


def _cached(best: str, find: Callable[[str, bool], Weights]) -> Weights | None:
    """Return the largest smaller candidate with weights in the cache: the hub has not answered once already."""
    smaller = [candidate.backbone for candidate in CANDIDATES]
    smaller = smaller[: smaller.index(best)]
    return next((weights for name in reversed(smaller) if (weights := find(name, False)).at), None)


def wanted_backbone(facts: Facts, epochs: int) -> str:
    """Return the backbone that is best if all weights are there: the largest that fits at the images' own size."""
    own = pretrained_side(facts)[0]
    fitting = [c for c in CANDIDATES if _hours(c, facts, own, epochs) <= HOURS[facts.device]]
    return (fitting or CANDIDATES)[-1 if fitting else 0].backbone


def choose_side(candidate: Candidate, facts: Facts, epochs: int) -> tuple[int, str]:
    """Return the greater side of images for a pretrained network, and why it is not their own."""
    own, why = pretrained_side(facts)
    if not _may_resize(facts) or _hours(candidate, facts, own, epochs) <= HOURS[facts.device]:
        return own, why
    smaller = [side for side in SMALLER_SIDES if side < own] or [own]
    fitting = [side for side in smaller if _hours(candidate, facts, side, epochs) <= HOURS[facts.device]]
    return (fitting or smaller[-1:])[0], f"reduced from {own} px, for the time that a run takes on {facts.device}"


def _may_resize(facts: Facts) -> bool:
    return facts.images and not facts.versions


def pretrained_side(facts: Facts) -> tuple[int, str]:
    """Return the greater side of images for a pretrained network, and why it is not their own."""
    if not _may_resize(facts) or facts.side >= LEAST_SIDE:
        return facts.side, ""
    why = f"enlarged from {facts.side} px: of less than {LEAST_SIDE} px a pretrained network keeps hardly a place"
    return LEAST_SIDE, why


def _hours(candidate: Candidate, facts: Facts, side: int, epochs: int) -> float:
    """Return the hours of a whole run, roughly."""
    speed = SPEED[facts.device] * (facts.cores if facts.device == "cpu" else 1)
    images = facts.trained_rows * epochs * facts.folds
    return images * candidate.gmacs * (side / USUAL_SIDE) ** 2 * FORWARD_AND_BACKWARD / speed / 3600


def missing_weights(facts: Facts, wanted: str) -> Iterator[str]:
    """Yield the decision that is the user's where no weights can be had: both choices, and what each costs."""
    few = "; with so few images that is most of the score" if facts.rows < MANY_ROWS_OF_SMALL else ""
    size_mb = next(candidate.parameters for candidate in CANDIDATES if candidate.backbone == wanted) * 4
    yield (
        "[model]: pretrained weights can NOT be had now: none in the hub's cache, no file of weights here, and the hub "
        "does not answer. Written is ResNet-9 from scratch, which runs now but scores far lower (macro F1 .39 instead "
        f"of .69 on 1,695 photographs){few}. The other choice costs a download of {size_mb:.0f} MB: with a network, "
        f"`hf download timm/{wanted} model.safetensors`; without, fetch that file elsewhere and put it here as "
        f"weights/{wanted}.safetensors. Then remove this TOML and call `compete init` again."
    )
