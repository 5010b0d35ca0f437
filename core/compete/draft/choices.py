"""From what was found to the TOML's tables. Components are named as strings, as in any TOML."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from compete.advice import Advice
from compete.advice.facts import Facts
from compete.advice.recipe import recipe
from compete.draft.findings import Goal, Group, Pixels, Section, Source
from compete.draft.sizes import chosen_size, image_keys, windows
from compete.draft.suggested_columns import suggest_columns
from compete.files.proposals import Choice
from compete.leaderboard.setup import SOURCE_FILE
from compete.model.device import choose_device
from compete.store import read_json
from compete.text import format_first, name_words

FOLDS, HOLDOUT_ROWS, FEW_GROUPS = 5, 300_000, 3
MOST_ALLOWED = 100
MANY_CLASSES, KEPT = 1_000, 20
NEEDS_EVERY_PROBABILITY = "log_loss"
SIDES = {
    "left",
    "right",
    "clockwise",
    "counterclockwise",
    "anticlockwise",
    "왼쪽",
    "오른쪽",
    "links",
    "rechts",
    "gauche",
    "droite",
}
PAIRS = (("left", "right"), ("l", "r"), ("L", "R"), ("east", "west"), ("cw", "ccw"), ("좌", "우"), ("左", "右"))
ANGLES = {"angle", "steering", "yaw", "heading", "azimuth", "direction", "orientation", "rotation"}
IMPLIED = "group"  # the column by which folds keep rows together


def sections(
    name: str,
    root: str,
    source: Source,
    goal: Goal,
    group: Group,
    leaks: list[str],
    metric: tuple[Choice, ...],
    pixels: Pixels,
    advice: Advice,
) -> Iterator[Section]:
    """Yield the TOML's tables in their usual order."""
    yield Section("competition", (Choice("name", name), Choice("root", root)))
    yield _dataset(source, goal, group, leaks)
    yield Section("target", goal.target)
    yield _folds(source, group)
    yield Section("metric", metric)
    reading = f"such files are read with: pip install 'compete[{pixels.extra}]'" if pixels.extra else ""
    model = advice.model
    keys = image_keys(pixels, native=group.versions, side=model.side, side_why=model.side_why)
    yield Section("images", tuple(keys), reading)
    yield from filter(None, [suggest_columns(source, goal, group)])
    if pixels.extra == "sound":
        yield from sound_sections(pixels)
    yield from recipe(advice.facts, model)
    yield from _inference(goal, str(metric[0].value))
    yield from _postprocess(goal)
    yield Section("submission", _submission(source, goal))
    yield from _checks(source, goal, group)
    yield from _upload(Path(root))


def gather(name: str, source: Source, goal: Goal, group: Group, metric: str, pixels: Pixels) -> Facts:
    """Return the facts that the recipe rests on."""
    size = chosen_size(pixels, group.versions)[0]
    device = choose_device("auto")
    return Facts(
        rows=source.rows,
        kind=goal.kind,
        metric=metric,
        side=max(size),
        counts=goal.counts if goal.kind != "regression" else {},
        channels=pixels.channels,
        images=pixels.images,
        versions=group.versions,
        square=size[0] == size[1] and len(set(pixels.sizes)) <= 1 if group.versions else size[0] == size[1],
        sided=_sides(goal, source),
        words=frozenset(words_of(name)) | {word for column in goal.columns for word in words_of(column)},
        device=device,
        cores=os.cpu_count() or 1,
        folds=1 if source.rows > HOLDOUT_ROWS else FOLDS,
    )


def _dataset(source: Source, goal: Goal, group: Group, leaks: list[str]) -> Section:
    passed_over = [f"passed over as a group: {note}" for note in group.considered]
    name = Choice("name", source.dataset, "; ".join(filter(None, [source.why, *passed_over])))
    why = "only the training rows have them, and each value goes with one label: a leak" if leaks else ""
    if IMPLIED in set(source.train.columns) - {*goal.columns, *leaks} and not group.keys and "drop" in source.free:
        leaks = [*leaks, IMPLIED]
        why = "; ".join(filter(None, [why, f"a column called {IMPLIED} would keep its rows in one fold"]))
    drop = [Choice("drop", leaks, why)]
    joined = "join_labels" in source.free and any(option.name == "join_on" for option in source.options)
    labels = [Choice("join_labels", list(goal.columns))] if joined else []
    return Section("dataset", (name, *source.options, *labels, *group.keys, *(drop if leaks else [])))


def _folds(source: Source, group: Group) -> Section:
    grouped = f"{group.count} groups stay whole" if group.count else "no group was found"
    if source.rows > HOLDOUT_ROWS:
        why = f"{source.rows} rows: one split is enough, and costs a fifth; {grouped}"
        return Section("folds", (Choice("name", "holdout", why), Choice("share", 0.1)))
    return Section("folds", (Choice("name", "auto", f"stratified; {grouped}"), Choice("n", FOLDS)))


def _sides(goal: Goal, source: Source) -> str:
    """Return what tells that left and right matter: names of classes, of columns to predict, or of files."""
    names = [*goal.counts, *goal.columns]
    sided = [name for name in names if words_of(name) & SIDES]
    swapped = [name for name in names if any(_mirrored(name, *pair) in names for pair in PAIRS)]
    if sided or swapped:
        return f"{format_first([repr(name) for name in (sided or swapped)])} differ in left and right"
    if goal.kind == "regression" and (turned := [name for name in goal.columns if words_of(name) & ANGLES]):
        return f"'{turned[0]}' may change in a mirror"
    files = [path for path in source.images if words_of(path.rpartition("/")[2]) & {"left", "right"}]
    return f"files are called left and right, such as {files[0]}" if files else ""


