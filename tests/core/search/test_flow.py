"""`compete search` from TOML to results, killed and resumed, out of time, failing, and by several processes."""

from __future__ import annotations

import io
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

import compete
from compete.config.load import load_config
from compete.errors import CompeteError, ConfigError, TrainingError, UserError
from compete.hookspecs import hookimpl
from compete.scores import read_scores
from compete.search import trials
from compete.search.__main__ import _work
from compete.search.commands import search
from compete.search.flow import Clock, prepare_search, run_search
from compete.search.parallel import _start
from compete.search.storage import JOURNAL
from compete.store import folder_lock, read_json, write_json

SEARCH = """
[search]
trials = 4
startup = 2
[search.space]
"optimizer.lr" = { low = 1e-3, high = 0.5, log = true }
"model.dropout" = [0.0, 0.3]
"""


@pytest.fixture
def searched(tiny):
    path = tiny / "searched.toml"
    path.write_text((tiny / "tiny.toml").read_text().replace("epochs = 2", "epochs = 1") + SEARCH)
    return path


def made(path, *overrides, count=None, hours=None):
    return prepare_search(path, overrides, count, hours)


def tried(made):
    return [(trial.state.name, trial.params, trial.value) for trial in made.study().get_trials()]


def test_a_search_ends_with_a_table_a_winner_that_runs_and_what_matters(searched, capsys):
    search(searched, blend=2, ablate=True)
    (folder,) = (searched.parent / "submissions/tiny").glob("search-??????")
    out = capsys.readouterr().out
    table = pd.read_csv(folder / "results.csv")
    assert len(table) == 5 and set(table["name"]) == {"base", *(f"trial {number}" for number in (1, 2, 3, 4))}
    cv = table["cv"].dropna()
    assert cv.is_monotonic_decreasing and "chosen on all folds but one" in out
    for _, row in table[table["state"] == "complete"].iterrows():
        assert read_scores(folder.parent / row["run"]).cv.mean == pytest.approx(row["cv"])
        assert row[["fold0-seed42", "fold1-seed42", "fold2-seed42"]].mean() == pytest.approx(row["cv"])
    facts = read_json(folder / "results.json")
    assert facts["cv"] == pytest.approx(cv.iloc[0]) and facts["nested_cv"] is not None
    winner = compete.run(folder / "winner.toml")
    assert winner.folder.name == facts["winner"]["run"] and not load_config(folder / "winner.toml").search.space
    values = [f"{key}={value}" for key, value in facts["winner"]["values"].items()]
    assert compete.run(searched, values).folder == winner.folder
    assert (folder / "report.md").read_text().count("\n| ") == 6
    assert "blend of the best 2" in out and "value of the winner" in out
    before = tried(made(searched))
    run_search(made(searched, count=5))
    assert len(before) == 4 and tried(made(searched))[:4] == before and len(tried(made(searched))) == 5


