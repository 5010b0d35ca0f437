"""Text from bytes: what is proven is read, what is not is refused with its likely readings."""

from __future__ import annotations

import os

import pytest

from compete.errors import DataError
from compete.files.encodings import decode, foreign_names, prose, readings

WORDS = {
    "cp949": ["고양이", "강아지", "토끼"],
    "cp932": ["ネコ", "いぬ", "うさぎ"],
    "euc_jp": ["ネコ", "いぬ", "うさぎ"],
    "gb18030": ["猫", "狗", "兔子"],
    "big5": ["貓", "狗", "兔子"],
    "cp1252": ["chêne", "érable", "hêtre"],
    "cp1250": ["kočka", "żaba", "łoś"],
    "mac_roman": ["chêne", "érable", "hêtre"],
    "cp1251": ["кошка", "собака", "заяц"],
    "koi8_r": ["кошка", "собака", "заяц"],
    "cp1253": ["γάτα", "σκύλος"],
    "cp1256": ["قط", "كلب"],
}


def table_of(words: list[str]) -> str:
    return "id,label\n" + "".join(f"a{number},{words[number % len(words)]}\n" for number in range(12))


@pytest.mark.parametrize("encoding", WORDS)
def test_the_first_reading_is_the_right_one(encoding):
    first, *others = readings(table_of(WORDS[encoding]).encode(encoding))
    assert (first.encoding, first.cell) == (encoding, WORDS[encoding][0])
    assert first.cell not in [other.cell for other in others]


@pytest.mark.parametrize("encoding", WORDS)
def test_what_is_not_utf8_is_never_guessed(encoding):
    data = table_of(WORDS[encoding]).encode(encoding)
    with pytest.raises(DataError, match=f'train.csv, line [23]: not UTF-8.* in {encoding}.*encoding = "{encoding}"'):
        decode(data, "train.csv")
    assert decode(data, "train.csv", encoding).text == table_of(WORDS[encoding])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_proof(encoding):
    text = table_of(WORDS["cp949"])
    for named in ("", "utf-8", "cp949"):
        found = decode(text.encode(encoding), "train.csv", named)
        assert (found.text, found.mark) == (text, True)
    assert decode("\ufeff".encode("utf-16-be") + text.encode("utf-16-be"), "x").encoding == "utf-16-be"


def test_utf16_without_a_mark_is_recognised():
    for text in ("id,label\n1,a\n2,b\n" * 9, table_of(WORDS["gb18030"])):
        for encoding in ("utf-16-le", "utf-16-be"):
            with pytest.raises(DataError, match=f'encoding = "{encoding}"'):
                decode(text.encode(encoding), "x.csv")
            assert decode(text.encode(encoding), "x.csv", encoding).text == text


def test_utf8_beside_another_encoding_is_read_as_such_where_that_is_certain():
    text = table_of(WORDS["cp949"])
    assert decode(text.encode(), "sample.csv", "cp949").encoding == "utf-8"
    assert decode("猫".encode("gb18030"), "x", "gb18030").text == "猫"  # also valid UTF-8, for another letter
    assert decode(b"id,label\n1,a\n", "x", "cp949").encoding == "cp949"  # what labels are written in


def test_unknown_encodings_and_files_without_an_option():
    for name in ("utf-9", "rot13", "hex", "undefined"):
        with pytest.raises(DataError, match=f'encoding = "{name}": unknown encoding'):
            decode(b"a", "x", name)
    with pytest.raises(DataError, match="Save the file as UTF-8"):
        decode("é".encode("latin-1"), "classes.txt", option="")
    with pytest.raises(DataError, match="line 2: a zero byte"):
        decode(b"id\na\0b\n", "x")


def test_file_names_that_are_not_text_are_named_with_their_readings():
    names = ["cat/a.png", os.fsdecode("cat/사진.png".encode("cp949"))]
    assert "1 file name not in UTF-8: \\xbb\\xe7\\xc1\\xf8.png, which may read '사진.png' in cp949" in foreign_names(
        names, "x"
    )
    assert foreign_names(names[:1], "x") == ""


def test_prose_is_read_as_it_reads_likeliest():
    assert prose("Evaluation: кошка, собака".encode("cp1251")).endswith("кошка, собака")
    assert prose("AUC".encode("utf-16")) == "AUC"