def words_of(name: str) -> set[str]:
    """Return the words in a name in lower case."""
    return name_words(name) | set(re.split(r"[\W_]+", name.lower()))


def _mirrored(name: str, one: str, other: str) -> str:
    """Return a name with one word in place of the other, or "" if it has none."""
    changed = re.sub(rf"(?<![^\W\d_]){one}(?![^\W\d_])" if one.isascii() else one, other, name, flags=re.IGNORECASE)
    return changed if changed != name else ""


def sound_sections(pixels: Pixels) -> Iterator[Section]:
    """Yield the transforms that make an image of a sound."""
    window, hop = windows(pixels.samples)
    typical = f"of about {median(pixels.samples):.0f} samples" if pixels.samples else "of unknown length"
    why = f"sounds {typical} become {window // 2 + 1} rows, low notes below, with a column for every {hop} samples"
    yield Section(
        "transforms", (Choice("name", "spectrogram"), Choice("window", window), Choice("hop", hop)), why, repeats=True
    )
    keys = Choice("name", "scale"), Choice("low", 5.0), Choice("high", 99.8), Choice("log", True)
    yield Section("transforms", keys, "loudness by its logarithm; what is as low as the noise becomes 0", repeats=True)


def _inference(goal: Goal, metric: str) -> Iterator[Section]:
    """Yield the table that keeps the best classes of a row, where that serves the metric and all that follows."""
    classes = len(goal.counts)
    if classes < MANY_CLASSES or goal.form not in ("label", "top_k") or goal.open_set:
        return
    if metric != NEEDS_EVERY_PROBABILITY:
        why = f"of {classes} classes, the best of a row are enough for the metric, and all of them fill the memory"
        yield Section("inference", (Choice("keep_top", max(KEPT, goal.ranked), why),))


def _postprocess(goal: Goal) -> Iterator[Section]:
    if goal.kind == "ordinal":
        yield Section("postprocess", (Choice("name", "cut_points"),), "fitted on OOF", repeats=True)
    if goal.kind == "tokens":
        why = "one threshold for all labels, fitted on OOF"
        yield Section("postprocess", (Choice("name", "threshold"), Choice("min_labels", 1)), why, repeats=True)
    if goal.open_set:
        why = (
            f"by its name, '{goal.open_set}' is whatever is none of the other classes, so it comes first where none of "
            "them reaches a threshold; fitted on OOF, since training rows have it too"
        )
        yield Section("postprocess", (Choice("name", "open_set"), Choice("label", goal.open_set)), why, repeats=True)
    if goal.bounds:
        low, high = goal.bounds
        yield Section("postprocess", (Choice("name", "clip"), Choice("low", low), Choice("high", high)), repeats=True)


def _submission(source: Source, goal: Goal) -> tuple[Choice, ...]:
    """Return the submission's keys, with what is written where no sample submission says it."""
    form, *keys = goal.submission
    if source.test.empty:
        return replace(form, why="there is no test set: nothing is written; the run ends with its CV and OOF"), *keys
    if source.sampled:
        return goal.submission
    why = "there is no sample submission: columns id and label are written, a row for each test row"
    return replace(form, why=why), *keys


def _checks(source: Source, goal: Goal, group: Group) -> Iterator[Section]:
    keys = [*_rare(goal, group, source), *(_limits(goal) if source.sampled else ())]
    if keys:
        yield Section("checks", tuple(keys))


def _rare(goal: Goal, group: Group, source: Source) -> Iterator[Choice]:
    """Yield the key that lets a class be missing in some folds, where one is too rare for all of them."""
    if not goal.counts or goal.kind == "regression":
        return
    name = min(goal.counts, key=lambda label: goal.counts[label])
    rows, groups = goal.counts[name], group.fewest_of_a_class
    if rows < FOLDS or source.rows > HOLDOUT_ROWS:
        yield Choice("missing_class", "warn", f"'{name}' has only {rows} rows, too few for every fold")
    elif group.count and groups < FEW_GROUPS * FOLDS:
        yield Choice("missing_class", "warn", f"one class is in {groups} groups only, which may not reach every fold")


def _limits(goal: Goal) -> Iterator[Choice]:
    if goal.kind == "binary" or goal.form == "probabilities":
        yield from (Choice("low", 0.0), Choice("high", 1.0))
    if goal.kind == "ordinal":
        yield from (Choice("low", 0.0), Choice("high", float(len(goal.counts) - 1)))
    if goal.bounds:
        low, high = goal.bounds
        yield from (Choice("low", low), Choice("high", high))
    if goal.form == "probabilities" and goal.kind in ("label", "votes"):
        yield Choice("rows_sum_to_one", True)
    if goal.whole:
        yield Choice("integers", True, "labels are integers")
    elif goal.form in ("label", "tokens") and len(goal.counts) <= MOST_ALLOWED:
        yield Choice("allowed", sorted(goal.counts), "the training rows' labels")
    if goal.separator:
        yield Choice("separator", goal.separator)


def _upload(root: Path) -> Iterator[Section]:
    """Submit to where `compete download` fetched the files from."""
    source = read_json(root / SOURCE_FILE)
    if source.get("platform"):  # files fetched by an earlier version have no note of it
        where = Choice("competition", source["competition"], "where its files were downloaded from")
        yield Section("upload", (Choice("name", source["platform"]), where))
