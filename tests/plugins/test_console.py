"""The console: plain records in pipes; a live line and a last screen on terminals."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pluggy
import pytest
from rich.console import Console

from compete import Epoch, Member, MemberResult, Metric, PlanReport, RowsReport, TrainingReport, hookspecs
from compete_plugins import console
from compete_plugins.console import _pace
from compete_plugins.console._records import Records
from compete_plugins.console._terminal import Screen, Terminal
from compete_plugins.console._words import clean, decimal, shown_path
from scores_fixtures import make_scores, per_class

NASTY = "wear \x1b[31m[red] <30"
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_pace, "time", clock)
    return clock


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "submissions/mask/run-001"
    return SimpleNamespace(
        competition="mask",
        title="Mask wearing",
        folder=folder,
        metric_name="macro_f1",
        interactive=True,
        label="",
        together={},
    )


CLASS_ROWS = per_class(("not wear", 0.847, 1234), (NASTY, 0.444, 83))
SCORES = make_scores(
    title="Mask wearing", run="run-001", per_class=CLASS_ROWS, warnings=["submission: one label is in every row"]
)
ROWS = RowsReport(18, 4, 6, "labels", 2, (8, 10), "stratified", "feedc0de", (9, 9), "These images are drawn.")
PLAN = PlanReport(2, 1, 3, "cpu", "32-true", (), "mean", "auto")


def plan(*notes: str) -> PlanReport:
    return replace(PLAN, notes=notes)


def make_trainer(**changes: object) -> SimpleNamespace:
    state: dict[str, Any] = {"epoch": 0, "epochs": 3, "step": 0, "steps_per_epoch": 10, "samples_seen": 0}
    metric = Metric(lambda labels, predictions: 0.0)
    members = [Member(0, 0), Member(1, 0)]
    facts = {"member": members[0], "members": members, "metric": metric, "metric_name": "macro_f1", "history": []}
    return SimpleNamespace(**(facts | state | changes))


def end_epoch(plugin: Records | Terminal, trainer: SimpleNamespace, score: float, number: int = 1) -> None:
    """Do what the training loop does at the end of an epoch."""
    epoch = Epoch(number, 1.23, 1.1, score, 1e-3, 4.1)
    trainer.history.append(epoch)
    trainer.epoch, trainer.step = number, 0
    plugin.on_epoch_end(trainer=trainer, epoch=epoch)


def records(run: SimpleNamespace) -> tuple[Records, StringIO]:
    stream = StringIO()
    return Records(run, stream), stream


def terminal(run: SimpleNamespace, **options: object) -> tuple[Terminal, StringIO]:
    stream = StringIO()
    settings: dict[str, Any] = {"color_system": "truecolor", "legacy_windows": False, **options}
    screen = Screen(Console(file=stream, force_terminal=True, width=80, highlight=False, **settings))
    return Terminal(run, screen), stream


def visible(text: str) -> str:
    return ESCAPE.sub("", text)


def cells(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


# --- records ----------------------------------------------------------------------------------------------------


def test_records_name_what_they_are_about(run: SimpleNamespace) -> None:
    plugin, stream = records(run)
    plugin.on_stage(report=ROWS)
    trainer = make_trainer()
    plugin.on_member_start(trainer=trainer)
    end_epoch(plugin, trainer, 0.52)
    plugin.on_member_end(run=run, result=MemberResult(Member(0, 0), 0.52, 1, (), {}, 125.0))
    assert stream.getvalue().splitlines() == [
        "run mask/run-001",
        "stage 1/6 preprocess: 18 training rows in 6 groups, 4 test rows",
        "stage 1/6 preprocess: target labels: 2 classes, 8 to 10 rows per class (imbalance 1:1)",
        "stage 1/6 preprocess: folds stratified: 2 folds of 9 rows, key feedc0de",
        "note These images are drawn.",
        "member fold0-seed0 starts",
        "member fold0-seed0 epoch 1/3 loss 1.2300 valid 1.1000 macro_f1 0.5200 lr 1.0e-03 4.1s",
        "member fold0-seed0 done macro_f1 0.5200 from epoch 1 2m05s",
    ]


def test_records_of_the_results(run: SimpleNamespace) -> None:
    plugin, stream = records(run)
    plugin.on_run_end(run=run, scores=SCORES)
    assert stream.getvalue().splitlines()[1:] == [
        "result fold0-seed0 macro_f1 0.6100",
        "result fold1-seed0 macro_f1 0.5900",
        "result cv macro_f1 0.6000 +- 0.0141",
        "result oof macro_f1 0.6051",
        "result oof postprocessed macro_f1 0.6124",
        "result class wear  [31m[red] <30: f1 0.4440 precision 0.5000 recall 0.2500 rows 83",
        "result class not wear: f1 0.8470 precision 0.5000 recall 0.2500 rows 1234",
        "submission submissions/mask/run-001/submission.csv rows 12600 sha256 ab12",
        "check rows and columns match the sample submission",
        "warning submission: one label is in every row",
        "report submissions/mask/run-001/report.html",
        "note These images are drawn.",
        f"next {SCORES.next[0]}",
    ]


def test_a_run_without_a_test_set_says_so(run: SimpleNamespace) -> None:
    for make in (records, terminal):
        plugin, stream = make(run)
        plugin.on_run_end(run=run, scores=make_scores(submission=None))
        assert "none: there is no test set" in stream.getvalue() and "sample submission" not in stream.getvalue()


def test_records_name_at_most_100_classes(run: SimpleNamespace) -> None:
    plugin, stream = records(run)
    rows = per_class(*((str(number), number / 200, 1) for number in range(130)))
    plugin.on_run_end(run=run, scores=make_scores(per_class=rows))
    lines = [line for line in stream.getvalue().splitlines() if "class" in line]
    assert len(lines) == 101 and lines[0].startswith("result class 0: f1 0.0000")
    assert lines[-1] == "result 30 more classes, with a higher F1, in scores.json"


def test_records_hold_no_control_characters(run: SimpleNamespace) -> None:
    plugin, stream = records(run)
    plugin.on_stage(report=plan(f"{NASTY}\r\tb\x07\u202e"))
    plugin.on_run_end(run=run, scores=SCORES)
    assert all(letter.isprintable() for line in stream.getvalue().split("\n") for letter in line)


def test_records_are_written_line_by_line(run: SimpleNamespace) -> None:
    raw = BytesIO()
    plugin = Records(run, TextIOWrapper(raw, "utf-8", write_through=False))
    plugin.on_stage(report=plan("now"))
    assert raw.getvalue().endswith(b"stage 5/6 train and infer settings: now\n")


def test_records_survive_a_log_without_the_letters(run: SimpleNamespace) -> None:
    raw = BytesIO()
    plugin = Records(run, TextIOWrapper(raw, "ascii"))
    plugin.on_stage(report=plan("class 마스크"))
    assert raw.getvalue().endswith(b": class ???\n")


def test_records_of_long_epochs_show_speed_and_time_left(run: SimpleNamespace, clock: Clock) -> None:
    plugin, stream = records(run)
    trainer = make_trainer()
    plugin.on_member_start(trainer=trainer)
    for step in range(1, 6):
        trainer.step, trainer.samples_seen = step, 64 * step
        plugin.on_step_end(trainer=trainer)
        clock.now += 10
    steps = [line for line in stream.getvalue().splitlines() if " step " in line]
    # One record after 30 s; 3 steps of 64 images in 30 s, and 26 of 30 steps left at 10 s each.
    assert steps == ["member fold0-seed0 epoch 1/3 step 4/10 6 img/s eta 4m20s"]


def test_a_resumed_member_reports_its_epoch(run: SimpleNamespace) -> None:
    plugin, stream = records(run)
    trainer = make_trainer()
    plugin.on_member_start(trainer=trainer)
    trainer.epoch, trainer.step = 2, 5
    plugin.on_step_end(trainer=trainer)
    plugin.on_step_end(trainer=trainer)
    assert stream.getvalue().count("member fold0-seed0 resumes at epoch 3/3\n") == 1


def test_progress_is_recorded_every_half_minute_and_at_its_end(run: SimpleNamespace, clock: Clock) -> None:
    plugin, stream = records(run)
    for done in range(1, 101):
        plugin.on_progress(what="decode train", done=done, total=100)
        clock.now += 0.7
    assert [line for line in stream.getvalue().splitlines() if "progress" in line] == [
        "progress decode train 44/100",
        "progress decode train 87/100",
        "progress decode train 100/100",
    ]


# --- terminal ---------------------------------------------------------------------------------------------------


def play(plugin: Terminal, run: SimpleNamespace, **changes: object) -> None:
    plugin.on_stage(report=ROWS)
    plugin.on_stage(report=plan("18 rows " * 20))
    trainer = make_trainer()
    plugin.on_member_start(trainer=trainer)
    for number, score in enumerate([float("nan"), 0.5, 0.4, 0.6], start=1):
        end_epoch(plugin, trainer, score, number)
    plugin.on_member_end(run=run, result=MemberResult(Member(0, 0), 0.6, 4, (), {}, 125.0))
    plugin.on_run_end(run=run, scores=SCORES.model_copy(update={"next": ()} | changes))


def test_everything_fits_80_columns(run: SimpleNamespace) -> None:
    run.title = "마스크 " * 30
    plugin, stream = terminal(run)
    play(plugin, run, title=run.title)
    assert max(map(cells, visible(stream.getvalue()).splitlines())) <= 80


def test_an_epoch_better_than_all_before_is_marked(run: SimpleNamespace) -> None:
    plugin, stream = terminal(run)
    play(plugin, run)
    epochs = [line for line in visible(stream.getvalue()).splitlines() if line.startswith("fold0-seed0   ")]
    assert [("best" in line) for line in epochs] == [False, True, False, True]
    assert epochs[1].split() == ["fold0-seed0", "2/3", "1.2300", "1.1000", "0.5000", "1.0e-03", "4.1s", "★", "best"]


def test_the_best_mark_knows_the_epochs_before_a_resume(run: SimpleNamespace) -> None:
    plugin, stream = terminal(run)
    trainer = make_trainer()
    plugin.on_member_start(trainer=trainer)
    trainer.history = [Epoch(1, 1.0, 1.0, 0.7, 1e-3, 1.0)]  # the checkpoint is read after on_member_start
    end_epoch(plugin, trainer, 0.6, number=2)
    assert "best" not in stream.getvalue()


def test_the_note_is_shown_at_the_start_and_at_the_end(run: SimpleNamespace) -> None:
    plugin, stream = terminal(run)
    play(plugin, run)
    text = visible(stream.getvalue())
    assert text.count("These images are drawn.") == 2
    assert text.index("These images") < text.index("fold0-seed0")


def test_no_note_no_frame(run: SimpleNamespace) -> None:
    plugin, stream = terminal(run)
    plugin.on_stage(report=replace(ROWS, note=""))
    plugin.on_run_end(run=run, scores=make_scores(note=""))
    assert "╭" not in stream.getvalue()


def test_markup_and_escapes_from_data_are_plain_text(run: SimpleNamespace) -> None:
    plugin, stream = terminal(run, color_system=None)
    plugin.on_stage(report=plan(f"{NASTY} [/]"))
    plugin.on_run_end(run=run, scores=SCORES)
    assert "wear  [31m[red] <30 [/]" in stream.getvalue()
    assert "\x1b[31m" not in stream.getvalue()


def test_the_live_line_is_redrawn_a_few_times_a_second(run: SimpleNamespace, clock: Clock) -> None:
    plugin, stream = terminal(run)
    trainer = make_trainer(steps_per_epoch=10_000)
    plugin.on_member_start(trainer=trainer)
    for step in range(1, 1001):
        trainer.step, trainer.samples_seen = step, 32 * step
        clock.now += 0.001
        plugin.on_step_end(trainer=trainer)
    assert 2 <= stream.getvalue().count("img/s") <= 5
    assert "fold0-seed0 epoch 1/3" in visible(stream.getvalue())
    assert "32,000 img/s" in stream.getvalue()
    plugin.on_run_error()


def test_the_live_line_shows_validation(run: SimpleNamespace, clock: Clock) -> None:
    plugin, stream = terminal(run)
    trainer = make_trainer(step=10)
    plugin.on_member_start(trainer=trainer)
    plugin.on_step_end(trainer=trainer)
    assert "10/10" in stream.getvalue()
    assert "validating" in stream.getvalue()
    plugin.on_run_error()


def test_an_error_gives_the_terminal_back_and_prints_nothing(run: SimpleNamespace, clock: Clock) -> None:
    plugin, stream = terminal(run)
    plugin.on_progress(what="decode", done=1, total=9)
    clock.now += 1
    plugin.on_progress(what="decode", done=2, total=9)
    before = len(stream.getvalue())
    assert "\x1b[?25l" in stream.getvalue()  # the cursor is hidden
    plugin.on_run_error()
    assert "\x1b[?25h" in stream.getvalue()[before:]
    assert stream.getvalue().endswith("\x1b[1A\x1b[2K")  # the live line is erased
    plugin.on_run_error()


def test_the_live_line_leaves_room_for_an_echoed_interrupt(run: SimpleNamespace, clock: Clock) -> None:
    plugin, stream = terminal(run)
    trainer = make_trainer(step=10)
    plugin.on_member_start(trainer=trainer)
    plugin.on_step_end(trainer=trainer)
    (line,) = [line for line in re.split(r"[\r\n]", visible(stream.getvalue())) if "validating" in line]
    assert cells(line) == 77
    plugin.on_run_error()


def test_finished_progress_leaves_no_line(run: SimpleNamespace, clock: Clock) -> None:
    plugin, stream = terminal(run)
    for done in (1, 5, 9):
        plugin.on_progress(what="decode", done=done, total=9)
        clock.now += 1
    assert "5/9" in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[1A\x1b[2K")


def test_no_color_is_respected(run: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    plugin, stream = terminal(run)
    play(plugin, run)
    codes = {code for match in re.findall(r"\x1b\[([0-9;]*)m", stream.getvalue()) for code in match.split(";")}
    assert codes <= {"", "0", "1", "2", "22"}


def test_the_last_screen_lists_the_worst_classes_first(run: SimpleNamespace) -> None:
    plugin, stream = terminal(run)
    rows = per_class(*((f"class {n}", n / 100, n) for n in range(30, 0, -1)))
    plugin.on_run_end(run=run, scores=make_scores(per_class=rows))
    text = visible(stream.getvalue())
    rows = re.findall(r"(!)? class (\d+) ", text)
    assert rows[:4] == [("!", "1"), ("!", "2"), ("!", "3"), ("", "4")]
    assert len(rows) == 20
    assert "and 10 more" in text


def test_the_last_screen_of_a_regression_has_no_classes(run: SimpleNamespace) -> None:
    plugin, stream = terminal(run)
    plugin.on_run_end(run=run, scores=make_scores(per_class=[], cv={"oof_postprocessed": None}))
    assert "worst first" not in stream.getvalue()
    assert "post-processed" not in stream.getvalue()


def test_the_last_screen_names_scores_files_and_warnings(run: SimpleNamespace) -> None:
    plugin, stream = terminal(run)
    plugin.on_run_end(run=run, scores=SCORES)
    text = visible(stream.getvalue())
    assert "CV 0.6000 ± 0.0141   OOF 0.6051 → 0.6124 post-processed" in text
    assert re.search(r"fold1-seed0 +0\.5900 +3", text)
    assert "submissions/mask/run-001/submission.csv" in text
    assert "12,600 rows match the sample submission" in text
    assert "one label is in every row" in text
    assert "submissions/mask/run-001/report.html" in text


def test_next_commands_stay_on_one_line(run: SimpleNamespace) -> None:
    plugin, stream = terminal(run)
    plugin.on_run_end(run=run, scores=SCORES)
    assert f"  {SCORES.next[0]}\n" in visible(stream.getvalue())


# --- records or terminal ----------------------------------------------------------------------------------------------


def start(run: SimpleNamespace) -> object:
    """Start the run as core does and return the printer that registered itself."""
    manager = pluggy.PluginManager("compete")
    manager.add_hookspecs(hookspecs)
    manager.register(console)
    run.register = manager.register
    manager.hook.on_run_start(run=run)
    (printer,) = manager.get_plugins() - {console}
    manager.hook.on_stage(run=run, report=TrainingReport("here"))
    return printer


def test_a_pipe_gets_records_whatever_the_environment_forces(
    run: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    run.interactive = False
    assert isinstance(start(run), Records)
    assert capsys.readouterr().out == "run mask/run-001\nstage 6/6 run: run folder here\n"


def test_a_dumb_terminal_gets_records(run: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(start(run), Records)


def test_a_terminal_gets_the_live_display(run: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)
    assert isinstance(start(run), Terminal)


# --- words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"), [(0.53124, "0.5312"), (None, "-"), (np.nan, "-"), (123456.7, "123457"), (-2.0, "-2.0000")]
)
def test_decimal(value: float | None, text: str) -> None:
    assert decimal(value) == text


def test_clean_keeps_letters_of_all_languages() -> None:
    assert clean("마스크 é\x1b[0m\n\u200b") == "마스크 é [0m  "


def test_paths_outside_the_working_folder_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert shown_path(tmp_path / "here" / "a.csv") == "a.csv"
    assert shown_path(tmp_path / "b.csv") == str(tmp_path / "b.csv")
