"""The report page: its content, that it needs no other file, and that data cannot break it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pluggy
import pytest

from compete import DataError, hookimpl, hookspecs
from compete.predict.parquet import write_predictions
from compete.predict.top_k import TopK
from compete.scores import EpochScores, write_scores
from compete_plugins import report
from compete_plugins.report import write_report
from compete_plugins.report._confusion import confusion
from compete_plugins.report._content import drawn_shares, flat, fold_counts, fold_rows, member_rows, share_rows
from compete_plugins.report._files import read_run
from compete_plugins.report._findings import findings
from compete_plugins.report._plots import learning_curve
from compete_plugins.report._words import count, decimal, percent, signed
from scores_fixtures import CLASSES, epochs, make_scores

VOID = {"meta", "link", "br", "hr", "img", "input"}


def make_oof(labels: list[int], predicted: list[int], classes: Sequence[str]) -> pd.DataFrame:
    """Give every row 0.8 for the predicted class; -1 means that nobody validated the row."""
    table = pd.DataFrame({"id": [f"r{i}" for i in range(len(labels))], "fold": 0, "label": labels})
    probabilities = np.full((len(labels), len(classes)), 0.2 / max(1, len(classes) - 1))
    for row, name in enumerate(predicted):
        probabilities[row, name] = 0.8 if name >= 0 else np.nan
    probabilities[np.array(predicted) < 0] = np.nan
    return table.join(pd.DataFrame(probabilities, columns=classes))


def write_run(
    folder: Path, classes: Sequence[str] = CLASSES, oof: pd.DataFrame | None = None, /, **changes: object
) -> Path:
    """Write a run folder as core leaves it."""
    if oof is None:
        oof = make_oof([0, 0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 2, 2, -1], classes)
    folder.mkdir(parents=True, exist_ok=True)
    write_scores(folder, make_scores(classes, **changes))
    oof.to_parquet(folder / "oof.parquet", index=False)
    (folder / "folds.csv").write_text("id,fold\nr0,0\nr1,0\nr2,1\nr3,-1\n", "utf-8")
    (folder / "config.toml").write_text('[model]\nname = "timm"\n', "utf-8")
    environment = {"python": "3.12.1", "packages": {"torch": "2.11.0"}, "command": ["compete", "run", "pets.toml"]}
    (folder / "environment.json").write_text(json.dumps(environment), "utf-8")
    return folder


class Page(HTMLParser):
    """A page taken apart: its tags, ids, links and text; raises for a tag that is closed in the wrong place."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(path.read_text("utf-8"))
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open[-1:]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run-007")


# --- the page ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "valid", "found"),
    [
        ([1.0, 0.8, 0.5, 0.2], [1.0, 0.8, 0.9, 1.1], True),
        ([1.0, 0.8, 0.5, 0.2], [1.0, 0.8, 0.81, 0.85], False),  # a rise by less than a tenth
        ([1.0, 0.8, 0.9, 0.9], [1.0, 0.8, 0.9, 1.1], False),  # both rise: it diverges
        ([1.0, 0.8, 0.5, 0.2], [1.1, 0.9, 0.6, 0.3], False),
        ([1.0, 0.2], [0.5, 1.0], False),  # too few epochs to tell
        ([None, 0.8, 0.5, 0.2], [None, None, None, 1.1], False),
    ],
)
def test_overfitting_is_a_validation_loss_that_rises_while_the_training_loss_falls(train, valid, found):
    epochs = [
        {"number": n, "train_loss": t, "valid_loss": v, "score": 0.5, "lr": 0.1, "seconds": 1.0}
        for n, (t, v) in enumerate(zip(train, valid, strict=True), start=1)
    ]
    member = {"score": 0.5, "best_epoch": 1, "seconds": 1.0, "epochs": epochs, "class_draws": {}}
    text = "\n".join(findings(make_scores(members={"fold0-seed0": member, "fold1-seed0": member}), None))
    assert ("2 of 2 members overfit" in text) is found


