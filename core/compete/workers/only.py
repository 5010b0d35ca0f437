"""`--only fold=0`: which members of a run this process trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compete.errors import ConfigError
from compete.text import format_list, unknown_name

if TYPE_CHECKING:
    from compete.config.load import Config
    from compete.types import Member

KEYS = ("fold", "seed", "variant")


@dataclass(frozen=True)
class Only:
    """The folds, seeds and variants to train; one that is empty leaves the choice to the others."""

    folds: frozenset[int] = frozenset()
    seeds: frozenset[int] = frozenset()
    variants: frozenset[str] = frozenset()

    def takes(self, member: Member) -> bool:
        """Return whether a member is to be trained."""
        return (not self.folds or member.fold in self.folds) and (not self.seeds or member.seed in self.seeds)

    def check(self, members: Sequence[Member]) -> None:
        """Raise `ConfigError` for folds and seeds that no member has."""
        problems = []
        for key, values in (("fold", self.folds), ("seed", self.seeds)):
            known = {getattr(member, key) for member in members}
            there = format_list(map(str, sorted(known)), most=40)
            problems += [f"--only {key}={n}: no member has it. There are: {there}" for n in sorted(values - known)]
        if problems:
            raise ConfigError(problems)


def read_only(written: Sequence[str], config: Config) -> Only:
    """Read `fold=0`, `seed=42,43` and `variant=name`. Raise `ConfigError` with every problem."""
    pairs = [(text, *text.partition("=")[::2]) for text in written]
    problems = list(_problems(pairs, [variant.name for variant in config.variants]))
    if problems:
        raise ConfigError(problems)
    values = {key: [value for _, name, text in pairs if name == key for value in text.split(",")] for key in KEYS}
    return Only(frozenset(map(int, values["fold"])), frozenset(map(int, values["seed"])), frozenset(values["variant"]))


def _problems(pairs: Sequence[tuple[str, str, str]], variants: Sequence[str]) -> Iterator[str]:
    for text, key, value in pairs:
        if key not in KEYS:
            yield f"--only {text}: {unknown_name('key', key, KEYS)} Write --only fold=0, seed=42 or variant=NAME."
        elif key != "variant":
            yield from (
                f"--only {text}: '{part}' must be an integer, such as {key}=0."
                for part in value.split(",")
                if not part.isdecimal()
            )
        elif not variants:
            yield f"--only {text}: the TOML has no [[variants]]."
        else:
            yield from (
                f"--only {text}: {unknown_name('variant', part, variants)}"
                for part in value.split(",")
                if part not in variants
            )
