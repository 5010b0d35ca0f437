"""`compete run --hours`: the clock and the costs are made up, the runs are real."""

from __future__ import annotations

from pathlib import Path

import pytest

import compete.train.loop
from compete.budget.measure import measure
from compete.budget.plan import Cost, Unit
from compete.budget.timed_run import run_within
from compete.config.load import load_config
from compete.errors import ConfigError
from compete.scores import read_scores
from compete.store import read_json

HOUR = 3600.0
COST = Cost(start=60, reopen=60, epoch=300, refit_epoch=450, predict=30, finish=60)
VARIANTS = """
[[variants]]
name = "plain"
model.dropout = 0.0

[[variants]]
name = "dropped"
model.dropout = 0.2
"""


class World:
    """A clock that moves with each epoch, by the seconds that `paces` lists; the last one goes on."""

    def __init__(self, monkeypatch, *paces: float) -> None:
        self.now, self.paces, self.epochs, self.measured = 0.0, list(paces), 0, 0
        original = compete.train.loop.train_epoch

        def train_epoch(trainer) -> None:
            pace = self.paces[min(self.epochs, len(self.paces) - 1)]
            if pace is KeyboardInterrupt:
                self.paces[self.epochs] = self.paces[self.epochs - 1]
                raise KeyboardInterrupt
            self.now, self.epochs = self.now + pace, self.epochs + 1
            original(trainer)

        monkeypatch.setattr(compete.train.loop, "train_epoch", train_epoch)

    def run(self, path, hours, *overrides, **options):
        def measured(config, name):
            self.measured += 1
            settings = config.training
            return Unit(name, settings.epochs, (0, 1, 2), settings.seeds, settings.refit), COST

        configs = [load_config(path, overrides)]
        return run_within(configs, hours, clock=lambda: self.now, measured=measured, **options)

    def run_all(self, texts, hours):
        """Run TOMLs by name and text."""
        for name, text in texts.items():
            Path(name).write_text(text)
        configs = [load_config(Path(name)) for name in texts]

        def measured(config, name):
            return Unit(name, config.training.epochs, (0, 1, 2), config.training.seeds, False), COST

        return run_within(configs, hours, clock=lambda: self.now, measured=measured)


def plan_of(run):
    return read_json(run.folder / "plan.json")["plan"]


def test_where_all_fits_the_run_is_the_one_without_hours(tiny, monkeypatch, capsys):
    run = World(monkeypatch, 300).run(tiny / "tiny.toml", 1)
    assert plan_of(run) == {"epochs": [2], "folds": 3, "seeds": 1, "refit": False}
    assert not any("--hours" in warning for warning in run.session.warnings)
    out = capsys.readouterr().out
    assert "all of it takes about 33m30s, this plan 33m30s of 1h00m" in out and "took 30m00s of 1h00m" in out
    before = (run.folder / "submission.csv").read_bytes()
    plain = compete.run(tiny / "tiny.toml")
    assert plain.folder == run.folder and (plain.folder / "submission.csv").read_bytes() == before


def test_a_short_time_cuts_the_epochs_and_the_resolved_toml_repeats_the_run(tiny, monkeypatch):
    run = World(monkeypatch, 300).run(tiny / "tiny.toml", 0.75, "training.epochs=4", "training.seeds=2")
    assert plan_of(run) == {"epochs": [2], "folds": 3, "seeds": 1, "refit": False}
    scores = read_scores(run.folder)
    assert "--hours 0.75: tiny: 2 of 4 epochs, 3 folds, 1 of 2 seeds. The CV is over these folds" in scores.warnings
    before = (run.folder / "submission.csv").read_bytes()
    again = compete.run(run.folder / "config.toml", fresh=True)
    assert again.folder != run.folder and (again.folder / "submission.csv").read_bytes() == before


def test_not_even_the_smallest_plan(tiny, monkeypatch):
    world = World(monkeypatch, 300)
    with pytest.raises(ConfigError, match=r"--hours 0.1: the smallest plan takes about 8m15s .* Set --hours 0.14 or"):
        world.run(tiny / "tiny.toml", 0.1)
    assert not (tiny / "submissions").exists() and world.epochs == 0
    world.run(tiny / "tiny.toml", 0.14)
    assert world.epochs == 1


