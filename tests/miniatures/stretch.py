"""Miniatures of four competitions whose images are no images: spectrograms, sounds, mammograms, an EEG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from miniatures.drawing import Drawn, bits, dealt, image, measured, put, table, zipped

BIRDS = [str(number) for number in range(19)]
DRAWN_BIRDS = BIRDS[:12]  # as many as a colour has bits
VOTES = ["seizure_vote", "lpd_vote", "gpd_vote", "lrda_vote", "grda_vote", "other_vote"]
ELECTRODES = [f"E{number}" for number in range(20)]
EEG_ROWS, RANGE = 10_000, 200.0


def birds(root: Path) -> Drawn:
    """Rows as long as a recording has species; train and test in one table; a row of the sample for each species."""
    rng = np.random.default_rng(0)
    heard = {row: [name for name in DRAWN_BIRDS if rng.random() < 0.3] for row in range(52)}
    heard[3] = []
    names = {row: f"PC{row % 13 + 1}_20100{row % 3 + 6}{row:02d}_050000_0010" for row in heard}
    test = list(range(5, 52, 5))
    lines = [f"{row},?" if row in test else ",".join([str(row), *species]) for row, species in heard.items()]
    labels = {str(row * 100 + int(name)): int(name in heard[row]) for row in test for name in BIRDS}
    put(root, {
        "essential_data/rec_labels_test_hidden.txt": "\n".join(["rec_id,[labels]", *lines, ""]).encode(),
        "essential_data/rec_id2filename.txt": table(["rec_id", "filename"], names.items()),
        "essential_data/CVfolds_2.txt": table(["rec_id", "fold"], ((row, int(row in test)) for row in heard)),
        "essential_data/species_list.txt": table(["class_id", "code", "species"], ((n, "x", "y") for n in BIRDS)),
        "sample_submission.csv": table(["Id", "Probability"], ((row, 0) for row in labels)),
        **{f"supplemental_data/filtered_spectrograms/{names[row]}.bmp": image(bits(species, BIRDS), (50, 20), "bmp")
           for row, species in heard.items()},
    })  # fmt: skip
    return Drawn(["Id", "Probability"], "probability", labels, holds="set")


def right_whales(root: Path) -> Drawn:
    """Sounds in zips; the label ends the file name."""
    train = {f"2009032{n % 2 + 8}_{n // 5:02d}{n:02d}00_00{n}s3ms_TRAIN{n}_{n % 2}.aif": n % 2 for n in range(40)}
    test = {f"20090330_{n:02d}0000_00{n}s3ms_Test{n}.aif": n // 2 % 2 for n in range(10)}
    put(root, {
        "sampleSubmission.csv": table(["clip", "probability"], ((name, 0) for name in test)),
        "train2.zip": zipped({f"train2/{name}": _sound(call, n) for n, (name, call) in enumerate(train.items())}),
        "test2.zip": zipped({f"test2/{name}": _sound(call, n) for n, (name, call) in enumerate(test.items())}),
    })  # fmt: skip
    return Drawn(["clip", "probability"], "probability", test, holds="measured")


def mammograms(root: Path) -> Drawn:
    """DICOM, two or three images of each breast, and one label for it."""
    facts = ["patient_id", "image_id", "laterality", "view", "age"]
    found = ["cancer", "biopsy", "invasive", "BIRADS", "density", "difficult_negative_case"]
    breasts = [(patient, side) for patient in range(10006, 10031) for side in "LR"]
    cancer = dict(zip(breasts, dealt([0, 0, 1], len(breasts)), strict=True))
    rows = [
        (patient, 1000 * patient + 10 * "LR".index(side) + view, side, ["CC", "MLO", "MLO"][view], "")
        for patient, side in breasts
        for view in range(2 + patient % 2)
    ]
    train, test = ([row for row in rows if (row[0] > 10025) == is_test] for is_test in (False, True))
    labels = {f"{patient}_{side}": cancer[patient, side] for patient, side in breasts if patient > 10025}
    put(root, {
        "train.csv": table([*facts, *found], ((*row, cancer[row[0], row[2]], 0, 0, "", "", False) for row in train)),
        "test.csv": table([*facts, "prediction_id"], ((*row, f"{row[0]}_{row[2]}") for row in reversed(test))),
        "sample_submission.csv": table(["prediction_id", "cancer"], ((name, 0.02) for name in labels)),
        **{f"{'test' if row in test else 'train'}_images/{row[0]}/{row[1]}.dcm":
           dicom(measured(cancer[row[0], row[2]] == 1, (40, 20), row[1]) * 10 + 500) for row in rows},
    })  # fmt: skip
    return Drawn(["prediction_id", "cancer"], "probability", labels, holds="measured")


def eegs(root: Path) -> Drawn:
    """Votes for windows of longer recordings, of which test has one each; some recordings occur several times."""
    facts = ["eeg_id", "eeg_sub_id", "eeg_label_offset_seconds", "spectrogram_id", "label_id", "patient_id"]
    most_votes = dict(zip(range(568657, 568657 + 46), dealt(VOTES, 46), strict=True))
    train, test = dict(list(most_votes.items())[:36]), dict(list(most_votes.items())[36:])
    labels = {row: [7 if name == most else int(name == "other_vote") for name in VOTES] for row, most in train.items()}
    windows = [(row, part) for row in train for part in range(row % 3 + 1)]
    twice = [*test, 568700]
    put(root, {
        "train.csv": table([*facts, "expert_consensus", *VOTES], (
            (row, part, 2.0 * part, row // 2, f"{row}{part}", row % 12, "Other",
             *(labels[row] if part == 0 else reversed(labels[row]))) for row, part in windows
        )),
        "test.csv": table(["spectrogram_id", "eeg_id", "patient_id"], ((row // 2, row, 99) for row in reversed(twice))),
        "sample_submission.csv": table(["eeg_id", *VOTES], ((row, *[1 / 6] * 6) for row in twice)),
        **{f"train_eegs/{row}.parquet": _eeg(vote, later=400 * (row % 3)) for row, vote in train.items()},
        **{f"test_eegs/{row}.parquet": _eeg(vote, later=0) for row, vote in test.items()},
    })  # fmt: skip
    named = {str(row): vote for row, vote in test.items()}
    return Drawn(["eeg_id", *VOTES], "classes", named, holds="level", rows=[str(row) for row in twice])


def dicom(values: np.ndarray[Any, Any]) -> bytes:
    """Return an uncompressed grey DICOM file; without the package that reads and writes them, skip the test."""
    pydicom = pytest.importorskip("pydicom")
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3"
    file = pydicom.dataset.FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    file.Rows, file.Columns = values.shape
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit, file.PixelRepresentation, file.SamplesPerPixel = 15, 0, 1
    file.PhotometricInterpretation, file.PixelData = "MONOCHROME2", values.astype("<u2").tobytes()
    data = io.BytesIO()
    file.save_as(data, enforce_file_format=True)
    return data.getvalue()


def _sound(call: int, seed: int) -> bytes:
    """Return two seconds of AIFF with noise at 70 % of all pitches where there is a call, else at 30 %."""
    soundfile = pytest.importorskip("soundfile")
    rng = np.random.default_rng(seed)
    waves = np.exp(2j * np.pi * rng.random(2001)) * (np.arange(2001) < (1400 if call else 600))
    samples = np.fft.irfft(waves)
    data = io.BytesIO()
    soundfile.write(data, samples / abs(samples).max() * 0.5 + rng.normal(0, 1e-4, 4000), 2000, format="AIFF")
    return data.getvalue()


def _eeg(vote: str, later: int) -> bytes:
    """Return an EEG whose level says which vote it got, followed by rows of another window."""
    level = RANGE * (2 * VOTES.index(vote) + 1 - len(VOTES)) / len(VOTES)
    values = np.concatenate([np.full(EEG_ROWS, level), np.full(later, -level)]).astype(np.float32)
    data = io.BytesIO()
    pd.DataFrame(dict.fromkeys(ELECTRODES, values)).to_parquet(data)
    return data.getvalue()
