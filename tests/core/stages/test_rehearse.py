"""What would make a run fail after training is found before it, and nothing else is."""

from __future__ import annotations

import pandas as pd
import pytest

from compete.errors import ConfigError, DataError, SubmissionError, UserError
from compete.stages import rehearse as rehearsal
from rehearse_fixtures import CLASSES, LEVELS, SETS, VALUES, stage_1, write_labels, write_sample

# --- what would stop a run after training ---------------------------------------------------------------------------


def test_a_column_that_the_sample_lacks(tiny):
    with pytest.raises(ConfigError, match=r"column = 'labl': unknown column of the sample\. Did you mean 'label'"):
        stage_1("submission.column=labl")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("a", "b", "c", "total"), "the sample's column 'total' is not a class"),
        (("a", "b", "c1"), r"the sample's column 'c1' is not a class\. Did you mean 'c'"),
        (("a", "b"), r"class 'c' is not a column of the sample\. .*normalise = true"),
    ],
)
def test_columns_of_the_sample_that_are_not_the_classes(tiny, columns, message):
    write_sample(tiny, *columns)
    with pytest.raises(SubmissionError, match=message):
        stage_1(*CLASSES)


def test_a_template_that_fits_no_id_of_the_sample(tiny):
    write_sample(tiny, "p", ids="{}_a".format)
    with pytest.raises(SubmissionError, match=r"7 rows of the sample: not an image and class in the form '\{id\}-"):
        stage_1("submission.name=long", "submission.template={id}-{class}")


def test_the_samples_cells_decide_what_joins_labels(tiny):
    write_labels(tiny, ["a|b", "b", "c"])
    table = pd.read_csv(tiny / "data/sample.csv", dtype=str)
    table.assign(label="a b").to_csv(tiny / "data/sample.csv", index=False)
    with pytest.raises(SubmissionError, match=r"joins labels by ' ' \('a b'\), but '\|' would be written"):
        stage_1(*SETS, "target.separator=|")
    stage_1(*SETS, "target.separator=|", 'submission.separator=" "')


def test_cells_of_another_kind_are_a_warning(tiny):
    write_sample(tiny, "label")
    assert any("are integers ('0'), but names" in warning for warning in stage_1().warnings)


def test_two_separators(tiny):
    write_labels(tiny, ["a b", "b", "c"])
    with pytest.raises(SubmissionError, match=r"joined by separator = ',', but \[checks\] separator = ' '"):
        stage_1(*SETS, "submission.separator=,", "checks.separator= ")
    with pytest.raises(
        SubmissionError, match=r"rehearsed before training: column 'label': 'a b' is not an allowed label"
    ):
        stage_1(*SETS, 'checks.allowed=["a", "b", "c"]')


def test_fractions_where_whole_numbers_are_promised(tiny):
    write_sample(tiny, "a", "b", "c")
    with pytest.raises(SubmissionError, match=r"column 'a' must be an integer without a decimal point in 7 rows"):
        stage_1(*CLASSES, "checks.integers=true")


def test_values_above_what_the_submission_may_hold(tiny):
    write_labels(tiny, [str(number) for number in range(1, 25)])
    with pytest.raises(SubmissionError, match=r"column 'label' is above 20 in .*\(24\.0\)"):
        stage_1(*VALUES, "checks.high=20")
    stage_1(*VALUES, "checks.high=20", 'postprocess=[{name="clip", high=20}]')


def test_a_postprocessor_that_does_not_suit_the_target(tiny):
    with pytest.raises(ConfigError, match="'threshold' needs a 0 or 1 for every label"):
        stage_1('postprocess=[{name="threshold"}]')


def test_every_class_without_a_permitted_label(tiny):
    with pytest.raises(DataError) as caught:
        stage_1('checks.allowed=["a", "bb", "cc"]')
    assert caught.value.problems == [
        "[checks] allowed: 'b' is not listed, but 8 training rows have this class, the first 'p01_0'. "
        "Did you mean 'bb'?",
        "[checks] allowed: 'c' is not listed, but 8 training rows have this class, the first 'p02_0'. "
        "Did you mean 'cc'?",
    ]


def test_no_class_is_a_permitted_label(tiny):
    with pytest.raises(
        SubmissionError, match=r"rehearsed before training: column 'label': '[abc]' is not an allowed label"
    ):
        stage_1('checks.allowed=["x", "y"]')


def test_many_classes_without_a_permitted_label_are_counted(tiny):
    write_labels(tiny, list("abcdefgh"))
    with pytest.raises(DataError, match=r"allowed: 2 more classes are not listed"):
        stage_1('checks.allowed=["a"]', "folds.name=group", "checks.missing_class=warn")


