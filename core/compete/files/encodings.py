"""Text from bytes: UTF-8, what a byte order mark proves, or the encoding that the user names. Never a guess.

Most encodings decode most bytes, latin-1 all of them, so that a table decodes proves nothing: what is not UTF-8 is
refused with its likely readings, of which a person sees at once which one is text.
"""

from __future__ import annotations

import codecs
import mmap
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from compete.errors import DataError
from compete.text import format_first, plural

# The longer marks first: UTF-32's begins with UTF-16's.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# Encodings that tables are found in: what the names of their letters begin with, and the first bytes of the frequent
# ones among thousands of characters. The order decides between equally likely ones.
_ANY = range(256)
_KANJI, _LATIN = ("HIRAGANA", "KATAKANA", "CJK UNIFIED"), ("LATIN",)
_LETTERS: dict[str, tuple[tuple[str, ...], range]] = {
    "cp949": (("HANGUL SYLLABLE",), range(0xB0, 0xC9)),
    "cp932": (_KANJI, range(0x81, 0x98)),
    "euc_jp": (_KANJI, range(0xA1, 0xD0)),
    "gb18030": (("CJK UNIFIED",), range(0xB0, 0xD8)),
    "big5": (("CJK UNIFIED",), range(0xA4, 0xC7)),
    "cp1252": (_LATIN, _ANY),
    "cp1250": (_LATIN, _ANY),
    "cp1254": (_LATIN, _ANY),
    "mac_roman": (_LATIN, _ANY),
    "cp1251": (("CYRILLIC",), _ANY),
    "koi8_r": (("CYRILLIC",), _ANY),
    "cp1253": (("GREEK",), _ANY),
    "cp1255": (("HEBREW LETTER",), _ANY),
    "cp1256": (("ARABIC LETTER",), _ANY),
    "cp874": (("THAI CHARACTER",), _ANY),
}
_FOREIGN = re.compile(rb'[^\r\n,;\t":{}\[\]]*[\x80-\xff][^\r\n,;\t":{}\[\]]*')
_WORD = re.compile(r"[A-Za-z\x80-\U0010ffff]+")
_SURROGATE = re.compile("[\ud800-\udfff]")  # what Python makes of bytes that are not UTF-8
MOST_CELLS, MOST_READINGS, LONGEST_SHOWN = 2000, 3, 30
MIXED = 0.5  # what a word of several scripts, or with a capital inside, counts
PROOF = 4  # different characters: no other text has as many that are valid UTF-8 by chance


@dataclass(frozen=True)
class Decoded:
    """A file's text, its encoding, and whether it begins with a byte order mark, which is no part of the text."""

    text: str
    encoding: str
    mark: bool = False
    instead_of: str = ""  # the encoding that was named, where another is certain


@dataclass(frozen=True)
class Reading:
    """A likely encoding, what some cell reads as in it, and the share of foreign characters that are usual in it."""

    encoding: str
    cell: str
    share: float

    def __str__(self) -> str:
        return f"'{self.cell}' in {self.encoding}"


def decode(data: bytes, place: str, encoding: str = "", option: str = "[dataset] encoding") -> Decoded:
    """Decode a file: by its byte order mark, as the encoding named, or as UTF-8; strictly.

    UTF-8 wins against another encoding, which was named for several files, where it is certain. Raise `DataError` with
    the line of the first byte that does not fit, and the likely readings; without an `option` to set, with the advice
    to save the file as UTF-8.
    """
    marked = next(((mark, name) for mark, name in MARKS.items() if data.startswith(mark)), None)
    if marked is not None:
        other = _known(encoding, option)
        other = "" if marked[1].startswith(other) else other  # utf-16 is named for utf-16-le
        return Decoded(_strict(data[len(marked[0]) :], place, marked[1], option), marked[1], True, other)
    named, other = _known(encoding, option), ""
    if named and _is_utf8(data, named):
        named, other = "", named
    text = _strict(data, place, named or "utf-8", option)
    if not named and "\0" in text:
        raise DataError(f"{place}, line {text.count(chr(10), 0, text.index(chr(0))) + 1}: {_zeros(data, option)}")
    return Decoded(text, named or "utf-8", instead_of=other)


def _is_utf8(data: bytes, named: str) -> bool:
    """Return whether bytes are UTF-8 for certain, and not in the encoding named: by exclusion, or beyond chance."""
    if data.isascii():
        return False
    try:
        foreign = {character for character in data.decode() if character > "\x7f"}
    except UnicodeDecodeError:
        return False
    if len(foreign) >= PROOF:
        return True
    try:
        data.decode(named)
    except UnicodeDecodeError:
        return True
    return False


