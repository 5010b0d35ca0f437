"""What names of columns say: compared without their spelling, and taken apart into words."""

from __future__ import annotations

import re
from collections.abc import Callable


def plain_name(name: str) -> str:
    """Return a name's letters and digits in lower case."""
    return re.sub(r"[\W_]", "", name.lower())


def name_words(name: str) -> set[str]:
    """Return the words in a name: `PatientID` and `patient_id` are patient and id."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def same_name(names: list[str], wanted: str, also_without_id: bool = False) -> str | None:
    """Return the name that is spelled as wanted, or nearly so: `Id` and `id`, `Category` and `category_id`."""
    spellings: list[Callable[[str], str]] = [str, plain_name, *([_without_id] if also_without_id else [])]
    return next((name for same in spellings for name in names if same(name) == same(wanted)), None)


def _without_id(name: str) -> str:
    return plain_name(name).removesuffix("id")
