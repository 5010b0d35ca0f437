"""What a search found, as lines for the screen and as files: table, report and the winner's TOML."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from compete.scores import read_scores
from compete.search.select import BASE, Candidate, Selection, select
from compete.search.space import configure, overrides_of, value_texts
from compete.search.storage import import_optuna
from compete.store import file_lock, write_json, write_text
from compete.study.ablation import run_scores
from compete.study.differences import CONFIDENCE, validated_ratio
from compete.text import aligned, plural
from compete.toml.read import write_toml_text

if TYPE_CHECKING:
    from pathlib import Path

    from compete.scores import Scores
    from compete.search.trials import Search
    from compete.session import Run

MOST_ROWS = 15  # on the screen; the files have all


def read_candidates(search: Search, base: Run) -> list[Candidate]:
    """Return the TOML as it is and every trial of the study, in their order."""
    scores = {place: score for place, score in run_scores(base).items() if score is not None}
    found = [Candidate(BASE, "complete", {}, base.folder.name, scores, {})]
    states = import_optuna().trial.TrialState
    for trial in search.study().get_trials(deepcopy=False):
        complete = trial.state == states.COMPLETE
        members = trial.user_attrs.get("scores", []) if complete else []
        found.append(
            Candidate(
                number=trial.number,
                state=trial.state.name.lower(),
                values=_values(search, trial),
                run=trial.user_attrs.get("run", ""),
                scores={(fold, seed): score for fold, seed, score in members},
                steps=dict(trial.intermediate_values),
                why=trial.user_attrs.get("why", ""),
            )
        )
    return found


def _values(search: Search, trial: Any) -> dict[str, Any]:  # noqa: ANN401 - optuna's FrozenTrial
    """Return a trial's values as the TOML has them."""
    optuna = import_optuna()
    fixed = optuna.trial.FixedTrial(trial.params)
    return {each.key: each.suggest(fixed) for each in search.space if each.key in trial.params}


def write_results(search: Search, base: Run, importances: Mapping[str, float] | None = None) -> Selection:
    """Write `results.json`, `results.csv`, `report.md` and `winner.toml` into the search's folder."""
    import pandas as pd

    with file_lock(search.folder / ".results.lock"):
        scores = read_scores(base.folder)
        candidates = read_candidates(search, base)
        selection = select(candidates, search.higher_is_better, validated_ratio(base.dataset.folds))
        ordered = [*selection.ranked, *(each for each in candidates if not each.scores)]
        rows = [_row(search, rank, each) for rank, each in enumerate(ordered, 1)]
        config = configure(search.config, selection.winner.values)
        data = config.resolved()
        data.pop("search")
        write_text(search.folder / "winner.toml", write_toml_text(data))
        write_text(search.folder / "results.csv", pd.DataFrame(rows).to_csv(index=False))
        write_json(search.folder / "results.json", _facts(search, scores, selection, rows, importances or {}))
        write_text(search.folder / "report.md", "\n".join(_report(search, scores, selection, ordered, importances)))
    return selection


def _row(search: Search, rank: int, each: Candidate) -> dict[str, Any]:
    members = {f"fold{fold}-seed{seed}": score for (fold, seed), score in each.scores.items()}
    start = {"rank": rank if each.scores else None, "name": each.label, "state": each.state, "run": each.run}
    last = list(each.steps.values())[-1] if each.steps else None
    partial = None if each.scores else last
    return {**start, "cv": each.mean, "pruned_at": partial, **value_texts(each.values, search.space), **members}


def _facts(
    search: Search,
    scores: Scores,
    selection: Selection,
    rows: Sequence[dict[str, Any]],
    importances: Mapping[str, float],
) -> dict[str, Any]:
    gain = selection.gain
    return {
        "file": str(search.config.path),
        "metric": scores.metric,
        "higher_is_better": scores.higher_is_better,
        "winner": {
            "name": selection.winner.label,
            "run": selection.winner.run,
            "values": dict(selection.winner.values),
        },
        "cv": selection.winner.mean,
        "nested_cv": selection.nested,
        "picks": {f"fold{fold}": each.label for fold, each in selection.picks.items()},
        "gain": None
        if gain is None
        else {"mean": gain.mean, "low": gain.low, "high": gain.high, "standard_error": gain.standard_error},
        "importances": dict(importances),
        "trials": list(rows),
    }


