"""albumentations may be missing: a TOML that does not use it runs, and one that does gets told what to install."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np

from compete_plugins.transforms import register_transforms

BLOCKED = """
import sys
sys.modules["albumentations"] = None  # importing it raises ImportError
from compete.cli import main
sys.argv[0] = "compete"
main()
"""


def compete(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-c", BLOCKED, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_run_with_torchvision_s_transforms_needs_no_albumentations(tmp_path, write_tiny):
    write_tiny(tmp_path)
    flip = 'transforms=[{name="torchvision", random=[{name="RandomHorizontalFlip", p=0.5}]}]'
    done = compete(tmp_path, "run", "tiny.toml", "--set", flip, "--set", "training.epochs=1")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_uses_albumentations_is_told_what_to_install(tmp_path, write_tiny):
    write_tiny(tmp_path)
    flip = 'transforms=[{name="albumentations", random=[{name="HorizontalFlip", p=0.5}]}]'
    done = compete(tmp_path, "validate", "tiny.toml", "--set", flip)
    assert done.returncode == 2
    assert "albumentations is not installed: pip install albumentations" in done.stderr
    assert "Traceback" not in done.stderr


def test_flips_and_a_quarter_turn_give_each_of_the_eight_ways_alike():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    ways = [np.rot90(turned, k) for turned in (image, image[:, ::-1]) for k in range(4)]
    flips = ({"name": "RandomHorizontalFlip"}, {"name": "RandomVerticalFlip"})
    turn = {"name": "RandomRotation", "degrees": [90, 90], "p": 0.5}
    random = register_transforms()["torchvision"](random=(*flips, turn)).random
    counts = Counter(random(image, seed).tobytes() for seed in range(800))
    assert set(counts) == {way.tobytes() for way in ways}
    assert min(counts.values()) > 60  # of 100