def readings(data: bytes | mmap.mmap) -> list[Reading]:
    """Return the likely readings of bytes that are not UTF-8, the likeliest first; one of several that read alike."""
    if zeros := _utf16(data):
        return [Reading(zeros, data[:1000].decode(zeros, "replace").split("\n")[0].strip()[:LONGEST_SHOWN], 1.0)]
    cells = list(dict.fromkeys(match[0] for match in islice(_FOREIGN.finditer(data), MOST_CELLS)))
    found: dict[str, Reading] = {}
    for reading in sorted(_readings(cells), key=lambda reading: -reading.share):
        found.setdefault(reading.cell, reading)
    return [reading for reading in found.values() if reading.share > MIXED][:MOST_READINGS]


def prose(data: bytes) -> str:
    """Return text that is only searched for words: certain, or else as it reads likeliest."""
    try:
        return decode(data, "").text
    except DataError:
        likely = readings(data)
        return data.decode(likely[0].encoding if likely else "utf-8", "replace")


def foreign_names(paths: Iterable[str], where: str) -> str:
    """Say which file names are not UTF-8, with their likely readings; an empty string if all are."""
    names = [os.fsencode(path.rpartition("/")[2]) for path in paths if _SURROGATE.search(path)]
    if not names:
        return ""
    found = readings(b"\n".join(names))
    reading = f", which may read {' or '.join(map(str, found))}" if found else ""
    return (
        f"{where}: {plural(len(names), 'file name')} not in UTF-8: {format_first([repr(name)[2:-1] for name in names])}"
        f"{reading}. Rename them, or unpack their archive again with its own encoding."
    )


def _readings(cells: list[bytes]) -> Iterator[Reading]:
    sample = b"\n".join(cells)
    for name in _LETTERS:
        try:
            text = sample.decode(name)
        except UnicodeDecodeError:
            continue
        words = [word for word in _WORD.findall(text) if not word.isascii()]
        share = sum(_usual(word, name) for word in words) / max(1, len(words))
        yield Reading(name, text.split("\n")[0].strip()[:LONGEST_SHOWN], share)


def _usual(word: str, encoding: str) -> float:
    """Return how much a word looks like one: by its letters, scripts that are not mixed, and no capital inside."""
    names, first_bytes = _LETTERS[encoding]
    foreign = [letter for letter in word if letter > "\x7f"]
    usual = sum(
        unicodedata.name(letter, "").startswith(names) and letter.encode(encoding)[0] in first_bytes
        for letter in foreign
    )
    mixed = (len(foreign) > 1 + len(word) // 2) if names == _LATIN else len(foreign) < len(word)
    return usual / len(foreign) * (MIXED if mixed else 1.0) * (MIXED if word[1:] != word[1:].lower() else 1.0)


def _utf16(data: bytes | mmap.mmap) -> str:
    """Return the form of UTF-16 that zero bytes in every other place speak for."""
    head = data[:1000]
    even, odd = head[::2].count(0), head[1::2].count(0)
    return "" if even == odd else "utf-16-be" if even > odd else "utf-16-le"


def _zeros(data: bytes, option: str) -> str:
    name = _utf16(data)
    return f"a zero byte, which no text holds. {_cure(option, name) if data[:1000].count(0) > 10 else ''}".rstrip()


def _known(encoding: str, option: str) -> str:
    """Return an encoding's usual name, or nothing for UTF-8. Raise `DataError` for an unknown one."""
    try:
        name = codecs.lookup(encoding).name if encoding else ""
        if name:
            " ".encode(name)
    except (LookupError, ValueError) as error:
        raise DataError(f'{option} = "{encoding}": unknown encoding.') from error
    return "" if name in ("utf-8", "utf-8-sig", "ascii") else name


def _strict(data: bytes, place: str, encoding: str, option: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{place}, line {line}: not {'UTF-8' if encoding == 'utf-8' else 'in the encoding ' + encoding}."
        raise DataError(f"{message} {_advice(data, encoding, option)}") from error


def _advice(data: bytes, tried: str, option: str) -> str:
    try:
        data.decode()
    except UnicodeDecodeError:
        found = [reading for reading in readings(data) if reading.encoding != tried]
        return f"It may read {' or '.join(map(str, found))}. {_cure(option, found[0].encoding)}" if found else ""
    return f"It is UTF-8. {_cure(option, 'utf-8')}"


def _cure(option: str, encoding: str) -> str:
    return f'If that is right, set {option} = "{encoding}".' if option else "Save the file as UTF-8."