def table(search: Search, ordered: Sequence[Candidate]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of the ranked table, its head first."""
    yield "", "CV", *(each.key for each in search.space), "run"
    for each in ordered:
        mean = "-" if each.mean is None else f"{each.mean:.4f}"
        state = mean if each.scores else each.state
        yield each.label, state, *value_texts(each.values, search.space).values(), each.run


def verdict(scores: Scores, selection: Selection) -> Iterator[str]:
    """Yield sentences on the winner: its CV, what that is worth on folds that it was not chosen by, and the gain."""
    winner, finished = selection.winner, len(selection.ranked)
    yield f"winner: {winner.label}, {scores.metric} {winner.mean:.4f}, the best of {finished} that finished all folds"
    if selection.nested is None:
        yield (
            "its selection bias cannot be told from one fold: the best of many is too good by chance. Validate it on "
            "others: remove [training] only_folds"
        )
        return
    sign = 1 if scores.higher_is_better else -1
    luck = max(0.0, sign * ((winner.mean or 0.0) - selection.nested))
    yield (
        f"chosen on all folds but one and scored on that one, for each fold: {selection.nested:.4f}. The winner's own "
        f"score was also what chose it; {luck:.4f} of it may be luck"
    )
    yield from _gain(selection, sign)


def _gain(selection: Selection, sign: int) -> Iterator[str]:
    """Yield what the choice gains over the TOML as it is, on folds that did not choose."""
    gain = selection.gain
    if selection.winner.number == BASE:
        yield "no trial is better than the TOML as it is"
    if gain is None or gain.mean is None or all(each.number == BASE for each in selection.picks.values()):
        return
    text = f"gain over the TOML as it is, on folds that did not choose: {sign * gain.mean:+.4f}"
    if gain.low is None or gain.high is None:
        yield text
        return
    low, high = sorted((sign * gain.low, sign * gain.high))
    clear = "" if low > 0 or high < 0 else ": not clear from zero"
    yield f"{text} ({CONFIDENCE:.0%} interval {low:+.4f} to {high:+.4f}){clear}"


def importance_lines(importances: Mapping[str, float]) -> Iterator[str]:
    """Yield how much of the spread between trials each key explains."""
    if importances:
        cells = [(key, f"{value:.0%}") for key, value in sorted(importances.items(), key=lambda item: -item[1])]
        yield "what the spread between finished trials depends on (fANOVA):"
        yield from (f"  {line}" for line in aligned(cells, left=1))


def screen(search: Search, scores: Scores, selection: Selection, candidates: Sequence[Candidate]) -> Iterator[str]:
    """Yield the end of a search: the table, the verdict and next steps."""
    counts = {state: sum(each.state == state for each in candidates[1:]) for state in ("complete", "pruned", "fail")}
    running = len(candidates) - 1 - sum(counts.values())
    yield (
        f"{plural(len(candidates) - 1, 'trial')}: {counts['complete']} finished, {counts['pruned']} pruned, "
        f"{counts['fail']} failed" + (f", {running} to go on with" if running else "")
    )
    yield from aligned(list(table(search, selection.ranked[:MOST_ROWS])), left=1)
    yield from verdict(scores, selection)


def next_steps(search: Search, selection: Selection) -> Iterator[str]:
    """Yield commands that may follow."""
    sets = " ".join(f"--set {shlex.quote(override)}" for override in overrides_of(selection.winner.values))
    given = " ".join(f"--set {shlex.quote(override)}" for override in search.config.overrides)
    command = " ".join(part for part in ("compete run", shlex.quote(str(search.config.path)), given, sets) if part)
    yield f"written: {search.folder / 'results.csv'}, results.json, report.md and winner.toml"
    yield f"next: compete run {shlex.quote(str(search.folder / 'winner.toml'))}"
    yield f"the same: {command}"
    if len(selection.ranked) > 1:
        runs = " ".join(dict.fromkeys(each.run for each in selection.ranked[:3]))
        yield f"blend the best: compete blend {runs}"


def _report(
    search: Search,
    scores: Scores,
    selection: Selection,
    ordered: Sequence[Candidate],
    importances: Mapping[str, float] | None,
) -> Iterator[str]:
    """Yield the report as Markdown."""
    yield from (f"# Search of {search.config.path}", "")
    yield from (f"- {line}" for line in verdict(scores, selection))
    yield ""
    rows = list(table(search, ordered))
    for number, row in enumerate(rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
        if number == 0:
            yield "|" + "---|" * len(row)
    if importances:
        yield from ("", *importance_lines(importances))
    yield ""


def ranked_runs(search: Search, selection: Selection, count: int) -> list[Path]:
    """Return the folders of the best different runs."""
    names = list(dict.fromkeys(each.run for each in selection.ranked))[:count]
    return [search.folder.parent / name for name in names]
