"""Wording for people: lists, plurals, the nearest name, and messages that any terminal can show."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher, get_close_matches
from unicodedata import normalize

LONGEST_NAME = 200  # characters; comparing longer ones with thousands of names would take minutes
MOST_CHARACTERS = 10_000  # of one message: a table's cell can be of any length
SHORTEST_STEM = 3  # characters of a name whose rest was left out
SHORTEST_PIECE = 5  # of one whose beginning was left out too
MOST_COMPARED = 50
_ALIKE = str.maketrans("olisz", "01152", " _-./")
_SECRET_NAME = re.compile(r"(TOKEN|KEY|SECRET|PASSWORD)$", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"[!-.0-~]{8,}")  # not a path
_TOKEN = re.compile(r"\b(?:hf|api_org|KGAT)_[\w-]{16,}|(?<=bearer )[\w.~+/=-]{8,}", re.IGNORECASE)
_LONG_WORD = re.compile(r"\S{1000,}")


def printable(message: str) -> str:
    """Make a message safe to print: names, cells and paths can hold anything, of any length.

    Endless words and the middle of an endless message are cut; control characters become escapes.
    """
    message = _LONG_WORD.sub(lambda word: f"{word[0][:100]}... ({len(word[0]):,} characters)", message)
    if len(message) > MOST_CHARACTERS:
        left_out, half = len(message) - MOST_CHARACTERS, MOST_CHARACTERS // 2
        message = f"{message[:half]} ... ({left_out:,} characters left out) ... {message[-half:]}"
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in message)


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask the secrets given, those in the environment, and what has the form of a token, wherever a text repeats them.

    Control characters become spaces: a platform's answer is one line.
    """
    own = (value for name, value in os.environ.items() if _SECRET_NAME.search(name) and _SECRET_VALUE.fullmatch(value))
    for secret in sorted({*own, *filter(None, secrets)}, key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _TOKEN.sub("***", text)
    return "".join(c if c.isprintable() else " " for c in text)


def echo(*messages: object, err: bool = False) -> None:
    """Print messages on stdout or stderr, each on its line: as any terminal can show and encode them."""
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = "\n".join(printable(str(message)) for message in messages)
    print(text.encode(encoding, "replace").decode(encoding), file=stream, flush=True)


def nearest(name: object, known: Iterable[str], usual: Callable[[str], float] = lambda _: 0) -> str | None:
    """Return the known name that was probably meant, or None if none is similar.

    Names that only go on come first, of these the most `usual`, then the most similar, where what looks alike counts as
    equal (`o` and `0`, `l` and `1`, any separator); of equals the one with the longest piece in common, then the
    shortest. Names that hold the given one come last.
    """
    if len(str(name)) > LONGEST_NAME:
        return None
    given = str(name).lower()
    by_lower = {known_name.lower(): known_name for known_name in known if len(known_name) <= LONGEST_NAME}
    alike = _look(given)
    longer = [other for other in by_lower if len(alike) >= SHORTEST_STEM and _look(other).startswith(alike)]
    near = list(longer or get_close_matches(given, list(by_lower), n=MOST_COMPARED, cutoff=0.6))
    if not near and len(alike) >= SHORTEST_PIECE:
        near = longer = [other for other in by_lower if alike in _look(other)]
    near = near or [other for other in by_lower if given in re.split(r"[\W_]+", other)]
    if not near:
        return None

    def rank(other: str) -> tuple[bool, float, float, int, int, str]:
        together = SequenceMatcher(None, given, other, autojunk=False).find_longest_match().size
        whole, first = _look(other) == alike, -usual(by_lower[other]) if longer else 0.0
        alike_then_given = -_similarity(alike, _look(other)) - _similarity(given, other) / 1e6
        return not whole, first, alike_then_given, -together, len(other), other

    return by_lower[min(near, key=rank)]


def _look(name: str) -> str:
    """Return a name as it looks at a glance: no separators, and one spelling of characters that look alike."""
    return name.translate(_ALIKE)


def _similarity(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def did_you_mean(name: object, known: Iterable[str], usual: Callable[[str], float] = lambda _: 0) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or an empty string."""
    near = nearest(name, known, usual)
    if near is None:
        return ""
    alike = near != str(name) and normalize("NFC", near) == normalize("NFC", str(name))
    return f" Did you mean '{near}'?" + " Only its Unicode form (NFC or NFD) differs." * alike


def format_list(names: Iterable[str], most: int = 12) -> str:
    """Join names in alphabetical order, cut to `most`: "a, b, c and 30 more"."""
    return format_first(sorted(names), most)


def format_first(items: Sequence[object], most: int = 5, total: int | None = None) -> str:
    """Join items in their own order, such as ids by row, cut to `most`: "7, 3, 9 and 30 more".

    `items` may be only the first of `total`, where it is slow to describe all of them.
    """
    joined = ", ".join(map(str, items[:most]))
    more = (len(items) if total is None else total) - most
    return f"{joined} and {more:,} more" if more > 0 else joined


def unknown_name(what: str, name: object, known: Iterable[str]) -> str:
    """Explain that a name is unknown: "unknown loss 'x'. Did you mean 'y'? Available: y, z."."""
    names = list(known)
    return f"unknown {what} '{name}'.{did_you_mean(name, names)} Available: {format_list(names)}."


def aligned(cells: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    """Yield lines of columns, the first `left` of them aligned to the left."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        parts = [
            cell.ljust(w) if n < left else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(parts).rstrip()


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return a count with its noun: "1 row", "2 rows", "1,204 images"."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def duration(seconds: float) -> str:
    """Write a time: "4.1s", "2m05s", "3h20m"."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}h{minutes_left:02d}m" if hours else f"{minutes}m{rest:02d}s"


def plain_name(name: str) -> str:
    """Return a name's letters and digits in lower case."""
    return re.sub(r"[\W_]", "", name.lower())


def name_words(name: str) -> set[str]:
    """Return the words in a name: `PatientID` and `patient_id` are patient and id."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def same_name(names: Iterable[str], wanted: str, also_without_id: bool = False) -> str | None:
    """Return the name that is spelled as wanted, or nearly so: `Id` and `id`, `Category` and `category_id`."""
    spellings: list[Callable[[str], str]] = [str, plain_name, *([_without_id] if also_without_id else [])]
    return next((name for same in spellings for name in names if same(name) == same(wanted)), None)


def _without_id(name: str) -> str:
    return plain_name(name).removesuffix("id")


def signal_name(number: int) -> str:
    """Return a signal's name, such as "SIGKILL", or "signal 35" for one without."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
