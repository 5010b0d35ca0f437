"""Guess the metric: from a description beside the data, else from the target and the submission's form."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compete.draft.findings import Goal
from compete.files.encodings import prose
from compete.files.proposals import Choice
from compete.files.scan import Scan
from compete.toml.gallery import gallery
from compete.toml.read import read_toml
from compete.toml.slots import SLOTS

MOST_BYTES, TEXTS = 300_000, (".md", ".txt", ".html")
# A description praises accuracy, and shows ROC curves, before it comes to what is scored.
EVALUATION = re.compile(r"^\W*(?:<h\d[^>]*>)?[^\n]{0,20}\b(?:evaluation|metric|scoring)\b[^\n]{0,20}$", re.I | re.M)
MOST_OF_IT = 1500
USUAL = {
    "binary": "roc_auc",
    "label": "accuracy",
    "one_hot": "mean_column_auc",
    "columns": "mean_column_auc",
    "votes": "kl_divergence",
    "tokens": "label_set_f1",
    "ordinal": "kappa",
    "regression": "rmse",
}
# What a description calls a metric, the more particular names first; and the kinds of target that it suits.
SAID: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"weighted kappa", "kappa", ("ordinal", "label")),
    (r"probabilistic F", "probabilistic_f1", ("binary",)),
    (r"weighted AUC", "weighted_auc", ("binary",)),
    (r"Kullback|KL.divergence", "kl_divergence", ("votes",)),
    (r"column-?wise|(average|mean) of the individual AUC|mean.{0,20}AUC", "mean_column_auc", ("columns", "one_hot")),
    (r"MAP ?@ ?\d+|mean average precision", "map_at_k", ("label",)),
    (r"log(arithmic)?[ -]?loss", "log_loss", ("binary", "label", "one_hot")),
    (r"ROC|area under", "roc_auc", ("binary",)),
    (r"root mean squared?|RMSE", "rmse", ("regression", "ordinal")),
    (r"macro.{0,12}F1|F1.{0,12}macro", "macro_f1", ("label", "one_hot")),
    (r"micro.{0,20}F1|F1|F2", "label_set_f1", ("tokens", "columns")),
    (r"micro.{0,20}F1", "micro_f1", ("label", "one_hot")),
    (r"top-?1|error rate", "error", ("label",)),
    (r"accuracy", "accuracy", ("label", "one_hot")),
)
USUAL_HERE = "what is usual for this target and submission"
UNEVEN = 10  # as for the sampler: accuracy hardly sees the smallest class


def guess_metric(scan: Scan, goal: Goal, names: Sequence[str] = ()) -> tuple[Choice, ...]:
    """Return the keys of `[metric]`, with what the guess rests on; `names` are what the competition may be called."""
    texts = _texts(scan)
    parts = [(name, part) for name, text in texts for part in _evaluation(text)]
    found = _said(parts, goal) or _of_gallery(goal, names) or _said(texts, goal)
    return found or _keys(_usual(goal), goal, f"{USUAL_HERE}{_unsuited(parts)}")


def _said(texts: list[tuple[str, str]], goal: Goal) -> tuple[Choice, ...]:
    for name, text in texts:
        for pattern, metric, kinds in SAID:
            match = re.search(pattern, text, re.IGNORECASE)
            if match and goal.kind in kinds:
                return _keys(metric, goal, f"{name} says '{match[0]}'")
    return ()


def _unsuited(texts: list[tuple[str, str]]) -> str:
    """Say which metric is described that does not suit the target."""
    found = (
        f"; {name} says '{match[0]}', but '{metric}' does not suit [target]"
        for name, text in texts
        for pattern, metric, _ in SAID
        if (match := re.search(pattern, text, re.IGNORECASE))
    )
    return next(found, "")


def is_said(metric: tuple[Choice, ...]) -> bool:
    """Return whether a description or the gallery says it."""
    return USUAL_HERE not in metric[0].why


def _of_gallery(goal: Goal, names: Sequence[str]) -> tuple[Choice, ...]:
    """Return the metric of the gallery's TOML of this name, where that predicts the same kind of target."""
    known = gallery()
    for name in filter(known.__contains__, names):
        data = read_toml(known[name])[0]
        if data.get("target", {}).get("name", SLOTS["targets"].default) == goal.kind and "plugins" not in data:
            why = f"a guess: that of the gallery's TOML '{name}'"
            return tuple(Choice(key, value, why if key == "name" else "") for key, value in data["metric"].items())
    return ()


def _texts(scan: Scan) -> list[tuple[str, str]]:
    """Return the descriptions at the top of the folder."""
    found = []
    for name in scan.others:
        path = scan.files.root / name
        if name.lower().endswith(TEXTS) and path.is_file() and path.stat().st_size < MOST_BYTES:
            found.append((name, prose(path.read_bytes())))
    return found


def _evaluation(text: str) -> list[str]:
    """Return what follows the headings that say how submissions are scored."""
    return [text[match.end() : match.end() + MOST_OF_IT] for match in EVALUATION.finditer(text)]


def _usual(goal: Goal) -> str:
    if goal.ranked:
        return "map_at_k"
    if goal.form == "probabilities" and goal.kind == "label":
        return "log_loss"
    if goal.kind == "label" and goal.imbalance >= UNEVEN:
        return "macro_f1"
    return USUAL[goal.kind]


def _keys(metric: str, goal: Goal, why: str) -> tuple[Choice, ...]:
    name = Choice("name", metric, f"a guess: {why}")
    return (name, Choice("k", goal.ranked)) if metric == "map_at_k" and goal.ranked else (name,)
