"""Labels, ids, groups and columns that look alike but are not equal: a space, a case, another form of one letter."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from compete.text import format_first, plural

if TYPE_CHECKING:
    import pandas as pd

    from compete.types import Tables

SHOWN = 5
# Cyrillic and Greek letters that look like Latin ones, and the many dashes and quotes.
_ALIKE = str.maketrans("асеорхуіѕјνοακτ‐‑‒–—−’‘ʼ`“”", "aceopxyisjvoakt------''''\"\"")
_NUMBER = re.compile(r"[+-]?(\d{1,40}\.?\d{0,40}|\.\d{1,40})", re.ASCII)


def look_alikes(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of different names that look alike: `cat` and `Cat`, `a b` and `a  b`, `1`, `1.0` and `01`."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        found[_appearance(name)].append(name)
    return [group for group in found.values() if len(group) > 1]


def seen(name: str) -> str:
    """Return what the eye sees of a name: no spaces at its ends, single ones in it, no invisible characters, NFC."""
    if name.isascii() and name.isprintable():
        return " ".join(name.split())
    shown = (" " if sign.isspace() else sign for sign in name if not _is_invisible(sign))
    return unicodedata.normalize("NFC", " ".join("".join(shown).split()))


def escaped(name: str) -> str:
    """Quote a name as TOML would, with escapes for whatever the eye cannot tell from something else."""
    latin = any(sign.isascii() and sign.isalpha() for sign in name)
    signs = []
    for sign in name:
        hidden = _is_invisible(sign) or (sign != " " and sign.isspace()) or unicodedata.normalize("NFC", sign) != sign
        joined = unicodedata.combining(sign) or "\u1100" <= sign <= "\u11ff"
        homoglyph = latin and ord(sign) > 127 and ord(sign.casefold()[0]) in _ALIKE
        signs.append(_escape(sign) if hidden or joined or homoglyph else {'"': '\\"', "\\": "\\\\"}.get(sign, sign))
    return f'"{"".join(signs)}"'


def label_look_alikes(tables: Tables, counts: Mapping[str, int], cure: bool) -> tuple[list[str], list[str]]:
    """Return the classes that differ in nothing that can be seen, and those that differ in case, form or as numbers.

    `counts` are the rows of each class; `cure` says that the dataset has the option `replace`.
    """
    unseen, other = [], []
    for group in look_alikes(counts):
        invisible = len({seen(name) for name in group}) < len(group)
        rows = " and ".join(f"{escaped(name)} ({plural(counts[name], 'row')})" for name in group)
        advice = _advice(tables, group, counts, cure)
        if invisible:
            unseen.append(
                f"[target]: classes differ only in spaces or in characters that cannot be seen: {rows}. {advice} "
                'If they are different classes, set [checks] look_alike = "warn".'
            )
        else:
            other.append(f"classes look alike but are not equal: {rows}. {advice}")
    return unseen, other


def _advice(tables: Tables, group: list[str], counts: Mapping[str, int], cure: bool) -> str:
    """Say how to make one class of several, where a column has them as whole cells."""
    kept = max(group, key=lambda name: (name == seen(name), counts[name]))
    others = [name for name in group if name != kept]
    columns = (str(name) for name in tables.train.columns if name not in ("id", "image"))
    column = next((name for name in columns if _holds(tables.train[name], others, counts)), None)
    if not cure or column is None:
        return "If they are one class, spell it in one way in the data."
    pairs = ", ".join(f"{escaped(name)} = {escaped(kept)}" for name in others)
    return f"If they are one class, set [dataset] replace = {{ {_key(column)} = {{ {pairs} }} }}."


def _holds(cells: pd.Series, names: list[str], counts: Mapping[str, int]) -> bool:
    """Return whether a column has these labels, each as the whole of its cells."""
    return cells.dtype.kind not in "biuf" and all(int((cells == name).sum()) == counts[name] for name in names)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else escaped(name)


def row_look_alikes(tables: Tables) -> Iterator[str]:
    """Yield ids, groups and column names that look alike: one row or person in two spellings, or two that are meant."""
    for name, table in (("train", tables.train), ("test", tables.test)):
        yield from _described(f"columns of the {name} table", map(str, table.columns))
        yield from _described(f"ids of the {name} table", map(str, table["id"]))
    if "group" in tables.train:
        yield from _described("groups of the train table", map(str, tables.train["group"].unique()))


def _described(what: str, names: Iterable[str]) -> Iterator[str]:
    groups = look_alikes(names)
    if groups:
        first = [" and ".join(map(escaped, group)) for group in groups[:SHOWN]]
        count = sum(map(len, groups))
        yield f"{count:,} {what} look alike but are not equal: {format_first(first, SHOWN, len(groups))}"


def _appearance(name: str) -> str:
    """Return a string that is equal for names that look alike."""
    if name.isascii() and name.isalnum():  # most ids, and fast
        return (name.lstrip("0") or "0") if name.isdigit() else name.lower()
    plain = name if name.isascii() else unicodedata.normalize("NFKC", name)
    plain = seen(seen(plain).casefold())
    plain = plain if plain.isascii() else plain.translate(_ALIKE)
    if plain[:1] in "+-.0123456789" and _NUMBER.fullmatch(plain):
        return f"{Decimal(plain).normalize() + 0:f}"
    return plain


def _is_invisible(sign: str) -> bool:
    """Return whether a character has no width, and is no space: a joiner, a mark of order, a variation selector."""
    return (unicodedata.category(sign) in ("Cf", "Cc") and not sign.isspace()) or "\ufe00" <= sign <= "\ufe0f"


def _escape(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) < 1 << 16 else f"\\U{ord(sign):08x}"