@pytest.mark.parametrize("hours", [0, -1, float("nan"), float("inf")])
def test_hours_that_are_none(tiny, monkeypatch, hours):
    with pytest.raises(ConfigError, match="must be more than 0"):
        World(monkeypatch, 300).run(tiny / "tiny.toml", hours)


def test_a_run_that_slows_down_leaves_out_folds_that_have_not_begun(tiny, monkeypatch, capsys):
    world = World(monkeypatch, 300, 300, 900)
    run = world.run(tiny / "tiny.toml", 1)
    assert plan_of(run)["folds"] == 2 and world.epochs == 4
    assert run.folder.name == "run-001" and len(list((run.folder / "members").iterdir())) == 2
    assert load_config(run.folder / "config.toml").training.only_folds == [0, 1]
    scores = read_scores(run.folder)
    assert len(scores.cv.folds) == 2 and any("2 of 3 folds" in warning for warning in scores.warnings)
    assert "the plan changes: 20m00s left" in capsys.readouterr().out
    assert sum(1 for _ in (tiny / "submissions/tiny").glob("run-*")) == 1


def test_a_first_epoch_that_takes_longer_starts_again_with_fewer_epochs(tiny, monkeypatch):
    world = World(monkeypatch, 600)
    run = world.run(tiny / "tiny.toml", 1.2, "training.epochs=4")
    assert plan_of(run) == {"epochs": [2], "folds": 2, "seeds": 1, "refit": False}
    assert world.epochs == 1 + 2 * 2 and world.now < 1.2 * HOUR


def test_a_run_that_is_too_slow_for_anything_still_ends_with_a_submission(tiny, monkeypatch, capsys):
    run = World(monkeypatch, 5000).run(tiny / "tiny.toml", 1)
    assert (run.folder / "submission.csv").exists() and len(read_scores(run.folder).cv.folds) == 1
    out = capsys.readouterr().out
    assert "it will be late by about" in out and "over the budget" in out


