"""What is written, and read back as it was written."""

from __future__ import annotations

import hashlib

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compete.errors import CompeteError, SubmissionError
from compete.submission.csv_file import read_submission, write_submission

FRAME = pd.DataFrame({"ImageID": ["a.jpg", "b.jpg", "c.jpg", "a.jpg"], "ans": [0, 1, 2, 0]})


def test_write_is_plain_utf8_and_returns_its_digest(tmp_path):
    path = tmp_path / "submission.csv"
    given = pd.DataFrame({"id": ["a,b", "é"], "n": [1, 2], "p": [0.123456789012, 1e-12], "t": ["x y", 'say "hi"']})
    digest = write_submission(given, path)
    data = path.read_bytes()
    assert data.decode() == 'id,n,p,t\n"a,b",1,0.12345679,x y\né,2,1e-12,"say ""hi"""\n'
    assert digest == hashlib.sha256(data).hexdigest()
    assert [p.name for p in tmp_path.iterdir()] == ["submission.csv"]


def test_write_replaces_the_old_file_and_says_when_it_cannot(tmp_path):
    path = tmp_path / "submission.csv"
    first = write_submission(FRAME, path)
    assert write_submission(FRAME.assign(ans=1), path) != first
    assert read_submission(path)["ans"].tolist() == ["1"] * 4
    with pytest.raises(CompeteError, match="cannot write"):
        write_submission(FRAME, path / "below.csv")


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8), min_size=1),
    st.lists(st.integers(), min_size=1),
)
def test_text_is_read_back_as_it_was_written(tmp_path_factory, words, numbers):
    size = min(len(words), len(numbers))
    given_ = pd.DataFrame({"id": words[:size], "n": [str(number) for number in numbers[:size]]}, dtype=str)
    path = tmp_path_factory.mktemp("s") / "s.csv"
    write_submission(given_, path)
    pd.testing.assert_frame_equal(read_submission(path), given_)


def test_read_keeps_cells_that_pandas_reads_as_missing(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("id,y\n001,NA\n2,None\n3,\n")
    assert read_submission(path).to_numpy().tolist() == [["001", "NA"], ["2", "None"], ["3", ""]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty."),
        (b"\xef\xbb\xbfid,y\n1,2\n", "begins with a byte order mark"),
        ("id,y\n1,é\n".encode("latin-1"), "line 2 is not UTF-8"),
        ("id,y\n1,2\n".encode("utf-16"), "line 1 is not UTF-8"),
        (b"id,y\n1,2\n3\0,4\n", "line 3 contains a zero byte."),
        (b"id,y\n1,2\n3\n4,5\n", "every line needs 2 cells, but line 3 has 1."),
        (b"id,y\n1,2\n3,4\n5", "every line needs 2 cells, but line 4 has 1. The file looks cut off."),
        (b"id,y\n1,2,3\n\n4,5\n", "every line needs 2 cells, but line 2 has 3, line 3 has 0."),
        (b'id,y\n1,"2\n3,4\n', "Is the file cut off?"),
        (b"id,y,y\n1,2,3\n", "column 'y' occurs 2 times."),
    ],
)
def test_broken_files_are_explained(tmp_path, data, message):
    path = tmp_path / "s.csv"
    path.write_bytes(data)
    with pytest.raises(SubmissionError) as error:
        read_submission(path)
    assert message in str(error.value) and str(error.value).startswith(f"{path}: ")


def test_a_missing_file_is_explained(tmp_path):
    with pytest.raises(SubmissionError, match="no such file"):
        read_submission(tmp_path / "none.csv")


def test_a_header_alone_has_no_rows(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("ImageID,ans\n")
    table = read_submission(path)
    assert table.shape == (0, 2) and list(table.columns) == ["ImageID", "ans"]