def test_grad_cams_are_shown_and_those_left_out_counted(tmp_path):
    folder = write_run(tmp_path / "run")
    for number in range(7):
        member = folder / f"members/fold{number}-seed0"
        member.mkdir(parents=True)
        (member / "grad_cam.png").write_bytes(b"png %d" % number)
    page = write_report(folder).read_text("utf-8")
    assert page.count("data:image/png;base64,") == 5 and "cG5nIDA=" in page  # "png 0"
    assert "5 of 7 members are shown" in page


def test_the_page_shows_scores_mistakes_and_settings(folder: Path) -> None:
    page = Page(write_report(folder))
    for expected in (
        "Pets from above",
        "These images are drawn.",
        "0.6000 ± 0.0141 over 2 members",
        "0.6051",
        "0.6124 +0.0073 against OOF",
        "fold0-seed0 0.6100 +0.0100 2 of 3 2m05s",
        "fold1-seed0 epoch 3 is used",
        "cat 0.3000 0.5000 0.2500 1,000",
        "cat dog 2 50.0 %",
        "stratified , key feedc0de",
        "rows 2 1 1",
        "hflip, vflip",
        "label dog is in no row",
        "cat 33.3 % 33.3 % 75.0 %",
        "dog 33.3 % 33.3 % 0.0 %",
        "packages.torch 2.11.0",
        "command compete run pets.toml",
        '[model] name = "timm"',
        "timm resnet18, 2 members, cpu at 32-true",
    ):
        assert expected in page.text, expected


def test_the_page_needs_no_other_file_and_no_script(folder: Path) -> None:
    path = write_report(folder)
    page = Page(path)
    assert not {"script", "img", "iframe", "object"} & set(page.tags)
    links = page.values("href") + page.values("src") + page.values("xlink:href")
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"@import|url\((?!#)", path.read_text("utf-8"))


def test_links_lead_somewhere_and_ids_are_unique(folder: Path) -> None:
    path = write_report(folder)
    page = Page(path)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    inside = [link[1:] for link in page.values("href") + page.values("xlink:href") if link.startswith("#")]
    inside += re.findall(r"url\(#([^)]+)\)", path.read_text("utf-8"))
    assert inside
    assert set(inside) <= set(ids)


