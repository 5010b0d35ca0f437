"""Read an old program's .ini as Python's ConfigParser does, and find what it would have read wrongly in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compete.errors import UserError
from compete.files.safety import MOST_CODE_BYTES, unusable_file

TRUE, FALSE = ("1", "yes", "true", "on"), ("0", "no", "false", "off")  # what getboolean takes, in any case
FALSE_AS_TEXT = ("False", "FALSE")
TRUTH = "get() gives the text 'False', which is true in an `if`; only getboolean() reads it as false"
MOST_DEPTH = 10  # ConfigParser's own limit on %(name)s inside %(name)s
_SECTION = re.compile(r"\[(?P<name>[^\]]+)\]\s*(?P<rest>.*)$")
_INLINE = re.compile(r"(?:^|\s)[#;]")
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_REFERENCE = re.compile(r"%\(([^)]+)\)s")


@dataclass(frozen=True)
class Entry:
    """One line `key = value` of a section; ConfigParser reads keys in lower case."""

    section: str
    key: str
    value: str
    file: str
    line: int

    @property
    def where(self) -> str:
        """The file, the line and the entry, for messages."""
        return f"{self.file}:{self.line}: [{self.section}] {self.key} = {self.value}"


def read_ini(path: Path) -> tuple[list[Entry], list[str]]:
    """Return the entries and every problem with the file's form. Raise `UserError` for a file that cannot be read."""
    problem = unusable_file(path, MOST_CODE_BYTES)
    if problem:
        raise UserError(f"{path}: {problem}. ConfigParser.read() would have gone on without it, and without a word")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8, at byte {error.start}. Save the file as UTF-8.") from error
    entries, problems = _entries(str(path), text)
    problems += _duplicates(entries)
    if not entries and not problems:
        problems.append(f"{path}: has no key = value")
    return entries, problems


def _entries(file: str, text: str) -> tuple[list[Entry], list[str]]:
    entries: list[Entry] = []
    problems: list[str] = []
    sections: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if line[0].isspace() and entries:
            problems.append(f"{file}:{number}: is indented, so that it continues the value of {entries[-1].key}, line "
                            f"{entries[-1].line}. Begin each key at the start of its line")  # fmt: skip
        elif header := _SECTION.match(stripped):
            section = header["name"]
            if header["rest"] and header["rest"][0] not in "#;":
                problems.append(f"{file}:{number}: what follows [{section}] is ignored: {header['rest']}")
            if section in sections:
                problems.append(f"{file}:{number}: [{section}] stands on line {sections[section]} already")
            sections.setdefault(section, number)
        elif not (found := re.match(r"([^=:]+?)\s*[=:]\s*(.*)$", stripped)):
            problems.append(f"{file}:{number}: '{stripped}' is neither [section] nor key = value")
        elif not section:
            problems.append(f"{file}:{number}: {found[1]} stands before any [section], which ConfigParser refuses")
        else:
            entries.append(Entry(section, found[1].lower(), found[2], file, number))
    return entries, problems


def _duplicates(entries: list[Entry]) -> Iterator[str]:
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        other = first.setdefault((entry.section, entry.key), entry)
        if other is not entry:
            yield (
                f"{entry.where}: the key stands on line {other.line} already, as {other.value}; upper and lower case "
                "are one key"
            )


def in_force(entries: list[Entry]) -> Iterator[Entry]:
    """Yield the entries without repetitions, and without defaults that every section sets again."""
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        first.setdefault((entry.section, entry.key), entry)
    own = {key for section, key in first if section != "DEFAULT"}
    yield from (entry for (section, key), entry in first.items() if section != "DEFAULT" or key not in own)


def expand(entry: Entry, entries: list[Entry]) -> tuple[str, str]:
    """Return the value as ConfigParser interpolates it, and what is wrong with it."""
    known = {other.key: other.value for other in entries if other.section == "DEFAULT"}
    known |= {other.key: other.value for other in entries if other.section == entry.section}
    value = entry.value
    for _ in range(MOST_DEPTH):
        plain = value.replace("%%", "")
        missing = [name for name in _REFERENCE.findall(plain) if name.lower() not in known]
        if missing:
            return value, f"%({missing[0]})s names no key of [{entry.section}] or [DEFAULT]"
        if "%" in _REFERENCE.sub("", plain):
            return value, "a single % is ConfigParser's sign for %(key)s, and stops it. Write %%"
        if not _REFERENCE.search(plain):
            return value.replace("%%", "%"), ""
        value = _REFERENCE.sub(lambda found: known[found[1].lower()], value)
    return value, "its %(key)s lead in a circle"


def slip(value: str, kind: str) -> str:
    """Return the classic slip in a value that an old program wants as "int", "float", "bool", "size" or "str"."""
    if not value:
        return "is empty. Give it a value, or remove the line"
    if _INLINE.search(value):
        return "ConfigParser keeps the comment as part of the value. Put the comment on a line of its own"
    if re.search(r"\$\{[^}]+\}", value):
        return "${...} is expanded by ExtendedInterpolation only. Write the value itself"
    if value[0] in "\"'" or value[-1] in "\"'":
        return f"ConfigParser keeps the quotes as part of the text. Write {value.strip(chr(34) + chr(39))}"
    if value == "None":
        return "is the text 'None', not Python's None. Remove the line: the default then holds"
    if value[0] in "[({":
        return f"is text, not a list.{_AS_SIZE if kind == 'size' else ' Write one value'}"
    if value[-1] in ",;":
        return f"the '{value[-1]}' at its end makes it text. Write {value[:-1].strip()}"
    return _wrong_type(value, kind)


_AS_SIZE = " Write one number for a square, or height and width as two keys"


def _wrong_type(value: str, kind: str) -> str:
    lower = value.lower()
    if kind == "bool":
        if value in FALSE_AS_TEXT:
            return f"{TRUTH}. Was the old program on or off here? Write on or off"
        return "" if lower in TRUE + FALSE else "is neither on nor off, yes nor no, true nor false"
    if kind in ("int", "float", "size") and lower in TRUE[1:] + FALSE[1:]:
        return "is on or off, where a number is needed"
    if kind == "int" or (kind == "size" and _FLOAT.fullmatch(value)):
        if _INTEGER.fullmatch(value):
            return ""
        whole = _FLOAT.fullmatch(value) and float(value).is_integer()
        return f"getint() refuses it. Write {float(value):.0f}" if whole else "is not an integer"
    if kind == "size":
        return f"is not a number.{_AS_SIZE}"
    if kind == "float" and not _FLOAT.fullmatch(value):
        return "is not a number" + (": the decimal sign is a point" if re.fullmatch(r"\d+,\d+", value) else "")
    return ""
