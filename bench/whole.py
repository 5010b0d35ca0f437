"""The recipe exactly as `compete init` writes it against the plain script, for the same CPU seconds, at full length.

    python bench/whole.py run DATA PLACE --sets masks --seeds 0 1 2    # train what bench/whole.csv lacks
    python bench/whole.py tables                                       # write the table of docs/winning.md from the CSV

Both have one thread, five folds, the same size, images and weights. The recipe is trained first; the script then gets
as many epochs as need no fewer CPU seconds than it took, by the time of one epoch of its own.
"""

from __future__ import annotations

import argparse
import math
import re
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
from winning import PAGE, prepare, run_script, scored, timed

TABLE = Path(__file__).with_name("whole.csv")
RESULTS = re.compile(r"(?<=<!-- whole -->\n).*(?=<!-- end whole -->)", re.DOTALL)


def recipe(data: str, seed: int, source: Path, place: Path) -> dict[str, Any]:
    """Run the TOML of `compete init` as it is; return its line."""
    out, seconds = timed(place, "-m", "compete", "run", f"{data}.toml", "--set", f"training.seed={seed}")
    run = place / re.findall(r"(\S+)/submission\.csv", out)[-1]
    settings = tomllib.loads((place / f"{data}.toml").read_text())
    found = scored(run, data, source)
    return {
        "epochs": settings["training"]["epochs"], "size": settings["images"]["size"][0], "cv": found["cv"],
        "held_back": found["held_back"], "cpu_seconds": seconds,
    }  # fmt: skip


def equal_epochs(data: str, source: Path, place: Path, size: int, seconds: float) -> int:
    """Return the epochs of the script that take at least as many CPU seconds, from runs of one and two epochs."""
    one, two = (
        run_script(data, source, place, epochs=epochs, seed=0, size=size, n_folds=2)["cpu_seconds"] for epochs in (1, 2)
    )
    an_epoch = (two - one) * 4  # five folds of four fifths of the rows, against two of one half
    return math.ceil((seconds - one + (two - one)) / an_epoch)


def known_lines() -> pd.DataFrame:
    """Return the table, which may be empty."""
    return pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=["set", "who", "seed", "epochs"])


def run(source: Path, place: Path, sets: list[str], seeds: list[int]) -> None:
    """Train what is missing, a line of the table after each run."""
    place.mkdir(parents=True, exist_ok=True)
    for data in sets:
        prepare(data, source, place)
        for seed in seeds:
            for who in ("recipe", "script"):
                lines = known_lines()
                own = lines[lines["set"] == data]
                if ((own["who"] == who) & (own["seed"] == seed)).any():
                    continue
                if who == "recipe":
                    found = recipe(data, seed, source, place)
                else:
                    by_recipe = own[(own["who"] == "recipe") & (own["seed"] == seed)].iloc[0]
                    size, seconds = int(by_recipe["size"]), float(by_recipe["cpu_seconds"])
                    epochs = equal_epochs(data, source, place, size, seconds)
                    scores = run_script(data, source, place, epochs=epochs, seed=seed, size=size, n_folds=5)
                    found = {"epochs": epochs, "size": size, **scores}
                line = pd.DataFrame([{"set": data, "who": who, "seed": seed, **found}]).round(4)
                pd.concat([known_lines(), line], ignore_index=True).to_csv(TABLE, index=False)


def table() -> str:
    """Return the page's table in Markdown."""
    lines = ["| set | who | px | seeds | epochs | CV | held back | CPU s |", "|" + "---|" * 8]
    for (data, who), runs in known_lines().groupby(["set", "who"], sort=False):
        runs = runs.sort_values("seed")
        scores = (", ".join(f"{value:.3f}" for value in runs[key]) for key in ("cv", "held_back"))
        whole = (", ".join(f"{value:.0f}" for value in runs[key]) for key in ("seed", "epochs"))
        cost = ", ".join(f"{value:.0f}" for value in runs["cpu_seconds"])
        px = runs["size"].iloc[0]
        lines.append(f"| `{data}` | {who} | {px} | {' | '.join([*whole, *scores])} | {cost} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "tables"])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("place", type=Path, nargs="?")
    parser.add_argument("--sets", nargs="*", default=["masks"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    if given.command == "run":
        run(given.data.resolve(), given.place.resolve(), given.sets, given.seeds)
    else:
        PAGE.write_text(RESULTS.sub(lambda _: table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