def test_strings_from_data_are_escaped(tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>'
    changes = dict.fromkeys(["title", "note", "run", "competition", "metric", "model", "ensemble", "device"], evil)
    member = make_scores().members["fold0-seed0"].model_dump() | {"class_draws": {evil: 1}}
    folder = write_run(
        tmp_path,
        [evil, "$x_1$", "b"],
        **changes,
        warnings=[evil],
        tta=[evil],
        submission={"path": f"submissions/{evil}.csv", "warnings": [evil], "label_shares": {evil: 1.0}},
        folds={"name": evil},
        members={f"{evil}0": member},
        cv={"folds": {f"{evil}0": 0.5}},
    )
    (folder / "config.toml").write_text(f"# </pre>{evil}", "utf-8")
    (folder / "environment.json").write_text(json.dumps({evil: evil}), "utf-8")
    path = write_report(folder)
    page = Page(path)
    assert "script" not in page.tags
    assert evil not in path.read_text("utf-8")
    assert page.text.count(evil) > 20


def test_the_same_run_gives_the_same_page(folder: Path) -> None:
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_a_page_is_replaced_whole_or_not_at_all(folder: Path) -> None:
    (folder / "report.html").write_text("old", "utf-8")
    data = json.loads((folder / "scores.json").read_text("utf-8"))
    del data["ensemble"]
    (folder / "scores.json").write_text(json.dumps(data), "utf-8")
    with pytest.raises(DataError, match=r"it is damaged: ensemble: Field required"):
        write_report(folder)
    assert (folder / "report.html").read_text("utf-8") == "old"
    assert not list(folder.glob(".report*"))


def test_missing_and_damaged_files_are_named_all_at_once(folder: Path) -> None:
    (folder / "oof.parquet").unlink()
    (folder / "scores.json").write_text("{", "utf-8")
    with pytest.raises(DataError) as error:
        write_report(folder)
    assert len(error.value.problems) == 2
    assert re.fullmatch(r"cannot read .*scores\.json: it is damaged: Invalid JSON: .*", error.value.problems[0])
    assert error.value.problems[1] == f"{folder / 'oof.parquet'} is missing: a run writes it when it ends."


def test_the_page_is_written_before_later_plugins_see_the_end(folder: Path) -> None:
    class Last:
        seen = False

        @hookimpl
        def on_run_end(self, run: SimpleNamespace) -> None:
            self.seen = (run.folder / "report.html").exists()

    manager = pluggy.PluginManager("compete")
    manager.add_hookspecs(hookspecs)
    manager.register(report)
    last = Last()
    manager.register(last)
    manager.hook.on_run_end(run=SimpleNamespace(folder=folder), scores=make_scores())
    assert last.seen


def test_compete_report_reaches_the_plugin(folder: Path) -> None:
    manager = pluggy.PluginManager("compete")
    manager.add_hookspecs(hookspecs)
    manager.register(report)
    assert manager.hook.write_report(folder=folder) == [folder / "report.html"]


def test_of_the_best_classes_kept_the_first_is_predicted(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    best, values = np.array([[1, 0], [0, 2], [2, 1]], np.int32), np.array([[0.6, 0.3], [0.5, 0.2], [np.nan] * 2])
    best, labels = TopK(best, values.astype(np.float32), 3), np.array([1, 2, 2])
    write_predictions(folder / "oof.parquet", list("xyz"), best, CLASSES, fold=np.zeros(3, int), label=labels)
    files = read_run(folder)
    assert files.predicted.tolist() == [1, 0, -1]
    found = confusion(files)
    assert found is not None and [(pair.label, pair.predicted, pair.share) for pair in found.pairs] == [
        ("emu", "cat", 1.0)
    ]
    write_report(folder)


def test_a_page_lists_at_most_200_classes(tmp_path: Path) -> None:
    classes = [f"c{number}" for number in range(5000)]
    oof = make_oof([0, 4999], [4999, 4999], classes)
    path = write_report(write_run(tmp_path, classes, oof))
    page = Page(path)
    assert page.text.count("200 of 5,000 classes are listed; scores.json has all of them.") == 3
    assert "c0 c4999 1 100" in page.text  # the mistake
    assert path.stat().st_size < 500_000


# --- other kinds of tasks ---------------------------------------------------------------------------------------


def test_a_regression_has_plots_instead_of_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.normal(size=50)
    oof = pd.DataFrame({"id": [f"r{i}" for i in range(50)], "fold": 0, "label": labels, "age": labels + 0.1})
    oof.loc[0, "age"] = np.nan
    changes = {"per_class": [], "train_shares": {}, "higher_is_better": False, "folds": {"counts": []}}
    changes |= {"submission": {"label_shares": {}}, "cv": {"oof_postprocessed": None}}
    page = Page(write_report(write_run(tmp_path, ["age"], oof, **changes)))
    assert "Predictions and labels On OOF. Points on the dashed line are exact predictions. age" in page.text
    assert "lower is better" in page.text
    for absent in ("Confusion", "Class shares", "recall", "post-processed", "Rows of each class"):
        assert absent not in page.text


def test_a_multi_label_task_has_shares_but_no_confusion(tmp_path: Path) -> None:
    labels = pd.DataFrame({"label_a": [1.0, 0.0, 1.0], "label_b": [0.0, 0.0, 1.0]})
    keys = pd.DataFrame({"id": ["x", "y", "z"], "fold": 0})
    predictions = pd.DataFrame({"a": [0.9, 0.1, 0.8], "b": [0.2, 0.1, 0.9]})
    changes = {"per_class": [], "train_shares": {"a": 2 / 3, "b": 1 / 3}, "submission": {"label_shares": {}}}
    folder = write_run(tmp_path, ["a", "b"], keys.join(labels).join(predictions), **changes)
    page = Page(write_report(folder))
    assert "class train a 66.7 % b 33.3 %" in page.text  # neither drawn nor predicted: both are unknown
    assert "Confusion" not in page.text
    assert "Predictions and labels" not in page.text


def test_members_without_epochs_have_no_curve(tmp_path: Path) -> None:
    members = make_scores().model_dump()["members"]
    members["fold0-seed0"] |= {"epochs": [], "class_draws": {}}
    page = Page(write_report(write_run(tmp_path, members=members)))
    assert "fold0-seed0 epoch" not in page.text
    assert "fold1-seed0 epoch 3 is used" in page.text


def test_scores_that_are_not_finite_become_dashes(tmp_path: Path) -> None:
    nan = float("nan")
    member = {"score": nan, "best_epoch": 1, "seconds": 1.0, "epochs": epochs(nan, None)}
    cv = {"mean": nan, "std": None, "folds": {"fold0-seed0": nan}, "oof": nan, "oof_postprocessed": None}
    page = Page(write_report(write_run(tmp_path, members={"fold0-seed0": member}, cv=cv)))
    assert "fold0-seed0 – –" in page.text


def test_a_run_without_a_test_set_has_no_submission(tmp_path: Path) -> None:
    page = Page(write_report(write_run(tmp_path, submission=None)))
    assert "Submission none no test set" in page.text and "file none: there is no test set" in page.text
    assert "SHA-256" not in page.text


# --- the parts --------------------------------------------------------------------------------------------------


def test_confusion_counts_validated_rows_only(folder: Path) -> None:
    found = confusion(read_run(folder))
    assert found is not None
    assert [row.shares for row in found.matrix] == [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]
    assert [row.rows for row in found.matrix] == [4, 2, 1]
    assert [(p.label, p.predicted, p.rows, p.share) for p in found.pairs] == [
        ("cat", "dog", 2, 0.5),
        ("dog", "emu", 1, 0.5),
    ]


def test_many_classes_have_pairs_but_no_matrix(tmp_path: Path) -> None:
    classes = [f"class {n}" for n in range(41)]
    oof = make_oof(list(range(41)), [1, *range(1, 41)], classes)
    found = confusion(read_run(write_run(tmp_path, classes, oof)))
    assert found is not None
    assert found.matrix == []
    assert [pair.predicted for pair in found.pairs] == ["class 1"]
    assert "Confusion matrix" not in Page(write_report(tmp_path)).text


def test_a_perfect_run_has_no_mistakes(tmp_path: Path) -> None:
    folder = write_run(tmp_path, CLASSES, make_oof([0, 1, 2], [0, 1, 2], CLASSES))
    assert "Every validated row is predicted correctly." in Page(write_report(folder)).text


def test_a_class_called_like_a_key_column_is_read_by_its_place(tmp_path: Path) -> None:
    oof = make_oof([0, 1], [0, 1], ["class id", "fold two"])
    files = read_run(write_run(tmp_path, ["id", "fold two"], oof))
    assert files.kind == "classes"
    assert files.predictions.tolist() == [[0.8, 0.2], [0.2, 0.8]]


@pytest.mark.parametrize(
    ("labels", "kind"), [([0, 1, 1], "labels"), ([0, 1, 3], "values"), ([0.0, 1.0, 0.5], "values")]
)
def test_one_prediction_column_is_a_label_or_a_value(tmp_path: Path, labels: list[float], kind: str) -> None:
    oof = pd.DataFrame({"id": ["x", "y", "z"], "fold": 0, "label": labels, "yes": [0.1, 0.9, 0.8]})
    files = read_run(write_run(tmp_path, ["yes"], oof))
    assert files.kind == kind
    assert confusion(files) is None


def test_fold_rows_put_training_only_rows_last(folder: Path) -> None:
    files = read_run(folder)
    assert list(fold_rows(files)) == [("fold 0", 2), ("fold 1", 1), ("training only", 1)]
    assert list(fold_counts(files)) == [("cat", [2, 1]), ("dog", [2, 1]), ("emu", [2, 1])]


def test_member_rows_place_scores_between_the_extremes() -> None:
    def places(**folds: float) -> list[float]:
        return [round(row.place, 6) for row in member_rows(make_scores(cv={"folds": folds}))]

    assert places(a=0.5, b=0.7, c=0.55) == [0, 100, 25]
    assert places(a=0.5) == [50]


def test_drawn_shares_add_all_members() -> None:
    def shares(*draws: dict[str, int]) -> dict[str, float]:
        member = {"score": 0.5, "best_epoch": 1, "seconds": 1.0}
        return drawn_shares(make_scores(members={str(n): member | {"class_draws": d} for n, d in enumerate(draws)}))

    assert shares({"cat": 1, "dog": 3}, {"cat": 5, "dog": 1}, {}) == {"cat": 0.6, "dog": 0.4}
    assert shares({"age": 0}) == {}


def test_labels_in_another_spelling_are_listed_after_the_classes(tmp_path: Path) -> None:
    rows = list(share_rows(read_run(write_run(tmp_path, submission={"label_shares": {"0": 0.5, "1": 0.5}}))))
    assert [(row.name, row.train is None, row.predicted) for row in rows] == [
        ("cat", False, None),
        ("dog", False, None),
        ("emu", False, None),
        ("0", True, 0.5),
        ("1", True, 0.5),
    ]


def test_nested_environment_becomes_dotted_names() -> None:
    assert list(flat({"a": {"b": 1, "c": ["x", 2]}, "d": None})) == [("a.b", "1"), ("a.c", "x 2"), ("d", "None")]


def test_the_best_epoch_is_marked_and_colours_come_from_the_page() -> None:
    curve = [EpochScores(**epoch) for epoch in epochs(0.1, 0.5, 0.4)]
    svg, unmarked = (learning_curve(curve, best, "k") for best in (2, 0))
    assert svg.count("var(--green)") > 2
    assert "var(--green)" not in unmarked
    assert "#0" not in re.sub(r'href="#[^"]*"', "", svg)  # no placeholder is left


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_epoch_is_a_whole_number_on_its_axis(count):
    curve = [EpochScores(**epoch) for epoch in epochs(*[0.5] * count)]
    texts = re.findall(r">([^<>\n]+)</text>", learning_curve(curve, 1, "k"))
    assert texts[texts.index("valid") + 1 : texts.index("epoch")] == [str(number) for number in range(1, count + 1)]


# --- findings ---------------------------------------------------------------------------------------------------


def found(**changes: object) -> str:
    return "\n".join(findings(make_scores(**changes), None))


def test_findings_name_spread_and_weak_classes() -> None:
    assert "vary by ± 0.0141" in found()
    assert "Lowest F1: cat (0.30, 1,000 rows)." in found()
    assert "Lowest F1" not in found(per_class=[])


@pytest.mark.parametrize(
    ("after", "higher", "verdict"),
    [
        (0.7, True, "+0.1000"),
        (0.7, True, "it helps"),
        (0.7, False, "leave it out"),
        (0.6, True, "does not change the OOF score"),
    ],
)
def test_findings_judge_postprocessing(after: float, higher: bool, verdict: str) -> None:
    assert verdict in found(cv={"oof": 0.6, "oof_postprocessed": after}, higher_is_better=higher)


@pytest.mark.parametrize(
    ("scores", "higher", "expected"),
    [
        ((0.1, 0.2, 0.3), True, "1 of 1 members score best in their last epoch"),
        ((0.3, 0.2, 0.1), False, "1 of 1 members score best in their last epoch"),
        ((0.1, 0.3, 0.2, 0.2), True, "1 of 1 members score best in the first half"),
        ((0.1, 0.2, 0.3, 0.2), True, None),
        ((0.1, 0.2), True, None),
        ((0.1, 0.2, 0.3, None), True, None),  # the last epoch's loss was NaN
    ],
)
def test_findings_judge_the_training_length(
    scores: tuple[float | None, ...], higher: bool, expected: str | None
) -> None:
    member = {"score": 0.3, "best_epoch": 1, "seconds": 1.0, "epochs": epochs(*scores)}
    text = found(members={"fold0-seed0": member}, higher_is_better=higher)
    assert expected in text if expected else "score best" not in text


def test_findings_name_the_most_frequent_mistake(folder: Path) -> None:
    files = read_run(folder)
    text = "\n".join(findings(files.scores, confusion(files)))
    assert "cat is mistaken for dog in 2 rows, 50.0 % of that class" in text


# --- words ------------------------------------------------------------------------------------------------------


def test_words() -> None:
    assert [decimal(v) for v in (0.12345, None, float("nan"), 123456.7)] == ["0.1235", "–", "–", "123,457"]
    assert [signed(v) for v in (0.1, -0.1, None)] == ["+0.1000", "−0.1000", "–"]
    assert [percent(v) for v in (0.1234, None, float("nan"))] == ["12.3 %", "–", "–"]
    assert [count(v) for v in (12600, None)] == ["12,600", "–"]