def test_a_killed_search_goes_on_as_if_it_had_not_been_killed(searched, monkeypatch):
    whole = made(searched)
    run_search(whole)
    expected = tried(whole)
    shutil.rmtree(searched.parent / "submissions")
    original, calls = trials.run_competition, []

    def killed(config, name, **options):
        calls.append(name)
        if len(calls) == 3:  # the base, a trial, and this one
            raise KeyboardInterrupt
        return original(config, name, **options)

    monkeypatch.setattr(trials, "run_competition", killed)
    with pytest.raises(KeyboardInterrupt):
        run_search(made(searched))
    left = made(searched)
    assert [state for state, _, _ in tried(left)] == ["COMPLETE", "RUNNING"]
    with (left.folder / JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 7, "trial')  # a line that was cut off
    run_search(left)
    assert tried(left) == expected


def test_a_toml_that_is_edited_meanwhile_changes_no_trial(searched):
    begun = made(searched, count=1)
    searched.write_text(searched.read_text().replace("epochs = 1", "epochs = 2"))
    run_search(begun)
    (trial,) = begun.study().get_trials()
    assert trial.user_attrs["run"] == f"{begun.folder.name}-t001"  # which the table calls trial 1
    for folder in (trial.user_attrs["run"], f"{begun.folder.name}-base"):
        assert load_config(begun.folder.parent / folder / "config.toml").training.epochs == 1


def test_trials_that_fail_are_told_and_the_search_goes_on(searched, monkeypatch, capsys):
    original = trials.run_competition

    def fails(config, name, **options):
        if config.one("models").options["dropout"]:
            raise TrainingError("the loss became NaN")
        return original(config, name, **options)

    monkeypatch.setattr(trials, "run_competition", fails)
    done = made(searched, count=4)
    run_search(done)
    states = [state for state, _, _ in tried(done)]
    assert 0 < states.count("FAIL") < 4
    assert all((state == "FAIL") == (params["model.dropout"] == "0.3") for state, params, _ in tried(done))
    assert "failed: the loss became NaN" in capsys.readouterr().out


def test_a_search_of_failures_alone_ends(searched, monkeypatch):
    original = trials.run_competition

    def fails(config, name, **options):
        if name.endswith("base"):
            return original(config, name, **options)
        raise TrainingError("the loss became NaN")

    monkeypatch.setattr(trials, "run_competition", fails)
    with pytest.raises(CompeteError, match="the first 3 trials failed, the last one with: the loss became NaN"):
        run_search(made(searched))


def test_no_trial_begins_that_does_not_fit_and_the_time_before_a_kill_counts(searched):
    first = made(searched, count=1)
    run_search(first)
    assert Clock(first.folder).before > 0
    write_json(first.folder / "clock.json", {"seconds": 3590})
    late = made(searched, hours=1)
    assert 5 < late.left < 10
    (trial,) = late.study().get_trials()
    took = trial.user_attrs["seconds"]
    now = late.clock()
    run_search(replace(late, deadline=now + took / 2, clock=lambda: now))
    assert len(tried(late)) == 1
    run_search(replace(late, trials=2, deadline=now + took * 2, clock=lambda: now))
    assert len(tried(late)) == 2


def test_a_trial_is_pruned_after_a_fold_where_the_median_is_better(searched, monkeypatch):
    done = made(searched, count=2)
    run_search(done)
    trial = trials.propose(done.study(), done.config.search)
    watch = trials.TrialWatch(done, done.study(), trial)
    members = [SimpleNamespace(name=f"fold{fold}") for fold in range(3)]
    scores = {"fold0": -1.0}
    monkeypatch.setattr(
        trials,
        "finished",
        lambda run, member, folder: SimpleNamespace(score=scores[member.name]) if member.name in scores else None,
    )
    run = SimpleNamespace(members=members, member_folder=lambda member: None, session=SimpleNamespace(metric_name="f1"))
    with pytest.raises(trials.PrunedError, match=r"f1 -1.0000 after 1 of 3"):
        watch.on_member_start(SimpleNamespace(run=run, member=members[1]))
    scores.clear()
    watch.on_member_start(SimpleNamespace(run=run, member=members[0]))


def test_several_processes_make_each_trial_once(searched):
    done = made(searched, count=3)
    run_search(done, processes=2)
    assert [state in ("COMPLETE", "PRUNED") for state, _, _ in tried(done)] == [True] * 3
    assert (done.folder / "process-1.txt").exists()
    with _start(replace(done, trials=100), 1, 2) as helper:
        helper.stdin.close()  # as when the process that started it is killed
        assert helper.wait(60) == 130, (done.folder / "process-1.txt").read_text()


@pytest.mark.parametrize("moment", ["neither has a run yet", "the first one holds its run"])
def test_a_trial_of_equal_values_waits_for_the_first_one_and_takes_its_result(searched, monkeypatch, moment):
    done = made(searched, count=2)
    trials.run_base(done, print)
    study, lines, original = done.study(), [], trials.run_competition
    for _ in range(2):
        study.enqueue_trial({"optimizer.lr": 0.01, "model.dropout": "0.3"})
    both, held = threading.Barrier(2), threading.Event()

    def run_at_once(*given, **options):
        if moment == "neither has a run yet":
            with suppress(threading.BrokenBarrierError):  # broken where the second one waits
                both.wait(1)
        return original(*given, **options)

    class Watch(trials.TrialWatch):
        @hookimpl
        def on_member_start(self, trainer):
            held.set()
            end = time.monotonic() + 2
            while moment == "the first one holds its run" and not lines and time.monotonic() < end:
                time.sleep(0.05)

    def make(trial, wait):
        assert wait.wait(60)
        trials._make(done, study, trial, lambda line: lines.append(line) if "waiting" in line else None)

    monkeypatch.setattr(trials, "run_competition", run_at_once)
    monkeypatch.setattr(trials, "TrialWatch", Watch)
    at_once = threading.Event()
    at_once.set()
    with ThreadPoolExecutor(2) as threads:
        for wait in (at_once, at_once if moment == "neither has a run yet" else held):
            threads.submit(make, trials.propose(study, done.config.search), wait)
    one, other = study.get_trials()
    assert one.state.name == other.state.name == "COMPLETE" and one.value == other.value
    assert one.user_attrs["run"] == other.user_attrs["run"]
    assert len(lines) == 1 and lines[0].endswith("runs the same values: waiting for it")


def test_a_run_that_another_command_has_is_waited_for(searched):
    done, lines = made(searched), []
    base = trials.run_base(done, print).folder
    with ExitStack() as held:
        held.enter_context(folder_lock(base))

        def wait(line):
            lines.append(line)
            held.close()

        assert trials.run_values(done, {}, "base", wait).folder == base
    assert lines == [f"another command has {base}: waiting for it"]


def test_a_helper_refuses_a_toml_that_has_changed(searched):
    done = made(searched)
    task = {"file": str(searched), "overrides": ["training.epochs=3"], "folder": str(done.folder)}
    with pytest.raises(CompeteError, match="has changed since the search began"):
        _work({**task, "higher_is_better": True, "trials": 1, "deadline": None}, io.StringIO())


def test_without_optuna_the_message_has_the_line_that_installs_it(searched, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'compete\[optuna\]'"):
        made(searched)


@pytest.mark.parametrize("hours", [0, float("nan")])
def test_hours_that_are_none(searched, hours):
    with pytest.raises(ConfigError, match="must be more than 0"):
        made(searched, hours=hours)
