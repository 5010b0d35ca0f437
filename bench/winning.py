"""What each technique is worth beside init's recipe: the same real photographs, rows and CPU seconds, one change a run.

    python bench/winning.py run DATA PLACE     # train what bench/winning.csv lacks; PLACE keeps runs and caches
    python bench/winning.py tables             # write the tables of docs/winning.md from the CSV
    python bench/winning.py wall DATA PLACE    # time the script and today's recipe by the clock, on a quiet machine

DATA holds masks/, faces/ and weights/ as `bench/real_sets.py` reads them. Each run is a process of its own with one
thread; its CPU seconds are those of the whole process, with decoding, checks and report. A seed draws folds and
networks. What changes only predictions takes the members of the run that it belongs to.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from real_sets import held_back_score, read_answers, write_competition
from sklearn.metrics import f1_score, log_loss
from winning_ways import BASE, FOLDS, MODEL, PLAN, SIZE, WAYS, Way, toml_value

TABLE = Path(__file__).with_name("winning.csv")
PAGE = Path(__file__).parents[1] / "docs/winning.md"
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
EPOCHS, SCRIPT_EPOCHS = {"masks": 6, "faces": 4}, {"masks": 7, "faces": 5}
UNCORRECTED = {"recipe": "no-prior", "shuffle": "shuffle-no-prior"}  # computed from the predictions of a run
SETS, MEASURES = ("masks", "faces"), ("cv", "held_back", "log_loss")
RESULTS = re.compile(r"(?<=<!-- results -->\n).*(?=<!-- end -->)", re.DOTALL)


def planned(sets: list[str], seeds: list[int]) -> Iterable[tuple[str, str, int]]:
    """Yield set, way and seed of each run, those that decide most first."""
    for data, seed, names in PLAN:
        if (not sets or data in sets) and (not seeds or seed in seeds):
            yield from ((data, name, seed) for name in names)


def timed(place: Path, *command: str) -> tuple[str, float]:
    """Run a Python command in a folder; return its output and its CPU seconds."""
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    done = subprocess.run(
        [sys.executable, *command], cwd=place, env={**os.environ, **ENVIRONMENT}, text=True, capture_output=True
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout, sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before


def prepare(data: str, source: Path, place: Path) -> None:
    """Write the competition, the weights and the TOML of `compete init`, unless they are there."""
    write_competition(data, source, place)
    (place / "weights").mkdir(exist_ok=True)
    for name in ("mobilenetv2_100", "squeezenet1_1"):
        file = place / f"weights/{name}.safetensors"
        if not file.exists():
            file.write_bytes((source / f"weights/{name}.safetensors").read_bytes())
    if not (place / f"{data}.toml").exists():
        timed(place, "-m", "compete", "init", data)


def measure(data: str, name: str, seed: int, source: Path, place: Path) -> dict[str, Any]:
    """Train one way with one seed; return its line of the table."""
    prepare(data, source, place)
    epochs = SCRIPT_EPOCHS[data] if name == "script" else round(EPOCHS[data] * WAYS[name].share)
    known = {"set": data, "way": name, "seed": seed, "epochs": epochs}
    if name == "script":
        return {**known, **run_script(data, source, place, epochs=epochs, seed=seed, size=SIZE, n_folds=FOLDS)}
    sets = {**BASE, "training.epochs": epochs, "training.seed": seed, **WAYS[name].changes}
    text = [part for key, value in sets.items() for part in ("--set", f"{key}={toml_value(value)}")]
    out, seconds = timed(place, "-m", "compete", "run", f"{data}.toml", *text)
    run = place / re.findall(r"(\S+)/submission\.csv", out)[-1]
    return {**known, **scored(run, data, source), "cpu_seconds": seconds}


def run_script(data: str, source: Path, place: Path, **options: int) -> dict[str, Any]:
    """Run the plain script at its better rate; return its scores and CPU seconds."""
    text = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    files = ["--source", str(source), "--weights", str(place / MODEL["weights"]), "--lr", "1e-3"]
    out, seconds = timed(place, str(Path(__file__).with_name("plain_kfold.py")), data, *files, *text)
    found = json.loads(out)
    return {"cv": found["cv"], "held_back": found["held_back"], "cpu_seconds": seconds}


def scored(run: Path, data: str, source: Path) -> dict[str, Any]:
    """Return CV and held-back macro F1 of a run, both without post-processing too, and the held-back log loss."""
    cv = json.loads((run / "scores.json").read_text())["cv"]
    answers = read_answers(data, source)
    test = pd.read_parquet(run / "test.parquet").set_index("id").loc[answers.index]
    plain = test.idxmax(axis=1)
    return {
        "cv": cv["oof"] if cv["oof_postprocessed"] is None else cv["oof_postprocessed"],
        "cv_plain": cv["oof"],
        "held_back": held_back_score(data, source, run / "submission.csv"),
        "held_back_plain": f1_score(answers, plain, average="macro"),
        "log_loss": log_loss(answers, test[sorted(test.columns)]),
    }


def run(source: Path, place: Path, sets: list[str], seeds: list[int]) -> None:
    """Train what is missing, a line of the table after each run; several processes may share the table."""
    place.mkdir(parents=True, exist_ok=True)
    for data, name, seed in planned(sets, seeds):
        lines = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=["set", "way", "seed"])
        if ((lines["set"] == data) & (lines["way"] == name) & (lines["seed"] == seed)).any():
            continue
        line = pd.DataFrame([measure(data, name, seed, source, place)]).round(4)
        with Path(__file__).open() as lock:  # another process may have measured meanwhile
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = [pd.read_csv(TABLE)] if TABLE.exists() else []
            pd.concat([*known, line], ignore_index=True).to_csv(TABLE, index=False)


def wall(source: Path, place: Path, sets: list[str], seeds: list[int]) -> None:
    """Print CPU and wall seconds of the script and of the recipe as `compete init` writes it, trained anew."""
    for seed in seeds or [0]:
        for data in sets or ["masks"]:
            for name in ("script", "ratio-1"):
                own = place / f"wall-{data}-{name}-{seed}"
                prepare(data, source, own)
                started = time.monotonic()
                line = measure(data, name, seed, source, own)
                took = time.monotonic() - started
                print(data, seed, name, f"{line['cpu_seconds']:.0f} CPU s, {took:.0f} s", flush=True)


def results() -> pd.DataFrame:
    """Return the lines of the table, with lines for the same predictions without `prior`."""
    lines = pd.read_csv(TABLE)
    plain = lines[lines["way"].isin(UNCORRECTED)].assign(
        way=lambda part: part["way"].map(UNCORRECTED),
        cv=lambda part: part["cv_plain"],
        held_back=lambda part: part["held_back_plain"],
    )
    return pd.concat([lines, plain], ignore_index=True)


def tables() -> str:
    """Return the page's tables in Markdown: what each way scores, what it differs by, and how to say it."""
    found = results()
    sets = [data for data in SETS if data in set(found["set"])]
    parts = [part for data in sets for part in ("", *_scores(found, data), "", *_differences(found, data))]
    changed = {name for name in found["way"] if WAYS[name].changes}
    said = [
        "| technique | on the command line |",
        "|---|---|",
        *(f"| {WAYS[name].title} | `{_said(WAYS[name])}` |" for name in WAYS if name in changed),
    ]
    return "\n".join([*parts, "", *said, ""])


