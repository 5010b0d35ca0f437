"""Miniatures of real competitions: a few dozen tiny images in the layout and packing of each, traps included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from miniatures import classes, label_sets, records, stretch, yes_or_no
from miniatures.drawing import Drawn

MINIATURES: dict[str, Callable[[Path], Drawn]] = {
    "aerial-cactus-identification": yes_or_no.aerial_cactus,
    "alaska2-image-steganalysis": yes_or_no.alaska2,
    "aptos2019-blindness-detection": classes.aptos2019,
    "cassava-leaf-disease-classification": classes.cassava,
    "cdiscount-image-classification-challenge": records.cdiscount,
    "dog-breed-identification": classes.dog_breeds,
    "dogs-vs-cats-redux-kernels-edition": yes_or_no.dogs_vs_cats,
    "herbarium-2020-fgvc7": records.herbarium_2020,
    "herbarium-2021-fgvc8": records.herbarium_2021,
    "herbarium-2022-fgvc9": records.herbarium_2022,
    "histopathologic-cancer-detection": yes_or_no.histopathologic,
    "hotel-id-2021-fgvc8": label_sets.hotels,
    "imet-2020-fgvc7": label_sets.imet_2020,
    "inaturalist-2019-fgvc6": records.inaturalist_2019,
    "invasive-species-monitoring": yes_or_no.invasive_species,
    "iwildcam-2019-fgvc6": records.iwildcam_2019,
    "iwildcam-2020-fgvc7": records.iwildcam_2020,
    "leaf-classification": classes.leaves,
    "paddy-disease-classification": classes.paddy,
    "petfinder-pawpularity-score": classes.petfinder,
    "plant-pathology-2020-fgvc7": classes.plant_pathology_2020,
    "plant-pathology-2021-fgvc8": label_sets.plant_pathology_2021,
    "plant-seedlings-classification": classes.plant_seedlings,
    "ranzcr-clip-catheter-line-classification": label_sets.ranzcr,
    "seti-breakthrough-listen": yes_or_no.seti,
    "siim-isic-melanoma-classification": yes_or_no.siim_isic,
    "statoil-iceberg-classifier-challenge": yes_or_no.statoil,
    "whale-categorization-playground": label_sets.whales,
}

# The same task in other formats: their images need more than an image reader.
STRETCH: dict[str, Callable[[Path], Drawn]] = {
    "hms-harmful-brain-activity-classification": stretch.eegs,
    "mlsp-2013-birds": stretch.birds,
    "rsna-breast-cancer-detection": stretch.mammograms,
    "the-icml-2013-whale-challenge-right-whale-redux": stretch.right_whales,
}
