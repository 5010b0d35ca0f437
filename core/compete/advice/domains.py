"""What images are, by the words around them, and the augmentation and TTA that do them no harm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from compete.advice.facts import Facts, Section, section
from compete.files.proposals import Choice

Transform = dict[str, Any]
FLIP: Transform = {"name": "HorizontalFlip", "p": 0.5}
TURNS: Transform = {"name": "D4", "p": 1.0}
FLIPS = ("HorizontalFlip", "VerticalFlip", "D4")
LIGHT: Transform = {"name": "RandomBrightnessContrast", "brightness_limit": 0.2, "contrast_limit": 0.2, "p": 0.5}


def _moved(scale: float, shift: float, degrees: int) -> Transform:
    """Return small changes of size, place and angle."""
    return {
        "name": "Affine", "scale": [1 - scale, 1 + scale], "translate_percent": [-shift, shift],
        "rotate": [-degrees, degrees], "border_mode": 1, "p": 0.7,
    }  # fmt: skip


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True)
class Domain:
    """A kind of images: the words that tell it, the augmentation, and whether it resembles ImageNet's photographs."""

    name: str
    words: frozenset[str]
    random: tuple[Transform, ...]
    why: str
    similar: bool = False


DOMAINS = (
    Domain(
        "documents",
        _words(
            "document documents handwritten handwriting digit digits mnist kmnist ocr receipt invoice glyph "
            "letter letters character characters kuzushiji captcha font"
        ),
        (_moved(0.1, 0.05, 5), LIGHT),
        "writing is not mirrored: small shifts and turns, and no flip",
    ),
    Domain(
        "medical scans",
        _words(
            "xray radiograph radiography chest ct mri dicom rsna ranzcr catheter mammography mammogram breast "
            "pneumonia covid lung knee spine lumbar abdominal"
        ),
        (_moved(0.1, 0.05, 10), LIGHT),
        "organs have a side: small shifts and turns, and no flip",
    ),
    Domain(
        "tissue, skin and cells",
        _words(
            "histopathologic histopathology histology tissue metastasis metastatic tumor tumour slide cell cells "
            "blood malaria skin melanoma isic lesion lesions dermatology fundus retina retinal aptos2019 aptos "
            "retinopathy blindness microscopy protein"
        ),
        (TURNS, LIGHT),
        "such images have no upper side: all flips and quarter turns",
    ),
    Domain(
        "plants and places from above",
        _words(
            "aerial satellite drone overhead remote eurosat landcover orthophoto cactus columnar seedling "
            "seedlings weed weeds planet amazon uav"
        ),
        (TURNS, LIGHT),
        "seen from above, images have no upper side: all flips and quarter turns",
    ),
)  # fmt: skip
PHOTOGRAPHS = Domain(
    "photographs",
    frozenset(),
    (FLIP, _moved(0.1, 0.05, 10), LIGHT),
    "a mirrored photograph keeps its label; small shifts, turns and light",
    similar=True,
)


def find_domain(facts: Facts) -> Domain:
    """Return what the images are; photographs unless a word tells otherwise."""
    found = (domain for domain in DOMAINS if domain.words & facts.words)
    return next(found, PHOTOGRAPHS)


def told_by(domain: Domain, facts: Facts) -> str:
    """Return the word that told the domain."""
    return next(iter(sorted(domain.words & facts.words)), "")


def augmentation(facts: Facts) -> Iterator[Section]:
    """Yield the random transforms; none for measured data, whose axes have a meaning."""
    if not facts.images:
        return
    if facts.versions:
        why = "flips and quarter turns alone, which move pixels; changing some destroys what tells the versions apart"
        random = [TURNS] if facts.square else [{"name": name, "p": 0.5} for name in ("HorizontalFlip", "VerticalFlip")]
    else:
        random, why = _of_domain(facts)
    yield section("transforms", Choice("name", "albumentations"), Choice("random", random), why=why, repeats=True)
    if facts.sided:
        why = f"no flip, since {facts.sided}; uncomment it if a mirrored image keeps its label:"
        keys = Choice("name", "albumentations"), Choice("random", [FLIP])
        yield Section("transforms", keys, why, repeats=True, suggested=True)


def _of_domain(facts: Facts) -> tuple[list[Transform], str]:
    domain = find_domain(facts)
    random = [*domain.random]
    if TURNS in random and not facts.square:
        flips = [{"name": name, "p": 0.5} for name in ("HorizontalFlip", "VerticalFlip")]
        random = [*flips, *random[1:]]
    word = told_by(domain, facts)
    taken = f"taken for {domain.name} by the word '{word}'" if word else f"taken for {domain.name}"
    why = f"{taken}: {domain.why}"
    if facts.kind == "regression":
        random, why = (
            [t for t in random if t["name"] != "Affine"],
            f"{why}; no shifts or turns, which may move a number",
        )
    if facts.sided:
        random, why = [t for t in random if t["name"] not in FLIPS], f"taken for {domain.name}, without flips"
    return random, why


def views(augmented: list[Section]) -> Iterator[Section]:
    """Yield the TTA that training has seen: flips where the augmentation flips."""
    random = [t for s in augmented if not s.suggested for key in s.keys if key.name == "random" for t in key.value]
    names = {transform["name"] for transform in random}
    if "D4" in names or "VerticalFlip" in names:
        why = "4 views of each image: the augmentation turns images too, so that the network knows such views"
        yield section("tta", Choice("name", "flips", why), Choice("vertical", True), repeats=True)
    elif "HorizontalFlip" in names:
        yield section("tta", Choice("name", "flips", "2 views of each image, mirrored as in training"), repeats=True)
