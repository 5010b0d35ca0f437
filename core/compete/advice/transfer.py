"""What to train of a pretrained network: the table of data size and similarity, its choice, and the reason."""

from __future__ import annotations

from dataclasses import dataclass

from compete.advice.domains import find_domain
from compete.advice.facts import Facts, Section, section
from compete.files.proposals import Choice

ENOUGH = 50  # images a class, on average
VERY_FEW = 200  # images in all: a head is all that they can train
SLOW, SLOWER = 0.5, 0.1


@dataclass(frozen=True)
class Cell:
    """One of the four cases: what the textbook trains, and what is advised here, with the reason."""

    enough: bool
    similar: bool
    textbook: str
    freeze: str
    ratio: float
    why: str


CELLS = (
    Cell(
        True, True, "feature extraction: train a new head", "none", 1.0,
        "there are enough images to move the backbone too; at the head's own rate it scored higher than at half of it",
    ),
    Cell(
        True, False, "fine-tuning: train everything", "none", 1.0,
        "features of ImageNet fit badly, and there are enough images to learn better ones",
    ),
    Cell(
        False, True, "feature extraction: train a new head", "none", SLOWER,
        "the features fit, and few images would spoil them: the backbone moves at a tenth of the head's rate",
    ),
    Cell(
        False, False, "hardly trainable", "none", SLOW,
        "a hard case: neither the features fit nor can so few images teach others; try more data, then compare "
        "freeze = \"backbone\" with this by CV",
    ),
)  # fmt: skip
FROZEN = "so few images can train a head and no more; the backbone stays as it is"


def find_cell(facts: Facts) -> Cell:
    """Return the case that the facts belong to."""
    enough, similar = facts.per_class >= ENOUGH, is_similar(facts)
    return next(cell for cell in CELLS if (cell.enough, cell.similar) == (enough, similar))


def is_similar(facts: Facts) -> bool:
    """Return the user's word on similarity, or a guess by what the images are."""
    if facts.similar is not None:
        return facts.similar
    return facts.images and facts.channels == 3 and find_domain(facts).similar


def finetune(facts: Facts) -> Section:
    """Return `[finetune]`: what is frozen, and how fast the backbone moves."""
    cell = find_cell(facts)
    size = f"{facts.per_class:.0f} images a class" if facts.counts else f"{facts.rows:,} images"
    case = f"{size}, {'like' if cell.similar else 'unlike'} ImageNet's photographs"
    if _head_only(facts, cell):
        return section("finetune", Choice("freeze", "backbone", f"{case}: {FROZEN}"))
    return section("finetune", Choice("backbone_lr_ratio", cell.ratio, f"{case}: {cell.why}"))


def _head_only(facts: Facts, cell: Cell) -> bool:
    return cell.similar and facts.rows < VERY_FEW


def table_lines(facts: Facts) -> list[str]:
    """Return the table as text, the case at hand marked."""
    own = find_cell(facts)
    lines = [f"{'':2}{'data':<26}{'like ImageNet':<15}{'textbook':<38}advice"]
    for cell in CELLS:
        mark = "->" if cell == own else "  "
        data = f"{'enough' if cell.enough else 'few'} ({'from' if cell.enough else 'below'} {ENOUGH} a class)"
        advice = f"backbone at {cell.ratio:g} of the head's rate" if cell.ratio < 1 else "everything at one rate"
        if cell == own and _head_only(facts, cell):
            advice = f"backbone frozen: less than {VERY_FEW} images in all"
        lines.append(f"{mark}{data:<26}{'yes' if cell.similar else 'no':<15}{cell.textbook:<38}{advice}")
    return lines
