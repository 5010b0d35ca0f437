"""The submission is written as the sample submission is, and the sample itself passes the check."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from compete.errors import SubmissionError
from compete.submission.check import check_submission
from compete.submission.csv_file import count_rows, read_submission, write_submission
from compete.submission.form import SampleForm, describe_form, submission_bytes
from compete_plugins.datasets._common import Files
from compete_plugins.datasets._tables import Sample, read_sample, without_index

PLAIN = 'id,label\n0010,a\n0011,"b,c"\n'
# Each as platforms give it: (bytes, separator, encoding, what is said of it).
SAMPLES = {
    "plain": (PLAIN.encode(), ",", "utf-8", ""),
    "semicolons": (b"id;label\n0010;a\n0011;b\n", ";", "utf-8", "cells separated by ';'"),
    "tabs": (b"id\tlabel\n0010\ta\n0011\tb\n", "\t", "utf-8", "by a tab"),
    "crlf": (b"id,label\r\n0010,a\r\n0011,b\r\n", ",", "utf-8", "CRLF"),
    "cr": (b"id,label\r0010,a\r0011,b\r", ",", "utf-8", "CR line ends"),
    "no last line end": (b"id,label\n0010,a\n0011,b", ",", "utf-8", "without a last line end"),
    "mark": (b"\xef\xbb\xbfid,label\n0010,a\n0011,b\n", ",", "utf-8", "byte order mark"),
    "utf-16": ("id,label\r\n0010,猫\r\n".encode("utf-16"), ",", "utf-8", "utf-16"),
    "cp949": ("id,label\n가,고양이\n나,토끼\n".encode("cp949"), ",", "cp949", "in cp949"),
    "all quoted": (b'"id","label"\n"0010","a"\n"0011","b ""c"""\n', ",", "utf-8", "in quotes"),
    "text quoted": (b'"id","n"\n"0010",1\n"0011",2\n', ",", "utf-8", "in quotes"),
    "one column quoted": (b'id,n\n"0010",1\n"0011",2\n', ",", "utf-8", "in quotes"),
    "index": (b",id,label\n0,0010,a\n1,0011,b\n", ",", "utf-8", "index column"),
    "index from 1": (b"Unnamed: 0,id,label\n1,0010,a\n2,0011,b\n", ",", "utf-8", "index column"),
    "quoted index": (b'"","id","label"\n"0","0010","a"\n"1","0011","b"\n', ",", "utf-8", "index column"),
    "unnamed ids": (b",label\n0,a\n1,b\n", ",", "utf-8", ""),
    "unnamed ids, several columns": (b",cat,dog\n0,0.5,0.5\n1,0.5,0.5\n2,0.5,0.5\n", ",", "utf-8", ""),
    "odd cells": (b"id,label\n1e5,NA\n007,null\n 8 ,1.50\n", ",", "utf-8", ""),
    "unnamed last column": (b"id,label,\n0010,a,\n0011,b,\n", ",", "utf-8", ""),
    "line breaks in cells": (b'id,label\n0010,"a\nb"\n0011,c\n', ",", "utf-8", ""),
}  # fmt: skip


def sample_of(folder: Path, data: bytes, separator: str = ",", encoding: str = "utf-8") -> Sample:
    (folder / "sample.csv").write_bytes(data)
    return read_sample(Files(folder), "sample.csv", separator, encoding)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_written_again_byte_for_byte(name, tmp_path):
    data, separator, encoding, said = SAMPLES[name]
    sample = sample_of(tmp_path, data, separator, encoding)
    write_submission(sample.table, tmp_path / "mine.csv", sample.form)
    assert (tmp_path / "mine.csv").read_bytes() == data
    note = describe_form(sample.form, sample.name)
    assert said in note and bool(said) == bool(note)


@pytest.mark.parametrize("name", [*SAMPLES, "gaps"])
def test_a_sample_passes_as_a_submission(name, tmp_path):
    data, separator, encoding, _ = SAMPLES.get(name, (b"\nid,label\n0010,a\n\n0011,b\n\n\n", ",", "utf-8", ""))
    sample = sample_of(tmp_path, data, separator, encoding)
    read = read_submission(tmp_path / "sample.csv", sample.form)
    assert read.to_numpy().tolist() == sample.table.to_numpy().tolist()
    assert (
        check_submission(read, sample.table, may_be_empty=True, allowed=[*sample.table.to_numpy().ravel()]).problems
        == []
    )
    assert count_rows(tmp_path / "sample.csv") == len(sample.table)


def test_fractions_and_integers_in_a_quoted_form():
    form = SampleForm(separator=";", quoted=frozenset({0}), quoted_header=True, line_end="\r\n", ends=False)
    frame = pd.DataFrame({"id": ["007", "8;9"], "p": [0.123456789012, float("nan")], "n": [1, 2]})
    assert submission_bytes(frame, form) == b'"id";"p";"n"\r\n"007";0.12345679;1\r\n"8;9";;2'


@pytest.mark.parametrize(
    ("name", "file", "problem"),
    [
        ("semicolons", b"id,label\n0010,a\n0011,b\n", "cells are separated by ','; the sample submission's by ';'."),
        ("plain", b"id;label\n0010;a\n0011;b\n", "cells are separated by ';'; the sample submission's by ','."),
        ("index", b"id,label\n0010,a\n0011,b\n", "first column, without a name, which counts its rows, is missing"),
        ("index", b",id,label\n0,0010,a\n2,0011,b\n", "differs from the sample's, first in line 3"),
        ("cp949", "id,label\n가,고양이\n나,é\n".encode(), "is not cp949; the sample submission's encoding"),
        ("plain", b"\xef\xbb\xbf" + PLAIN.encode(), "begins with a byte order mark"),
        ("plain", b"id,label\n0010,a\n\n0011,b\n", "line 3 has 0"),
    ],
)
def test_another_form_than_the_samples_is_a_problem(name, file, problem, tmp_path):
    data, separator, encoding, _ = SAMPLES[name]
    form = sample_of(tmp_path, data, separator, encoding).form
    (tmp_path / "mine.csv").write_bytes(file)
    with pytest.raises(SubmissionError) as caught:
        read_submission(tmp_path / "mine.csv", form)
    assert problem in str(caught.value)


def test_labels_that_the_samples_encoding_lacks_are_named():
    with pytest.raises(SubmissionError, match="encoding, cp949, lacks é, which labels or ids hold"):
        submission_bytes(pd.DataFrame({"id": ["1"], "label": ["blé"]}), SampleForm(encoding="cp949"))


@pytest.mark.parametrize(
    ("following", "ids"),
    [
        (["t0", "t1", "t2"], False),
        (["a", "a", "a"], True),
        (["0.1", "0.2", "3.0e-1"], True),
        ([".5", "-1.25", "2.0"], True),
    ],
)
def test_an_unnamed_first_column_holds_ids_beside_labels_and_measured_numbers(following, ids):
    table = pd.DataFrame({"Unnamed: 0": ["0", "1", "2"], "x": following, "label": ["a", "b", "a"]}, dtype=str)
    assert ("Unnamed: 0" in without_index(table)) == ids
