"""Slips of the pen in a TOML: each wrong line, and the line to write."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

MOST_PROBLEMS, LONGEST_LINE = 20, 500
_AT_LINE = re.compile(r"(.*) \(at line (\d+), column \d+\)", re.DOTALL)
_REASONS = re.compile(r"Cannot (?:declare|overwrite|redefine|mutate)\b.*")
# What other languages write, and TOML: the first that makes a line valid, alone or with another, is proposed.
_CORRECTIONS = [
    (re.compile(pattern), new)
    for pattern, new in (
        (r"[\u201c\u201d\u201e\u00ab\u00bb]", '"'),
        (r"[\u2018\u2019]", "'"),
        (r"^(\s*)(?://|;|--)\s*", r"\1# "),
        (r"^\s*([\w.-]+)\s*:\s*$", r"[\1]"),
        (r"^\s*\[\s*(\[?)\s*([\w.-]+)[\s\]]*$", r"[\1\2]"),
        (r"^\s*\[\[\s*([\w.-]+)[\s\]]*$", r"[[\1]]"),
        (r"^\s*[\w.-]+\s*[=:]\s*(?:None|null|nil|~)?\s*,?\s*$", ""),
        (r"^(\s*\w[\w.-]*)\s*:=?\s*(?=\S)", r"\1 = "),
        (r"^(\s*[\w.-]+)\s*==+\s*", r"\1 = "),
        (r"^(\s*\w[\w.-]*)\s+(?=[^\s=])", r"\1 = "),
        (r"\b(T)rue\b", "true"),
        (r"\b(F)alse\b", "false"),
        (r"=\s*\((.*)\)", r"= [\1]"),
        (r"(?<=[=\[,\s-])\.(?=\d)", "0."),
        (r"(?<=\d)\.(?=\s*(?:$|[,\]#]))", ".0"),
        (r"[,;]\s*$", ""),
        (r"\\+", "/"),
        (r"(=\s*\[[^\]]*?),?\s*$", r"\1]"),
        (r"(=\s*\{[^}]*?),?\s*$", r"\1}"),
        (r"""(=\s*)(["'])([^"']*)$""", r"\1\2\3\2"),
        (r"""(=\s*)([^"'\s]*)(["'])\s*$""", r"\1\3\2\3"),
        (r"""(=\s*)([A-Za-z~$/][^"'\[\]{}=#]*?)\s*(#.*)?$""", r'\1"\2"'),
    )
]


def syntax_problems(path: Path, text: str) -> Iterator[str]:
    """Yield a sentence for each wrong line, with the line to write, as far as correcting them leads."""
    lines = text.replace("\r\n", "\n").split("\n")
    for _ in range(MOST_PROBLEMS):
        try:
            tomllib.loads("\n".join(lines))
            return
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            found = _AT_LINE.fullmatch(str(error))
            number = int(found[2]) if found else len(lines)
            at, corrected = next(_corrections(lines, number), (number, None))
            reason = _REASONS.sub(_is_twice, found[1] if found else str(error))
            shown = lines[at - 1].strip() if 0 < at <= len(lines) else ""
            if corrected is None:
                yield f"{path}:{at}: not valid TOML: `{shown[:LONGEST_LINE]}`: {reason}."
                return
            cure = f"Write: {corrected.strip()}" if corrected else "Remove it."
            yield f"{path}:{at}: not valid TOML: `{shown}`. {cure}"
            lines[at - 1] = corrected


def _corrections(lines: Sequence[str], number: int) -> Iterator[tuple[int, str]]:
    """Yield the line that is probably wrong, the one where reading stopped or one above, with what to write there."""
    for at in (number, number - 1, number - 2):
        line = lines[at - 1] if 0 < at <= len(lines) else ""
        if len(line) <= LONGEST_LINE and not _is_toml(line):
            once = [corrected for pattern, new in _CORRECTIONS if (corrected := pattern.sub(new, line)) != line]
            twice = [pattern.sub(new, corrected) for corrected in once for pattern, new in _CORRECTIONS]
            yield from ((at, corrected) for corrected in (*once, *twice) if _is_toml(corrected))


def _is_toml(line: str) -> bool:
    try:
        tomllib.loads(line)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return False
    return True


def _is_twice(found: re.Match[str]) -> str:
    table = ".".join(re.findall(r"'([^']*)'", found[0]))
    return f"[{table}] is there twice; put its keys below one" if table else "this key is there twice; keep one"
