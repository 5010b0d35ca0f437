"""Names that look alike are found, whatever makes them different, and the advice given is TOML that cures it."""

from __future__ import annotations

import tomllib
import unicodedata

import pandas as pd
import pytest

from compete.data.look_alikes import escaped, label_look_alikes, look_alikes, row_look_alikes, seen
from compete.types import Tables

KOREAN = "고양이"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cat", "cat "),
        ("cat", "\tcat"),
        ("red fox", "red  fox"),
        ("red fox", "red\u00a0fox"),
        ("red fox", "red\u3000fox"),
        ("cat", "cat\u200b"),
        ("cat", "\ufeffcat"),
        ("cat", "c\u00adat"),
        (KOREAN, unicodedata.normalize("NFD", KOREAN)),
        ("caf\u00e9", "cafe\u0301"),
    ],
)
def test_what_differs_in_nothing_that_can_be_seen(one, other):
    assert look_alikes([one, "else", other]) == [[one, other]]
    assert seen(one) == seen(other)
    assert escaped(one) != escaped(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Cat", "cat"), ("1", "1.0"), ("1", "01"), ("0", "-0"), ("1.50", "1.5"), ("1", "１"), ("cat", "с\u0061t"),
     ("a-b", "a\u2013b"), ("STRASSE", "stra\u00dfe"), ("ABC", "Ａｂｃ")],
)  # fmt: skip
def test_what_is_alike_but_can_be_seen_to_differ(one, other):
    assert look_alikes([one, other]) == [[one, other]]
    assert seen(one) != seen(other)


@pytest.mark.parametrize(
    "names", [("1", "10"), ("a b", "ab"), ("a", "b"), ("1.5", "15"), ("", "0"), ("é", "e"), "가나"]
)
def test_what_is_not_alike(names):
    assert look_alikes(names) == []


def described(labels: list[str], cure: bool = True) -> tuple[list[str], list[str]]:
    rows = pd.DataFrame({"id": [str(number) for number in range(len(labels))], "image": "x", "kind": labels})
    counts = {str(name): int(count) for name, count in rows["kind"].value_counts().items()}
    return label_look_alikes(Tables(rows, rows[["id", "image"]], rows), counts, cure)


@pytest.mark.parametrize("other", ["cat ", "c\u200bat", "\u00a0cat", 'cat" ', "cat\\ ", "cat\U000e0001"])
def test_the_advice_is_toml_that_makes_one_class_of_them(other):
    plain = seen(other)
    (problem,), warnings = described([plain, other, other, "dog"])
    assert not warnings
    assert f"{escaped(other)} (2 rows)" in problem and f"{escaped(plain)} (1 row)" in problem
    advice = problem.partition("set [dataset] ")[2].partition(". If they are different")[0]
    assert tomllib.loads(advice) == {"replace": {"kind": {other: plain}}}


def test_classes_that_differ_in_case_may_be_meant():
    unseen, (warning,) = described(["Cat", "cat", "cat", "dog"])
    assert not unseen
    assert '"cat" (2 rows) and "Cat" (1 row)' in warning and 'replace = { kind = { "Cat" = "cat" } }' in warning


def test_no_option_is_named_that_the_dataset_lacks_or_that_would_not_do():
    assert "spell it in one way in the data" in described(["a", "a "], cure=False)[0][0]
    rows = pd.DataFrame({"id": ["0", "1"], "image": "x", "kinds": ["a", "b a "]})
    unseen, _ = label_look_alikes(Tables(rows, rows, rows), {"a": 1, "a ": 1}, cure=True)
    assert "spell it in one way in the data" in unseen[0]


def test_ids_groups_and_columns_are_named_and_counted():
    train = pd.DataFrame(
        {"id": ["1", "01", "b"], "image": "x", "label": "a", "label ": "a", "group": ["P1", "p1", "q"]}
    )
    test = pd.DataFrame({"id": ["t", "T", "u"], "image": "x"})
    found = list(row_look_alikes(Tables(train, test, test)))
    assert found == [
        '2 columns of the train table look alike but are not equal: "label" and "label "',
        '2 ids of the train table look alike but are not equal: "1" and "01"',
        '2 ids of the test table look alike but are not equal: "t" and "T"',
        '2 groups of the train table look alike but are not equal: "P1" and "p1"',
    ]
