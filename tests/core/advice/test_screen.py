"""What `compete init` says of its recipe, and how long the run will take."""

from __future__ import annotations

import pytest

from compete.advice import Advice
from compete.advice import timing as timing_module
from compete.advice.facts import Facts, Section, Weights
from compete.advice.models import CANDIDATES, Model
from compete.advice.recipe import recipe
from compete.advice.screen import recipe_lines, too_long
from compete.advice.timing import Timing, time_run
from compete.files.proposals import Choice
from compete.model import device

FACTS = Facts(rows=2_000, kind="label", metric="macro_f1", side=224, counts={"a": 1_900, "b": 100}, cores=2)
SIZE = Section("images", (Choice("size", [224, 160]),))


def said(model: Model, timing: Timing | None = None) -> dict[str, str]:
    first, *lines = recipe_lines(Advice(FACTS, model), [SIZE, *recipe(FACTS, model)], timing)
    assert first == "recipe for 2,000 rows of 2 classes (100 to 1,900 rows each), on cpu, 2 cores:"
    return {line.split()[0]: line.strip().partition(" ")[2].strip() for line in lines}


def test_each_thing_that_decides_the_score_has_a_line():
    lines = said(Model(CANDIDATES[0], Weights("mobilenetv3_large_100.ra_in1k", "hub", 22), 224))
    assert lines["model"] == "mobilenetv3_large_100.ra_in1k; weights can be downloaded now (22 MB)"
    assert lines["images"] == "224 x 160 px"
    assert lines["training"].startswith("18 epochs in batches of 32: 900 steps a member; adamw, rate 0.0014, cosine")
    assert lines["augmentation"] == "HorizontalFlip, Affine, RandomBrightnessContrast; TTA flips"
    assert (lines["sampler"], lines["correction"]) == ("weighted, power 0.5", "prior")
    assert lines["time"] == "not timed"


def test_a_network_from_scratch_cannot_be_overlooked():
    lines = said(Model(CANDIDATES[0], None, 96, why="no weights"), Timing(0.01, 5, 7_200, "cpu"))
    assert lines["model"] == "resnet9 FROM SCRATCH: no weights"
    assert lines["time"] == "about 2h00m on cpu (5 members, 100 images a second in training)"


@pytest.mark.parametrize(("seconds", "asked"), [(7_000, 0), (30_000, 1)])
def test_a_run_of_many_hours_is_a_decision(seconds, asked):
    found = list(too_long(Timing(0.1, 5, seconds, "cpu"), [SIZE]))
    assert len(found) == asked
    if asked:
        assert "about 8h20m" in found[0] and "[112, 80]" in found[0]


def test_a_step_is_timed_without_training_or_writing_anything(tiny):
    before = sorted(path.name for path in tiny.iterdir())
    timing = time_run(tiny / "tiny.toml")
    assert timing is not None and timing.device == "cpu" and timing.members == 3
    assert 0 < timing.image_seconds < 1 and timing.seconds > timing.image_seconds
    assert sorted(path.name for path in tiny.iterdir()) == before


def steps_in(monkeypatch, *, bf16: float, fp32: float) -> None:
    """Let the CPU have bf16 instructions, and a step take so many seconds in each precision."""
    monkeypatch.setattr(device, "_cpu_has_bf16", lambda: True)
    seconds = {"bf16-mixed": bf16, "32-true": fp32}
    monkeypatch.setattr(timing_module, "fastest_step", lambda trainer, batches: seconds[trainer.run.session.precision])


def test_fp32_is_written_where_it_was_timed_to_be_faster(tiny, monkeypatch):
    steps_in(monkeypatch, bf16=4.0, fp32=2.0)
    text = (tiny / "tiny.toml").read_text()
    assert 'precision = "32-true"' in text
    (tiny / "auto.toml").write_text(text.replace('precision = "32-true"', 'precision = "auto"'))
    timing = time_run(tiny / "auto.toml")
    assert timing is not None and timing.precision is not None
    assert (timing.precision.name, timing.precision.value) == ("precision", "32-true")
    assert "bf16 takes 2.0 times as long" in timing.precision.why and "in fp32" in timing.said
    assert timing.bf16_seconds == pytest.approx(2 * timing.image_seconds)


def test_auto_stays_where_bf16_is_faster(tiny, monkeypatch):
    steps_in(monkeypatch, bf16=2.0, fp32=4.0)
    text = (tiny / "tiny.toml").read_text()
    (tiny / "auto.toml").write_text(text.replace('precision = "32-true"', 'precision = "auto"'))
    timing = time_run(tiny / "auto.toml")
    assert timing is not None and timing.precision is None and "fp32" not in timing.said


def test_every_view_of_the_test_images_is_counted(tiny, monkeypatch):
    monkeypatch.setattr(timing_module, "fastest_step", lambda trainer, batches: 1.0)
    text = (tiny / "tiny.toml").read_text()
    (tiny / "views.toml").write_text(text + '\n[[tta]]\nname = "flips"\nvertical = true\n')
    one, four = time_run(tiny / "tiny.toml"), time_run(tiny / "views.toml")
    assert one is not None and four is not None
    test_rows = len(list((tiny / "data/test").iterdir()))
    added = one.members * one.image_seconds * 3 * test_rows * timing_module.FORWARD_SHARE
    assert four.seconds - one.seconds == pytest.approx(added)


def test_what_cannot_be_timed_is_left_to_the_run_to_say(tiny):
    text = (tiny / "tiny.toml").read_text().replace('root = "', 'root = "not ')
    (tiny / "broken.toml").write_text(text)
    assert time_run(tiny / "broken.toml") is None