def _scores(found: pd.DataFrame, data: str) -> list[str]:
    lines = [
        f"| `{data}` | seeds | CV macro F1 | held back | log loss, held back | CPU s |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in _in_order(found, data):
        cells = WAYS[name].title, len(runs), *(_with_spread(runs[key]) for key in MEASURES), _cost(name, runs)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _differences(found: pd.DataFrame, data: str) -> list[str]:
    lines = [f"| `{data}`, against the recipe, by seed | CV | held back | log loss | |", "|---|---|---|---|---|"]
    ways = dict(_in_order(found, data))
    recipe = ways["recipe"].set_index("seed")
    for name, runs in ways.items():
        if name != "recipe":
            by = [(runs.set_index("seed")[key] - recipe[key]).dropna() for key in MEASURES]
            cells = (", ".join(f"{value:+.3f}" for value in values) for values in by)
            lines.append(f"| {WAYS[name].title} | {' | '.join(cells)} | {verdict(by[0], by[1])} |")
    return lines


def verdict(cv: pd.Series, held_back: pd.Series) -> str:
    """Return what differences of some seeds show: something only where all seeds and both scores agree."""
    every = [*cv, *held_back]
    if len(cv) < 2:
        return "one seed"
    return "better" if min(every) > 0 else "worse" if max(every) < 0 else "not shown"


def _in_order(found: pd.DataFrame, data: str) -> Iterable[tuple[str, pd.DataFrame]]:
    own = found[found["set"] == data].sort_values("seed")
    return ((name, own[own["way"] == name]) for name in WAYS if name in set(own["way"]))


def _with_spread(values: pd.Series) -> str:
    known = values.dropna()
    spread = f" ± {known.std(ddof=1):.3f}" if len(known) > 1 else ""
    return f"{known.mean():.3f}{spread}" if len(known) else ""


def _cost(name: str, runs: pd.DataFrame) -> str:
    if name in UNCORRECTED.values():
        return "the same"
    seconds = f"{runs['cpu_seconds'].mean():.0f}"
    if name == "seeds":
        return f"{seconds}, and three members that another line has trained"
    return f"the same members, predicted again in {seconds}" if WAYS[name].predicts_only else seconds


def _said(way: Way) -> str:
    return " ".join(f"--set '{key}={toml_value(value)}'" for key, value in way.changes.items())


def main() -> None:
    """Run, or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "tables", "wall"])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("place", type=Path, nargs="?")
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--seeds", nargs="*", type=int, default=[])
    given = parser.parse_args()
    if given.command != "tables":
        command = run if given.command == "run" else wall
        command(given.data.resolve(), given.place.resolve(), given.sets, given.seeds)
    else:
        PAGE.write_text(RESULTS.sub(lambda _: tables(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
