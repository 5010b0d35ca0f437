"""The table of runs: order, correlation, gaps that are out of line, final picks, export."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len
from scipy import stats

from compete.errors import UserError
from compete.leaderboard.records import Record
from compete.leaderboard.standings import (
    MetricUsed,
    Standing,
    agreement,
    export,
    final_picks,
    gap_warnings,
    standings,
    table_lines,
)

MACRO_F1, RMSE = MetricUsed("macro_f1", True), MetricUsed("rmse", False)


def standing(run: str, cv: float | None, public: float | None = None, **more: object) -> Standing:
    values = {"cv_mean": cv, "cv_std": 0.01, "public": public, "phase": "scored" if public is not None else ""}
    values |= {"metric": "macro_f1", "higher_is_better": True, "file_hash": run}
    if public is not None:
        values["submitted_at"] = "2026-03-01T10:01:00+00:00"
    return Standing("fish", run, **{**values, **more})  # type: ignore[arg-type]


def submission(run: str, public: float, file_hash: str = "x") -> Record:
    return Record(
        id=file_hash, competition="fish", run=run, platform="Fake", target="fish", file="f.csv", file_hash=file_hash,
        message="m", phase="scored", begun_at="2026-03-01T10:01:00+00:00", public=public,
    )  # fmt: skip


def test_best_cv_comes_first_and_no_cv_last():
    for higher, order in ((True, ["c", "a", "b"]), (False, ["a", "c", "b"])):
        runs = [standing(run, cv, higher_is_better=higher) for run, cv in (("a", 0.5), ("b", None), ("c", 0.9))]
        assert [row.run for row in standings(runs, [])] == order


def test_every_submission_is_a_row_beside_its_run():
    submissions = [submission("a", 0.4, "a"), submission("a", 0.6, "a"), submission("blend.csv", 0.7, "z")]
    rows = standings([standing("a", 0.5, cv_folds={"fold0": 0.5})], submissions, lambda _: MACRO_F1)
    assert [(row.run, row.public, row.cv_mean) for row in rows] == [
        ("a", 0.6, 0.5),
        ("a", 0.4, 0.5),
        ("blend.csv", 0.7, None),
    ]
    assert rows[0].cv_folds == {"fold0": 0.5} and rows[0].gap == pytest.approx(0.1)


def test_correlations_are_those_of_scipy():
    rng = np.random.default_rng(0)
    cv = rng.normal(size=9).round(1)  # with ties
    public = cv + rng.normal(size=9).round(1)
    rows = [standing(str(n), *pair) for n, pair in enumerate(zip(cv, public, strict=True))]
    linear, ranked = stats.pearsonr(cv, public)[0], stats.spearmanr(cv, public)[0]
    assert agreement(rows) == f"CV and leaderboard over 9 submissions: Pearson {linear:.2f}, Spearman {ranked:.2f}"


def test_correlation_needs_enough_different_pairs():
    assert "2 submissions with CV and leaderboard" in agreement([standing("a", 1, 1), standing("b", 2, 2)])
    same = [standing(run, 0.5, public) for run, public in (("a", 0.1), ("b", 0.2), ("c", 0.3))]
    assert "one of the two never changes" in agreement(same)
    twice = [replace(standing("a", 0.5, 0.4), file_hash="x")] * 5  # one file, five times
    assert agreement(twice).startswith("1 submission with")


def test_a_gap_out_of_line_is_warned_about():
    rows = [standing(str(n), 0.70 + n / 100, 0.65 + n / 100) for n in range(5)]
    assert list(gap_warnings(rows)) == []  # always 0.05 lower: nothing odd
    (warning,) = gap_warnings([*rows, standing("leak", 0.95, 0.70)])
    assert warning == (
        "leak: leaderboard 0.7, CV 0.95, gap -0.25000; the usual gap is -0.05000, within 0.03000. "
        "Look for a leak, other folds, or another post-processing."
    )


def test_with_few_submissions_the_gap_is_measured_against_cv():
    assert list(gap_warnings([standing("a", 0.7, 0.68)])) == []
    (warning,) = gap_warnings([standing("a", 0.7, 0.6)])
    assert "gap -0.10000; CV should be nearer, within 0.03000" in warning
    assert list(gap_warnings([standing("a", 0.7, 0.6, cv_std=None)])) == []  # one fold: no spread to judge by


def test_final_picks_are_best_cv_then_best_leaderboard():
    rows = [standing("a", 0.9, 0.70), standing("b", 0.8, 0.75), standing("c", 0.7, 0.60), standing("d", 0.95)]
    assert [(row.run, why) for row, why in final_picks(rows, 3)] == [
        ("a", "best CV"),
        ("b", "best leaderboard"),
        ("c", "next best CV"),
    ]
    assert [row.run for row, _ in final_picks([standing("a", 0.9, 0.9), standing("b", 0.8, 0.1)], 2)] == ["a", "b"]


def test_the_table_has_cv_and_leaderboard_side_by_side():
    submitted = {"submitted_at": "2026-03-01T10:01:00+00:00", "quota_before": 4, "metric": "macro_f1"}
    rows = [standing("a", 0.9, 0.7, cv_oof=0.91, **submitted), standing("b", 0.8)]
    lines = list(table_lines("fish", rows, picks=2))
    assert lines[0] == "fish macro_f1"
    cells = [re.split(r"\s{2,}", line.strip()) for line in (lines[1], lines[3], lines[4])]
    assert cells[0] == [
        "run", "CV", "+-", "OOF", "public", "private", "gap", "state", "submitted (UTC)", "left before",
    ]  # fmt: skip
    assert cells[1] == ["a", "0.90000", "0.01000", "0.91000", "0.70000", "-0.20000", "scored", "2026-03-01 10:01", "4"]
    assert cells[2] == ["b", "0.80000", "0.01000", "not submitted"]
    assert lines[5] == "1 submission with CV and leaderboard; a correlation needs 3"
    assert lines[6].startswith("warning: a: leaderboard 0.7, CV 0.9")
    assert lines[7] == "final picks (2 count): a (best CV)"


def test_two_metrics_are_never_in_one_table_or_correlation():
    by_rmse = {"metric": "rmse", "higher_is_better": False}
    rows = [standing(name, cv, cv - 0.1) for name, cv in (("f1", 0.7), ("f2", 0.8), ("f3", 0.75))]
    rows += [standing(name, cv, cv + 0.1, **by_rmse) for name, cv in (("r1", 2.0), ("r2", 1.0), ("r3", 3.0))]
    lines = list(table_lines("fish", standings(rows, [])))
    assert [line for line in lines if line.startswith("fish")] == ["fish macro_f1", "fish rmse, lower is better"]
    assert [line.split()[0] for line in lines if re.match(r"  [fr]\d", line)] == ["f2", "f3", "f1", "r2", "r1", "r3"]
    assert sum("over 3 submissions: Pearson 1.00, Spearman 1.00" in line for line in lines) == 2


def test_csv_files_of_a_metric_to_minimise_are_sorted_and_picked_the_right_way():
    runs = [standing("r1", 1.0, metric="rmse", higher_is_better=False)]
    made = [submission("good.csv", 0.5, "g"), submission("bad.csv", 9.0, "b"), submission("r1", 1.1, "r1")]
    rows = standings(runs, made, lambda _: RMSE)
    assert [row.run for row in rows] == ["r1", "good.csv", "bad.csv"]
    assert [(row.run, why) for row, why in final_picks(rows, 3)] == [
        ("r1", "best CV"),
        ("good.csv", "best leaderboard"),
        ("bad.csv", "next best leaderboard"),
    ]


def test_what_has_no_known_metric_is_not_ranked():
    rows = standings([standing("a", 0.5)], [submission("a", 0.4, "a"), submission("b.csv", 0.9, "b")])
    lines = list(table_lines("fish", rows, picks=2))
    assert "fish (metric not known, in the order of time)" in lines
    assert "final picks by macro_f1" not in lines and not any("b.csv (best" in line for line in lines)


def test_the_final_picks_are_those_of_the_newest_metric():
    old = standing("old", 0.9, 0.9, submitted_at="2026-01-01T00:00:00+00:00")
    new = standing("new", 1.5, 1.6, metric="rmse", higher_is_better=False)
    lines = list(table_lines("fish", [old, new], picks=2))
    assert "final picks by rmse, the metric of the newest submission (2 count): new (best CV)" in lines
    assert "final picks leave out 1 submission that cannot be compared with them: old" in lines


def test_an_edited_file_has_not_the_cv_of_its_run():
    rows = standings([standing("a", 0.5)], [submission("a", 0.9, "edited")])
    assert [(row.cv_mean, row.gap, row.public) for row in rows] == [(None, None, 0.9)]
    assert "without CV, because another file was submitted than the run wrote: a" in list(table_lines("fish", rows))


@pytest.mark.parametrize("name", ["run-[bold]-[/]-001", "한글-실험-" * 8, "a" * 200])
@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_table_fits_its_terminal(name, width):
    rows = standings([standing(name, 0.5), standing("b", 0.4)], [submission("b", 0.9, "b")])
    lines = [line for line in table_lines("fish", rows, width=width) if line.startswith("  ")]
    assert max(map(cell_len, lines)) <= width
    assert lines[2].strip().startswith(name[:5])  # the first of the name is there, with its brackets
    assert any(name in line for line in table_lines("fish", rows))  # in a pipe, nothing is cut


def test_what_could_not_be_scored_has_its_reason_below_the_table():
    rows = [standing("a", 0.9, phase="failed", reference="7", reason="Submission must have 418 rows")]
    assert "a, number 7: Submission must have 418 rows" in list(table_lines("fish", rows))


def test_the_table_ends_with_the_next_command_before_any_submission():
    assert list(table_lines("fish", [standing("a", 0.9), standing("b", 0.8)]))[-1] == (
        "next: compete submit submissions/fish/a"
    )
    for rows in ([standing("a", 0.9, 0.7), standing("b", 0.8)], [standing("a", None)], []):
        assert not any(line.startswith("next") for line in table_lines("fish", rows))


def test_exports_hold_the_same_rows(tmp_path):
    rows = standings([standing("a", 0.5, cv_folds={"fold0": 0.5})], [submission("a", 0.4, "a")])
    for name in ("table.csv", "table.json"):
        export(rows, tmp_path / name)
    (as_json,) = json.loads((tmp_path / "table.json").read_text())
    with (tmp_path / "table.csv").open() as file:
        (as_csv,) = csv.DictReader(file)
    assert set(as_json) == set(as_csv)
    assert (as_json["cv_mean"], as_json["public"], as_json["cv_folds"]) == (0.5, 0.4, {"fold0": 0.5})
    assert (as_csv["cv_mean"], as_csv["public"], json.loads(as_csv["cv_folds"])) == ("0.5", "0.4", {"fold0": 0.5})
    assert float(as_csv["gap"]) == pytest.approx(-0.1)


def test_an_export_needs_a_known_ending(tmp_path):
    with pytest.raises(UserError, match=r"table\.xlsx: the file must end in \.csv or \.json"):
        export([], tmp_path / "table.xlsx")
