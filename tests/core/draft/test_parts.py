"""The parts of `compete init` that judge cells, columns and sizes, and the TOML that it writes."""

from __future__ import annotations

import tomllib

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compete.draft.columns import find_group, find_leaks
from compete.draft.findings import Goal, Pixels, Section, Source
from compete.draft.kinds import one_column_goal
from compete.draft.output import toml_text, toml_value
from compete.draft.sizes import image_keys
from compete.errors import DataError
from compete.files.proposals import Choice

# --- what is predicted, and how it is written -----------------------------------------------------------------------


def goal_of(labels, asked="0", column="label") -> Goal:
    sample = pd.DataFrame({"id": ["t"] * 3, column: [asked] * 3}, dtype=str)
    return one_column_goal(column, pd.Series([str(label) for label in labels], dtype=str), sample)


@pytest.mark.parametrize(
    ("labels", "asked", "column", "kind", "form"),
    [
        ([0, 1, 1], "0.5", "target", "binary", "positive"),
        (["cat", "dog"], "0.5", "label", "binary", "positive"),
        (["cat", "dog"], "cat", "label", "label", "label"),
        ([0, 1, 2, 3, 4], "0", "diagnosis", "ordinal", "value"),
        ([0, 1, 2, 3, 4], "0", "label", "label", "label"),
        ([0, 1, 2, 9], "0", "severity_level", "label", "label"),
        ([1.5, 2.25, 3], "0", "weight", "regression", "value"),
        ([1, 7, 80], "40.5", "score", "regression", "value"),
        (range(1, 60), "40", "age", "regression", "value"),
        (range(1, 60), "40", "hotel_id", "label", "label"),
        ([3, 700, 90000], "3", "category_id", "label", "label"),
        (["a b", "a", "b", "b c", "c"], "a", "tags", "tokens", "tokens"),
        (["3 40", "7", "40"], "0 1 2", "attribute_ids", "tokens", "tokens"),
        (["a|b", "a", "b", "b|a"], "a", "tags", "tokens", "tokens"),
        (["Sugar beet", "Common wheat", "Maize"], "Maize", "species", "label", "label"),
        (["new_whale", "w_1", "w_2", "w_3"], "new_whale w_1 w_2", "Id", "label", "top_k"),
    ],
)
def test_kinds_of_targets(labels, asked, column, kind, form):
    goal = goal_of(labels, asked, column)
    assert (goal.kind, goal.form) == (kind, form)


@pytest.mark.parametrize("cell", ["['a', 'b']", "{a}", "a / b", "a&b", "a+b", "a_b", "a|b|", "a\nb", "(1, 2)"])
def test_cells_that_may_be_several_labels_are_asked_about(cell):
    goal = goal_of(["a", "b", "c", cell])
    assert goal.kind == "label" and "is taken for one label" in " ".join(goal.todo)


@pytest.mark.parametrize(
    "labels", [["a_b", "a", "c"], ["red-fox", "red", "fox"], ["w_1", "w_2", "w"], ["C++", "C", "D"]]
)
def test_names_with_signs_in_them_are_plain_labels(labels):
    assert goal_of(labels).todo == ()


PLANTS = [
    f"{plant} {state}"
    for plant in ("Tomato", "Potato", "Pepper")
    for state in ("Early Blight", "Late Blight", "Healthy")
]


@pytest.mark.parametrize(
    ("labels", "asked", "target", "written", "todo"),
    [
        (["scab", "rust", "scab, rust", "healthy", "scab, mildew", "mildew"], "scab", ", ", ", ", ""),
        (["a|b", "b", "a", "c"], "a b", "|", " ", ""),
        (["a b", "b", "a", "c"], "a|b", None, "|", ""),
        (["a | b", "b", "a", "c"], "a", " | ", " | ", ""),
        (["a, b", "a,c", "b", "a", "c"], "a", ",", ",", "which is right?"),
        (["red fox, elk", "elk", "red fox", "boar", "elk, boar", "red fox, boar"], "elk", ", ", ", ", ""),
        (PLANTS, PLANTS[0], None, None, "is taken for one label, since none of its words is ever a label alone"),
        (["3,40", "7", "40", "7,3"], "7", ",", ",", "two labels, or a number with a decimal comma?"),
        (["3,40,7", "7", "40", "7,3"], "7", ",", ",", ""),
        (["New York New York", "York", "New"], "York", None, None, ""),
        (["Smith, John", "Doe, Jane", "Roe, Ann"], "Doe, Jane", None, None, ""),
    ],
)
def test_separators_are_chosen_by_what_also_occurs_alone(labels, asked, target, written, todo):
    goal = goal_of(labels, asked)
    chosen = [{key.name: key.value for key in keys}.get("separator") for keys in (goal.target, goal.submission)]
    assert chosen == [target, written]
    assert (todo in " ".join(goal.todo)) if todo else not goal.todo


def test_decimal_commas_are_not_taken_for_label_sets():
    with pytest.raises(DataError, match="column 'label' holds numbers with a decimal comma, such as '12,5'"):
        goal_of(["12,5", "3,25", "0,1"])