# --- no false alarm -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        ('checks.allowed=["a", "b", "c"]',),
        ("inference.keep_top=1",),
        ("submission.name=top_k", "submission.k=2", "submission.open_set=new", "metric.name=map_at_k"),
        ("submission.name=top_k", "metric.name=map_at_k", 'postprocess=[{name="open_set", label="c"}]'),
        ('postprocess=[{name="prior"}, {name="floor", low=0.01}]',),
        (*SETS, 'postprocess=[{name="threshold", scope="per_label"}]', 'checks.allowed=["a", "b", "c"]'),
    ],
)
def test_a_run_that_would_go_through_goes_through(tiny, overrides):
    assert stage_1(*overrides).warnings == ()


def test_chances_of_a_rare_class_go_through(tiny):
    write_labels(tiny, ["no"] * 6 + ["yes"] * 2)
    stage_1(
        "target.name=binary", "target.positive=yes", "metric.name=roc_auc", "submission.name=positive",
        "checks.low=0.0", "checks.high=1.0", 'postprocess=[{name="floor"}]', "checks.missing_class=warn", "loss.name=bce",
    )  # fmt: skip


def test_levels_become_whole_numbers(tiny):
    write_labels(tiny, list("01234"))
    whole = ("checks.integers=true", "checks.low=0", "checks.high=4")
    stage_1(*LEVELS, *whole, 'postprocess=[{name="cut_points"}]')
    with pytest.raises(SubmissionError, match="must be an integer"):
        stage_1(*LEVELS, *whole)


def test_independent_labels_may_lack_a_column(tiny):
    """Each training row has one label, but a sigmoid's predictions sum to nothing that could be relied on."""
    table = pd.read_csv(tiny / "data/train.csv", dtype=str)
    hot = pd.get_dummies(table["label"]).astype(int)
    pd.concat([table.drop(columns="label"), hot], axis=1).to_csv(tiny / "data/train.csv", index=False)
    write_sample(tiny, "a", "b")
    only = ('target={name="columns", columns=["a", "b", "c"]}', "metric.name=mean_column_auc", "folds.name=group")
    stage_1(*only, "submission.name=probabilities")


def test_a_large_sample_is_rehearsed_in_part(tiny, monkeypatch):
    write_labels(tiny, [str(number) for number in range(1, 25)])
    with pytest.raises(UserError, match="in 7 rows"):
        stage_1(*VALUES, "checks.high=0.5")
    monkeypatch.setattr(rehearsal, "MOST_ROWS", 3)
    with pytest.raises(UserError, match="in 3 rows"):
        stage_1(*VALUES, "checks.high=0.5")
    monkeypatch.setattr(rehearsal, "MOST_CELLS", 2)
    with pytest.raises(UserError, match="in 2 rows"):
        stage_1(*VALUES, "checks.high=0.5")


def test_too_many_ids_of_their_own_are_not_rehearsed(tiny, monkeypatch):
    monkeypatch.setattr(rehearsal, "MOST_OWN_CELLS", 20)
    write_sample(tiny, "p", ids="{}_a".format)
    stage_1("submission.name=long", "submission.template={id}-{class}")


# --- what is only odd -----------------------------------------------------------------------------------------------


def test_a_permitted_label_that_nobody_learns_is_a_warning(tiny):
    (warning,) = stage_1('checks.allowed=["a", "b", "c", "new"]').warnings
    assert warning == "[checks] allowed: no training row has the label 'new': a network cannot learn it"


def test_test_rows_that_the_sample_lacks_are_a_warning(tiny):
    plugin = tiny / "tiny_plugin.py"
    plugin.write_text(
        plugin.read_text().replace("return Tables(train if", "sample = sample[:5]\n    return Tables(train if")
    )
    (warning,) = stage_1().warnings
    assert warning == (
        "the sample submission has 5 rows, the test table 7: 2 test rows are not in the submission, the first 't5'"
    )


def test_a_dataset_s_warnings_are_the_run_s(tiny):
    plugin = tiny / "tiny_plugin.py"
    plugin.write_text(plugin.read_text().replace('note="drawn for a test"', 'warnings=("3 rows were lost",)'))
    assert stage_1().warnings == ("3 rows were lost",)


def test_rows_that_a_dataset_has_lost_are_told_where_test_rows_are_missing(tiny):
    plugin = tiny / "tiny_plugin.py"
    changed = plugin.read_text().replace('note="drawn for a test"', 'warnings=("3 rows were lost",)')
    plugin.write_text(changed.replace("return Tables(train if", "test = test[:5]\n    return Tables(train if"))
    with pytest.raises(DataError, match=r"(?s)2 of 7 ids of the sample submission are not .*\n3 rows were lost"):
        stage_1()


def test_a_class_with_few_rows_is_told_with_its_first_id(tiny):
    labels = pd.read_csv(tiny / "data/train.csv")["label"].tolist()
    write_labels(tiny, [*labels[:-3], "squa", "cc", "cc"])
    with pytest.raises(DataError) as caught:
        stage_1()
    text = "\n".join(caught.value.problems)
    assert "row of class squa (1 row in all, id p10_1)" in text
    assert "cc (2 rows in all, first id p11_0)" in text