def test_the_same_command_resumes_the_plan_and_what_was_spent_counts(tiny, monkeypatch, capsys):
    world = World(monkeypatch, 300, 300, 300, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        world.run(tiny / "tiny.toml", 1)
    world.now += 100 * HOUR  # the machine is away
    run = world.run(tiny / "tiny.toml", 1)
    assert world.measured == 1 and world.epochs == 6 and run.folder.name == "run-001"
    out = capsys.readouterr().out
    assert "resuming the plan of submissions/tiny/run-001: 15m00s of 1h00m spent" in out
    assert "took 30m00s of 1h00m" in out
    other = World(monkeypatch, 300).run(tiny / "tiny.toml", 2)
    assert other.folder == run.folder, "all fits, so it is the same run"


def test_the_time_of_an_epoch_that_is_stopped_counts(tiny, monkeypatch, capsys):
    world = World(monkeypatch, 300)

    def stopped(trainer) -> None:
        world.now += 200
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(compete.train.loop, "train_epoch", stopped)
        world.run(tiny / "tiny.toml", 1)
    world.run(tiny / "tiny.toml", 1)
    assert "run-001: 3m20s of 1h00m spent" in capsys.readouterr().out


def test_a_kill_between_a_new_plan_and_its_folder(tiny, monkeypatch):
    world = World(monkeypatch, 300, 300, 900)
    import compete.budget.timed_run as timed

    adopt = timed._adopt_all

    def killed(*_):
        monkeypatch.setattr(timed, "_adopt_all", adopt)
        raise KeyboardInterrupt

    monkeypatch.setattr(timed, "_adopt_all", killed)
    with pytest.raises(KeyboardInterrupt):
        world.run(tiny / "tiny.toml", 1, name="mine")
    run = world.run(tiny / "tiny.toml", 1, name="mine")
    assert run.folder.name == "mine" and len(read_scores(run.folder).cv.folds) == 2
    assert [path.name for path in (tiny / "submissions/tiny").glob("*/run.json") for path in [path.parent]] == ["mine"]


def test_variants_share_the_time(tiny, monkeypatch):
    path = tiny / "several.toml"
    path.write_text((tiny / "tiny.toml").read_text() + VARIANTS)
    both = World(monkeypatch, 300).run(path, 2)
    assert [each.name for each in read_scores(both.folder).blend.inputs] == ["run-001-plain", "run-001-dropped"]
    one = World(monkeypatch, 300).run(path, 1, fresh=True)
    assert one.folder.name == "run-002" and plan_of(one)["epochs"] == [2] and not one.config.variants


def test_a_variant_is_left_out_under_way(tiny, monkeypatch):
    path = tiny / "several.toml"
    path.write_text((tiny / "tiny.toml").read_text() + VARIANTS)
    world = World(monkeypatch, *[300] * 6, 2000)
    run = world.run(path, 1.5, name="entry")
    assert run.folder.name == "entry-plain" and plan_of(run)["epochs"] == [2]
    assert any("dropped: left out" in warning for warning in read_scores(run.folder).warnings)
    assert not (tiny / "submissions/tiny/entry").exists()


def test_several_tomls_share_the_time(tiny, monkeypatch):
    world, text = World(monkeypatch, 300), (tiny / "tiny.toml").read_text()
    run = world.run_all({"a.toml": text, "b.toml": text.replace("lr = 0.05", "lr = 0.01")}, 2)
    assert len(read_scores(run.folder).blend.inputs) == 2 and world.epochs == 12


def test_a_finished_toml_is_not_counted_again_after_a_kill(tiny, monkeypatch, capsys):
    world, text = World(monkeypatch, *[300] * 13, KeyboardInterrupt, 900), (tiny / "tiny.toml").read_text()
    texts = {"a.toml": text + "seeds = 2\n", "b.toml": text.replace("lr = 0.05", "lr = 0.01") + "seeds = 2\n"}
    with pytest.raises(KeyboardInterrupt):
        world.run_all(texts, 2.4)
    run = world.run_all(texts, 2.4)
    assert "plan: b: 2 epochs, 3 folds, 1 of 2 seeds" in capsys.readouterr().out
    assert len(read_scores(run.folder).blend.inputs) == 2 and world.now < 2.4 * HOUR


def test_tomls_that_a_plan_would_make_the_same_are_not_both_run(tiny, monkeypatch, capsys):
    world, text = World(monkeypatch, 300), (tiny / "tiny.toml").read_text()
    world.run_all({"a.toml": text, "b.toml": text + "seeds = 3\n"}, 1.4)
    assert "plan: b: left out" in capsys.readouterr().out and world.epochs == 6


def test_other_data_get_all_of_the_time_again(tiny, monkeypatch):
    world = World(monkeypatch, 300)
    first = world.run(tiny / "tiny.toml", 0.75)
    lines = Path("data/train.csv").read_text().splitlines()
    Path("data/train.csv").write_text("\n".join(lines[:-1]) + "\n")
    second = world.run(tiny / "tiny.toml", 0.75)
    assert second.folder != first.folder and plan_of(second)["folds"] == 3 and world.epochs == 12
    assert world.run(tiny / "tiny.toml", 0.75).folder == second.folder and world.epochs == 12


def test_what_is_measured(tiny):
    config = load_config(tiny / "tiny.toml", ["training.seeds=2", "training.only_folds=[1, 2]"])
    unit, cost = measure(config, "tiny")
    assert unit == Unit("tiny", 2, (1, 2), 2, False)
    assert 0 < cost.epoch < cost.refit_epoch * 3 and 0 < cost.predict < 5 and cost.start >= cost.reopen > 0
    assert not (tiny / "submissions").exists()


def test_another_name_gets_a_folder_of_its_own(tiny, monkeypatch):
    world = World(monkeypatch, 300)
    one, two = (world.run(tiny / "tiny.toml", 1, name=name) for name in ("one", "two"))
    assert (one.folder.name, two.folder.name) == ("one", "two") and world.epochs == 6, "members are reused"