def test_what_a_goal_says_besides():
    assert [key.value for key in goal_of(["a|b", "a", "b", "b|a"]).target] == ["tokens", "label", "|"]
    ranked = goal_of(["new_whale", "w_1", "w_2"], "new_whale w_1")
    assert ([(key.name, key.value) for key in ranked.submission[1:]], ranked.open_set) == ([("k", 2)], "new_whale")
    assert goal_of(["other", "w_1", "w_2"], "w_1").open_set == ""
    assert goal_of([1, 2.5, 9]).bounds == (1.0, 9.0)
    assert "the sample holds 0 and 1 only" in goal_of([0, 1]).unless_said
    assert "taken for levels in order" in goal_of([0, 1, 2], column="grade").todo[0]
    assert "taken for an amount" in goal_of(range(50), column="age").todo[0]
    assert goal_of([*[0] * 30, *[1] * 3, 2]).imbalance == 30


# --- groups and leaks -----------------------------------------------------------------------------------------------


def source_of(**columns) -> Source:
    train = pd.DataFrame({"id": [str(n) for n in range(40)], **columns}).astype(str)
    test = pd.DataFrame({"id": ["t1", "t2"], "spot": ["77", "78"], "sex": ["m", "f"]})
    return Source(train=train, test=test, sample=test, used=("id",), free=frozenset({"group", "drop"}))


def group_of(**columns):
    source = source_of(label=[n % 2 for n in range(40)], **columns)
    return find_group(source, Goal("binary", ("label",), (), (Choice("name", "positive"),)))


def test_the_group_is_what_repeats_and_never_what_is_nearly_unique_or_constant():
    found = group_of(PatientID=[n // 4 for n in range(40)], user=list(range(40)), person=["x"] * 40)
    assert found.keys[0].value == "PatientID" and "10 values in 40 rows" in found.keys[0].why
    assert found.considered == (
        "'user' is unique (40 values in 40 rows)",
        "'person' has only 1 different values",
    )
    assert group_of(seq_id=[0] * 30 + [*range(10)]).considered == ("'seq_id' is '0' in 78% of the rows",)


def test_a_group_that_seldom_repeats_is_one_still():
    patients = [*range(38), 3, 4]
    assert group_of(patient=patients).keys[0].value == "patient"
    found = group_of(patient=patients, location=[n // 6 for n in range(40)])
    assert found.keys[0].value == "location" and "'patient' (38 values) would be another" in found.keys[0].why


def test_a_column_that_splits_the_test_rows_off_is_a_group_whatever_it_is_called():
    found = group_of(spot=[n // 5 for n in range(40)], sex=["m", "f"] * 20)
    assert (found.keys[0].value, found.count) == ("spot", 8)
    assert "no value is in both training and test rows" in found.keys[0].why


def test_of_two_groups_the_coarser_is_taken_and_the_other_named():
    found = group_of(seq_id=[n // 2 for n in range(40)], location=[n // 6 for n in range(40)])
    assert found.keys[0].value == "location" and "'seq_id' (20 values) would be another" in found.keys[0].why


def test_repeated_ids_are_a_group():
    found = group_of(id=[str(n // 2) for n in range(40)])
    assert (found.keys[0].name, found.keys[0].value, found.fewest_of_a_class) == ("group", "id", 20)


def test_leaks_are_columns_of_the_training_rows_alone_that_tell_the_answer():
    label = [int(n % 4 == 0) for n in range(40)]
    source = source_of(
        label=label, diagnosis=["bad" if yes else ("good", "unknown")[n % 2] for n, yes in enumerate(label)],
        sex=["f" if yes else "m" for yes in label], when=range(40), hue=[n % 3 for n in range(40)],
    )  # fmt: skip
    goal = Goal("binary", ("label",), (), (Choice("name", "positive"),))
    assert find_leaks(source, goal, find_group(source, goal)) == ["diagnosis"]


# --- images -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "images", "size", "fit"),
    [
        ([(96, 96)] * 9, True, [96, 96], "stretch"),
        ([(512, 512)] * 9, True, [224, 224], "stretch"),
        ([(1000, 1500), (1010, 1490)], True, [160, 224], "stretch"),
        ([(400, 300)] * 3 + [(300, 900)] * 3, True, [224, 224], "pad"),
        ([(60, 50), (50, 60)], True, [64, 64], "pad"),
        ([(273, 256)] * 3, False, [273, 256], "stretch"),
        ([], True, [224, 224], "stretch"),
    ],
)
def test_sizes_to_train_at(sizes, images, size, fit):
    keys = {key.name: key.value for key in image_keys(Pixels(tuple(sizes), images=images))}
    assert (keys["size"], keys.get("resize", "stretch")) == (size, fit)


@pytest.mark.parametrize(
    ("sizes", "size", "why"),
    [
        ([(512, 512)] * 9, [512, 512], "resizing destroys what tells the versions of an image apart"),
        ([(512, 512), (400, 400)], [224, 224], "larger sizes cost time"),
    ],
)
def test_versions_of_one_image_keep_their_size_where_they_have_one(sizes, size, why):
    key = next(image_keys(Pixels(tuple(sizes)), native=True))
    assert key.value == size and why in key.why


# --- text -----------------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.text(st.characters(codec="utf-8"))
    | st.integers(-(2**62), 2**62)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=30) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=40,
)


@given(VALUES, st.text(st.characters(codec="utf-8")))
def test_any_value_and_comment_is_toml(value, comment):
    text = toml_text(comment, [comment], [Section("a", (Choice("b", value, comment),), comment, repeats=True)])
    assert tomllib.loads(text) == {"a": [{"b": value}]}
    assert tomllib.loads(f"b = {toml_value(value)}") == {"b": value}
