"""Types of options in words, for listings and error messages: `number, 0 < x <= 1`, `"a" or "b"`, `list of strings`."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

NOUNS: dict[Any, str] = {int: "integer", float: "number", str: "string", Path: "path", dict: "table", list: "list"}
WORDS: dict[Any, str] = {bool: "true or false", NoneType: "none", Any: "anything"}
_ARTICLE = re.compile(rf"^({'|'.join(NOUNS.values())})\b")
LIMITS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length")


def type_text(annotation: Any) -> str:  # noqa: ANN401 - any type
    """Return a type in words, or as Python writes it where there are no words for it."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"table with {' and '.join(annotation.model_fields)}"
    if origin is Annotated:
        return type_text(inner[0]) + _limits_text(_limits(inner[1:]))
    if origin is Literal:
        return _either([json.dumps(value, ensure_ascii=False) for value in inner])
    if origin in (Union, UnionType):
        return _either([type_text(part) for part in inner])
    if origin in (list, tuple):
        return f"list of {_items_text(origin, inner)}"
    if origin is dict:
        return "table" if inner[1] is Any else f"table of {_plural_text(inner[1])}"
    return NOUNS.get(annotation) or WORDS.get(annotation) or inspect.formatannotation(annotation)


def expected_text(annotation: Any) -> str:  # noqa: ANN401 - any type
    """Return what a TOML value must be, with articles: `an integer >= 1`, `"a", "b" or a list of strings`."""
    inner = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    texts = [type_text(part) for part in inner if part is not NoneType]  # a TOML cannot write none
    return _either([_ARTICLE.sub(lambda noun: f"a{'n' * (noun[0] == 'integer')} {noun[0]}", text) for text in texts])


def _either(words: list[str]) -> str:
    """Join alternatives with `or`, after a comma if one of them contains a comma."""
    *first, last = words
    if not first:
        return last
    return f"{', '.join(first)}{',' * any(',' in word for word in words)} or {last}"


def _items_text(origin: type, inner: tuple[Any, ...]) -> str:
    """Describe the items of a list, or of a tuple, which a TOML writes as a list."""
    if origin is list or inner[-1] is ...:
        return _plural_text(inner[0])
    if len(set(map(type_text, inner))) == 1:
        return f"{len(inner)} {_plural_text(inner[0])}"
    return f"({', '.join(map(type_text, inner))})"


def _plural_text(annotation: Any) -> str:  # noqa: ANN401 - any type
    """Describe several values of one type: `numbers > 0`, `(string or none)`."""
    kind, *metadata = get_args(annotation) if get_origin(annotation) is Annotated else [annotation]
    if kind in NOUNS:
        return f"{NOUNS[kind]}s{_limits_text(_limits(metadata))}"
    if get_origin(kind) in (list, tuple, dict):
        return re.sub(r"^\w+", r"\g<0>s", type_text(annotation))
    return "anything" if kind is Any else f"({type_text(annotation)})"


def _limits(metadata: Iterable[Any]) -> dict[str, Any]:
    """Return the limits in a type's metadata, from pydantic's `Field(gt=0)` or annotated_types' `Gt(0)`."""
    found: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, FieldInfo):
            found |= _limits(item.metadata)
        found |= {name: getattr(item, name) for name in LIMITS if getattr(item, name, None) is not None}
    return found


def _limits_text(found: dict[str, Any]) -> str:
    parts = [_range_text(found), _length_text(found.get("min_length"), found.get("max_length"))]
    if "multiple_of" in found:
        parts.append(f", a multiple of {_number(found['multiple_of'])}")
    if "pattern" in found:
        parts.append(f" that matches {getattr(found['pattern'], 'pattern', found['pattern'])}")
    return "".join(parts)


def _range_text(found: dict[str, Any]) -> str:
    """Return ` > 0`, or `, 0 < x <= 1` if there are limits on both sides."""
    low = next(((sign, found[name]) for name, sign in (("gt", ">"), ("ge", ">=")) if name in found), None)
    high = next(((sign, found[name]) for name, sign in (("lt", "<"), ("le", "<=")) if name in found), None)
    if low and high:
        return f", {_number(low[1])} {low[0].replace('>', '<')} x {high[0]} {_number(high[1])}"
    return "".join(f" {sign} {_number(value)}" for sign, value in filter(None, (low, high)))


def _length_text(least: int | None, most: int | None) -> str:
    if least == most:
        return "" if least is None else f", length {least}"
    words = [f"at least {least}" if least else "", f"at most {most}" if most is not None else ""]
    return f", length {' and '.join(filter(None, words))}"


def _number(value: Any) -> str:  # noqa: ANN401 - any number
    return f"{value:.4g}" if isinstance(value, float) else str(value)
